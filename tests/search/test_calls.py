"""Assignments drawn from calls: verdicts, names, reasons, at any threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.runs.results import ALTERNATIVE
from seqsearch.search.calls import draw

RANKS = ("family", "genus", "species")
FIRST = 100  # number of the first query of the part
Call = dict[str, Any]  # name, p, tied, others: (name, share) ...


def a_call(
    name: str,
    p: float,
    tied: int = 1,
    others: tuple[tuple[str, float], ...] = (),
    hidden: float = 0.0,
    shared: str | None = None,
) -> Call:
    values = {"name": name, "p": p, "tied": tied, "others": others, "hidden": hidden}
    return {**values, "shared": shared}


def query(
    *calls: Call | None,
    problem: str | None = None,
    best: tuple[str, float, str] | None = None,
    note: str | None = None,
) -> dict[str, Any]:
    """One query: its calls by rank (None at gaps), its problem, its best hit."""
    by_rank = dict(zip(RANKS, calls, strict=False))
    return {"calls": by_rank, "problem": problem, "best": best, "note": note}


def drawn(
    given_queries: list[dict[str, Any]],
    threshold: float,
    is_single: tuple[bool, ...] = (False,) * 3,
) -> list[dict[str, Any]]:
    """Lay the queries out as the tables of a part, and draw."""
    numbers = list(range(FIRST, FIRST + len(given_queries)))
    queries = pa.table(
        {
            "query": pa.array(numbers, pa.int64()),
            "query_id": pa.array([f"q{n}" for n in numbers], pa.string()),
            "length": pa.array([10 * n for n in numbers], pa.int64()),
            "problem": pa.array([q["problem"] for q in given_queries], pa.string()),
            "note": pa.array([q["note"] for q in given_queries], pa.string()),
        }
    )
    called = [
        (number, rank, call)
        for number, q in zip(numbers, given_queries, strict=True)
        for rank, call in q["calls"].items()
        if call is not None
    ]
    others = [
        [{"name": name, "share": share} for name, share in call["others"]] for _, _, call in called
    ]
    calls = pa.table(
        {
            "query": pa.array([number for number, _, _ in called], pa.int64()),
            "rank": pa.array([rank for _, rank, _ in called], pa.string()),
            "name": pa.array([call["name"] for _, _, call in called], pa.string()),
            "probability": pa.array([call["p"] for _, _, call in called], pa.float32()),
            "hidden": pa.array([call["hidden"] for _, _, call in called], pa.float32()),
            "share": pa.array([call["p"] for _, _, call in called], pa.float32()),
            "tied": pa.array([call["tied"] for _, _, call in called], pa.int32()),
            "alternatives": pa.array(others, pa.list_(ALTERNATIVE)),
            "shared_with": pa.array([call["shared"] for _, _, call in called], pa.string()),
        }
    )
    hit = [(n, *q["best"]) for n, q in zip(numbers, given_queries, strict=True) if q["best"]]
    rows = {name: row for row, name in enumerate(sorted({h[1] for h in hit}))}
    hits = pa.table(
        {  # the second-best hit of everyone stands first, to be told from the best
            "query": pa.array([h[0] for h in hit for _ in (1, 0)], pa.int64()),
            "hit": pa.array([n for _ in hit for n in (1, 0)], pa.int32()),
            "reference": pa.array([r for h in hit for r in (99, rows[h[1]])], pa.int64()),
            "similarity": pa.array([s for h in hit for s in (0, h[2])], pa.float32()),
            "identity": pa.nulls(2 * len(hit), pa.float32()),
            "query_coverage": pa.nulls(2 * len(hit), pa.float32()),
            "strand": pa.array([s for h in hit for s in ("?", h[3])], pa.string()),
        }
    )
    refs = pa.table(
        {
            "reference": pa.array([99, *rows.values()], pa.int64()),
            "ref_id": pa.array(["other", *rows], pa.string()),
        }
    )
    return draw(queries, hits, calls, refs, RANKS, is_single, threshold).to_pylist()


SURE = query(
    a_call("Apidae", 1.0),
    a_call("Apis", 0.9),
    a_call("Apis mellifera", 0.85),
    best=("r1", 0.99, "-"),
)
DOUBTFUL = query(
    a_call("Apidae", 0.95),
    a_call("Apis", 0.8),
    a_call("Apis mellifera", 0.5, 1, (("Apis cerana", 0.3), ("Apis dorsata", 0.2))),
    best=("r2", 0.9, "+"),
)
TIED = query(
    a_call("Apidae", 1.0),
    a_call("Apis", 1.0),
    a_call("Apis cerana", 0.5, 2, (("Apis mellifera", 0.5),)),
    best=("r1", 1.0, "+"),
)
LOST = query(
    a_call("Apidae", 0.4, 1, (("Syrphidae", 0.35),)),
    a_call("Apis", 0.2),
    None,
    best=("r3", 0.1, "+"),
)
SHORT = query(a_call("Apidae", 1.0), a_call("Apis", 1.0), None, best=("r4", 0.9, "+"))
INVALID = query(problem="empty sequence")
NO_HIT = query()
NAMELESS = query(best=("r5", 0.7, "+"))


@pytest.mark.parametrize(
    ("given_query", "threshold", "verdict", "rank", "taxon", "reason", "alternatives"),
    [
        (SURE, 0.8, "identified", "species", "Apis mellifera", "", ""),
        (SURE, 0.0, "identified", "species", "Apis mellifera", "", ""),
        (SURE, 0.85, "identified", "species", "Apis mellifera", "", ""),
        (
            SURE,
            0.86,
            "partial",
            "genus",
            "Apis",
            "species Apis mellifera: probability below 0.86 (0.85)",
            "Apis mellifera (0.85)",
        ),
        (
            SURE,
            1.0,
            "partial",
            "family",
            "Apidae",
            "genus Apis: probability below 1 (0.90)",
            "Apis (0.90)",
        ),
        (
            DOUBTFUL,
            0.8,
            "partial",
            "genus",
            "Apis",
            "species Apis mellifera: probability below 0.8 (0.50)",
            "Apis mellifera (0.50); Apis cerana (0.30); Apis dorsata (0.20)",
        ),
        (DOUBTFUL, 0.0, "identified", "species", "Apis mellifera", "", ""),
        (
            DOUBTFUL,
            1.0,
            "unassigned",
            None,
            None,
            "family Apidae: probability below 1 (0.95)",
            "Apidae (0.95)",
        ),
        (
            TIED,
            0.8,
            "ambiguous",
            "genus",
            "Apis",
            "2 names tie for species",
            "Apis cerana (0.50); Apis mellifera (0.50)",
        ),
        (
            TIED,
            0.0,
            "ambiguous",
            "species",
            "Apis cerana",
            "2 names tie for species",
            "Apis cerana (0.50); Apis mellifera (0.50)",
        ),
        (
            LOST,
            0.8,
            "unassigned",
            None,
            None,
            "family Apidae: probability below 0.8 (0.40)",
            "Apidae (0.40); Syrphidae (0.35)",
        ),
        (
            LOST,
            0.0,
            "partial",
            "genus",
            "Apis",
            "the library names the nearest references no further",
            "",
        ),
        (
            SHORT,
            0.8,
            "partial",
            "genus",
            "Apis",
            "the library names the nearest references no further",
            "",
        ),
        (INVALID, 0.8, "invalid", None, None, "empty sequence", ""),
        (NO_HIT, 0.8, "unassigned", None, None, "no reference found", ""),
        (NAMELESS, 0.0, "unassigned", None, None, "no name at any rank", ""),
    ],
)
def test_verdicts_and_reasons(
    given_query: dict[str, Any],
    threshold: float,
    verdict: str,
    rank: str | None,
    taxon: str | None,
    reason: str,
    alternatives: str,
) -> None:
    around = [SURE, given_query, DOUBTFUL]  # one part holds many kinds
    row = drawn(around, threshold)[1]
    assert (row["verdict"], row["rank"], row["taxon"]) == (verdict, rank, taxon)
    assert row["reason"] == reason
    assert row["alternatives"] == alternatives
    assert row == {
        **drawn([given_query], threshold)[0],
        "query": 101,
        "query_id": "q101",
        "length": 1010,
    }


def new_species(shared: str | None) -> dict[str, Any]:
    species = a_call("Apis dorsata", 0.1, hidden=0.85, shared=shared)
    return query(a_call("Apidae", 1.0), a_call("Apis", 0.9), species, best=("r1", 0.9, "+"))


def test_a_name_that_shares_its_sequence_says_so() -> None:
    shared = a_call("Apis mellifera", 0.85, shared="Apis cerana, Apis dorsata")
    given_query = query(a_call("Apidae", 1.0), a_call("Apis", 0.9), shared, best=("r1", 1.0, "+"))
    row = drawn([SURE, given_query], 0.8)[1]
    assert row["verdict"] == "identified"
    assert row["reason"] == "shares a sequence with Apis cerana, Apis dorsata in this library"


def test_what_cannot_be_told_from_its_neighbours_is_not_novel() -> None:
    rows = drawn([new_species(None), new_species("Apis cerana")], 0.8)
    assert [row["verdict"] for row in rows] == ["novel", "partial"]
    assert [row["novel_rank"] for row in rows] == ["species", None]
    assert rows[1]["reason"] == (
        "species Apis dorsata: probability below 0.8 (0.10); it shares a sequence with Apis cerana"
    )


def test_a_note_of_the_query_follows_the_reason() -> None:
    sure, new = ({**one, "note": "stops"} for one in (SURE, new_species(None)))
    rows = drawn([sure, new, SURE], 0.8)
    assert [row["reason"] for row in rows] == [
        "stops",
        "its species is probably not in the library (0.85); stops",
        "",
    ]


def test_columns_come_in_the_order_of_the_contract() -> None:
    row = drawn([SURE], 0.8)[0]
    assert list(row) == [
        *("query", "query_id", "length", "strand", "verdict", "rank", "taxon"),
        *RANKS,
        *(f"p_{rank}" for rank in RANKS),
        *("p_novel", "novel_rank", "best_ref", "similarity", "identity", "query_coverage"),
        *("n_hits", "alternatives", "reason"),
    ]
    assert (row["strand"], row["best_ref"], row["n_hits"]) == ("-", "r1", 2)
    assert row["similarity"] == pytest.approx(0.99)
    assert row["p_novel"] == 0
    assert row["novel_rank"] is row["identity"] is None


def test_probabilities_are_shown_whatever_the_threshold() -> None:
    for threshold in (0, 0.8, 1):
        row = drawn([DOUBTFUL], threshold)[0]
        found = [row[f"p_{rank}"] for rank in RANKS]
        assert found == pytest.approx([0.95, 0.8, 0.5])
    assert drawn([SHORT], 0.8)[0]["p_species"] is None


def test_ranks_of_one_taxon_have_no_probability() -> None:
    row = drawn([DOUBTFUL], 0.8, (True, False, True))[0]
    assert row["p_family"] is None
    assert row["p_genus"] == pytest.approx(0.8)
    assert row["p_species"] is None
    assert (row["family"], row["genus"], row["species"]) == ("Apidae", "Apis", None)


def test_a_name_that_every_query_would_get_is_no_answer() -> None:
    lost = query(a_call("Apidae", 1.0), a_call("Apis", 0.3), None, best=("r1", 0.2, "+"))
    row = drawn([lost], 0.8, (True, False, False))[0]
    assert (row["verdict"], row["rank"], row["family"]) == ("unassigned", None, None)
    assert row["reason"] == "genus Apis: probability below 0.8 (0.30)"
    assert row["alternatives"] == "Apis (0.30)"
    assert drawn([lost], 0.8)[0]["verdict"] == "partial"
    assert drawn([lost], 0.2, (True, False, False))[0]["taxon"] == "Apis"
    assert drawn([SURE], 0.8, (True, True, True))[0]["verdict"] == "identified"


def test_no_queries_no_rows() -> None:
    assert drawn([], 0.8) == []


probabilities = st.sampled_from([0.1, 0.25, 0.5, 0.79, 0.8, 0.81, 1.0])


@st.composite
def any_query(draw_from: st.DrawFn) -> dict[str, Any]:
    if draw_from(st.integers(0, 7)) == 0:
        return INVALID
    p, calls = 1.0, []
    for rank in RANKS:
        p = min(p, draw_from(probabilities))
        tied = draw_from(st.sampled_from([1, 1, 1, 2, 3]))
        others = tuple((f"{rank} {n}", p) for n in range(2, 1 + tied))
        call = a_call(f"{rank} 1", p, tied, others)
        calls.append(call if draw_from(st.integers(0, 4)) else None)
    best = ("r1", 0.5, "+") if any(calls) or draw_from(st.booleans()) else None
    return query(*calls, best=best)


def slow_draw(
    given_query: dict[str, Any], threshold: float, is_single: tuple[bool, ...]
) -> dict[str, Any]:
    """What the contract says, for one query."""
    calls = given_query["calls"]
    named = [r for r in RANKS if calls.get(r)]
    reached = [r for r in named if np.float32(calls[r]["p"]) >= np.float32(threshold)]
    lowest = reached[-1] if reached else None
    ties = [r for r in reached if calls[r]["tied"] > 1]
    below = [r for r in named if lowest is None or RANKS.index(r) > RANKS.index(lowest)]
    asked = (ties + below)[0] if ties + below else None
    is_tied = asked is not None and calls[asked]["tied"] > 1
    several = [r for r, single in zip(RANKS, is_single, strict=True) if not single]
    if lowest and several and RANKS.index(lowest) < RANKS.index(several[0]):
        lowest = None  # a name that every query would get
    if given_query["problem"]:
        verdict, reason = "invalid", given_query["problem"]
    elif is_tied:
        verdict, reason = "ambiguous", f"{calls[asked]['tied']} names tie for {asked}"
    elif lowest == RANKS[-1]:
        verdict, reason = "identified", ""
    else:
        verdict = "partial" if lowest else "unassigned"
        if asked:
            call = calls[asked]
            reason = f"{asked} {call['name']}: probability below {threshold:g} ({call['p']:.2f})"
        elif lowest:
            reason = "the library names the nearest references no further"
        else:
            reason = "no name at any rank" if given_query["best"] else "no reference found"
    alternatives = ""
    if asked and verdict in ("ambiguous", "partial", "unassigned"):
        call = calls[asked]
        shown = [(call["name"], call["p"]), *call["others"]]
        alternatives = "; ".join(f"{name} ({np.float32(share):.2f})" for name, share in shown)
    names = {
        r: calls[r]["name"]
        if r in named and lowest and RANKS.index(r) <= RANKS.index(lowest)
        else None
        for r in RANKS
    }
    taxon = calls[lowest]["name"] if lowest else None
    return {
        "verdict": verdict,
        "reason": reason,
        "rank": lowest,
        "taxon": taxon,
        "alternatives": alternatives,
        **names,
    }


@settings(deadline=None, max_examples=150)
@given(
    queries=st.lists(any_query(), min_size=1, max_size=6),
    threshold=st.sampled_from([0.0, 0.25, 0.8, 1.0]),
    is_single=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_assignments_are_those_of_the_contract(
    queries: list[dict[str, Any]], threshold: float, is_single: tuple[bool, ...]
) -> None:
    for row, given_query in zip(drawn(queries, threshold, is_single), queries, strict=True):
        expected = slow_draw(given_query, threshold, is_single)
        assert {key: row[key] for key in expected} == expected
