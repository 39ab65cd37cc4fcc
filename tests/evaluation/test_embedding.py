"""Queries lie where they were put, on one strand or the other."""

from __future__ import annotations

import numpy as np
from Bio.Seq import Seq

from seqsearch.dna.batch import SequenceBatch
from seqsearch.evaluation.embedding import embed, random_flanks


def test_queries_lie_in_their_flanks() -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGT"), n)) for n in (30, 50, 70) * 20]
    batch = SequenceBatch.from_clean([f"q{i}" for i in range(60)], [t.encode() for t in texts])
    flanks = random_flanks(rng.integers(1, 200, 60), seed=1)
    found, start = embed(batch, flanks, seed=2)
    assert found.ids.to_pylist() == batch.ids.to_pylist()
    turned = 0
    for i, text in enumerate(texts):
        long, end = found.sequence(i), start[i] + len(text)
        inside = long[start[i] : end]
        assert inside in (text, str(Seq(text).reverse_complement()))
        turned += inside != text
        assert long[: start[i]] + long[end:] == flanks.sequence(i)
    assert 15 < turned < 45
    assert len(set(start.tolist())) > 20
