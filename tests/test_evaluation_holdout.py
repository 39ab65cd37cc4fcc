"""The development split: what is hidden stays hidden, what is counted is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from seqsearch.evaluation import holdout
from seqsearch.evaluation.holdout import try_kernels
from seqsearch.evaluation.reliability import species_reliability
from seqsearch.index.store import IndexStore
from seqsearch.training.split import is_held_genus


def test_sharp_kernel_answers_as_the_nearest_neighbour(index_folder: Path) -> None:
    store = IndexStore.open(index_folder)
    sharp, flat = (1e4, 1e-6), (0.0, 1.0)
    outcomes = {(o.hidden, o.setting): o for o in try_kernels(store, [sharp, flat], sample=150)}
    assert {hidden for hidden, _ in outcomes} == {"itself", "species", "genus"}
    vectors = store.segments[0].vectors.numbers.astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lone = store.live_rows[np.diff(store.votes.start)[store.live_rows] == 1]
    taxon = store.votes.taxon[store.votes.start[:-1]]
    genus, species = (store.taxonomy.lineage[taxon, r] for r in (4, 5))
    names = store.taxonomy.names_of(genus[lone]).to_pylist()
    lone = lone[[is_held_genus(name) for name in names]]
    assert 0 < len(lone) < 150
    rows = lone
    right = []
    for row in rows:
        similarities = vectors @ vectors[row]
        similarities[species == species[row]] = -1
        nearest = np.argsort(-similarities)[: holdout.CANDIDATES]
        if (genus[nearest] == genus[row]).any():
            right.append(genus[nearest[0]] == genus[row])
    found = outcomes["species", sharp]
    assert found.queries == len(right)
    assert found.right == pytest.approx(100 * np.mean(right), abs=1.5)  # rows of several species
    assert outcomes["species", flat].right < found.right


def test_reliability_counts_named_queries_by_bin() -> None:
    truth = pa.table({"id": ["a", "b", "c", "d"], "species": ["x", "y", "z", None]})
    answers = pa.table(
        {
            "id": ["d", "c", "b", "a"],
            "species": ["x", None, "q", "x"],
            "p_species": [1.0, 0.9, 0.8, 0.3],
        }
    )
    bins = {(found.low, found.high): found for found in species_reliability(truth, answers)}
    assert bins[0.0, 0.5].right == 100
    assert (bins[0.8, 0.95].queries, bins[0.8, 0.95].right) == (1, 0)
    assert (bins[0.95, 1.0].queries, bins[0.95, 1.0].right) == (1, 0)
    assert bins[0.5, 0.8].queries == 0


def test_scores_are_tried_on_aligned_candidates(index_folder: Path) -> None:
    store = IndexStore.open(index_folder)
    scores = {
        "identity": lambda aligned, _: aligned.identity,
        "backwards": lambda aligned, _: 1 - aligned.identity,
    }
    outcomes = {
        (o.hidden, o.setting): o for o in holdout.try_scores(store, scores, count=10, sample=100)
    }
    assert len(outcomes) == 6
    for hidden in ("itself", "species"):
        assert outcomes[hidden, "identity"].right > outcomes[hidden, "backwards"].right
        assert outcomes[hidden, "identity"].queries == outcomes[hidden, "backwards"].queries > 0
