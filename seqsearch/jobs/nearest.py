"""The nearest vectors of queries, kept while blocks of them are compared one after the other."""

from __future__ import annotations

import numpy as np
from numba import njit

from seqsearch.tables import Float32, Int32, Int64
from seqsearch.threads import spread


class Nearest:
    """The vectors with the largest products so far, in scenarios that hide more and more of them.

    Scenario 0 hides one row of each query; scenario j also the rows that agree on its taxon at the
    j-th lowest rank, and those hidden before. Of a row with several vectors the best is kept.

    Parameters
    ----------
    queries : int
        q.
    kept : int
        How many a query.
    scenarios : int
    own : (q,) int64, optional
        The row that is hidden; -1: none.
    truth : (q, ranks) int32, optional
        Taxa; -1: none. Needed with several scenarios.
    rows : (v,) int64, optional
        Of all vectors, where some rows have several; none: each is a row of its own, of its number.
    """

    def __init__(
        self,
        queries: int,
        kept: int,
        scenarios: int = 1,
        own: Int64 | None = None,
        truth: Int32 | None = None,
        rows: Int64 | None = None,
    ) -> None:
        self._row_of = np.empty(0, np.int64) if rows is None else rows
        self._own = np.full(queries, -1, np.int64) if own is None else own
        self._truth = np.empty((queries, 0), np.int32) if truth is None else truth
        self._products = np.full((scenarios, queries, kept), -np.inf, np.float32)
        self._vectors = np.full((scenarios, queries, kept), -1, np.int64)

    def look_at(
        self, products: Float32, numbers: Int64, agreed: Int32 | None = None, threads: int = 1
    ) -> None:
        """Look at the products of all queries with vectors.

        Parameters
        ----------
        products : (q, r) float32
        numbers : (r,) int64
            Of the vectors.
        agreed : (r, ranks) int32, optional
            Taxa that all labels of their rows agree on; needed with several scenarios.
        threads : int
        """
        taxa = np.empty((len(numbers), 0), np.int32) if agreed is None else agreed

        def task(start: int, stop: int) -> None:
            own, truth = self._own[start:stop], self._truth[start:stop]
            best, found = self._products[:, start:stop], self._vectors[:, start:stop]
            _look(products[start:stop], numbers, self._row_of, taxa, own, truth, best, found)

        spread(task, len(products), threads)

    def found(self, scenario: int = 0) -> tuple[Int64, Float32]:
        """Return what was kept, largest product first.

        Returns
        -------
        (q, k) int64
            Vectors; -1 where there are fewer.
        (q, k) float32
            Products; -inf where there are fewer.
        """
        return self._vectors[scenario], self._products[scenario]


@njit(nogil=True, cache=True)
def _look(
    products: Float32,
    numbers: Int64,
    row_of: Int64,
    agreed: Int32,
    own: Int64,
    truth: Int32,
    best: Float32,
    found: Int64,
) -> None:
    scenarios, last, ranks = len(best), best.shape[2] - 1, truth.shape[1]
    for i in range(len(products)):
        for r in range(len(numbers)):
            product = products[i, r]
            # The last scenario has the fewest rows to choose from, so its bound is the lowest.
            if product <= best[scenarios - 1, i, last]:
                continue
            row = row_of[numbers[r]] if len(row_of) else numbers[r]
            seen = 0 if row == own[i] else scenarios  # how many scenarios show this row
            for hidden in range(1, seen):
                taxon = truth[i, ranks - hidden]
                if taxon >= 0 and taxon == agreed[r, ranks - hidden]:
                    seen = hidden
                    break
            for s in range(seen):
                at = last
                if len(row_of):
                    at = _place_of(row, found[s, i], row_of)
                if product <= best[s, i, at]:
                    continue
                while at > 0 and best[s, i, at - 1] < product:
                    best[s, i, at], found[s, i, at] = best[s, i, at - 1], found[s, i, at - 1]
                    at -= 1
                best[s, i, at], found[s, i, at] = product, numbers[r]


@njit(nogil=True, cache=True)
def _place_of(row: int, found: Int64, row_of: Int64) -> int:
    """Return where a vector of a row is kept, the last place where none is."""
    for at in range(len(found)):
        if found[at] >= 0 and row_of[found[at]] == row:
            return at
    return len(found) - 1
