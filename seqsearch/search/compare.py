"""Similarities of our own: from the stored vectors, in one fixed order.

FAISS sums in an order that depends on batch and processor, so near ties could fall either way.
Candidates are therefore compared again, in float64 and in an order of our own that vectorises and
is the same everywhere, and rounded to 1e-6; equal ones are ordered by a hash of the sequence, and
windows of one sequence by number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from seqsearch.dna.digests import UInt64
from seqsearch.index.store import IndexStore
from seqsearch.index.vectors import PART, Vectors
from seqsearch.tables import Float32, Float64, Int64
from seqsearch.threads import spread

LANES = 32
NO_SCALES = np.empty((0, 0), np.float32)
MANY = 1000  # candidates of a query from which sorting beats inserting
UInt16 = np.ndarray[Any, np.dtype[np.uint16]]
Stored = np.ndarray[Any, Any]  # uint16 (the bits of float16) or int8


class Comparer:
    """Compares queries with vectors of an index.

    Parameters
    ----------
    store : IndexStore
    threads : int
    """

    def __init__(self, store: IndexStore, threads: int) -> None:
        self.threads = threads
        self.keys = store.vector_keys
        self.parts = [(s.first_vector, *bits_of(s.vectors)) for s in store.segments]
        self._scales = np.zeros(len(self.keys), np.float64)  # 1 / length of a vector, once known

    def order(self, queries: UInt16, found: Int64) -> Float64:
        """Order the vectors found for each query by similarity, in place; return that.

        Parameters
        ----------
        queries : (n, d) uint16
            Bits of float16 vectors.
        found : (n, c) int64
            Numbers of vectors; -1: none, they come last.

        Returns
        -------
        (n, c) float64
            Cosines, best first, rounded to 1e-6; 0 where there is none.
        """
        similarities = np.zeros(found.shape, np.float64)

        def task(start: int, stop: int) -> None:
            for first, numbers, scales in self.parts:
                _compare(
                    queries, numbers, scales, first, self._scales, found, similarities, start, stop
                )
            order_by_similarity(found, similarities, self.keys, start, stop)

        spread(task, len(found), self.threads)
        return similarities


def bits_of(vectors: Vectors) -> tuple[Stored, Float32]:
    """Return numbers as compiled code takes them (the bits of float16), and their scales."""
    numbers = vectors.numbers
    return numbers.view(np.uint16) if vectors.kind == "float16" else numbers, vectors.scales


def widened(numbers: Stored, scales: Float32, rows: Int64, wide: Float32, threads: int) -> None:
    """Write rows of stored vectors as float32 of length 1."""
    spread(lambda a, b: _widen(numbers, scales, rows, wide, a, b), len(rows), threads)


def order_by_similarity(
    found: Int64, similarities: Float64, keys: UInt64, start: int, stop: int
) -> None:
    """Sort each query's candidates in place, the most similar first; then by key, then by number.

    Where there are fewer, both arrays end in -1, which stay behind.
    """
    if found.shape[1] > MANY:
        _order_many(found, similarities, keys, start, stop)
    else:
        _order(found, similarities, keys, start, stop)


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
def _tree_sum(terms: np.ndarray) -> float:
    """Sum by halving: a fixed order that the compiler can still vectorise. Destroys `terms`."""
    size = len(terms)
    while size > 1:
        half = (size + 1) // 2
        for j in range(size - half):
            terms[j] += terms[j + half]
        size = half
    return terms[0]


def _load(numbers: Stored, scales: Float32, row: int, wide: Float32) -> None:
    """Write a stored vector as float32; compiled code only."""
    raise NotImplementedError


@overload(_load, inline="always")
def _load_compiled(numbers: Stored, scales: Float32, row: int, wide: Float32) -> Any:  # noqa: ARG001  numba compares names
    def load_halves(numbers: Stored, scales: Float32, row: int, wide: Float32) -> None:  # noqa: ARG001
        for j in range(len(wide)):
            wide[j] = _float_of(numbers[row, j])

    def load_bytes(numbers: Stored, scales: Float32, row: int, wide: Float32) -> None:
        for part in range(scales.shape[1]):
            scale = scales[row, part]
            for j in range(part * PART, min((part + 1) * PART, len(wide))):
                wide[j] = np.float32(numbers[row, j]) * scale

    return load_halves if numbers.dtype == types.uint16 else load_bytes


@njit(nogil=True, cache=True)
def _widen(
    numbers: Stored, scales: Float32, rows: Int64, wide: Float32, start: int, stop: int
) -> None:
    squares = np.empty(wide.shape[1], np.float64)
    for i in range(start, stop):
        _load(numbers, scales, rows[i], wide[i])
        for j in range(wide.shape[1]):
            squares[j] = np.float64(wide[i, j]) * np.float64(wide[i, j])
        total = _tree_sum(squares)
        scale = np.float32(1.0 / np.sqrt(total)) if total > 0.0 else np.float32(0.0)
        for j in range(wide.shape[1]):
            wide[i, j] *= scale


@njit(nogil=True, cache=True, inline="always")
def _scale_of(square: float) -> float:
    """Return 1 / length, 0 for a vector of zeros."""
    return 1.0 / np.sqrt(square) if square > 0.0 else 0.0


@njit(nogil=True, cache=True)
def _product(one: Float32, other: Float32, sums: Float64) -> float:
    """Sum products in a fixed order: number j is added to sum j modulo `LANES`.

    Compilers vectorise that as it stands.
    """
    sums[:] = 0.0
    whole = len(other) - len(other) % LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            sums[lane] += one[start + lane] * other[start + lane]
    for j in range(whole, len(other)):
        sums[j - whole] += one[j] * other[j]
    return _tree_sum(sums)


@njit(nogil=True, cache=True)
def _compare(
    queries: UInt16,
    numbers: Stored,
    parts: Float32,
    first: int,
    scales: Float64,
    found: Int64,
    similarities: Float64,
    start: int,
    stop: int,
) -> None:
    """Fill in the similarities of the found vectors that lie in one segment."""
    query = np.empty(numbers.shape[1], np.float32)
    other = np.empty_like(query)
    sums = np.empty(LANES, np.float64)
    for i in range(start, stop):
        for j in range(len(query)):
            query[j] = _float_of(queries[i, j])
        own = _scale_of(_product(query, query, sums))
        for c in range(found.shape[1]):
            row = found[i, c] - first
            if row < 0 or row >= len(numbers):
                continue
            _load(numbers, parts, row, other)
            if scales[found[i, c]] == 0.0:
                scales[found[i, c]] = _scale_of(_product(other, other, sums))
            cosine = _product(query, other, sums) * own * scales[found[i, c]]
            similarities[i, c] = np.float64(np.float32(np.round(cosine * 1e6) / 1e6))


@njit(nogil=True, cache=True, inline="always")
def _is_behind(keys: UInt64, one: int, other: int) -> bool:
    return keys[one] > keys[other] or (keys[one] == keys[other] and one > other)


@njit(nogil=True, cache=True)
def _order(found: Int64, similarities: Float64, keys: UInt64, start: int, stop: int) -> None:
    """Sort by insertion: the candidates nearly are sorted."""
    for i in range(start, stop):
        for c in range(1, found.shape[1]):
            row, similarity = found[i, c], similarities[i, c]
            if row < 0:
                continue
            at = c
            while at > 0 and (
                found[i, at - 1] < 0
                or similarities[i, at - 1] < similarity
                or (
                    similarities[i, at - 1] == similarity
                    and _is_behind(keys, found[i, at - 1], row)
                )
            ):
                found[i, at], similarities[i, at] = found[i, at - 1], similarities[i, at - 1]
                at -= 1
            found[i, at], similarities[i, at] = row, similarity


def best_of_rows(found: Int64, similarities: Float64, rows: Int64, threads: int) -> None:
    """Leave out all vectors of a row but its best, in place; what is behind moves up.

    Parameters
    ----------
    found : (n, c) int64
        Vectors, best first; -1: none, and so where they become fewer.
    similarities : (n, c) float64
        0 where there are fewer.
    rows : (v,) int64
        Of all vectors.
    threads : int
    """
    spread(lambda a, b: _best_of_rows(found, similarities, rows, a, b), len(found), threads)


@njit(nogil=True, cache=True)
def _best_of_rows(found: Int64, similarities: Float64, rows: Int64, start: int, stop: int) -> None:
    for i in range(start, stop):
        seen = {np.int64(-1)}
        kept = 0
        for c in range(found.shape[1]):
            number = found[i, c]
            if number < 0 or rows[number] in seen:
                continue
            seen.add(rows[number])
            found[i, kept], similarities[i, kept] = number, similarities[i, c]
            kept += 1
        found[i, kept:], similarities[i, kept:] = -1, 0.0


def _order_many(found: Int64, exact: Float64, keys: UInt64, start: int, stop: int) -> None:
    """Do what `_order` does, for queries with very many candidates (equally similar ones)."""
    for i in range(start, stop):
        order = np.lexsort((found[i], keys[found[i]], -exact[i], found[i] < 0))
        found[i], exact[i] = found[i, order], exact[i, order]
