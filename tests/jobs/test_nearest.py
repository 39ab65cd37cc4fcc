"""The nearest rows of every scenario against a plain sort."""

from __future__ import annotations

import numpy as np
import pytest

from seqsearch.jobs.nearest import Nearest


def plainly(products, own, truth, agreed, hidden, kept) -> list[list[int]]:
    """Rows by falling product, without what a scenario hides."""
    found = []
    for i, row in enumerate(products):
        order = [int(r) for r in np.argsort(-row, kind="stable") if r != own[i]]
        for back in range(1, hidden + 1):
            taxon = truth[i, -back]
            order = [r for r in order if taxon < 0 or agreed[r, -back] != taxon]
        found.append(order[:kept])
    return found


@pytest.mark.parametrize("kept", [1, 7, 60])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_scenario_keeps_the_nearest_that_it_shows(kept, threads) -> None:
    rng = np.random.default_rng(kept)
    products = rng.normal(size=(40, 300)).astype(np.float32)
    truth = rng.integers(-1, 4, (40, 3)).astype(np.int32)
    agreed = rng.integers(-1, 4, (300, 3)).astype(np.int32)
    own = rng.integers(-1, 300, 40)
    nearest = Nearest(40, kept, 4, own, truth)
    for start in (0, 90, 91, 200):
        stop = {0: 90, 90: 91, 91: 200, 200: 300}[start]
        rows = np.arange(start, stop)
        nearest.look_at(products[:, start:stop], rows, agreed[start:stop], threads)
    for hidden in range(4):
        rows, found = nearest.found(hidden)
        for i, expected in enumerate(plainly(products, own, truth, agreed, hidden, kept)):
            assert rows[i, : len(expected)].tolist() == expected
            np.testing.assert_array_equal(found[i, : len(expected)], products[i, expected])
            assert (rows[i, len(expected) :] == -1).all()
            assert np.isneginf(found[i, len(expected) :]).all()


@pytest.mark.parametrize("kept", [1, 7, 60])
def test_of_a_row_with_several_vectors_the_best_is_kept(kept) -> None:
    rng = np.random.default_rng(kept)
    row_of = np.repeat(np.arange(120), rng.integers(1, 6, 120))
    count = len(row_of)
    products = rng.normal(size=(40, count)).astype(np.float32)
    truth = rng.integers(-1, 4, (40, 3)).astype(np.int32)
    agreed = rng.integers(-1, 4, (120, 3)).astype(np.int32)
    own = rng.integers(-1, 120, 40)
    nearest = Nearest(40, kept, 4, own, truth, row_of)
    for numbers in np.array_split(np.arange(count), [50, 51, 170]):  # rows lie in two blocks
        nearest.look_at(products[:, numbers], numbers, agreed[row_of[numbers]], 2)
    best = np.stack([products[:, row_of == row].max(axis=1) for row in range(120)], axis=1)
    for hidden in range(4):
        vectors, found = nearest.found(hidden)
        for i, expected in enumerate(plainly(best, own, truth, agreed, hidden, kept)):
            size = len(expected)
            assert row_of[vectors[i, :size]].tolist() == expected
            np.testing.assert_array_equal(found[i, :size], best[i, expected])
            np.testing.assert_array_equal(found[i, :size], products[i, vectors[i, :size]])
            assert (vectors[i, size:] == -1).all()
