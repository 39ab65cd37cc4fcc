"""128-bit hashes of sequences: which are identical, and an order that no file decides."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from seqsearch.dna.batch import SequenceBatch
from seqsearch.tables import Int64, UInt8

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
