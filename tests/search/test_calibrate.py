"""Probabilities of evidence, by weights that are chosen here."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from seqsearch.jobs.calibrating import tail_of
from seqsearch.search.calibrate import (
    DEFAULT,
    OFF_TARGET,
    SUREST,
    Calibration,
    Linear,
    Model,
    probabilities,
)
from seqsearch.search.evidence import LOWEST, OF_QUERY, OF_RANK, Evidence

RANKS = 3
SHARES = [0.4, 0.3, 0.2, 0.1, 0.0]
SEVERAL = np.zeros(RANKS, bool)


def linear(inputs: int, added: list[float]) -> Linear:
    """Return a model whose classes depend on nothing."""
    return Linear([[0.0] * inputs + [value] for value in added])


def model(hidden: list[float], wrong: list[float], off_target: float = -np.inf) -> Model:
    of_hidden = len(OF_QUERY) + 2 * 3 + LOWEST * (len(OF_RANK) + 3)
    of_right = len(OF_RANK) + len(OF_QUERY) + 1
    with np.errstate(divide="ignore"):
        scenario = linear(of_hidden, [*np.maximum(np.log(hidden), -1e3)])
    right = [linear(of_right, [np.log(p), np.log(1 - p)]) for p in wrong]
    return Model([[-3.0, -2.0, -1.0]] * 2, scenario, SHARES, off_target, right)


def evidence(scores: list[float]) -> Evidence:
    count = len(scores)
    query, rank = np.zeros((count, len(OF_QUERY))), np.zeros((count, RANKS, len(OF_RANK)))
    return Evidence(query, rank, np.array(scores, np.float32))


TAXA = np.array([[0, 1, 2]], np.int32)
WAYS = ("aligned", "vectors")


def test_the_shares_of_the_prior_take_the_place_of_those_it_was_fitted_on() -> None:
    chances, prior = np.array([0.5, 0.25, 0.15, 0.1]), np.array([0.7, 0.1, 0.1, 0.1])
    found = probabilities(model([*chances, 0.0], [0.2, 0.1]), evidence([0.9]), TAXA, prior, SEVERAL)
    scenario = chances * prior / SHARES[:4]
    scenario /= scenario.sum()
    hidden = [scenario[3:].sum(), scenario[2:].sum(), scenario[1:].sum()]
    np.testing.assert_allclose(found.hidden[0], hidden, atol=1e-6)
    right = (1 - np.array(hidden)) * [0.9, 0.9, 0.8]  # the last model serves all ranks above
    np.testing.assert_allclose(found.right[0], right, atol=1e-6)


def test_nothing_rises_from_a_rank_to_the_one_below() -> None:
    surely_known = np.array([1.0, 0, 0, 0])
    found = probabilities(
        model([1, 1, 1, 1, 0], [0.1, 0.4, 0.2]), evidence([0.9]), TAXA, surely_known, SEVERAL
    )
    np.testing.assert_allclose(found.right[0], [0.8, 0.6, 0.6], atol=1e-6)


def test_where_there_is_one_taxon_only_hiding_makes_it_wrong() -> None:
    surely_known = np.array([1.0, 0, 0, 0])
    single = np.array([True, False, False])
    found = probabilities(
        model([1, 1, 1, 1, 0], [0.3]), evidence([0.9]), TAXA, surely_known, single
    )
    np.testing.assert_allclose(found.right[0], [1, 0.7, 0.7], atol=1e-6)


def test_ranks_without_a_name_are_passed_over() -> None:
    surely_known, taxa = np.array([1.0, 0, 0, 0]), np.array([[0, -1, 2]], np.int32)
    found = probabilities(
        model([1, 1, 1, 1, 0], [0.1, 0.1, 0.2]), evidence([0.9]), taxa, surely_known, SEVERAL
    )
    np.testing.assert_allclose(found.right[0], [0.8, 0, 0.8], atol=1e-6)


@pytest.mark.parametrize(("score", "is_off"), [(0.29, True), (0.31, False)])
def test_only_what_is_below_the_bound_is_off_target(score: float, is_off: bool) -> None:
    surely_new = np.array([0.0, 0, 0, 1])
    found = probabilities(
        model([0, 0, 0, 1, 0], [0.1], off_target=0.3), evidence([score]), TAXA, surely_new, SEVERAL
    )
    assert (found.hidden >= OFF_TARGET).all() == is_off
    assert found.hidden[0, 0] == np.float32(OFF_TARGET if is_off else SUREST)
    assert (found.right <= 1e-6).all()


def test_a_rank_below_those_that_are_calibrated_is_judged_as_the_lowest_of_them() -> None:
    chances, prior = np.array([0.5, 0.25, 0.25]), np.array([0.5, 0.25, 0.25])
    one = replace(model([*chances, 0, 0], [0.2, 0.1]), shares=[0.5, 0.25, 0.25, 0.0, 0.0])
    alone = np.array([False, False, True])  # at the lowest rank one taxon is named
    found = probabilities(one, evidence([0.9]), TAXA, prior, alone, 2)
    np.testing.assert_allclose(found.hidden[0], [0.25, 0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(found.right[0], [0.75 * 0.9, 0.5 * 0.8, 0.5 * 0.8], atol=1e-6)


def test_a_calibration_finds_its_ranks_by_name() -> None:
    own = model([1, 0, 0, 0, 0], [0.1, 0.2, 0.3])
    known = ("class", "order", "family", "genus", "species")
    found = Calibration(own, own, {}, known)
    assert found.aligned_with(known) == replace(
        found, **{way: replace(own, right=own.right + own.right[-1:] * 2) for way in WAYS}
    )
    below = found.aligned_with((*known, "subspecies"))
    assert below == found.aligned_with(known)
    above = found.aligned_with(("kingdom", *known))
    assert above is not None
    assert above.ranks == ("kingdom", *known)
    assert above.aligned.right == own.right + own.right[-1:] * 3
    for other in (
        known[:-1],
        ("class", "order", "family", "tribe", "genus", "species"),
        ("class", "order", "genus", "species"),
    ):
        assert found.aligned_with(other) is None


def test_the_bound_of_the_best_of_many_windows_is_higher() -> None:
    plain = model([0.5, 0.2, 0.2, 0.1, 0], [0.1], off_target=0.3)
    tailed = replace(plain, tail=0.02)
    bound = 0.3 + 0.02 * np.log(1000)
    scores = [0.29, 0.31, bound - 1e-4, bound + 1e-4, np.nextafter(np.float32(0.3), np.float32(0))]
    taxa, prior = np.repeat(TAXA, 5, axis=0), np.array([0.7, 0.1, 0.1, 0.1])

    def off(one: Model, searched: list[int] | None) -> list[bool]:
        counts = None if searched is None else np.array(searched)
        found = probabilities(one, evidence(scores), taxa, prior, SEVERAL, searched=counts)
        same = probabilities(plain, evidence(scores), taxa, prior, SEVERAL)
        is_off = (found.hidden >= OFF_TARGET).all(axis=1)
        both = is_off == (same.hidden >= OFF_TARGET).all(axis=1)
        np.testing.assert_array_equal(found.right[both], same.right[both])
        np.testing.assert_array_equal(found.hidden[both], same.hidden[both])
        return is_off.tolist()

    for searched in (None, [1] * 5):
        assert off(tailed, searched) == off(plain, searched) == [True, False, False, False, True]
    assert off(plain, [1000] * 5) == [True, False, False, False, True]
    assert off(tailed, [1000] * 5) == [True, True, True, False, True]
    assert off(tailed, [1000, 1, 1, 1000, 1000]) == [True, False, False, False, True]
    unbound = replace(tailed, off_target=-np.inf)  # fitted with another encoder
    assert off(unbound, [1000] * 5) == [False] * 5


def test_the_best_of_many_random_windows_stays_off_target() -> None:
    rng = np.random.default_rng(0)
    decoys = (0.3 + rng.gumbel(scale=0.03, size=8000)).astype(np.float32)
    tail = tail_of(decoys)
    assert tail == pytest.approx(0.03, rel=0.15)
    tailed = model([1, 0, 0, 0, 0], [0.1], off_target=float(np.quantile(decoys, 0.995)))
    searched, prior = np.full(200, 2000), np.array([1.0, 0, 0, 0])
    best = (0.3 + rng.gumbel(scale=0.03, size=(200, 2000))).max(axis=1)
    taxa = np.repeat(TAXA, 200, axis=0)
    for one, least, most in ((tailed, 0, 0.05), (replace(tailed, tail=tail), 0.97, 1)):
        found = probabilities(one, evidence([*best]), taxa, prior, SEVERAL, searched=searched)
        assert least <= (found.hidden >= OFF_TARGET).all(axis=1).mean() <= most


def test_calibrations_that_are_older_have_no_tail() -> None:
    values = json.loads(DEFAULT.read_text())
    for name in ("aligned", "vectors"):
        values[name].pop("tail", None)
    older = Calibration.from_dict(values)
    assert older.aligned.tail == older.vectors.tail == 0
    found = Calibration.from_dict({**values, "aligned": {**values["aligned"], "tail": 0.02}})
    assert found.aligned.tail == 0.02
    assert Calibration.from_dict(json.loads(json.dumps(found.as_dict()))) == found
