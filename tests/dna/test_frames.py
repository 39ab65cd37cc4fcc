"""Open reading frames, against translation by Biopython."""

from __future__ import annotations

import numpy as np
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.frames import has_open_frame, is_coding
from seqsearch.dna.simulation import shuffled


def batch_of(texts: list[str]) -> SequenceBatch:
    return SequenceBatch.from_clean(
        [str(i) for i in range(len(texts))], [t.encode() for t in texts]
    )


def slow_is_open(text: str) -> bool:
    """Some frame of either strand without TAA and TAG."""
    for strand in (text, str(Seq(text).reverse_complement())):
        for frame in range(3):
            codons = [strand[i : i + 3] for i in range(frame, len(strand) - 2, 3)]
            if not {"TAA", "TAG"} & set(codons):
                return True
    return False


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.text("ACGTTAAGN", max_size=60), min_size=1, max_size=5))
def test_frames_are_those_of_the_codons(texts: list[str]) -> None:
    assert has_open_frame(batch_of(texts)).tolist() == [slow_is_open(text) for text in texts]


def test_a_shifted_frame_is_seen() -> None:
    rng = np.random.default_rng(2)
    codons = [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"]
    coding = [codon for codon in codons if codon not in ("TAA", "TAG")]
    genes = ["".join(rng.choice(coding, 220)) for _ in range(60)]
    assert has_open_frame(batch_of(genes)).all()
    assert is_coding(batch_of(genes))
    assert not is_coding(shuffled(batch_of(genes), seed=1))
    shifted = [gene[:300] + gene[301:] for gene in genes]
    assert has_open_frame(batch_of(shifted)).mean() < 0.1


def test_short_sequences_tell_nothing() -> None:
    assert not is_coding(batch_of(["ATG" * 50]))
    assert not is_coding(batch_of([]))
