"""How far a search goes: what is measured, against loops, and what is chosen by it."""

from __future__ import annotations

import numpy as np
import pytest

from seqsearch.index.ann import InvertedLists
from seqsearch.index.codes import codes_of
from seqsearch.index.effort import Effort
from seqsearch.index.lists import Lists
from seqsearch.index.sketch import Sketch
from seqsearch.index.vectors import unit
from seqsearch.jobs import tuning
from seqsearch.jobs.nearest import Nearest
from seqsearch.jobs.tuning import Question, tuned_effort

ROWS, DIM, LEADING, LISTS = 4000, 96, 96, 32


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Families of unequal size, some of them neighbours."""
    rng = np.random.default_rng(1)
    family = np.minimum(rng.geometric(0.03, ROWS), 150)
    centers = rng.normal(size=(151, DIM)) + np.repeat(rng.normal(size=(31, DIM)), 5, axis=0)[:151]
    return unit((centers[family] + 0.6 * rng.normal(size=(ROWS, DIM))).astype(np.float32))


@pytest.fixture(scope="module")
def searched(vectors) -> InvertedLists:
    sketch = Sketch.draw(DIM, LEADING)
    lists = Lists.train(sketch.of(vectors), LISTS, 1)
    lists.add(sketch.of(vectors), np.arange(ROWS), 1)
    return InvertedLists(sketch, lists, [(0, codes_of(vectors, LEADING))], np.zeros(ROWS, np.bool_))


@pytest.fixture(scope="module")
def question(vectors, searched) -> Question:
    rng = np.random.default_rng(2)
    queries = vectors[rng.choice(ROWS, 150)] + 0.05 * rng.normal(size=(150, DIM))
    queries = unit(queries.astype(np.float32))
    nearest = Nearest(len(queries), 50)
    nearest.look_at(queries @ vectors.T, np.arange(ROWS))
    return Question.of(queries, nearest, searched, lambda numbers: vectors[numbers])


def test_a_question_knows_how_far_behind_the_lists_of_the_nearest_are(
    vectors, searched, question
) -> None:
    centers = searched.lists.centers.astype(float)
    sketches = searched.sketch.of(vectors).astype(float)
    at = 0
    for query, near in zip(question.queries, question.near, strict=True):
        exact = np.argsort(-(vectors @ query))[: tuning.NEAREST]
        assert set(exact) == set(near)
        own = searched.sketch.of(query[None])[0].astype(float)
        for number in near:
            place = (centers @ sketches[number]).argmax()
            behind = (centers @ own).max() - centers[place] @ own
            assert question.behind[at] == pytest.approx(behind, abs=1e-5)
            at += 1
    assert at == len(question.behind)


def test_recall_counts_the_nearest_that_are_found(question) -> None:
    found = np.array([near[: tuning.NEAREST] for near in question.near])
    assert question.recall(found) == 1
    found[:, :6] = -1
    assert question.recall(found) == pytest.approx(0.7)


def test_the_cheapest_effort_that_reaches_its_recall_is_taken(searched, question) -> None:
    tuned = tuned_effort(searched, 100, question, 1)
    assert tuned.recall >= tuning.RECALL
    found = searched.search(question.queries, tuning.BEST, tuned.effort)
    assert question.recall(found) == tuned.recall
    near = searched.lists.near(
        searched.sketch.of(question.queries), tuned.effort.probes, tuned.effort.reach, 1
    )[0]
    assert tuned.lists == (near >= 0).sum(axis=1).mean()
    assert tuned.lists < tuned.effort.probes
    assert tuning.BEST <= tuned.vectors < tuned.effort.compared
    less = Effort(tuned.effort.probes, tuned.effort.reach / 4, 256, 0.0)
    assert question.recall(searched.search(question.queries, tuning.BEST, less)) < tuned.recall


def test_where_no_effort_reaches_the_recall_the_best_is_taken(
    searched, question, monkeypatch: pytest.MonkeyPatch
) -> None:
    cheapest = tuned_effort(searched, 100, question, 1)
    monkeypatch.setattr(tuning, "RECALL", 1.1)
    nearly = tuned_effort(searched, 100, question, 1)
    monkeypatch.setattr(tuning, "SLACK", 0.0)
    best = tuned_effort(searched, 100, question, 1)
    assert cheapest.recall <= best.recall <= 1
    assert cheapest.cost <= best.cost
    assert best.recall - 0.005 <= nearly.recall <= best.recall
    assert nearly.cost <= best.cost


def test_rows_that_sketches_tell_little_of_have_an_effort_too() -> None:
    rng = np.random.default_rng(3)
    near_copies = unit(rng.normal(size=DIM) + 0.001 * rng.normal(size=(ROWS, DIM)))
    near_copies = near_copies.astype(np.float32)
    sketch = Sketch.draw(DIM, LEADING)
    lists = Lists.train(sketch.of(near_copies), LISTS, 1)
    lists.add(sketch.of(near_copies), np.arange(ROWS), 1)
    codes = [(0, codes_of(near_copies, LEADING))]
    searched = InvertedLists(sketch, lists, codes, np.zeros(ROWS, np.bool_))
    queries, nearest = near_copies[:50], Nearest(50, 50)
    nearest.look_at(queries @ near_copies.T, np.arange(ROWS))
    question = Question.of(queries, nearest, searched, lambda numbers: near_copies[numbers])
    tuned = tuned_effort(searched, 100, question, 1)
    found = searched.search(queries, tuning.BEST, tuned.effort)
    assert question.recall(found) == tuned.recall < tuning.RECALL
    assert np.isfinite(tuned.effort.margin)
    assert tuned.effort.reach >= tuning.LEAST
