"""Calibration errors: a plain implementation beside it, and forecasters that are too sure."""

from __future__ import annotations

from math import inf, isnan, sqrt

import numpy as np
import pytest

from seqsearch.scoring.calibration_error import equal_mass, equal_width, wilson


def plain_bins(p, is_right, weight, bins):
    """One query at a time: those of one probability go where their middle lies."""
    whole = sum(weight)
    found = [[] for _ in range(bins)]
    below = 0.0
    for value in sorted(set(p)):
        own = [i for i in range(len(p)) if p[i] == value]
        mass = sum(weight[i] for i in own)
        at = min(int((below + mass / 2) / whole * bins), bins - 1)
        found[at] += own
        below += mass
    return [one for one in found if one]


def plain_error(p, is_right, weight, bins):
    error = 0.0
    for one in plain_bins(p, is_right, weight, bins):
        mass = sum(weight[i] for i in one)
        mean = sum(weight[i] * p[i] for i in one) / mass
        right = sum(weight[i] * is_right[i] for i in one) / mass
        error += mass / sum(weight) * abs(mean - right)
    return error


def drawn(seed: int, count: int = 400):
    rng = np.random.default_rng(seed)
    p = np.round(rng.random(count), 2 if seed % 2 else 6)  # with ties, and without
    return p, rng.random(count) < p, rng.integers(1, 9, count) / 8  # sums are exact


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bins", [1, 10, 15])
def test_bins_and_error_as_counted_plainly(seed: int, bins: int) -> None:
    p, is_right, weight = drawn(seed)
    found = equal_mass(p, is_right, weight, bins)
    expected = plain_bins(p.tolist(), is_right.tolist(), weight.tolist(), bins)
    assert found.count.tolist() == [len(one) for one in expected]
    error = plain_error(p.tolist(), is_right.tolist(), weight.tolist(), bins)
    assert found.error == pytest.approx(error, abs=1e-12)
    assert found.mass.sum() == pytest.approx(1)


def test_weights_are_what_repeats_would_be() -> None:
    p, is_right, _ = drawn(1)
    times = np.random.default_rng(5).integers(0, 4, len(p))
    repeated = equal_mass(np.repeat(p, times), np.repeat(is_right, times))
    weighted = equal_mass(p, is_right, times.astype(np.float64))
    np.testing.assert_allclose(weighted.p, repeated.p)
    np.testing.assert_allclose(weighted.right, repeated.right)
    assert weighted.error == pytest.approx(repeated.error)
    assert weighted.count.sum() == (times > 0).sum()


def test_the_order_of_the_queries_decides_nothing() -> None:
    p, is_right, weight = drawn(3)
    turned = np.random.default_rng(0).permutation(len(p))
    one, other = (
        equal_mass(p, is_right, weight),
        equal_mass(p[turned], is_right[turned], weight[turned]),
    )
    np.testing.assert_allclose(one.right, other.right)
    assert one.count.tolist() == other.count.tolist()


def test_bins_without_ties_hold_as_many_each() -> None:
    p = np.random.default_rng(2).permutation(3000) / 3000
    assert equal_mass(p, p > 0.5).count.tolist() == [200] * 15


def test_who_is_too_sure_shows() -> None:
    rng = np.random.default_rng(8)
    truth = rng.random(20_000)
    is_right = rng.random(20_000) < truth
    odds = (truth / (1 - truth)) ** 3
    assert equal_mass(truth, is_right).error < 0.015
    assert equal_mass(odds / (1 + odds), is_right).error > 0.1


def test_nothing_has_no_error() -> None:
    assert isnan(equal_mass(np.empty(0), np.empty(0, bool)).error)
    assert isnan(equal_mass(np.ones(3), np.ones(3, bool), np.zeros(3)).error)


def test_bins_of_equal_width() -> None:
    p = np.array([0.05, 0.1, 0.199, 0.95, 1.0])
    found = equal_width(p, np.array([False, True, False, True, True]))
    assert found.count.tolist() == [1, 2, 2]
    np.testing.assert_allclose(found.right, [0, 0.5, 1])


def test_wilson_holds_the_shares_that_are_not_too_far() -> None:
    """The ends are where share and truth are 1.96 standard errors of the truth apart."""
    share, count = np.array([0.0, 0.3, 1.0]), np.array([5, 40, 200])
    for ends in wilson(share, count):
        for end, own, n in zip(ends, share, count, strict=True):
            deviation = sqrt(end * (1 - end) / n)
            far = abs(end - own) / deviation if deviation > 1e-9 else inf
            assert far == pytest.approx(1.959964, abs=1e-4) or abs(end - own) < 1e-9
