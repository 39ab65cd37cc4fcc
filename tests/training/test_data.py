"""What is learned from: lineages, splits, batches, changed sequences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqsearch.dna.batch import SequenceBatch
from seqsearch.errors import SettingsError
from seqsearch.jobs.build import build_index
from seqsearch.training.augmentation import Augmentation, augment
from seqsearch.training.labelled import LabelledSet, read_labelled
from seqsearch.training.sampling import draw_batch, group_rows, one_of_each
from seqsearch.training.split import SETS, development_split, draw, split_for

SEQUENCES = ["ACGTACGTTTGACCA", "ACGTACGTTAGGCCA", "GGATTACACCTTAGA"]


def test_a_row_has_the_lineage_its_labels_agree_on(tmp_path: Path) -> None:
    one, other, third = SEQUENCES
    (tmp_path / "ref.fasta").write_text(
        f">a f__Apidae;g__Apis;s__Apis mellifera\n{one}\n"
        f">b f__Apidae;g__Apis;s__Apis cerana\n{one}\n"
        f">c f__Apidae;g__Bombus;s__Bombus terrestris\n{other}\n"
        f">d f__Apidae;g__Bombus\n{third}\n>e f__Halictidae;g__Lasioglossum\n{third}\n"
    )
    build_index(tmp_path / "ref.fasta", tmp_path / "bees", marker="COI")
    labelled = read_labelled(tmp_path / "bees")
    named = {
        labelled.batch.sequence(i): [
            labelled.names(rank)[i].as_py() for rank in ("family", "genus", "species")
        ]
        for i in range(len(labelled))
    }
    assert labelled.marker == "COI"
    assert named == {
        one: ["Apidae", "Apis", None],
        other: ["Apidae", "Bombus", "Bombus terrestris"],
        third: [None, None, None],
    }
    assert (labelled.at("order") == -1).all()


def test_the_development_split_hides_what_it_says(labelled: LabelledSet) -> None:
    split = development_split(labelled)
    assert set(split.queries) == set(SETS)
    asked = np.concatenate([split.queries[name] for name in SETS])
    assert len(np.unique(asked)) == len(asked)
    assert not np.isin(asked, split.references).any()
    assert np.array_equal(split.train, split.references)
    hidden = {"unseen_species": "species", "unseen_genus": "genus", "unseen_family": "family"}
    for name, rank in hidden.items():
        taxa = labelled.at(rank)
        assert not np.isin(taxa[split.queries[name]], taxa[split.references]).any()
    for name, rank in (
        ("seen", "species"),
        ("unseen_species", "genus"),
        ("unseen_genus", "family"),
    ):
        taxa = labelled.at(rank)
        assert np.isin(taxa[split.queries[name]], taxa[split.references]).all()
    assert len(split.queries["unseen_genus"]) > 0


def test_the_held_genera_are_the_same_for_every_library(labelled: LabelledSet) -> None:
    genera = sorted({name for name in labelled.names("genus").to_pylist() if name})
    held = {name for name in genera if draw("genus", name) < 0.1}
    assert 0 < len(held) < len(genera)
    for holdout in ("development", "genera"):
        learned = set(labelled.names("genus").take(split_for(labelled, holdout).train).to_pylist())
        assert not learned & held
    kept = set(labelled.names("genus").take(split_for(labelled, "genera").train).to_pylist())
    assert kept == set(genera) - held
    assert len(split_for(labelled, "none").train) == len(labelled)


def test_batches_hold_pairs_of_one_lowest_taxon(labelled: LabelledSet) -> None:
    rows = development_split(labelled).train
    groups = group_rows(labelled, rows)
    drawn = draw_batch(groups, 64, 0.5, np.random.default_rng(1))
    assert drawn.shape == (64,)
    assert np.isin(drawn, rows).all()
    species = labelled.at("species")[drawn].reshape(-1, 2)
    assert (species[:, 0] == species[:, 1]).all()
    learned = labelled.at("species")[rows]
    pairs = drawn.reshape(-1, 2)
    several = np.array([(learned == one).sum() > 1 for one in species[:, 0]])
    assert (pairs[several, 0] != pairs[several, 1]).all()
    again = draw_batch(groups, 64, 0.5, np.random.default_rng(1))
    assert np.array_equal(drawn, again)


def test_a_thinned_library_has_every_lowest_taxon_once(labelled: LabelledSet) -> None:
    rows = development_split(labelled).references[::-1]
    kept, species = one_of_each(labelled, rows), labelled.at("species")
    assert len(kept) < len(rows)
    assert (np.diff(kept) > 0).all()
    assert np.isin(kept, rows).all()
    named = species[kept][species[kept] >= 0]
    assert sorted(named.tolist()) == np.unique(species[rows][species[rows] >= 0]).tolist()


def test_shared_families_meet(labelled: LabelledSet) -> None:
    groups = group_rows(labelled, np.arange(len(labelled)))
    family = labelled.at("family")

    def families(shared: float) -> float:
        rng = np.random.default_rng(0)
        return float(
            np.mean(
                [len(np.unique(family[draw_batch(groups, 32, shared, rng)])) for _ in range(50)]
            )
        )

    assert families(1.0) < families(0.0) / 2


def test_changes_are_of_the_rates_asked_for() -> None:
    rng = np.random.default_rng(3)
    text = "".join(rng.choice(list("ACGT"), 2000))
    batch = SequenceBatch.from_clean([""] * 200, [text.encode()] * 200)
    substituted = augment(batch, Augmentation(0, 150, 0.04, 0), seed=1)
    assert (substituted.lengths == 2000).all()
    bases = substituted.bytes.reshape(200, 2000)
    rates = (bases != batch.bytes.reshape(200, 2000)).mean(axis=1)
    # Rates are uniform from 0 to 4 %, and a quarter of the draws gives the same base.
    assert 0.012 < rates.mean() < 0.018
    assert rates.max() < 0.04
    assert rates.min() < 0.003
    indels = augment(batch, Augmentation(0, 150, 0, 0.05), seed=1)
    changed = np.abs(indels.lengths - 2000)
    assert 2 < changed.mean() < 60
    assert set(np.unique(indels.bytes)) == set(b"ACGT")


def test_pieces_lie_in_the_sequence() -> None:
    rng = np.random.default_rng(4)
    texts = ["".join(rng.choice(list("ACGT"), n)) for n in (100, 150, 151, 700, 700, 700)]
    batch = SequenceBatch.from_clean([""] * 6, [text.encode() for text in texts])
    pieces = augment(batch, Augmentation(1.0, 150, 0, 0), seed=2)
    assert pieces.lengths[:2].tolist() == [100, 150]  # too short to be cut
    assert all(pieces.sequence(i) in texts[i] for i in range(6))
    assert len(set(pieces.lengths[3:].tolist())) == 3
    fixed = augment(batch, Augmentation(1.0, 250, 0, 0, longest=250), seed=2)
    assert fixed.lengths.tolist() == [100, 150, 151, 250, 250, 250]
    assert (
        augment(batch, Augmentation(), 5).bytes.tobytes()
        == augment(batch, Augmentation(), 5).bytes.tobytes()
    )


def test_settings_are_checked() -> None:
    with pytest.raises(SettingsError, match="crop"):
        Augmentation(crop=1.5)
    with pytest.raises(SettingsError, match="longest"):
        Augmentation(shortest=200, longest=100)
