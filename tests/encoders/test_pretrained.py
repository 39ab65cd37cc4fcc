"""The encoders that ship: small, quick to load, without torch, and what their cards say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seqsearch.dna.simulation import SimulatedLibrary
from seqsearch.encoders.registry import PRETRAINED, encoder_names, load_encoder
from seqsearch.encoders.spectrum import Spectrum
from seqsearch.settings import DEFAULT_ENCODER
from seqsearch.training.card import name_hash, read_trained_on
from seqsearch.training.split import is_held_genus

SHIPPED = sorted(path.name for path in PRETRAINED.iterdir())
LARGEST = 20_000_000  # bytes of all of them
WITHOUT_TORCH = """
import sys
from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.registry import load_encoder
load_encoder(sys.argv[1]).encode(SequenceBatch.from_clean(["a"], [b"ACGT" * 40]))
assert "torch" not in sys.modules
"""


def test_they_are_small_and_one_is_the_default() -> None:
    sizes = [path.stat().st_size for path in PRETRAINED.rglob("*") if path.is_file()]
    assert 0 < sum(sizes) <= LARGEST
    assert DEFAULT_ENCODER in SHIPPED
    assert encoder_names() == [*SHIPPED, "spectrum"]


@pytest.mark.parametrize("name", SHIPPED)
def test_they_are_what_their_cards_say(name: str) -> None:
    encoder = load_encoder(name)
    card = (PRETRAINED / name / "card.md").read_text()
    assert card.startswith(f"# {encoder.name}\n")
    assert encoder.content_hash in card
    sequences, names = read_trained_on(PRETRAINED / name)
    assert f"{len(sequences):,} sequences and {len(names):,} names" in card
    for genus in ("Apis", "Bombus", "Vespa", "Danio"):
        assert (name_hash("genus", genus) in names) == (not is_held_genus(genus))


@pytest.mark.parametrize("name", SHIPPED)
def test_they_need_no_torch(name: str) -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, name], check=True)


def test_the_default_is_no_worse_than_the_spectrum_on_strangers(library: SimulatedLibrary) -> None:
    """Even of simulated taxa, which it never saw, it finds the family of new genera as often."""
    rows = np.flatnonzero(library.query_sets == "unseen_genus")
    queries = library.queries.take(rows)
    family = library.reference_paths[:, 3]
    right = {}
    for encoder in (load_encoder(DEFAULT_ENCODER), Spectrum()):
        similarity = encoder.encode(queries) @ encoder.encode(library.references).T
        right[encoder.name] = (family[similarity.argmax(1)] == library.query_paths[rows, 3]).mean()
    ours, spectrum = right.values()
    assert ours >= spectrum - 0.05
    assert ours > 0.5


def test_an_index_carries_its_encoder_with_card_and_hashes(
    library_files: Path, tmp_path: Path
) -> None:
    from seqsearch.jobs.build import build_index
    from seqsearch.jobs.inspecting import verify_index

    build_index(
        library_files / "references.fasta",
        tmp_path / "index",
        taxonomy=library_files / "references.tsv",
    )
    for path in (PRETRAINED / DEFAULT_ENCODER).iterdir():
        assert (tmp_path / "index" / "encoder" / path.name).read_bytes() == path.read_bytes()
    verify_index(tmp_path / "index")
