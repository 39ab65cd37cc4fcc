"""Queries put into longer sequences, as a marker lies in a genome or a long read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.strand import reverse_complement
from seqsearch.dna.windows import pieces
from seqsearch.tables import Int64


def embed(batch: SequenceBatch, flanks: SequenceBatch, seed: int) -> tuple[SequenceBatch, Int64]:
    """Put each query into its flank, at a random place and on a random strand.

    Parameters
    ----------
    batch, flanks : SequenceBatch
        n each.
    seed : int

    Returns
    -------
    SequenceBatch
        n sequences of the queries' ids.
    (n,) int64
        First base of each query in them.
    """
    rng = np.random.default_rng(seed)
    count = len(batch)
    start = rng.integers(0, flanks.lengths + 1)
    both = SequenceBatch.concatenate([batch, reverse_complement(batch)])
    chosen = both.take(np.arange(count) + count * rng.integers(0, 2, count))
    every, nothing = np.arange(count), np.zeros(count, np.int64)
    parts = SequenceBatch.concatenate(
        [
            pieces(flanks, every, nothing, start),
            SequenceBatch(chosen.ids, chosen.bytes, chosen.offsets),
            pieces(flanks, every, start, flanks.lengths),
        ]
    )
    joined = parts.take((every[:, None] + count * np.arange(3)).ravel())
    return SequenceBatch(batch.ids, joined.bytes, joined.offsets[::3].copy()), start


def random_flanks(lengths: Int64, seed: int) -> SequenceBatch:
    """Return random sequences of given lengths, (n,) int64, each base as often."""
    rng = np.random.default_rng(seed)
    offsets = np.append(0, np.cumsum(lengths))
    bases = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, offsets[-1])]
    return SequenceBatch(pa.array([""] * len(lengths), pa.string()), bases, offsets)
