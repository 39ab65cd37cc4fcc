"""Zipf's law, fitted to counts."""

from __future__ import annotations

import numpy as np
import pytest

from seqsearch.analytics.kmers import STEEPEST, KmerCounts, expected_shares, zipf_exponent


@pytest.mark.parametrize("exponent", [0.2, 0.7, 1.0, 1.6])
def test_the_exponent_of_exact_shares_is_found(exponent: float) -> None:
    counts = np.round(1e9 * expected_shares(exponent, 500)).astype(np.int64)
    assert zipf_exponent(counts) == pytest.approx(exponent, abs=1e-5)


def test_no_other_exponent_is_likelier() -> None:
    counts = np.sort(np.random.default_rng(1).integers(1, 900, 60))[::-1]
    found = zipf_exponent(counts)
    assert found is not None

    def likelihood(exponent: float) -> float:
        return float((counts * np.log(expected_shares(exponent, len(counts)))).sum())

    for other in (found - 0.01, found + 0.01, 0.0, 1.0):
        assert likelihood(found) > likelihood(other)


def test_bounds() -> None:
    assert zipf_exponent(np.array([7, 7, 7, 7])) == 0.0
    assert zipf_exponent(np.array([7])) is None
    assert zipf_exponent(np.array([], np.int64)) is None
    assert zipf_exponent(np.array([10**17, 1])) == STEEPEST


def test_kmers_by_rank_and_their_entropy() -> None:
    counted = KmerCounts(1, np.array([2, 4, 0, 2]), unknown=3)
    assert counted.order.tolist() == [1, 0, 3]
    assert counted.entropy == 1.5
    assert KmerCounts(1, np.zeros(4, np.int64), 0).entropy is None
    assert counted.as_dict() == {
        "k": 1, "read": 8, "unknown": 3, "seen": 3, "of": 4, "entropy_bits": 1.5,
        "exponent": counted.exponent,
    }  # fmt: skip
