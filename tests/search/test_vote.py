"""The vote against its rules written out with dictionaries, on any taxonomy and any candidates."""

from __future__ import annotations

from functools import cmp_to_key
from math import isclose
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.index.catalog import Votes
from seqsearch.index.store import IndexStore
from seqsearch.search.retrieve import ExactRetriever
from seqsearch.search.vote import ALTERNATIVES, EXPONENT, SOFTENING, TIE, Ballots, vote
from seqsearch.taxonomy import Taxonomy

RANKS = ("order", "family", "genus", "species")
Names = tuple[str, ...]
Label = tuple[Names, int]  # path with "" at gaps, records
Candidate = tuple[list[Label], float]  # labels of its row, similarity


def slow_vote(candidates: list[Candidate]) -> tuple[Names, list[dict[str, object]]]:
    """The decided path, and by rank what the ballots hold."""
    path: Names = ()
    ceiling, result = 1.0, []
    for rank in range(len(RANKS)):
        weights: dict[Names, float] = {}  # by path down to this rank; "" last is the gap
        nearness = 0.0  # of the nearest candidate with a voting label, 1 for the best one
        for labels, similarity in candidates:
            best = 1 - candidates[0][1] + SOFTENING
            ratio = best / (1 - similarity + SOFTENING)
            weight = ratio**EXPONENT
            voting = [(names, records) for names, records in labels if any(names[rank:])]
            nearness = max(nearness, ratio if voting else 0)
            records_in_all = sum(records for _, records in voting)
            for names, records in voting:
                part = weight * records / records_in_all
                upper = names[: rank + 1]
                weights[upper] = weights.get(upper, 0) + part
        total = sum(weights.values())
        within = {names: w for names, w in weights.items() if names[:rank] == path}
        gap = within.pop((*path, ""), 0.0)

        def order(one: Names, other: Names, within: dict[Names, float] = within) -> int:
            if isclose(within[one], within[other], rel_tol=1e-9):
                return -1 if one < other else 1
            return -1 if within[one] > within[other] else 1

        ranked = sorted(within, key=cmp_to_key(order))
        if not ranked or gap > within[ranked[0]] * (1 + 1e-9):
            path = (*path, "")
            result.append({})
            continue
        path = ranked[0]
        ceiling = min(ceiling, nearness * within[path] / total)
        result.append(
            {
                "share": ceiling,
                "tied": sum(within[n] >= within[path] * (1 - TIE) for n in ranked),
                "others": ranked[1 : 1 + ALTERNATIVES],
                "shares": [
                    min(ceiling, nearness * within[n] / total) for n in ranked[1 : 1 + ALTERNATIVES]
                ],
            }
        )
    return path, result


def names_strategy(letters: str) -> st.SearchStrategy[Names]:
    one = [st.sampled_from(["", *(f"{rank}{letter}" for letter in letters)]) for rank in range(4)]
    return st.tuples(*one)


label = st.tuples(names_strategy("ABC"), st.integers(1, 3))
rows_strategy = st.lists(
    st.lists(label, max_size=3, unique_by=lambda item: item[0]), min_size=1, max_size=12
)
similarity = st.sampled_from([1.0, 0.99, 0.95, 0.9, 0.9, 0.5, 0.0])


def ballots_of(
    rows: list[list[Label]], asked: list[list[tuple[int, float]]], threads: int = 1
) -> tuple[Taxonomy, Ballots]:
    """Let the real vote count candidates, given as (row, similarity), best first."""
    flat = [(row, names, n) for row, labels in enumerate(rows) for names, n in labels]
    columns = [pa.array([names[i] for _, names, _ in flat], pa.string()) for i in range(4)]
    taxonomy, taxa = Taxonomy.from_paths(RANKS, columns)
    lines = sorted(
        (row, taxon, n)
        for (row, _, n), taxon in zip(flat, taxa.tolist(), strict=True)
        if taxon >= 0
    )
    start = np.searchsorted([line[0] for line in lines], np.arange(len(rows) + 1))
    votes = Votes(
        start.astype(np.int64),
        np.array([line[1] for line in lines], np.int32),
        np.array([line[2] for line in lines], np.int32),
    )
    width = max(map(len, asked), default=0) + 1  # one place at least stays empty
    found = np.full((len(asked), width), -1, np.int64)
    similarities = np.zeros((len(asked), width), np.float32)
    for i, candidates in enumerate(asked):
        for j, (row, value) in enumerate(candidates):
            found[i, j], similarities[i, j] = row, value
    return taxonomy, vote(taxonomy, votes, found, similarities, threads)


