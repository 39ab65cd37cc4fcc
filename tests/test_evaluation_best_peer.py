"""Ours beside the best single peer: which one that is, and where ours is below it."""

from __future__ import annotations

import numpy as np
import pytest

from seqsearch.evaluation.bench import OURS, BenchResult, summarise
from seqsearch.evaluation.bench_table import text_beside
from seqsearch.evaluation.best_peer import BEST, beside_best, best_peer
from seqsearch.scoring.marks import Marks

SETS = ("seen", "unseen_species", "unseen_genus", "unseen_family")
QUERIES = 60  # of each set, a genus and family each


def result(name: str, chances: dict[str, float], seed: int = 0) -> BenchResult:
    """A library whose methods are right at random, all ranks alike."""
    rng = np.random.default_rng(seed)
    count = QUERIES * len(SETS)
    taxa = np.repeat(np.arange(count)[:, None], 4, axis=1)
    right = {m: np.repeat(rng.random((count, 1)) < p, 4, axis=1) for m, p in chances.items()}
    named = {method: np.ones((count, 4), np.bool_) for method in chances}
    marks = Marks(np.repeat(SETS, QUERIES), taxa, right, named)
    return summarise(name, marks, None, {})


def test_the_best_peer_has_the_highest_mean_of_five() -> None:
    coi = result("coi", {OURS: 0.99, "blast": 0.6, "vsearch": 0.9, "8-mer cosine": 0.7})
    assert best_peer(coi) == "vsearch"
    assert best_peer(coi, only="cosine") == "8-mer cosine"
    beside = beside_best([coi], align=0)
    assert beside.libraries["coi"][0] == "vsearch"
    assert (
        beside_best([result("12s", dict(OURS_LAST), 3)], align=0).libraries["12s"][0]
        == "6-mer cosine"
    )
    assert (
        beside_best([result("12s", dict(OURS_LAST), 3)], align=20).libraries["12s"][0] == "vsearch"
    )


OURS_LAST = {OURS: 0.5, "vsearch": 0.9, "6-mer cosine": 0.8}


def test_differences_are_those_to_the_best_peer_alone() -> None:
    ahead = result("coi", {OURS: 0.95, "vsearch": 0.6}, seed=1)
    behind = result("its", {OURS: 0.5, "vsearch": 0.9, "blast": 0.4}, seed=2)
    beside = beside_best([ahead, behind], align=0)
    found = {n: r.micro["mean of five"][BEST].value for n, (_, r) in beside.libraries.items()}
    assert found["coi"] == pytest.approx(ahead.micro["mean of five"]["vsearch"].value)
    assert beside.mean_difference() == pytest.approx(sum(found.values()) / 2)
    assert all(cell.startswith("its ") for cell in beside.below())
    assert "its unseen_genus/family" in beside.below()
    assert "its unseen_family/order" not in beside.below()  # is compared pooled only
    pooled = beside.pooled.scores
    both = [ahead.scores[OURS], behind.scores[OURS]]
    cell = "seen/species"
    expected = np.mean([one.cells[c].micro for one in both for c in one.cells if c.name == cell])
    assert [s.micro for c, s in pooled[OURS].cells.items() if c.name == cell] == [expected]


def test_the_table_says_what_was_found() -> None:
    text = text_beside(beside_best([result("12s", OURS_LAST, 3)], align=0))
    lines = text.splitlines()
    assert any(line.startswith("12s: 6-mer cosine") for line in lines)
    assert any(line.startswith("all queries") for line in lines)
    assert "mean of the libraries' means of five: -" in text
    assert "significantly below in: 12s " in text
    assert max(map(len, lines[:4])) <= 120
