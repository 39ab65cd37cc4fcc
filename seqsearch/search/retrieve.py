"""The nearest references of each query: found by FAISS, decided by similarities of our own.

FAISS sums in an order that depends on batch and processor, so near ties could fall either way. The
candidates' similarities are therefore computed again from the stored float16 vectors, in float64
and one fixed order, rounded to 1e-6; equal ones are ordered by a hash of the sequence. FAISS is
asked for more than needed, and again for more where its last one is too close to be sure.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from seqsearch.dna.digests import UInt64
from seqsearch.index.flat import FlatIndex
from seqsearch.index.store import IndexStore
from seqsearch.tables import Float32, Float64, Int64
from seqsearch.threads import resolve_threads, spread

EXTRA = 16  # candidates asked for beyond those wanted
DOUBT = 1e-5  # more than FAISS's float32 sums can be off for normalised vectors
AT_ONCE = 4_000_000  # candidates compared at once: some 100 MB
MANY = 1000  # candidates of a query from which sorting beats inserting
UInt16 = np.ndarray[Any, np.dtype[np.uint16]]


class Retriever:
    """Searches the live rows of an index exactly.

    Parameters
    ----------
    store : IndexStore
    threads : int
        0 means every core. Results do not depend on it.
    rows : (r,) int64, optional
        Search only these rows.
    """

    def __init__(self, store: IndexStore, threads: int = 0, rows: Int64 | None = None) -> None:
        self.threads = resolve_threads(threads)
        self.rows = store.live_rows if rows is None else rows
        self._keys = store.order_keys
        self._parts = [(s.first_row, s.vectors.view(np.uint16)) for s in store.segments]
        self._scales = np.zeros(store.rows, np.float64)
        self._flat = FlatIndex(len(self.rows), int(store.manifest.encoder["dim"]))
        done = 0
        for first, vectors in self._parts:
            own = self.rows[(self.rows >= first) & (self.rows < first + len(vectors))] - first
            self._fill(first, vectors, own, self._flat.vectors[done : done + len(own)])
            done += len(own)

    def _fill(self, first: int, vectors: UInt16, own: Int64, wide: Float32) -> None:
        """Widen rows of a segment into the FAISS index."""

        def task(start: int, stop: int) -> None:
            _widen(vectors, own, first, wide, self._scales, start, stop)

        spread(task, len(own), self.threads)

    def search(self, vectors: Float32, count: int) -> tuple[Int64, Float32]:
        """Return the nearest `count` rows of each query, best first.

        Parameters
        ----------
        vectors : (n, d) float32
            Queries, as the encoder made them.
        count : int

        Returns
        -------
        (n, count) int64
            Rows; -1 where the index has fewer.
        (n, count) float32
            Cosine similarity of the float16 vectors, rounded to 1e-6; 0 where the row is -1.
        """
        halves = vectors.astype(np.float16).view(np.uint16)
        scales = np.zeros(len(vectors), np.float64)
        wide = np.empty(vectors.shape, np.float32)
        _widen(halves, np.arange(len(vectors)), 0, wide, scales, 0, len(vectors))
        rows = np.full((len(vectors), count), -1, np.int64)
        similarities = np.zeros((len(vectors), count), np.float32)
        todo = np.arange(len(vectors))
        asked = min(count + EXTRA, len(self._flat))
        while len(todo) and asked:
            in_doubt = np.zeros(len(todo), np.bool_)
            kept = min(count, asked)
            step = max(1, AT_ONCE // asked)
            for start in range(0, len(todo), step):
                some = todo[start : start + step]
                products, positions = self._flat.search(wide[some], asked, self.threads)
                found = self.rows[positions]
                exact = self._similarities(halves[some], scales[some], found)
                rows[some, :kept] = found[:, :kept]
                similarities[some, :kept] = exact[:, :kept]
                last = exact[:, kept - 1]
                in_doubt[start : start + step] = products[:, -1] + DOUBT >= last
            if asked == len(self._flat):
                break
            todo = todo[in_doubt]
            asked = min(asked * 4, len(self._flat))
        return rows, similarities

    def _similarities(self, halves: UInt16, scales: Float64, found: Int64) -> Float64:
        """Compute (n, m) similarities; orders `found` and them, best first, in place."""
        exact = np.zeros(found.shape, np.float64)

        def task(a: int, b: int) -> None:
            for first, vectors in self._parts:
                _compare(halves, scales, vectors, first, self._scales, found, exact, a, b)
            order_by_similarity(found, exact, self._keys, a, b)

        spread(task, len(found), self.threads)
        return exact


@njit(nogil=True, cache=True, inline="always")
def _float_of(half: np.uint16) -> np.float32:
    """Widen a finite float16, given as its bits.

    Shifting exponent and mantissa into a float32's place leaves the exponent too small by
    127 - 15; the product with 2^112 mends that, subnormals included.
    """
    bits = np.uint32(half)
    magnitude = np.uint32((bits & np.uint32(0x7FFF)) << np.uint32(13)).view(np.float32)
    value = magnitude * np.float32(2.0**112)
    return -value if bits & np.uint32(0x8000) else value


@njit(nogil=True, cache=True)
def _tree_sum(terms: Float64) -> float:
    """Sum by halving: a fixed order that the compiler can still vectorise. Destroys `terms`."""
    size = len(terms)
    while size > 1:
        half = (size + 1) // 2
        for j in range(size - half):
            terms[j] += terms[j + half]
        size = half
    return terms[0]


@njit(nogil=True, cache=True)
def _widen(
    vectors: UInt16,
    rows: Int64,
    first: int,
    wide: Float32,
    scales: Float64,
    start: int,
    stop: int,
) -> None:
    """Write rows as float32 of length 1, and what they were multiplied by to `scales`."""
    dim = vectors.shape[1]
    squares = np.empty(dim, np.float64)
    for i in range(start, stop):
        row = rows[i]
        for j in range(dim):
            value = _float_of(vectors[row, j])
            wide[i, j] = value
            squares[j] = np.float64(value) * np.float64(value)
        total = _tree_sum(squares)
        scale = 1.0 / np.sqrt(total) if total > 0.0 else 0.0
        scales[first + row] = scale
        for j in range(dim):
            wide[i, j] *= np.float32(scale)


@njit(nogil=True, cache=True)
def _compare(
    queries: UInt16,
    query_scales: Float64,
    vectors: UInt16,
    first: int,
    scales: Float64,
    found: Int64,
    exact: Float64,
    start: int,
    stop: int,
) -> None:
    """Fill `exact` for the found rows that lie in one segment."""
    dim = vectors.shape[1]
    query = np.empty(dim, np.float64)
    terms = np.empty(dim, np.float64)
    for i in range(start, stop):
        for j in range(dim):
            query[j] = _float_of(queries[i, j])
        for c in range(found.shape[1]):
            row = found[i, c] - first
            if row < 0 or row >= len(vectors):
                continue
            for j in range(dim):
                terms[j] = query[j] * _float_of(vectors[row, j])
            cosine = _tree_sum(terms) * query_scales[i] * scales[found[i, c]]
            exact[i, c] = np.float64(np.float32(np.round(cosine * 1e6) / 1e6))


def order_by_similarity(found: Int64, exact: Float64, keys: UInt64, start: int, stop: int) -> None:
    """Sort each query's candidates in place, the most similar first; then by key.

    Where there are fewer, both arrays end in rows of -1, which stay behind.
    """
    if found.shape[1] > MANY:
        _order_many(found, exact, keys, start, stop)
    else:
        _order(found, exact, keys, start, stop)


@njit(nogil=True, cache=True)
def _order(found: Int64, exact: Float64, keys: UInt64, start: int, stop: int) -> None:
    """Sort each query's candidates by similarity, then by key (insertion: they nearly are)."""
    for i in range(start, stop):
        for c in range(1, found.shape[1]):
            if found[i, c] < 0:
                break
            row, similarity = found[i, c], exact[i, c]
            at = c
            while at > 0 and (
                exact[i, at - 1] < similarity
                or (exact[i, at - 1] == similarity and keys[found[i, at - 1]] > keys[row])
            ):
                found[i, at], exact[i, at] = found[i, at - 1], exact[i, at - 1]
                at -= 1
            found[i, at], exact[i, at] = row, similarity


def _order_many(found: Int64, exact: Float64, keys: UInt64, start: int, stop: int) -> None:
    """Do what `_order` does, for queries with very many candidates (equally similar ones)."""
    for i in range(start, stop):
        order = np.lexsort((keys[found[i]], -exact[i], found[i] < 0))
        found[i], exact[i] = found[i, order], exact[i, order]
