"""The reverse complement against Biopython's."""

from __future__ import annotations

from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.strand import reverse_complement

sequences = st.lists(st.text("ACGTRYSWKMBDHVN", max_size=40), max_size=8)


@settings(deadline=None)
@given(texts=sequences)
def test_reverse_complement_is_biopythons(texts: list[str]) -> None:
    batch = SequenceBatch.from_clean(
        [f"r{i}" for i in range(len(texts))], [text.encode() for text in texts]
    )
    turned = reverse_complement(batch)
    assert turned.strings().to_pylist() == [str(Seq(text).reverse_complement()) for text in texts]
    assert turned.ids.equals(batch.ids)
    assert reverse_complement(turned).strings().equals(batch.strings())
    assert batch.strings().to_pylist() == texts


def test_every_code_is_turned() -> None:
    codes = "ACGTRYSWKMBDHVN"
    turned = reverse_complement(SequenceBatch.from_clean(["all"], [codes.encode()]))
    assert turned.sequence(0) == "NBDHVKMWSRYACGT"
