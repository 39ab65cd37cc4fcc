"""Inverted lists: what they find, whoever asks beside, and what they leave out."""

from __future__ import annotations

import numpy as np
import pytest

from seqsearch.index.ann import InvertedLists, leave_out
from seqsearch.index.centers import Centers
from seqsearch.index.codes import codes_of
from seqsearch.index.effort import Effort
from seqsearch.index.lists import Lists
from seqsearch.index.sketch import Sketch
from seqsearch.index.vectors import unit

ROWS, LEADING, TRAILING = 3000, 24, 200


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Families of vectors, half learned numbers and half sparse counts."""
    rng = np.random.default_rng(1)
    family = rng.integers(0, 60, ROWS)
    ahead = unit(rng.normal(size=(60, LEADING))[family] + 0.4 * rng.normal(size=(ROWS, LEADING)))
    counts = rng.integers(-1, 2, (60, TRAILING))[family]
    counts[rng.random(counts.shape) < 0.3] = 0
    return np.concatenate([ahead, unit(counts.astype(float))], axis=1).astype(np.float32) / np.sqrt(
        np.float32(2)
    )


@pytest.fixture(scope="module")
def sketch() -> Sketch:
    return Sketch.draw(LEADING + TRAILING, LEADING)


@pytest.fixture(scope="module")
def lists(vectors, sketch) -> Lists:
    found = Lists.train(sketch.of(vectors[:1500]), 16, 1)
    found.add(sketch.of(vectors), np.arange(ROWS), 2)
    return found


def opened(lists, sketch, vectors, gone=()) -> InvertedLists:
    """Lists with the codes of the rows in two parts."""
    codes = [(0, codes_of(vectors[:2000], LEADING)), (2000, codes_of(vectors[2000:], LEADING))]
    is_gone = np.zeros(ROWS, np.bool_)
    is_gone[list(gone)] = True
    return InvertedLists(sketch, lists, codes, is_gone)


def test_sketches_keep_inner_products_but_for_noise(vectors, sketch) -> None:
    sketches = sketch.of(vectors[:400], threads=2)
    assert sketches.shape == (400, sketch.width)
    np.testing.assert_array_equal(sketches[:, :LEADING], vectors[:400, :LEADING])
    off = sketches @ sketches.T - vectors[:400] @ vectors[:400].T
    assert np.abs(off).mean() < 0.5 / np.sqrt(512)  # trailing halves of random signs
    np.testing.assert_array_equal(sketch.of(vectors[7:8])[0], sketches[7])


@pytest.mark.parametrize(
    ("dim", "leading", "kept", "width"),
    [(2304, 256, 256, 768), (256, 256, 256, 256), (2048, 2048, 0, 768), (33, 33, 33, 34)],
)
def test_sketches_are_as_wide_as_what_they_are_of_allows(dim, leading, kept, width) -> None:
    sketch = Sketch.draw(dim, leading)
    assert (sketch.kept, sketch.width) == (kept, width)
    rng = np.random.default_rng(0)
    assert sketch.of(rng.normal(size=(3, dim)).astype(np.float32)).shape == (3, width)


@pytest.mark.parametrize("lists", [5, 256, 700])
def test_nearest_centres_are_those_of_a_plain_product(lists) -> None:
    rng = np.random.default_rng(lists)
    centers, queries = (rng.normal(size=(n, 30)).astype(np.float32) for n in (lists, 150))
    near, products = Centers(centers).nearest(queries, 4, 2)
    expected = queries @ centers.T
    np.testing.assert_array_equal(np.sort(near), np.sort(np.argsort(-expected, axis=1)[:, :4]))
    np.testing.assert_allclose(
        products, np.take_along_axis(expected, near, 1), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("reach", [0.0, 0.5, 3.0, np.inf])
def test_lists_are_near_where_they_are_within_reach_of_the_nearest(reach) -> None:
    rng = np.random.default_rng(3)
    centers, queries = (rng.normal(size=(n, 30)).astype(np.float32) for n in (300, 150))
    near, products = Centers(centers).nearest(queries, 20, 2, reach)
    expected = (queries @ centers.T).astype(np.float64)
    for own, product, all_of_them in zip(near, products, expected, strict=True):
        order = np.argsort(-all_of_them)[:20]
        wanted = order[all_of_them[order] >= all_of_them[order[0]] - reach - 1e-6]
        assert sorted(own[own >= 0]) == sorted(wanted)
        np.testing.assert_allclose(product[own < 0], all_of_them[order[0]], rtol=1e-5)
    assert near.shape[1] == (near >= 0).sum(axis=1).max()


def test_what_is_too_far_behind_the_last_one_wanted_is_left_out() -> None:
    products = np.array([[0.9, 0.8, 0.7, 0.65, 0.5], [0.9, 0.2, 0.1, -1e38, -1e38]], np.float32)
    near = np.array([[4, 1, 3, 2, 0], [7, 8, 9, -1, -1]])
    leave_out(near, products, 2, 0.16)
    assert near.tolist() == [[4, 1, 3, 2, -1], [7, 8, 9, -1, -1]]
    leave_out(near, products, 1, 0.05)
    assert near.tolist() == [[4, -1, -1, -1, -1], [7, -1, -1, -1, -1]]


def test_what_is_gone_takes_no_place_of_what_is_left(vectors, sketch, lists) -> None:
    rng = np.random.default_rng(4)
    is_gone = rng.random(ROWS) < 0.9
    sketches = sketch.of(vectors[:20])
    near = lists.near(sketches, 16, np.inf, 1)
    numbers, products = lists.search(sketches, near, ROWS, 1)
    left, left_products = lists.without(is_gone).search(sketches, near, 50, 1)
    for row in range(20):
        stays = (numbers[row] >= 0) & ~is_gone[numbers[row]]
        np.testing.assert_array_equal(left_products[row], products[row][stays][:50])
        assert not is_gone[left[row]].any()
    again, _ = lists.search(sketches, near, ROWS, 1)
    np.testing.assert_array_equal(again, numbers)  # they themselves are as they were


def test_lists_whose_rows_are_all_gone_are_passed_over(vectors, sketch) -> None:
    found = Lists.train(sketch.of(vectors[:1500]), 16, 1)
    found.add(sketch.of(vectors), np.arange(ROWS), 2)
    sketches = sketch.of(vectors)
    own = found.near(sketches, 1, 0.0, 1)[0][:, 0]
    kept = np.unique(own)[:3]
    found = found.without(~np.isin(own, kept))
    near, products = found.near(sketches, 16, np.inf, 1)
    assert (np.sort(near, axis=1) == kept).all()
    expected = sketches @ found.centers.T
    np.testing.assert_allclose(
        products, np.take_along_axis(expected, near, 1), rtol=1e-4, atol=1e-5
    )


def test_a_greater_effort_ends_at_everything() -> None:
    effort, steps = Effort(3, 0.1, 40, 0.2), 0
    while not effort.is_whole:
        effort, steps = effort.farther(20, 1000), steps + 1
    assert (effort.probes, effort.compared, steps) == (20, 1000, 3)


def test_a_query_looks_no_farther_than_its_effort_says(lists, sketch, vectors) -> None:
    searched = opened(lists, sketch, vectors)
    whole = searched.search(vectors[:60], 10, Effort(16, 4.0, 400, 4.0))
    few = searched.search(vectors[:60], 10, Effort(16, 0.0, 10, 0.0))
    own = lists.near(sketch.of(vectors), 1, 0.0, 1)[0][:, 0]
    for i, row in enumerate(few):
        assert set(own[row]) == {own[i]}
    shared = [len(set(a) & set(b)) for a, b in zip(whole, few, strict=True)]
    assert 3 < np.mean(shared) < 9.5


def test_the_nearest_rows_are_found(lists, sketch, vectors) -> None:
    found = opened(lists, sketch, vectors).search(vectors[:60], 30, Effort(16, 4.0, 400, 4.0))
    exact = np.argsort(-(vectors[:60] @ vectors.T), axis=1)[:, :10]
    hits = [len(set(own) & set(rows)) for own, rows in zip(exact, found, strict=True)]
    assert np.mean(hits) > 9.5
    assert all(len(set(row)) == 30 for row in found)


def test_rows_taken_out_are_not_found_and_others_take_their_places(lists, sketch, vectors) -> None:
    whole = opened(lists, sketch, vectors)
    first = whole.search(vectors[:1], 400, Effort(16, 4.0, 400, 4.0))[0]
    found = opened(lists, sketch, vectors, first).search(
        vectors[:1], 100, Effort(16, 4.0, 400, 4.0)
    )
    assert not np.isin(found, first).any()
    assert (found >= 0).all()  # though all that the first look finds is gone


def test_what_lies_in_other_lists_is_found_where_the_near_ones_are_empty(
    lists, sketch, vectors
) -> None:
    own = opened(lists, sketch, vectors).search(vectors[:1], ROWS, Effort(1, 4.0, ROWS, 4.0))[0]
    sketches = sketch.of(vectors[:1])
    near = lists.search(sketches, lists.near(sketches, 2, 4.0, 1), ROWS, 1)[0][0]
    assert len(own) > np.count_nonzero(near >= 0) > 100
    found = opened(lists, sketch, vectors, near[near >= 0]).search(
        vectors[:1], 20, Effort(2, 4.0, 100, 4.0)
    )
    assert (found >= 0).all()
    assert not np.isin(found, near).any()


def test_few_rows_leave_places_empty(lists, sketch, vectors) -> None:
    gone = np.arange(50, ROWS)
    found = opened(lists, sketch, vectors, gone).search(vectors[:5], 80, Effort(16, 4.0, 100, 4.0))
    np.testing.assert_array_equal(np.sort(found, axis=1)[:, 30:], [np.arange(50)] * 5)
    assert (np.sort(found, axis=1)[:, :30] == -1).all()


def test_a_query_of_zeros_goes_no_farther(lists, sketch, vectors, monkeypatch) -> None:
    searched, efforts = opened(lists, sketch, vectors), []
    search = InvertedLists._search
    monkeypatch.setattr(
        InvertedLists,
        "_search",
        lambda *of: efforts.append((len(of[1]), of[3])) or search(*of),
    )
    few, queries = Effort(2, 4.0, 100, 4.0), vectors[:3].copy()
    queries[1] = 0
    found = searched.search(queries, 20, few)
    assert (found[1] == -1).all()
    assert (found[[0, 2]] >= 0).all()
    assert efforts == [(2, few)]


def test_each_query_is_answered_as_if_alone(lists, sketch, vectors) -> None:
    searched = opened(lists, sketch, vectors)
    together = searched.search(vectors[:128], 10, Effort(3, 4.0, 40, 4.0), threads=2)
    for i in range(128):
        alone = searched.search(vectors[i : i + 1], 10, Effort(3, 4.0, 40, 4.0), threads=1)[0]
        np.testing.assert_array_equal(np.sort(alone), np.sort(together[i]))
