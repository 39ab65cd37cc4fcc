"""Pieces of sequences, and windows that cover them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit

from seqsearch.dna.batch import SequenceBatch
from seqsearch.tables import Int64, UInt8


def windows(lengths: Int64, size: int, step: int) -> tuple[Int64, Int64]:
    """Cover sequences with windows; the last one of each ends where its sequence does.

    Parameters
    ----------
    lengths : (n,) int64
        Bases of each sequence.
    size, step : int
        Bases of a window, and between the starts of two.

    Returns
    -------
    (w,) int64, (w,) int64
        Sequence and first base of each window, ascending. A sequence that is no longer than a
        window has one, which starts at 0.

    Examples
    --------
    >>> windows(np.array([9, 3]), size=4, step=2)
    (array([0, 0, 0, 0, 1]), array([0, 2, 4, 5, 0]))
    """
    rest = np.maximum(lengths - size, 0)
    counts = -(-rest // step) + 1
    owner = np.repeat(np.arange(len(lengths)), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return owner, np.minimum(number * step, rest[owner])


def pieces(batch: SequenceBatch, owner: Int64, start: Int64, end: Int64) -> SequenceBatch:
    """Return pieces of sequences as a copy, without names.

    Parameters
    ----------
    batch : SequenceBatch
    owner : (p,) int64
        Sequence that each piece is of.
    start, end : (p,) int64
        Bases of it, end excluded.

    Examples
    --------
    >>> batch = SequenceBatch.from_clean(["a", "b"], [b"ACGT", b"GGCC"])
    >>> pieces(batch, np.array([1, 0]), np.array([1, 0]), np.array([3, 4])).strings().to_pylist()
    ['GC', 'ACGT']
    """
    offsets = np.zeros(len(owner) + 1, np.int64)
    np.cumsum(end - start, out=offsets[1:])
    taken = np.empty(offsets[-1], np.uint8)
    _copy(batch.bytes, batch.offsets[owner] + start, offsets, taken)
    return SequenceBatch(pa.array([""] * len(owner), pa.string()), taken, offsets)


@njit(nogil=True, cache=True)
def _copy(bases: UInt8, first: Int64, offsets: Int64, taken: UInt8) -> None:
    for piece in range(len(first)):
        size = offsets[piece + 1] - offsets[piece]
        taken[offsets[piece] : offsets[piece + 1]] = bases[first[piece] : first[piece] + size]