def check(taxonomy: Taxonomy, ballots: Ballots, i: int, labelled: list[Candidate]) -> None:
    path, expected = slow_vote(labelled)
    number = {tuple(p): t for t, p in enumerate(full_paths(taxonomy))}
    for rank, ballot in enumerate(expected):
        if not ballot:
            assert ballots.taxon[i, rank] == -1
            assert ballots.tied[i, rank] == 0
            assert (ballots.other[i, rank] == -1).all()
            continue
        assert ballots.taxon[i, rank] == number[path[: rank + 1]]
        assert ballots.tied[i, rank] == ballot["tied"]
        assert ballots.share[i, rank] == pytest.approx(ballot["share"], rel=1e-6)
        others = [int(t) for t in ballots.other[i, rank] if t >= 0]
        assert others == [number[names] for names in ballot["others"]]
        assert ballots.other_share[i, rank, : len(others)] == pytest.approx(
            ballot["shares"], rel=1e-6
        )


def full_paths(taxonomy: Taxonomy) -> list[Names]:
    columns = [taxonomy.names_at(np.arange(len(taxonomy)), rank) for rank in range(4)]
    paths = zip(*(c.fill_null("").to_pylist() for c in columns), strict=True)
    return [p[: rank + 1] for p, rank in zip(paths, taxonomy.rank.tolist(), strict=True)]


def check_promises(taxonomy: Taxonomy, ballots: Ballots) -> None:
    for i in range(len(ballots.taxon)):
        named = np.flatnonzero(ballots.taxon[i] >= 0)
        shares = ballots.share[i, named]
        assert (np.diff(shares) <= 0).all(), "a share rises down the ranks"
        assert ((shares >= 0) & (shares <= 1)).all()
        if len(named):
            lowest = ballots.taxon[i, named[-1]]
            assert np.array_equal(taxonomy.lineage[lowest], ballots.taxon[i]), "no path"


@settings(deadline=None, max_examples=300)
@given(rows=rows_strategy, data=st.data())
def test_ballots_are_those_of_the_rules(rows: list[list[Label]], data: st.DataObject) -> None:
    asked = []
    for _ in range(data.draw(st.integers(1, 3))):
        own = data.draw(st.lists(st.sampled_from(range(len(rows))), unique=True, max_size=8))
        values = sorted((data.draw(similarity) for _ in own), reverse=True)
        asked.append([(row, float(np.float32(v))) for row, v in zip(own, values, strict=True)])
    taxonomy, ballots = ballots_of(rows, asked)
    for i, candidates in enumerate(asked):
        check(taxonomy, ballots, i, [(rows[row], value) for row, value in candidates])
    check_promises(taxonomy, ballots)


def call(
    *candidates: tuple[str, float], records: int = 1
) -> tuple[list[str], list[float], list[int]]:
    """Names, shares and ties of one query, from paths like "O/F/G/s" with their similarity."""
    rows = [[(tuple(text.split("/")), records)] for text, _ in candidates]
    taxonomy, ballots = ballots_of(rows, [[(i, s) for i, (_, s) in enumerate(candidates)]])
    names = [name or "" for name in taxonomy.names_of(ballots.taxon[0]).to_pylist()]
    return names, ballots.share[0].round(3).tolist(), ballots.tied[0].tolist()


def test_the_nearest_decides_near_the_library_and_many_share_far_from_it() -> None:
    near = call(("O/F/G/s", 1.0), ("O/F/G/t", 0.97), ("O/F/G/t", 0.97))
    assert near[0] == ["O", "F", "G", "s"]
    assert near[1][3] > 0.99
    far = call(("O/F/G/s", 0.30), ("O/F/G/t", 0.30), ("O/F/G/t", 0.30))
    assert far[0] == ["O", "F", "G", "t"]
    assert far[1] == pytest.approx([1, 1, 1, 2 / 3], abs=1e-3)


