"""Which lists are nearest to a query: products with all centres, in one fixed order."""

from __future__ import annotations

import numpy as np
from numba import njit

from seqsearch.tables import Float32, Int64
from seqsearch.threads import spread

TILE = 256  # centres that stay in a core's cache while queries pass by
QUERIES = 64  # that pass by at once


class Centers:
    """The centres of lists.

    Parameters
    ----------
    centers : (lists, width) float32
    """

    def __init__(self, centers: Float32) -> None:
        self._lists = len(centers)
        padded = np.zeros((-(-self._lists // TILE) * TILE, centers.shape[1]), np.float32)
        padded[: self._lists] = centers
        tiles = padded.reshape(-1, TILE, centers.shape[1])
        self._tiles = np.ascontiguousarray(tiles.transpose(0, 2, 1))

    def nearest(self, queries: Float32, count: int, threads: int) -> tuple[Int64, Float32]:
        """Return the lists nearest to each query, in any order, and the products.

        Parameters
        ----------
        queries : (n, width) float32
        count : int
            At most the number of lists.
        threads : int

        Returns
        -------
        (n, count) int64
        (n, count) float32
        """
        near = np.empty((len(queries), count), np.int64)
        products = np.empty((len(queries), count), np.float32)

        def task(start: int, stop: int) -> None:
            for first in range(start, stop, QUERIES):
                some = slice(first, min(first + QUERIES, stop))
                _nearest(queries[some], self._tiles, self._lists, near[some], products[some])

        spread(task, len(queries), threads)
        return near, products


@njit(nogil=True, cache=True)
def _nearest(queries: Float32, tiles: Float32, lists: int, near: Int64, products: Float32) -> None:
    sums = np.zeros((len(queries), len(tiles) * tiles.shape[2]), np.float32)
    for t in range(len(tiles)):
        tile = tiles[t]
        for i in range(len(queries)):
            own = sums[i, t * tile.shape[1] : (t + 1) * tile.shape[1]]
            for j in range(0, len(tile) - 3, 4):  # four at a time: sums are read and written less
                a, b, c, d = queries[i, j], queries[i, j + 1], queries[i, j + 2], queries[i, j + 3]
                for k in range(len(own)):
                    first = a * tile[j, k] + b * tile[j + 1, k]
                    own[k] += first + (c * tile[j + 2, k] + d * tile[j + 3, k])
            for j in range(len(tile) // 4 * 4, len(tile)):
                for k in range(len(own)):
                    own[k] += queries[i, j] * tile[j, k]
    count = near.shape[1]
    for i in range(len(queries)):
        own = sums[i, :lists]
        least = np.partition(own, lists - count)[lists - count]
        at = 0
        for tied in (False, True):  # of equally near ones at the end, the first
            for k in range(lists):
                chosen = own[k] == least if tied else own[k] > least
                if chosen and at < count:
                    near[i, at], products[i, at] = k, own[k]
                    at += 1
