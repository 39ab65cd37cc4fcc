"""Pieces of genomes lie in them, on one strand or the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from Bio import SeqIO
from Bio.Seq import Seq
from Bio.SeqFeature import FeatureLocation, SeqFeature
from Bio.SeqRecord import SeqRecord

from seqsearch.errors import InputError
from seqsearch.evaluation.strangers import pieces_of, read_genomes


def test_pieces_lie_in_their_genomes() -> None:
    rng = np.random.default_rng(0)
    genomes = ["".join(rng.choice(list("ACGT"), n)) for n in (300, 5000)]
    lengths = np.array([200, 290, 1000, 50] * 25)
    found = pieces_of([genome.encode() for genome in genomes], lengths, seed=1)
    assert found.lengths.tolist() == lengths.tolist()
    turned = 0
    for i in range(len(found)):
        text = found.sequence(i)
        is_given = any(text in genome for genome in genomes)
        turned += not is_given
        assert is_given or any(str(Seq(text).reverse_complement()) in g for g in genomes)
    assert 20 < turned < 80


def test_organelles_are_told_apart(tmp_path: Path) -> None:
    for name, qualifiers in (("a", {}), ("b", {"organelle": ["mitochondrion"]})):
        source = SeqFeature(FeatureLocation(0, 8), type="source", qualifiers=qualifiers)
        annotations = {"molecule_type": "DNA"}
        text = "acgtacgt" if name == "a" else "ttttacgt"
        record = SeqRecord(Seq(text), id=name, features=[source], annotations=annotations)
        SeqIO.write(record, tmp_path / f"{name}.gb", "genbank")
    found = read_genomes(tmp_path)
    assert list(found.values()) == [[b"TTTTACGT"], [b"ACGTACGT"]]
    with pytest.raises(InputError, match="has no GenBank file"):
        read_genomes(Path(__file__).parent)
