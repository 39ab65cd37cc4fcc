"""Codes: what they keep of a vector, and that they rank as the vectors do."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.index.codes import codes_of, compare
from seqsearch.index.vectors import unit


def estimates(one: np.ndarray, others: np.ndarray, leading: int) -> np.ndarray:
    query, codes = codes_of(one[None], leading), codes_of(others, leading)
    share = float((one[leading:] ** 2).sum())
    found = np.empty(len(others), np.float32)
    compare(
        query.numbers[0], query.scales[0], query.signs[0], share,
        codes.numbers, codes.scales, codes.signs, np.arange(len(others)), 0, found,
    )  # fmt: skip
    return found


@given(
    leading=st.integers(0, 40),
    trailing=st.integers(0, 140),
    seed=st.integers(0, 1000),
    filled=st.floats(0.1, 1.0),
)
def test_signs_and_numbers_are_those_of_the_vector(leading, trailing, seed, filled) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(5, leading + trailing)).astype(np.float32)
    vectors[rng.random(vectors.shape) > filled] = 0
    codes = codes_of(vectors, leading)
    widened = np.unpackbits(codes.signs.view(np.uint8), axis=2, bitorder="little")
    signs = widened[:, 0].astype(int) - 2 * widened[:, 1]
    np.testing.assert_array_equal(signs[:, :trailing], np.sign(vectors[:, leading:]))
    assert not signs[:, trailing:].any()
    np.testing.assert_allclose(
        codes.numbers * codes.scales[:, :1],
        vectors[:, :leading],
        atol=np.abs(vectors[:, :leading]).max(initial=0) / 250,
    )


@settings(deadline=None)  # the first call compiles
@given(seed=st.integers(0, 1000), leading=st.sampled_from([0, 1, 64, 200]))
def test_vectors_of_signs_have_their_own_cosines(seed, leading) -> None:
    """Where the trailing numbers are of one size, codes lose only what 8 bits lose."""
    rng = np.random.default_rng(seed)
    ahead = unit(rng.normal(size=(20, leading)).astype(np.float32))
    behind = rng.integers(-1, 2, (20, 130)).astype(np.float32)
    behind[:, 0] = 1
    share = np.float32(0.5 if leading else 1.0)
    vectors = np.concatenate([ahead * np.sqrt(1 - share), unit(behind) * np.sqrt(share)], axis=1)
    np.testing.assert_allclose(
        estimates(vectors[0], vectors, leading), vectors @ vectors[0], atol=0.01
    )


def test_what_has_no_trailing_numbers_is_compared_by_its_leading_ones() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(50, 32)).astype(np.float32))
    np.testing.assert_allclose(estimates(vectors[3], vectors, 32), vectors @ vectors[3], atol=0.02)
