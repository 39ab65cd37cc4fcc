"""Repair of paths: what holds for any library, and the cases it is for."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.libraries.repair import Repair, commonest_paths
from seqsearch.libraries.side_table import read_side_table

RANKS = ("phylum", "order", "family", "genus", "species")
Paths = list[tuple[str, ...]]


def repaired(paths: Paths, ranks: tuple[str, ...] = RANKS) -> tuple[Paths, list[Repair]]:
    columns = [pa.array([path[i] for path in paths], pa.string()) for i in range(len(ranks))]
    fixed, repairs = commonest_paths(ranks, columns)
    assert all("" not in column.to_pylist() for column in fixed)  # gaps are null
    return list(zip(*(column.fill_null("").to_pylist() for column in fixed), strict=True)), repairs


def ways_up(paths: Paths, rank: int) -> dict[tuple[str, str], set[tuple[str, ...]]]:
    """Every way up of a (name, phylum)."""
    ways = defaultdict(set)
    for path in paths:
        if path[rank]:
            ways[path[rank], path[0]].add(path[:rank])
    return ways


def column(*names: str) -> st.SearchStrategy[str]:
    return st.sampled_from(["", *names])


paths_strategy = st.lists(
    st.tuples(
        column("Chordata", "Mollusca"),
        column("Aales", "Bales"),
        column("Aidae", "Bidae", "Family XI"),
        column("Aus", "Bus"),
        column("Aus albus", "Bus minor", "casei"),
    ),
    max_size=14,
)


@settings(deadline=None, max_examples=150)
@given(paths=paths_strategy, data=st.data())
def test_what_holds_for_any_library(paths: Paths, data: st.DataObject) -> None:
    fixed, repairs = repaired(paths)
    # Every record keeps its lowest name, at its rank.
    for old, new in zip(paths, fixed, strict=True):
        lowest = max((i for i, name in enumerate(old) if name), default=0)
        assert new[lowest:] == old[lowest:]
        assert new[0] == old[0] or not old[0]  # a phylum is filled in, never changed
    # A scientific name has one way up within a phylum.
    for rank in range(1, len(RANKS)):
        for (name, phylum), ways in ways_up(fixed, rank).items():
            if name not in ("Family XI", "casei") and phylum:
                assert len(ways) == 1, (name, ways)
    # No order of the records matters.
    order = data.draw(st.permutations(range(len(paths))))
    again, again_repairs = repaired([paths[i] for i in order])
    assert again == [fixed[i] for i in order]
    assert again_repairs == repairs
    # Done one by one, the repairs that are told give the result.
    replayed = list(paths)
    for repair in repairs:
        at = RANKS.index(repair.rank)
        assert repair.old != repair.new
        own = [i for i, p in enumerate(replayed) if p[: at + 1] == (*repair.old, repair.name)]
        assert len(own) == repair.records
        for i in own:
            replayed[i] = repair.new + replayed[i][at:]
    assert replayed == fixed


@settings(deadline=None, max_examples=150)
@given(paths=paths_strategy)
def test_repairing_again_changes_nothing(paths: Paths) -> None:
    fixed, _ = repaired(paths)
    assert repaired(fixed) == (fixed, [])


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        # the commonest of several orders
        (["C/A/F/Aus/Aus a", "C/A/F/Aus/Aus a", "C/B/F/Aus/Aus a"], ["C/A/F/Aus/Aus a"] * 3),
        # as common: the first by name, whichever comes first
        (["C/B/F/Aus/Aus a", "C/A/F/Aus/Aus a"], ["C/A/F/Aus/Aus a"] * 2),
        # a gap is filled, even against the commoner way with the gap
        (["C//F/Aus/Aus a"] * 3 + ["C/A/F/Aus/Aus a"], ["C/A/F/Aus/Aus a"] * 4),
        (["////Aus a", "C/A/F/Aus/Aus a"], ["C/A/F/Aus/Aus a"] * 2),
        # the records below a name move with it
        (["C/A/F/Aus/Aus a", "C/A/F/Aus/", "C/B/F/Aus/Aus b"],
         ["C/A/F/Aus/Aus a", "C/A/F/Aus/", "C/A/F/Aus/Aus b"]),
        # homonyms of different phyla stay apart, and nobody guesses where the gap belongs
        (["C/A/F/Aus/", "M/B/G/Aus/", "//G/Aus/"], ["C/A/F/Aus/", "M/B/G/Aus/", "M/B/G/Aus/"]),
        (["C/A/F/Aus/", "M/B/G/Aus/", "///Aus/"], ["C/A/F/Aus/", "M/B/G/Aus/", "///Aus/"]),
        # names that promise nothing: apart under other parents, united over gaps only
        (["C/A/Family XI//", "C/B/Family XI/Bus/"], ["C/A/Family XI//", "C/B/Family XI/Bus/"]),
        (["C/A/F/Aus/casei", "C/A/F/Bus/casei"], ["C/A/F/Aus/casei", "C/A/F/Bus/casei"]),
        (["C/A/F/Aus/casei", "C//F/Aus/casei"], ["C/A/F/Aus/casei"] * 2),
        (["C/A/F/Aus/casei", "C/A/F/Bus/casei", "C/A/F//casei"],
         ["C/A/F/Aus/casei", "C/A/F/Bus/casei", "C/A/F//casei"]),
        (["C/A/uncultured//", "C/B/uncultured//"], ["C/A/uncultured//", "C/B/uncultured//"]),
        (["C/A/Unknown family/Aus/", "C/B/Unknown family/Bus/"],
         ["C/A/Unknown family/Aus/", "C/B/Unknown family/Bus/"]),
        (["C/A/[Aus] group/Aus/", "C/B/[Aus] group/Bus/"],
         ["C/A/[Aus] group/Aus/", "C/B/[Aus] group/Bus/"]),
    ],
)  # fmt: skip
def test_cases(paths: list[str], expected: list[str]) -> None:
    fixed, _ = repaired([tuple(path.split("/")) for path in paths])
    assert ["/".join(path) for path in fixed] == expected


def test_the_anchor_is_the_division_or_the_first_rank_where_there_is_no_phylum() -> None:
    ranks = ("domain", "division", "order", "genus")
    paths = [
        ("E", "X", "A", "Aus"),
        ("E", "X", "A", "Aus"),
        ("B", "X", "B", "Aus"),
        ("E", "Y", "B", "Aus"),
    ]
    fixed, _ = repaired(paths, ranks)
    assert fixed == [paths[0], paths[0], paths[0], paths[3]]
    ranks = ("kingdom", "order", "genus")
    paths = [("E", "A", "Aus"), ("E", "A", "Aus"), ("E", "B", "Aus"), ("F", "B", "Aus")]
    fixed, _ = repaired(paths, ranks)
    assert fixed == [paths[0], paths[0], paths[0], paths[3]]


def several_paths(paths: Paths, rank: int) -> int:
    ways = defaultdict(set)
    for path in paths:
        if path[rank]:
            ways[path[rank]].add(path[:rank])
    return sum(len(uppers) > 1 for uppers in ways.values())


def test_the_12s_library_has_one_path_a_species_afterwards(shared: Path) -> None:
    table = read_side_table(shared / "data" / "bench" / "12s" / "ref.tax.tsv")
    lineage, _, _ = table.look_up(np.arange(len(table)))
    columns = [lineage[rank] for rank in table.ranks]
    before = list(zip(*(c.fill_null("").to_pylist() for c in columns), strict=True))
    fixed, repairs = repaired(before, table.ranks)
    species = len(table.ranks) - 1
    assert table.ranks[species] == "species"
    assert several_paths(before, species) == 343
    assert several_paths(fixed, species) == 0
    assert Counter(path[species] for path in fixed) == Counter(path[species] for path in before)
    assert repairs
    assert repaired(fixed, table.ranks) == (fixed, [])
