"""Rank orders of several libraries become one."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.libraries.names import RANK_LETTERS, RANK_ORDER, merged_ranks

canonical = st.sets(st.sampled_from(RANK_ORDER)).map(
    lambda ranks: [rank for rank in RANK_ORDER if rank in ranks]
)


@settings(deadline=None)
@given(lists=st.lists(canonical, max_size=4))
def test_merged_ranks_are_all_ranks_highest_first(lists: list[list[str]]) -> None:
    merged = merged_ranks(lists)
    assert set(merged) == set().union(*lists)
    assert all(RANK_ORDER.index(a) < RANK_ORDER.index(b) for a, b in pairwise(merged))


def test_letters_stand_for_known_ranks_in_order() -> None:
    places = [RANK_ORDER.index(rank) for rank in RANK_LETTERS.values()]
    assert places == sorted(places)
    assert len(RANK_ORDER) == len(set(RANK_ORDER))
