"""Reliability on genera held out, beside a plain implementation; models are stood in for."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from seqsearch.jobs.crossvalidating import FOLDS, NAMED_AT, cross_validate, folds_of
from seqsearch.jobs.hiding import DECOY, Asked
from seqsearch.scoring.calibration_error import equal_mass
from seqsearch.search.calibrate import Linear, Model
from seqsearch.search.evidence import LOWEST, OF_QUERY, OF_RANK, Evidence
from seqsearch.taxonomy import Taxonomy

RANKS = ("family", "genus", "species")
SCENARIOS = ("nothing hidden", "species hidden", "genus hidden", "family hidden")
DEFAULT = np.array([0.8, 0.2, 0, 0])
EVEN = np.full(4, 0.25)


def taxonomy_of(paths: list[tuple[str, ...]], ranks: tuple[str, ...] = RANKS) -> Taxonomy:
    columns = [pa.array([path[i] for path in paths], pa.string()) for i in range(len(ranks))]
    return Taxonomy.from_paths(ranks, columns)[0]


def leaves(taxonomy: Taxonomy) -> np.ndarray:
    return taxonomy.lineage[taxonomy.rank == len(taxonomy.ranks) - 1]


LIBRARY = taxonomy_of([(f"F{g // 4}", f"G{g}", f"G{g} s{s}") for g in range(24) for s in range(2)])


def asked(hidden: int, count: int, seed: int) -> Asked:
    """Queries whose answers at random taxa are right more often the higher the rank."""
    rng = np.random.default_rng(seed)
    own = leaves(LIBRARY)
    truth = own[rng.integers(0, len(own), count)]
    taxa = own[rng.integers(0, len(own), count)]
    known = len(RANKS) - max(hidden, 0)
    is_right = rng.random((count, 1)) < np.array([0.9, 0.8, 0.6])
    taxa[:, :known] = np.where(is_right, truth, taxa)[:, :known]
    is_none = rng.random(taxa.shape) < 0.05
    is_none[:, known:] |= (taxa == truth)[:, known:]  # what is hidden is not found
    taxa = np.where(is_none, -1, taxa).astype(np.int32)
    evidence = Evidence(
        np.zeros((count, len(OF_QUERY))),
        np.zeros((count, len(RANKS), len(OF_RANK))),
        rng.random(count).astype(np.float32),
    )
    kinds = np.full(count, hidden)
    single = np.zeros(len(RANKS), bool)
    return Asked(kinds, truth, evidence, taxa, folds_of(truth, LIBRARY), single)


@pytest.fixture
def answers() -> list[Asked]:
    counts = {DECOY: 60, 0: 200, 1: 300, 2: 150, 3: 80}
    return [asked(hidden, count, seed) for seed, (hidden, count) in enumerate(counts.items())]


def share_right(parts: list[Asked], rank: int) -> float:
    """Of the queries of known taxa, whatever the scenario."""
    chosen = [p for p in parts if 0 <= p.hidden[0] < len(RANKS) - rank]
    right = np.concatenate([(p.taxa == p.truth)[:, rank] for p in chosen])
    return float(right.mean())


def constant(parts: list[Asked], sureness: float = 1.0) -> Model:
    """A model of nothing but the shares in what it is fitted on."""
    of_hidden = len(OF_QUERY) + 2 * 3 + LOWEST * (len(OF_RANK) + 3)
    of_right = len(OF_RANK) + len(OF_QUERY) + 1
    hidden = [[0.0] * of_hidden + [0.0]] * (1 + LOWEST)
    right = []
    for rank in reversed(range(len(RANKS))):
        share = share_right(parts, rank)
        odds = sureness * np.log(share / (1 - share))
        right.append(Linear([[0.0] * (of_right + 1), [0.0] * of_right + [odds]]))
    shares = [0.25] * 4 + [0.0]
    return Model([[-3.0, -2.0, -1.0]] * 2, Linear(hidden), shares, -np.inf, right)


def plain(answers: list[Asked], prior: np.ndarray, rank: int) -> list[tuple[int, float, bool]]:
    """One query at a time: scenario, probability by the other folds, whether it is right."""
    found = []
    for part in answers:
        for i, hidden in enumerate(part.hidden):
            if hidden == DECOY or part.taxa[i, rank] < 0:
                continue
            others = [
                replace(
                    p,
                    hidden=p.hidden[p.fold != part.fold[i]],
                    truth=p.truth[p.fold != part.fold[i]],
                    taxa=p.taxa[p.fold != part.fold[i]],
                )
                for p in answers
            ]
            p = 1.0
            for above in range(rank + 1):
                if part.taxa[i, above] >= 0:
                    known = prior[: len(RANKS) - above].sum()
                    p = min(p, known * share_right(others, above))
            found.append((int(hidden), p, bool(part.taxa[i, rank] == part.truth[i, rank])))
    return found


@pytest.mark.parametrize(("mix", "prior"), [("default", DEFAULT), ("even", EVEN)])
def test_as_counted_plainly(answers: list[Asked], mix: str, prior: np.ndarray) -> None:
    measured = cross_validate([(one, one) for one in answers], RANKS, constant)
    assert measured is not None
    assert measured["vectors"] == measured["aligned"]
    assert list(measured["aligned"]) == ["default", "even", *SCENARIOS]
    asked_of = np.array([sum((p.hidden == kind).sum() for p in answers) for kind in range(4)])
    for at, rank in enumerate(RANKS):
        rows = [row for row in plain(answers, prior, at) if prior[row[0]]]
        kinds, p, is_right = (np.array(column) for column in zip(*rows, strict=True))
        p = p.round(6)
        weight = (prior / asked_of)[kinds]
        table = measured["aligned"][mix][rank]
        assert table["queries"] == len(rows)
        assert table["ece"] == pytest.approx(equal_mass(p, is_right, weight).error, abs=2e-4)
        named = p >= NAMED_AT
        assert table["named"] == pytest.approx(weight[named].sum() / weight.sum(), abs=1e-4)
        if named.any():
            right = weight[named & is_right].sum() / weight[named].sum()
            assert table["right"] == pytest.approx(right, abs=1e-4)
        else:
            assert table["right"] is None
        assert sum(table["bins"]["queries"]) == len(rows)
        if mix == "even":
            for kind, name in enumerate(SCENARIOS):
                own, table = kinds == kind, measured["aligned"][name][rank]
                error = equal_mass(p[own], is_right[own]).error
                assert table["queries"] == own.sum()
                assert table["ece"] == pytest.approx(error, abs=2e-4)


def test_who_is_too_sure_shows(answers: list[Asked]) -> None:
    pairs = [(one, one) for one in answers]
    honest = cross_validate(pairs, RANKS, constant)
    sure = cross_validate(pairs, RANKS, lambda parts: constant(parts, sureness=4))
    assert honest is not None
    assert sure is not None
    for rank in ("genus", "species"):
        fair, far = (one["aligned"]["default"][rank]["ece"] for one in (honest, sure))
        assert fair < 0.08
        assert far > 0.12


def test_no_model_sees_the_genera_that_it_is_asked_for(answers: list[Asked]) -> None:
    seen: list[set[int]] = []

    def spy(parts: list[Asked]) -> Model:
        seen.append({int(taxon) for part in parts for taxon in part.truth[:, 1]})
        assert any((part.hidden == DECOY).all() for part in parts)
        return constant(parts)

    cross_validate([(one, one) for one in answers], RANKS, spy)
    genera = {int(taxon) for part in answers for taxon in part.truth[:, 1]}
    held = [genera - fitted for fitted in seen[:FOLDS]]
    assert len(seen) == 2 * FOLDS
    assert set.union(*held) == genera
    assert sum(map(len, held)) == len(genera)


def test_folds_are_whole_genera_whatever_the_library_around_them() -> None:
    truth = leaves(LIBRARY)
    folds = folds_of(truth, LIBRARY)
    assert set(folds) == set(range(FOLDS))
    by_name = {LIBRARY.name[int(t[1])].as_py(): int(f) for t, f in zip(truth, folds, strict=True)}
    assert [by_name[LIBRARY.name[int(t[1])].as_py()] for t in truth] == folds.tolist()
    other = taxonomy_of([("A", "A0", "A0 s"), *(("Z", f"G{g}", f"G{g} t") for g in range(24))])
    found = folds_of(leaves(other)[1:], other)
    names = [other.name[int(lineage[1])].as_py() for lineage in leaves(other)[1:]]
    assert [by_name[name] for name in names] == found.tolist()


def test_without_a_genus_the_family_decides_and_without_any_the_species() -> None:
    gaps = taxonomy_of([("G1", None, "x"), ("G1", None, "y"), (None, None, "G5")])
    whole = taxonomy_of([("F", "G1", "x"), ("F", "G5", "y")])
    one, five = folds_of(leaves(whole), whole)
    by_name = {gaps.name[int(t[-1])].as_py(): i for i, t in enumerate(leaves(gaps))}
    folds = folds_of(leaves(gaps), gaps)
    assert (folds[by_name["x"]], folds[by_name["y"]], folds[by_name["G5"]]) == (one, one, five)
    flat = taxonomy_of([("G1",), ("G5",)], ("species",))
    assert folds_of(flat.lineage, flat).tolist() == [one, five]


def test_ranks_with_one_taxon_are_left_out(answers: list[Asked]) -> None:
    single = np.array([True, False, False])
    pairs = [(one, one) for one in (replace(part, is_single=single) for part in answers)]
    measured = cross_validate(pairs, RANKS, constant)
    assert measured is not None
    assert all(list(table) == ["genus", "species"] for table in measured["aligned"].values())


def test_where_no_name_can_be_right_there_are_no_bins(answers: list[Asked]) -> None:
    measured = cross_validate([(one, one) for one in answers], RANKS, constant)
    assert measured is not None
    assert json.loads(json.dumps(measured)) == measured
    table = measured["aligned"]["genus hidden"]
    assert "bins" in table["family"]
    assert "bins" not in table["genus"]
    assert "bins" not in table["species"]


def test_what_leaves_nothing_to_fit_on_is_not_measured(answers: list[Asked]) -> None:
    one_genus = [replace(part, fold=np.zeros_like(part.fold)) for part in answers]
    nameless = np.array([1, 1, -1], np.int32)
    no_species = [replace(p, taxa=np.where(nameless < 0, -1, p.taxa)) for p in answers]
    no_decoys = answers[1:]
    for few in (one_genus, no_species, no_decoys):
        assert cross_validate([(one, one) for one in few], RANKS, constant) is None
