"""Reading frames of protein-coding sequences."""

from __future__ import annotations

import numpy as np
from numba import njit

from seqsearch.dna.batch import SequenceBatch
from seqsearch.tables import Bool, Int64, UInt8

CODING = 0.9  # share of open sequences from which a library counts as protein-coding
SHORTEST = 300  # bases; shorter ones are open by chance too often to tell


def has_open_frame(batch: SequenceBatch) -> Bool:
    """(n,) bool: sequences with a frame, on either strand, that no stop codon interrupts.

    Stops are TAA and TAG, which nearly all genetic codes share (NCBI's tables; not those of some
    ciliates and green algae, nor TAA in flatworms' alternative code); the codons on which codes
    differ, and codons with an unknown base, count as none.
    """
    result = np.zeros(len(batch), np.bool_)
    _look(batch.bytes, batch.offsets, result)
    return result


def is_coding(batch: SequenceBatch) -> bool:
    """Tell whether sequences are of a protein-coding marker.

    They are where `CODING` of those from `SHORTEST` bases on have an open frame; of random
    sequences of 300 bases a quarter has one, of 600 bases a hundredth.
    """
    chosen = np.flatnonzero(batch.lengths >= SHORTEST)
    return bool(len(chosen)) and float(has_open_frame(batch.take(chosen)).mean()) >= CODING


@njit(nogil=True, cache=True)
def _look(bases: UInt8, offsets: Int64, result: np.ndarray) -> None:
    a, c, g, t = 65, 67, 71, 84  # as bytes
    for i in range(len(offsets) - 1):
        start, stop = offsets[i], offsets[i + 1]
        shut = np.zeros(6, np.bool_)
        for at in range(start, stop - 2):
            x, y, z = bases[at], bases[at + 1], bases[at + 2]
            frame = (at - start) % 3
            if x == t and y == a and z in (a, g):
                shut[frame] = True
            # Read from the other strand these are TTA and CTA.
            if z == a and y == t and x in (t, c):
                shut[3 + frame] = True
        result[i] = not shut.all()
