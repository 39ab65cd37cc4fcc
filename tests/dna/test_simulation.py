"""Simulated libraries: repeatable, and with the sets that they say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from seqsearch.dna.simulation import RANKS, SimulatedLibrary, simulate_library

GENUS, SPECIES = RANKS.index("genus"), RANKS.index("species")


def same(one: SimulatedLibrary, other: SimulatedLibrary) -> bool:
    return (
        one.reference_table().equals(other.reference_table())
        and one.query_table().equals(other.query_table())
        and one.references.strings().equals(other.references.strings())
        and one.queries.strings().equals(other.queries.strings())
    )


def test_the_seed_decides() -> None:
    assert same(simulate_library(6, seed=3), simulate_library(6, seed=3))
    assert not same(simulate_library(6, seed=3), simulate_library(6, seed=4))


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_sets_are_what_they_say(seed: int) -> None:
    library = simulate_library(8, seed=seed)
    kept = [set(library.reference_paths[:, rank]) for rank in range(len(RANKS))]
    seen = dict.fromkeys(("seen", "unseen_species", "unseen_genus"), 0)
    for path, subset in zip(library.query_paths, library.query_sets, strict=True):
        seen[subset] += 1
        assert (path[SPECIES] in kept[SPECIES]) == (subset == "seen")
        assert (path[GENUS] in kept[GENUS]) == (subset != "unseen_genus")
        assert path[GENUS - 1] in kept[GENUS - 1]
    assert min(seen.values()) > 0


def test_records_are_dna_with_whole_paths_and_their_own_ids() -> None:
    library = simulate_library(8, seed=2)
    for batch, paths in (
        (library.references, library.reference_paths),
        (library.queries, library.query_paths),
    ):
        assert paths.shape == (len(batch), len(RANKS))
        assert (paths != "").all()
        assert set(np.unique(batch.bytes)) <= set(b"ACGT")
        assert batch.lengths.min() > 500
    ids = library.references.ids.to_pylist() + library.queries.ids.to_pylist()
    assert len(set(ids)) == len(ids)
    parents: dict[str, str] = {}
    for path in np.concatenate([library.reference_paths, library.query_paths]):
        for above, name in pairwise(path):
            assert parents.setdefault(name, above) == above


def test_relatives_are_more_alike_than_strangers() -> None:
    library = simulate_library(8, seed=2)
    texts = library.references.strings().to_pylist()
    words = [{text[j : j + 8] for j in range(len(text) - 7)} for text in texts]
    pairs = np.random.default_rng(0).integers(0, len(texts), (4000, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    alike = np.array([len(words[a] & words[b]) / len(words[a] | words[b]) for a, b in pairs])
    is_same = library.reference_paths[pairs[:, 0]] == library.reference_paths[pairs[:, 1]]
    means = [
        alike[is_same[:, SPECIES]].mean(),
        alike[is_same[:, GENUS] & ~is_same[:, SPECIES]].mean(),
        alike[is_same[:, GENUS - 1] & ~is_same[:, GENUS]].mean(),
        alike[~is_same[:, GENUS - 1]].mean(),
    ]
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.8
    assert means[3] < 0.4
