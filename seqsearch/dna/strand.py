"""The other strand."""

from __future__ import annotations

import numpy as np
from numba import njit

from seqsearch.dna.batch import SequenceBatch
from seqsearch.tables import Int64, UInt8


def _complement_table() -> UInt8:
    table = np.zeros(256, np.uint8)
    for base, other in zip(b"ACGTRYSWKMBDHVN", b"TGCAYRSWMKVHDBN", strict=True):
        table[base] = other
    return table


COMPLEMENTS = _complement_table()


def reverse_complement(batch: SequenceBatch) -> SequenceBatch:
    """Return every sequence's reverse complement, IUPAC codes complemented too.

    >>> reverse_complement(SequenceBatch.from_clean(["a"], [b"AACGN"])).sequence(0)
    'NCGTT'
    """
    turned = np.empty_like(batch.bytes)
    _turn(batch.bytes, batch.offsets, COMPLEMENTS, turned)
    return SequenceBatch(batch.ids, turned, batch.offsets)


@njit(nogil=True, cache=True)
def _turn(bases: UInt8, offsets: Int64, table: UInt8, turned: UInt8) -> None:
    for record in range(len(offsets) - 1):
        start, stop = offsets[record], offsets[record + 1]
        for j in range(stop - start):
            turned[start + j] = table[bases[stop - 1 - j]]
