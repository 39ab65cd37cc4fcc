"""Which lists are nearest to a query: products with all centres, in one fixed order."""

from __future__ import annotations

import numpy as np
from numba import njit

from seqsearch.tables import Float32, Int64
from seqsearch.threads import spread

TILE = 256  # centres that stay in a core's cache while queries pass by
QUERIES = 64  # that pass by at once
TOGETHER = 4  # of them are multiplied together


class Centers:
    """The centres of lists.

    Parameters
    ----------
    centers : (lists, width) float32
    """

    def __init__(self, centers: Float32) -> None:
        self._lists = len(centers)
        lists, width = -(-self._lists // TILE) * TILE, -(-centers.shape[1] // 2) * 2
        padded = np.zeros((lists, width), np.float32)
        padded[: self._lists, : centers.shape[1]] = centers
        tiles = padded.reshape(-1, TILE, width)
        self._tiles = np.ascontiguousarray(tiles.transpose(0, 2, 1))

    def nearest(
        self, queries: Float32, count: int, threads: int, reach: float = np.inf
    ) -> tuple[Int64, Float32]:
        """Return the lists nearest to each query, in any order, and the products.

        Parameters
        ----------
        queries : (n, width) float32
        count : int
            At most the number of lists.
        threads : int
        reach : float
            Lists whose product is so much less than the nearest's are left out.

        Returns
        -------
        (n, p) int64
            p, at most `count`, is the most that a query has; -1: no more.
        (n, p) float32
            Where there is no more, the product of the nearest: FAISS rounds by their range.
        """
        near = np.empty((len(queries), count), np.int64)
        products = np.empty((len(queries), count), np.float32)
        filled = np.zeros(len(queries), np.int64)

        def task(start: int, stop: int) -> None:
            for first in range(start, stop, QUERIES):
                some = slice(first, min(first + QUERIES, stop))
                sums = _products(queries[some], self._tiles)
                _choose(sums, self._lists, reach, near[some], products[some], filled[some])

        spread(task, len(queries), threads)
        most = int(filled.max(initial=1))
        return np.ascontiguousarray(near[:, :most]), np.ascontiguousarray(products[:, :most])


@njit(nogil=True, cache=True)
def _products(queries: Float32, tiles: Float32) -> Float32:
    """(at least n, at least lists) float32: products with all centres."""
    count, width = len(queries), queries.shape[1]
    padded = np.zeros((-(-count // TOGETHER) * TOGETHER, -(-width // 2) * 2), np.float32)
    padded[:count, :width] = queries
    sums = np.empty((len(padded), len(tiles) * tiles.shape[2]), np.float32)
    part = np.empty((TOGETHER, tiles.shape[2]), np.float32)
    for t in range(len(tiles)):
        first, last = t * tiles.shape[2], (t + 1) * tiles.shape[2]
        for i in range(0, len(padded), TOGETHER):
            _multiply(padded[i : i + TOGETHER], tiles[t], part)
            sums[i : i + TOGETHER, first:last] = part
    return sums


@njit(nogil=True, cache=True)
def _multiply(queries: Float32, tile: Float32, sums: Float32) -> None:
    """Fill in products with a tile's centres: of four queries at once, so that it is read less."""
    sums[:] = 0.0
    one, two, three, four = sums[0], sums[1], sums[2], sums[3]
    for j in range(0, len(tile), 2):
        a, b = queries[0, j], queries[0, j + 1]
        c, d = queries[1, j], queries[1, j + 1]
        e, f = queries[2, j], queries[2, j + 1]
        g, h = queries[3, j], queries[3, j + 1]
        for k in range(tile.shape[1]):
            x, y = tile[j, k], tile[j + 1, k]
            one[k] += a * x + b * y
            two[k] += c * x + d * y
            three[k] += e * x + f * y
            four[k] += g * x + h * y


@njit(nogil=True, cache=True)
def _choose(
    sums: Float32, lists: int, reach: float, near: Int64, products: Float32, filled: Int64
) -> None:
    """Choose the lists with the largest products; of equal ones at the end, the first."""
    count = near.shape[1]
    for i in range(len(near)):
        own = sums[i, :lists]
        best = own.max()
        least = np.float32(best - reach)
        if np.count_nonzero(own >= least) > count:
            least = np.partition(own, lists - count)[lists - count]
        at = 0
        for tied in (False, True):
            for k in range(lists):
                chosen = own[k] == least if tied else own[k] > least
                if chosen and at < count:
                    near[i, at], products[i, at] = k, own[k]
                    at += 1
        near[i, at:], products[i, at:] = -1, best
        filled[i] = at
