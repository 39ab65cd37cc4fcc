"""The order in which everything is looked at, epoch after epoch; the same from any batch on."""

from __future__ import annotations

import numpy as np

from seqsearch.tables import Int64


class Order:
    """Rows in random order, each once an epoch.

    Parameters
    ----------
    count : int
        Rows there are.
    size : int
        Of a batch; one that reaches over the end of an epoch goes on with the next one's order.
    seed : int

    Examples
    --------
    >>> order = Order(5, size=2, seed=0)
    >>> sorted(row for number in range(5) for row in order.rows(number).tolist())
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    """

    def __init__(self, count: int, size: int, seed: int) -> None:
        self.count, self.size, self._seed = count, size, seed
        self._drawn: dict[int, Int64] = {}

    def rows(self, number: int) -> Int64:
        """Return (size,) int64: the rows of a batch."""
        places = np.arange(number * self.size, (number + 1) * self.size)
        epochs = places // self.count
        self._drawn = {epoch: self._epoch(epoch) for epoch in np.unique(epochs).tolist()}
        parts = [self._drawn[epoch][places[epochs == epoch] % self.count] for epoch in self._drawn]
        return np.concatenate(parts)

    def _epoch(self, epoch: int) -> Int64:
        known = self._drawn.get(epoch)
        if known is not None:
            return known
        return np.random.default_rng([self._seed, epoch]).permutation(self.count)