def test_ties_are_counted_and_named_by_path() -> None:
    for first, second in (("O/F/G/t", "O/F/G/s"), ("O/F/G/s", "O/F/G/t")):
        names, shares, tied = call((first, 1.0), (second, 1.0))
        assert names == ["O", "F", "G", "s"]
        assert shares == [1, 1, 1, 0.5]
        assert tied == [1, 1, 1, 2]


def test_labels_that_end_abstain_and_labels_that_skip_vote_for_the_gap() -> None:
    names, shares, _ = call(("O/F//", 1.0), ("O/F//", 1.0), ("O/F/G/s", 1.0))
    assert (names, shares) == (["O", "F", "G", "s"], [1, 1, 1, 1])
    names, shares, tied = call(("O//G/s", 1.0), ("O//G/s", 1.0), ("O/F/H/t", 1.0))
    assert names == ["O", "", "G", "s"]
    assert shares == pytest.approx([1, 0, 2 / 3, 2 / 3], abs=1e-3)
    assert tied == [1, 0, 1, 1]


def test_a_name_that_only_farther_candidates_have_counts_less() -> None:
    names, shares, _ = call(("O/F//", 1.0), ("O/F/G/s", 1 - SOFTENING), ("O/F/G/s", 0.0))
    assert names == ["O", "F", "G", "s"]
    assert shares == pytest.approx([1, 1, 0.5, 0.5], abs=1e-3)


def test_crumbs_of_far_candidates_break_no_tie() -> None:
    for crumbs in ((), (("O/F/G/t", 0.95),)):
        _, shares, tied = call(("O/F/G/s", 1.0), ("O/F/G/t", 1.0), *crumbs)
        assert tied == [1, 1, 1, 2]
        assert 0.5 <= shares[3] < 0.51
    nearer = call(("O/F/G/s", 1.0), ("O/F/G/t", 1.0), ("O/F/G/t", 0.998))
    assert (nearer[0][3], nearer[2]) == ("t", [1, 1, 1, 1])


def test_a_gap_that_was_chosen_is_not_left_again() -> None:
    # Two genera without a family outvote the family; the best single genus is in the family.
    names, shares, tied = call(
        *[("O//G/g", 1.0)] * 3, *[("O//H/h", 1.0)] * 3, *[("O/F/K/k", 1.0)] * 4
    )
    assert names == ["O", "", "G", "g"]
    assert shares == pytest.approx([1, 0, 0.3, 0.3])
    assert tied == [1, 0, 2, 1]


def test_a_row_splits_its_weight_by_records() -> None:
    rows = [[(("O", "F", "G", "s"), 3), (("O", "F", "G", "t"), 1)]]
    _, ballots = ballots_of(rows, [[(0, 1.0)]])
    assert ballots.share[0].tolist() == [1, 1, 1, 0.75]
    assert ballots.other_share[0, 3, 0] == 0.25


def test_no_candidates_no_call() -> None:
    _, ballots = ballots_of([[(("O", "F", "G", "s"), 1)]], [[], [(0, 1.0)]])
    assert (ballots.taxon[0] == -1).all()
    assert (ballots.share[0] == 0).all()
    assert (ballots.taxon[1] >= 0).all()


def test_votes_of_a_real_index(index_folder: Path) -> None:
    store = IndexStore.open(index_folder)
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(60, store.manifest.encoder["dim"])).astype(np.float32) * 0.01
    chosen = rng.choice(store.rows, 60)
    vectors = store.vectors(chosen) + noise
    rows, similarities = ExactRetriever(store).search(vectors, 50)
    results = [vote(store.taxonomy, store.votes, rows, similarities, threads) for threads in (1, 4)]
    for name in ("taxon", "share", "tied", "other", "other_share"):
        assert np.array_equal(getattr(results[0], name), getattr(results[1], name))
    check_promises(store.taxonomy, results[0])
    assert (results[0].taxon[:, 0] >= 0).all()
    store.close()
