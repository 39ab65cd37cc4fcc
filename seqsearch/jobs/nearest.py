"""The nearest rows of queries, kept while blocks of rows are compared one after the other."""

from __future__ import annotations

import numpy as np

from seqsearch.tables import Float32, Int64


class Nearest:
    """The rows with the largest products so far.

    Parameters
    ----------
    queries : int
        q.
    kept : int
        How many a query.
    """

    def __init__(self, queries: int, kept: int) -> None:
        self._kept = kept
        self._products = np.empty((queries, 0), np.float32)
        self._rows = np.empty((queries, 0), np.int64)

    def look_at(self, products: Float32, rows: Int64) -> None:
        """Look at the products of all queries with rows.

        Parameters
        ----------
        products : (q, r) float32
            -inf where a row is not to be found.
        rows : (r,) int64
        """
        best = _largest(products, self._kept)
        own = np.take_along_axis(products, best, axis=1)
        together = np.concatenate([self._products, own], axis=1)
        numbers = np.concatenate([self._rows, rows[best]], axis=1)
        best = _largest(together, self._kept)
        self._products = np.take_along_axis(together, best, axis=1)
        self._rows = np.take_along_axis(numbers, best, axis=1)

    def found(self) -> tuple[Int64, Float32]:
        """Return what was kept, largest product first.

        Returns
        -------
        (q, k) int64
            Rows; -1 where there are fewer.
        (q, k) float32
            Products; -inf where there are fewer.
        """
        order = np.argsort(-self._products, axis=1, kind="stable")
        products = np.take_along_axis(self._products, order, axis=1)
        rows = np.take_along_axis(self._rows, order, axis=1)
        missing = self._kept - products.shape[1]
        if missing > 0:
            products = np.pad(products, ((0, 0), (0, missing)), constant_values=-np.inf)
            rows = np.pad(rows, ((0, 0), (0, missing)))
        return np.where(np.isneginf(products), -1, rows), products


def _largest(products: Float32, count: int) -> Int64:
    if products.shape[1] <= count:
        return np.broadcast_to(np.arange(products.shape[1]), products.shape)
    return np.argpartition(products, -count, axis=1)[:, -count:]
