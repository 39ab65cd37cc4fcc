"""The scorer: figures counted by hand, the peers' own table, and a slow bootstrap."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from seqsearch.evaluation.peers import LIBRARIES, read_library
from seqsearch.scoring import bootstrap
from seqsearch.scoring.bootstrap import differences
from seqsearch.scoring.marks import CELLS, FIVE_CELLS, Cell, Marks, ScoringError, mark, pool, score

BENCH = Path(__file__).resolve().parents[2] / "shared" / "data" / "bench"
SEEN_SPECIES, SEEN_GENUS, NEW_SPECIES_GENUS, NEW_SPECIES_FAMILY, NEW_GENUS, NEW_FAMILY = CELLS


def table(columns: str, *rows: str) -> pa.Table:
    """Make a table of text; "-" is an empty string and "?" null."""
    values = [[{"-": "", "?": None}.get(v, v) for v in row.split()] for row in rows]
    names = columns.split()
    return pa.table(
        {n: pa.array([row[i] for row in values], pa.string()) for i, n in enumerate(names)}
    )


TRUTH = table(
    "id set order family genus species",
    "a seen O1 F1 G1 s1",
    "b seen O1 F1 G1 s1",
    "c seen O1 F1 G1 s2",
    "d seen O1 F2 G2 s3",
    "e seen O1 F2 G2 ?",
    "f unseen_species O1 F1 G1 s9",
    "g unseen_species O1 - G3 s8",
    "h unseen_family O2 F9 G9 s7",
)
ANSWERS = table(  # not in the truth's order, c unanswered, z not asked
    "id order family genus species",
    "h O2 F1 G1 s1",
    "z O1 F1 G1 s1",
    "a O1 F1 G1 s1",
    "b O1 F1 G1 s2",
    "d O1 F2 G2 s3",
    "e O1 F2 G2 s3",
    "f O1 F1 G1 -",
    "g O1 F1 G1 s1",
)


def simulated(seed: int = 4, queries: int = 150) -> Marks:
    """Two methods' answers to queries of a few uneven taxa, some without a family."""
    rng = np.random.default_rng(seed)
    genus = rng.integers(0, 12, queries) ** 2 // 12
    taxa = np.stack([genus // 8, genus // 3, genus, np.arange(queries)], axis=1)
    taxa[rng.random(queries) < 0.1, 1] = -1
    subsets = np.array(["seen", "unseen_species", "unseen_genus", "unseen_family"])
    ease = rng.random(genus.max() + 1)[genus, np.newaxis]
    right = {
        name: (rng.random((queries, 4)) < 0.3 * ease + level) & (taxa >= 0)
        for name, level in (("ours", 0.5), ("peer", 0.4), ("other", 0.3))
    }
    return Marks(subsets[rng.integers(0, 4, queries)], taxa, right, right)


def test_micro_and_macro_counted_by_hand():
    scores = score(mark(TRUTH, {"ours": ANSWERS}), "ours")
    # a and d right, b wrong, c unanswered; e has no true species.
    assert dataclasses.astuple(scores.cells[SEEN_SPECIES]) == (4, 50.0, pytest.approx(200 / 3))
    # Genus: c unanswered. G1: 2 of 3; G2: 2 of 2.
    assert dataclasses.astuple(scores.cells[SEEN_GENUS]) == (5, 80.0, pytest.approx(250 / 3))
    assert dataclasses.astuple(scores.cells[NEW_SPECIES_GENUS]) == (2, 50.0, 50.0)
    assert dataclasses.astuple(scores.cells[NEW_SPECIES_FAMILY]) == (1, 100.0, 100.0)
    assert dataclasses.astuple(scores.cells[NEW_FAMILY]) == (1, 100.0, 100.0)


def test_cell_without_queries_is_nan_and_so_is_a_mean_over_it():
    scores = score(mark(TRUTH, {"ours": ANSWERS}), "ours")
    assert scores.cells[NEW_GENUS].queries == 0
    assert math.isnan(scores.cells[NEW_GENUS].micro)
    assert math.isnan(scores.cells[NEW_GENUS].macro)
    assert math.isnan(scores.mean(FIVE_CELLS))
    assert scores.mean([SEEN_SPECIES, SEEN_GENUS]) == 65.0
    assert scores.mean([SEEN_SPECIES, SEEN_GENUS], macro=True) == pytest.approx(75.0)


def test_species_names_counted_by_hand():
    scores = score(mark(TRUTH, {"ours": ANSWERS}), "ours")
    # Named with a true species: a b d g h; wrong: b g h. Unseen species named: g of f g.
    assert scores.wrong_of_species_named == pytest.approx(60.0)
    assert scores.unseen_species_named == pytest.approx(50.0)


def test_rank_without_a_column_is_named_nowhere():
    marks = mark(TRUTH, {"ours": ANSWERS.drop_columns(["order", "species"])})
    assert not marks.named["ours"][:, [0, 3]].any()
    assert score(marks, "ours").cells[SEEN_GENUS].micro == 80.0
    assert math.isnan(score(marks, "ours").wrong_of_species_named)


def test_names_that_are_numbers_or_dictionaries_are_compared_as_text():
    answers = pa.table({"id": ["a"], "species": pa.array([7], pa.int64())})
    truth = table("id set order family genus species", "a seen O F G 7")
    encoded = truth.set_column(5, "species", truth["species"].combine_chunks().dictionary_encode())
    for each in (truth, encoded):
        assert score(mark(each, {"ours": answers}), "ours").cells[SEEN_SPECIES].micro == 100.0


def test_tables_that_cannot_be_scored_say_why():
    with pytest.raises(ScoringError, match=r"^ours: 1 ids stand more than once, a first$"):
        mark(TRUTH, {"ours": pa.concat_tables([ANSWERS, ANSWERS.slice(2, 1)])})
    with pytest.raises(ScoringError, match=r"^truth: no column set, genus; has \["):
        mark(TRUTH.drop_columns(["set", "genus"]), {"ours": ANSWERS})
    with pytest.raises(ScoringError, match=r"^ours: answers none of the 8 queries$") as caught:
        mark(TRUTH, {"ours": ANSWERS.slice(1, 1)})
    assert caught.value.table == "ours"
    with pytest.raises(ScoringError, match=r"^mine: has no answers; there are ours$"):
        differences(mark(TRUTH, {"ours": ANSWERS}), "mine", [SEEN_GENUS])


def slow_difference(
    marks: Marks, cell: Cell, resamples: int, *, macro: bool, peer: str = "peer"
) -> tuple[float, list[float]]:
    """Compute the difference and its bootstrap replicates query by query, in plain Python."""
    rank = ("order", "family", "genus", "species").index(cell.rank)
    unit = ("order", "family", "genus", "species").index(cell.unit)
    members = defaultdict(list)
    for query in range(len(marks.subset)):
        if marks.subset[query] == cell.subset and marks.taxa[query, rank] >= 0:
            members[int(marks.taxa[query, unit])].append(query)
    sizes: dict[int, int] = defaultdict(int)
    for query in (q for queries in members.values() for q in queries):
        sizes[int(marks.taxa[query, 2])] += 1

    def percent(method: str, taxa: list[int]) -> float:
        right = total = 0.0
        for query in (q for taxon in taxa for q in members[taxon]):
            weight = 1 / sizes[int(marks.taxa[query, 2])] if macro else 1.0
            right += weight * bool(marks.right[method][query, rank])
            total += weight
        return 100 * right / total

    names = sorted(members)
    drawn = np.random.default_rng(11).integers(len(names), size=(resamples, len(names)))
    replicates = []
    for draw in drawn:
        taxa = [names[i] for i in draw]
        replicates.append(percent("ours", taxa) - percent(peer, taxa))
    return percent("ours", names) - percent(peer, names), replicates


@pytest.mark.parametrize("macro", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_bootstrap_agrees_with_a_slow_loop(cell, macro):
    marks, resamples = simulated(), 300
    found = differences(marks, "ours", [cell], macro=macro, resamples=resamples, seed=11)
    value, replicates = slow_difference(marks, cell, resamples, macro=macro)
    assert list(found) == ["peer", "other"]
    low, high = np.quantile(np.round(replicates, 9), [0.025, 0.975])
    far = min(sum(r <= 1e-9 for r in replicates), sum(r >= -1e-9 for r in replicates))
    expected = (value, low, high, min(1.0, 2 * (1 + far) / (1 + resamples)))
    assert dataclasses.astuple(found["peer"]) == pytest.approx(expected, abs=1e-7)


def test_mean_over_cells_of_one_unit_shares_the_draws():
    marks = simulated()
    found = differences(marks, "ours", [SEEN_SPECIES, SEEN_GENUS], resamples=300, seed=11)["peer"]
    parts = [slow_difference(marks, c, 300, macro=False) for c in (SEEN_SPECIES, SEEN_GENUS)]
    replicates = np.mean([part[1] for part in parts], axis=0)
    assert found.value == pytest.approx(np.mean([part[0] for part in parts]))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(replicates, [0.025, 0.975])))


def test_mean_over_both_units_is_the_mean_of_the_scores():
    marks = simulated()
    for macro in (False, True):
        found = differences(marks, "ours", FIVE_CELLS, macro=macro)["peer"]
        means = [score(marks, name).mean(macro=macro) for name in ("ours", "peer")]
        assert found.value == pytest.approx(means[0] - means[1])
        assert found.low < found.value < found.high


def test_bootstrap_does_not_depend_on_how_many_draws_are_made_at_a_time(monkeypatch):
    marks = simulated()
    whole = differences(marks, "ours", [SEEN_GENUS], resamples=500)
    monkeypatch.setattr(bootstrap, "BLOCK_VALUES", 64)
    assert differences(marks, "ours", [SEEN_GENUS], resamples=500) == whole


def test_bootstrap_is_antisymmetric_and_a_tie_is_no_difference():
    marks = simulated()
    marks = dataclasses.replace(marks, right={**marks.right, "twin": marks.right["ours"]})
    ours = differences(marks, "ours", [SEEN_SPECIES])
    peer = differences(marks, "peer", [SEEN_SPECIES])
    assert ours["peer"].value == -peer["ours"].value
    assert (ours["peer"].low, ours["peer"].high) == pytest.approx(
        (-peer["ours"].high, -peer["ours"].low)
    )
    assert ours["peer"].p == peer["ours"].p
    assert dataclasses.astuple(ours["twin"]) == (0, 0, 0, 1)
    assert not ours["twin"].above
    assert not ours["twin"].below


def test_queries_of_one_taxon_count_as_one_observation():
    rng = np.random.default_rng(0)
    right = {n: np.repeat(rng.random((30, 1)) < p, 10, axis=0) for n, p in (("a", 0.6), ("b", 0.4))}
    right = {name: np.repeat(value, 4, axis=1) for name, value in right.items()}
    subset = np.array(["seen"] * 300)
    own = np.repeat(np.arange(300)[:, np.newaxis], 4, axis=1)
    apart = differences(Marks(subset, own, right, right), "a", [SEEN_GENUS])["b"]
    together = differences(Marks(subset, own // 10, right, right), "a", [SEEN_GENUS])["b"]
    ratio = (together.high - together.low) / (apart.high - apart.low)
    assert ratio == pytest.approx(math.sqrt(10), rel=0.15)


def test_pooled_libraries_keep_their_taxa_apart():
    marks = mark(TRUTH, {"ours": ANSWERS, "peer": ANSWERS.slice(2)})
    only_ours = mark(TRUTH, {"ours": ANSWERS})
    pooled = pool([marks, only_ours])
    assert pooled.methods == ("ours",)
    assert pooled.right["ours"].tolist() == marks.right["ours"].tolist() * 2
    assert (pooled.taxa[:8] == marks.taxa).all()
    assert set(pooled.taxa[8:].ravel()) & set(marks.taxa.ravel()) == {-1}
    one, two = score(marks, "ours").cells, score(pooled, "ours").cells
    assert two[SEEN_SPECIES].queries == 8
    assert two[SEEN_SPECIES].macro == pytest.approx(one[SEEN_SPECIES].macro)


def test_difference_of_an_empty_cell_is_nan():
    found = differences(mark(TRUTH, {"ours": ANSWERS, "peer": ANSWERS}), "ours", FIVE_CELLS)
    assert all(math.isnan(number) for number in dataclasses.astuple(found["peer"]))
    assert not found["peer"].above
    assert not found["peer"].below


@pytest.mark.skipif(not BENCH.is_dir(), reason=f"the bench data is not there: {BENCH}")
@pytest.mark.parametrize("fragments", [False, True], ids=["whole", "fragments"])
@pytest.mark.parametrize("name", LIBRARIES)
def test_every_figure_of_the_peers_is_reproduced(name, fragments):
    library = read_library(BENCH, name, fragments=fragments)
    marks = mark(library.truth, library.peers)
    assert len(marks.methods) == 14
    for method in marks.methods:
        scores = score(marks, method)
        ours = {cell.name: scores.cells[cell].micro for cell in CELLS}
        ours["wrong of species named"] = scores.wrong_of_species_named
        ours["unseen_species->species named"] = scores.unseen_species_named
        assert set(ours) | {"method", "q/s", "build_s"} == set(library.figures.column_names)
        for column, value in ours.items():
            shown = library.figure(method, column)
            assert f"{value:.1f}" == f"{shown:.1f}", f"{method}: {column}"
