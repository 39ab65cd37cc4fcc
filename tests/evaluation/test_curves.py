"""Curves of judged calls, counted by hand."""

from __future__ import annotations

import numpy as np

from seqsearch.evaluation.calls import Judged
from seqsearch.evaluation.curves import BY_RANK, BY_SET, LEAST, curve, rows_of


def judged() -> Judged:
    """30 seen queries at 0.85 of which 24 are right, 10 at 0.15; 40 of new species at 0.85."""
    sets = np.array(["seen"] * 40 + ["unseen_species"] * 40)
    p = np.array([0.85] * 30 + [0.15] * 10 + [0.85] * 39 + [np.nan])
    right = np.array([True] * 24 + [False] * 56)
    ranks = ("order", "family", "genus", "species")
    return Judged(sets, sets, dict.fromkeys(ranks, p), dict.fromkeys(ranks, right))


def test_bins_are_counted_and_small_ones_left_out() -> None:
    calls = judged()
    found = curve(calls, "species", calls.sets == "seen")
    assert LEAST == 20
    np.testing.assert_allclose(found.p, [0.85])
    np.testing.assert_allclose(found.right, [0.8])
    assert found.count.tolist() == [30]
    assert found.low[0] < 0.8 < found.high[0]
    every = curve(calls, "species", np.ones(80, bool))
    np.testing.assert_allclose(every.right, [24 / 69])
    assert every.count.tolist() == [69]  # what has no probability does not count


def test_a_row_by_rank_and_one_by_what_the_library_lacks() -> None:
    by_rank, by_set = rows_of({"COI": judged(), "ITS": judged()})
    assert list(by_rank.panels) == list(by_set.panels) == ["COI", "ITS"]
    assert tuple(by_rank.panels["COI"]) == BY_RANK
    assert list(by_set.panels["ITS"]) == [label for label, _ in BY_SET.values()]
    new = by_set.panels["COI"]["genus (species is new)"]
    assert (new.count.tolist(), new.right.tolist()) == ([39], [0])
    assert not len(by_set.panels["COI"]["order (family is new)"].p)
