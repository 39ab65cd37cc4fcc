"""Codes: what they keep of a vector, and that they rank as the vectors do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.index.ann import InvertedLists, Lists, unit
from seqsearch.index.codes import codes_of, compare


def estimates(one: np.ndarray, others: np.ndarray, leading: int) -> np.ndarray:
    query, codes = codes_of(one[None], leading), codes_of(others, leading)
    share = float((one[leading:] ** 2).sum())
    found = np.empty(len(others), np.float32)
    compare(
        query.numbers[0], query.scales[0], query.signs[0], share,
        codes.numbers, codes.scales, codes.signs, found,
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
        codes.numbers * codes.scales[:, None],
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


@pytest.fixture
def searched():
    """All rows in two parts of lists, all lists looked into."""
    rng = np.random.default_rng(1)
    vectors = unit(rng.normal(size=(600, 24)).astype(np.float32))
    centers, rows = unit(rng.normal(size=(8, 24)).astype(np.float32)), np.arange(600)
    parts = [
        Lists.of(some, codes_of(vectors[some], 24), vectors[some], centers)
        for some in (rows[:400], rows[400:])
    ]
    return vectors, centers, parts


def test_the_best_of_all_parts_are_found(searched) -> None:
    vectors, centers, parts = searched
    found = InvertedLists(centers, parts, 8).search(vectors[:40], 30)
    for i, row in enumerate(found):
        exact = np.argsort(-(vectors @ vectors[i]))
        assert len(set(row) & set(exact[:20])) == 20
        assert len(set(row)) == 30


def test_rows_taken_out_are_not_found_and_few_rows_leave_places_empty(searched) -> None:
    vectors, centers, parts = searched
    gone = np.arange(0, 600, 2)
    lists = InvertedLists(centers, [part.without(gone) for part in parts], 8)
    found = lists.search(vectors[:40], 400)
    assert not np.isin(found, gone).any()
    assert ((found >= 0).sum(axis=1) == 300).all()


def test_each_query_is_answered_as_if_alone(searched) -> None:
    vectors, centers, parts = searched
    lists = InvertedLists(centers, parts, 3)
    together = lists.search(vectors[:64], 10, threads=2)
    for i in range(64):
        np.testing.assert_array_equal(
            lists.search(vectors[i : i + 1], 10, threads=1)[0], together[i]
        )
