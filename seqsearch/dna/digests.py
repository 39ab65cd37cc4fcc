"""128-bit hashes of sequences and texts: which are identical, and an order that no file decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from seqsearch.dna.batch import SequenceBatch
from seqsearch.tables import Int32, Int64, UInt8

UInt64 = np.ndarray[Any, np.dtype[np.uint64]]


def digests(batch: SequenceBatch) -> UInt64:
    """Return (n, 2) uint64: a hash of each sequence, equal for equal sequences.

    One lane is FNV-1a (Fowler, Noll, Vo; 64-bit prime), the other a multiplicative hash of
    another odd multiplier; the mixer of SplitMix64 (Steele et al. 2014) finishes both. Not for
    adversaries.
    """
    result = np.empty((len(batch), 2), np.uint64)
    _hash(batch.bytes, batch.offsets, result)
    return result


def text_digests(texts: pa.StringArray) -> UInt64:
    """Return (n, 2) uint64: a hash of each text, equal for equal texts; 0 for null."""
    result = np.zeros((len(texts), 2), np.uint64)
    _, ends, letters = texts.buffers()
    if letters is not None:
        offsets = np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        _hash(np.frombuffer(letters, np.uint8), offsets.astype(np.int64), result)
    result[texts.is_null().to_numpy(zero_copy_only=False)] = 0
    return result


class Numbering:
    """Numbers for hashes: 0, 1, 2 ..., in the order in which they first come.

    A hash table (linear probing, at most half full) of places among the hashes: 16 bytes a hash,
    and 8 to 16 for the table.
    """

    def __init__(self) -> None:
        self._known: UInt64 = np.empty((1024, 2), np.uint64)
        self._places: Int32 = np.full(4096, -1, np.int32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def hashes(self) -> UInt64:
        """(n, 2) uint64: the hashes by number."""
        return self._known[: self._count]

    def add(self, hashes: UInt64) -> Int64:
        """Return (m,) int64: the number of each hash; new ones get the next.

        Examples
        --------
        >>> numbering = Numbering()
        >>> numbering.add(np.array([[7, 7], [5, 5], [7, 7]], np.uint64)).tolist()
        [0, 1, 0]
        >>> numbering.find(np.array([[5, 5], [8, 8]], np.uint64)).tolist()
        [1, -1]
        """
        self._make_room(self._count + len(hashes))
        numbers = np.empty(len(hashes), np.int64)
        self._count = _number(hashes, self._known, self._count, self._places, True, numbers)
        return numbers

    def find(self, hashes: UInt64) -> Int64:
        """Return (m,) int64: the number of each hash, -1 where it has none."""
        numbers = np.empty(len(hashes), np.int64)
        _number(hashes, self._known, self._count, self._places, False, numbers)
        return numbers

    def _make_room(self, count: int) -> None:
        if count > len(self._known):
            known = np.empty((max(count, len(self._known) * 3 // 2), 2), np.uint64)
            known[: self._count] = self.hashes
            self._known = known
        if 2 * count > len(self._places):
            size = 1 << (2 * count - 1).bit_length()
            self._places = np.full(size, -1, np.int32)
            again = np.empty(self._count, np.int64)
            _number(self.hashes, self._known, 0, self._places, True, again)


@njit(nogil=True, cache=True)
def _number(
    hashes: UInt64, known: UInt64, count: int, places: Int32, is_adding: bool, numbers: Int64
) -> int:
    """Look hashes up, and with `is_adding` give new ones the next number; returns the count."""
    last = np.uint64(len(places) - 1)
    for i in range(len(hashes)):
        high, low = hashes[i, 0], hashes[i, 1]
        at = low & last
        while places[at] >= 0 and (known[places[at], 0] != high or known[places[at], 1] != low):
            at = (at + np.uint64(1)) & last
        if places[at] < 0 and is_adding:
            known[count, 0], known[count, 1] = high, low
            places[at] = count
            count += 1
        numbers[i] = places[at]
    return count


@njit(nogil=True, cache=True)
def mix64(x: np.uint64) -> np.uint64:
    """Return the SplitMix64 finaliser of a 64-bit integer."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def mixed(words: UInt64) -> UInt64:
    """Return `mix64` of each of many integers."""
    function: Any = mix64.py_func  # numpy does the same to every element
    return np.asarray(function(words), np.uint64)


@njit(nogil=True, cache=True)
def _hash(bases: UInt8, offsets: Int64, result: UInt64) -> None:
    prime, other = np.uint64(0x100000001B3), np.uint64(0xD6E8FEB86659FD93)
    for record in range(len(offsets) - 1):
        first, second = np.uint64(0xCBF29CE484222325), np.uint64(0x9E3779B97F4A7C15)
        for j in range(offsets[record], offsets[record + 1]):
            first = (first ^ np.uint64(bases[j])) * prime
            second = (second + np.uint64(bases[j])) * other
        result[record, 0], result[record, 1] = mix64(first), mix64(second)
