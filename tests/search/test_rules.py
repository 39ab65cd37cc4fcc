"""Names by a rule: cuts of identity, and what the nearest references have in common."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.errors import SettingsError
from seqsearch.runs.results import ALTERNATIVE
from seqsearch.search.calls import draw
from seqsearch.search.rules import check_rule, open_rule
from seqsearch.settings import QuerySettings

RANKS = ("family", "genus", "species")
FIRST = 100  # number of the first query of the part
Path = tuple[str | None, ...]
Ref = tuple[tuple[Path, int], ...]  # lineages, each with how many records say so
Hit = dict[str, Any]
Query = dict[str, Any]
LINEAGES = pa.list_(pa.struct([("records", pa.int32()), ("names", pa.list_(pa.string()))]))
WHOLE = Fraction(1)


def named(*names: str | None) -> Ref:
    """A reference of one record."""
    return ((names + (None,) * (len(RANKS) - len(names)), 1),)


def a_hit(ref: str, matches: int | None, columns: int = 1000, **others: Fraction | None) -> Hit:
    identity = None if matches is None else Fraction(matches, columns)
    return {"ref": ref, "identity": identity, "query": WHOLE, "reference": WHOLE, **others}


def a_query(*hits: Hit, problem: str | None = None, is_off: bool = False) -> Query:
    return {"hits": hits, "problem": problem, "is_off": is_off}


def drawn(
    queries: list[Query], refs: dict[str, Ref], rule: str, within: float = 0.5
) -> list[dict[str, Any]]:
    """Lay everything out as the tables of a part, and draw."""
    numbers = range(FIRST, FIRST + len(queries))
    query_table = pa.table(
        {
            "query": pa.array(numbers, pa.int64()),
            "query_id": pa.array([f"q{n}" for n in numbers], pa.string()),
            "length": pa.array([600] * len(queries), pa.int64()),
            "problem": pa.array([query["problem"] for query in queries], pa.string()),
            "note": pa.nulls(len(queries), pa.string()),
        }
    )
    rows = {name: 7 * row for row, name in enumerate(refs)}
    lines = [
        (number, place, hit)
        for number, query in zip(numbers, queries, strict=True)
        for place, hit in enumerate(query["hits"])
    ]

    def floats(name: str) -> pa.Array:
        values = [hit[name] for _, _, hit in lines]
        return pa.array([v if v is None else float(v) for v in values], pa.float32())

    hits = pa.table(
        {
            "query": pa.array([number for number, _, _ in lines], pa.int64()),
            "hit": pa.array([place for _, place, _ in lines], pa.int32()),
            "reference": pa.array([rows[hit["ref"]] for _, _, hit in lines], pa.int64()),
            "similarity": pa.array([0.9] * len(lines), pa.float32()),
            "identity": floats("identity"),
            "query_coverage": floats("query"),
            "reference_coverage": floats("reference"),
            "strand": pa.array(["+"] * len(lines), pa.string()),
        }
    )
    off = [n for n, query in zip(numbers, queries, strict=True) if query["is_off"]]
    count = len(off)
    calls = pa.table(
        {
            "query": pa.array(off, pa.int64()),
            "rank": pa.array(["family"] * count, pa.string()),
            "name": pa.array(["Apidae"] * count, pa.string()),
            "probability": pa.array([0.0] * count, pa.float32()),
            "hidden": pa.array([1.0] * count, pa.float32()),
            "share": pa.array([1.0] * count, pa.float32()),
            "tied": pa.array([1] * count, pa.int32()),
            "alternatives": pa.array([[]] * count, pa.list_(ALTERNATIVE)),
            "shared_with": pa.nulls(count, pa.string()),
        }
    )
    lineages = [
        [{"records": records, "names": list(path)} for path, records in ref] or None
        for ref in refs.values()
    ]
    ref_table = pa.table(
        {
            "reference": pa.array(rows.values(), pa.int64()),
            "ref_id": pa.array(list(refs), pa.string()),
            "lineages": pa.array(lineages, LINEAGES),
        }
    )
    opened = open_rule(QuerySettings(rule=rule, within=within), RANKS, ref_table)
    is_single = (False,) * len(RANKS)
    table = draw(query_table, hits, calls, ref_table, RANKS, is_single, 0.8, opened)
    assert table["novel_rank"].null_count == len(table)
    return table.to_pylist()


REFS = {
    "mellifera": named("Apidae", "Apis", "Apis mellifera"),
    "mellifera 2": named("Apidae", "Apis", "Apis mellifera"),
    "cerana": named("Apidae", "Apis", "Apis cerana"),
    "dorsata": named("Apidae", "Apis", "Apis dorsata"),
    "bombus": named("Apidae", "Bombus", "Bombus terrestris"),
    "osmia": named("Megachilidae", "Osmia", "Osmia rufa"),
    "apis": named("Apidae", "Apis"),
    "apid": named("Apidae"),
    "nothing": (),
    "gap": named("Apidae", None, "Incertae sedis"),
    "both": (
        (("Apidae", "Apis", "Apis mellifera"), 3),
        (("Apidae", "Apis", "Apis cerana"), 1),
    ),
}
RULE = "species>=97,genus>=95,family>=90"


@pytest.mark.parametrize(
    ("query", "rule", "verdict", "taxon", "reason", "alternatives"),
    [
        (a_query(a_hit("mellifera", 970)), RULE, "identified", "Apis mellifera", "", ""),
        (
            a_query(a_hit("mellifera", 953), a_hit("cerana", 940)),
            RULE,
            "partial",
            "Apis",
            "species needs an identity of 97 %: the best hit has 95.3 %",
            "Apis mellifera (1.00)",
        ),
        (  # what does not reach a cut is never rounded up to it
            a_query(a_hit("mellifera", 96999, 100_000)),
            RULE,
            "partial",
            "Apis",
            "species needs an identity of 97 %: the best hit has 96.9 %",
            "Apis mellifera (1.00)",
        ),
        (
            a_query(a_hit("mellifera", 993), a_hit("mellifera 2", 990), a_hit("cerana", 988)),
            RULE,
            "ambiguous",
            "Apis",
            "2 species are within 0.5 % of the best identity",
            "Apis mellifera (0.67); Apis cerana (0.33)",
        ),
        (
            a_query(a_hit("cerana", 990), a_hit("mellifera", 993), a_hit("bombus", 990)),
            RULE,
            "ambiguous",
            "Apidae",
            "2 genera are within 0.5 % of the best identity",
            "Apis (0.67); Bombus (0.33)",
        ),
        (
            a_query(a_hit("osmia", 990), a_hit("bombus", 990)),
            RULE,
            "ambiguous",
            None,
            "2 families are within 0.5 % of the best identity",
            "Apidae (0.50); Megachilidae (0.50)",
        ),
        (  # all labels of identical references count, weighed by their records
            a_query(a_hit("both", 1000)),
            RULE,
            "ambiguous",
            "Apis",
            "2 species are within 0.5 % of the best identity",
            "Apis mellifera (0.75); Apis cerana (0.25)",
        ),
        (  # species differ, but the rule does not reach them
            a_query(a_hit("mellifera", 960), a_hit("cerana", 960)),
            RULE,
            "partial",
            "Apis",
            "species needs an identity of 97 %: the best hit has 96.0 %",
            "Apis cerana (0.50); Apis mellifera (0.50)",
        ),
        (  # what is above the lowest rank that is reached needs no identity
            a_query(a_hit("mellifera", 970)),
            "species>=97",
            "identified",
            "Apis mellifera",
            "",
            "",
        ),
        (
            a_query(a_hit("mellifera", 990)),
            "genus>=95",
            "partial",
            "Apis",
            "the rule names nothing below genus",
            "",
        ),
        (
            a_query(a_hit("mellifera", 899), a_hit("osmia", 899)),
            RULE,
            "unassigned",
            None,
            "no hit reaches 90 % identity",
            "Apidae (0.50); Megachilidae (0.50)",
        ),
        (  # an end has no say below itself
            a_query(a_hit("apis", 1000), a_hit("apid", 1000), a_hit("mellifera", 999)),
            RULE,
            "identified",
            "Apis mellifera",
            "",
            "",
        ),
        (
            a_query(a_hit("apis", 1000), a_hit("mellifera", 980)),
            RULE,
            "partial",
            "Apis",
            "the library names the nearest references no further",
            "",
        ),
        (a_query(a_hit("gap", 1000)), RULE, "identified", "Incertae sedis", "", ""),
        (  # a gap is no genus, and the other's genus is not its
            a_query(a_hit("gap", 1000), a_hit("mellifera", 1000)),
            RULE,
            "partial",
            "Apidae",
            "some references within 0.5 % of the best identity have no genus, others have",
            "Apis (0.50)",
        ),
        (
            a_query(a_hit("nothing", 1000)),
            RULE,
            "unassigned",
            None,
            "no name at any rank",
            "",
        ),
        (
            a_query(
                a_hit("cerana", 1000, query=Fraction(79, 100)),
                a_hit("mellifera", 980, query=Fraction(80, 100)),
            ),
            f"{RULE},coverage>=80",
            "identified",
            "Apis mellifera",
            "",
            "",
        ),
        (
            a_query(a_hit("cerana", 1000, query=Fraction(79, 100))),
            f"coverage>=80,{RULE}",
            "unassigned",
            None,
            "no hit covers 80 % of the query",
            "",
        ),
        (
            a_query(a_hit("cerana", 1000, query=Fraction(1, 10), reference=Fraction(2, 10))),
            RULE,
            "unassigned",
            None,
            "no hit is aligned over half of the shorter sequence",
            "",
        ),
        (
            a_query(a_hit("cerana", None, query=None, reference=None)),
            RULE,
            "unassigned",
            None,
            "no hit is aligned over half of the shorter sequence",
            "",
        ),
        (a_query(), RULE, "unassigned", None, "no reference found", ""),
        (a_query(problem="empty sequence"), RULE, "invalid", None, "empty sequence", ""),
        (
            a_query(a_hit("mellifera", 990), is_off=True),
            RULE,
            "off_target",
            None,
            "nothing that was searched is more like it than shuffled sequences are",
            "",
        ),
    ],
)
def test_verdicts_and_reasons(
    query: Query, rule: str, verdict: str, taxon: str | None, reason: str, alternatives: str
) -> None:
    around = [a_query(a_hit("mellifera", 990)), query, a_query(a_hit("both", 930))]
    row = drawn(around, REFS, rule)[1]
    assert (row["verdict"], row["taxon"]) == (verdict, taxon)
    assert row["reason"] == reason
    assert row["alternatives"] == alternatives
    assert row == {**drawn([query], REFS, rule)[0], "query": 101, "query_id": "q101"}


def test_the_hit_that_decided_is_shown() -> None:
    query = a_query(
        a_hit("cerana", 1000, query=Fraction(1, 2)), a_hit("bombus", 970), a_hit("mellifera", 980)
    )
    row = drawn([query], REFS, f"{RULE},coverage>=80")[0]
    assert (row["best_ref"], row["identity"], row["n_hits"]) == (
        "mellifera",
        pytest.approx(0.98),
        3,
    )
    assert drawn([query], REFS, RULE)[0]["best_ref"] == "cerana"
    uncovered = a_query(a_hit("cerana", 1000, query=Fraction(1, 2)), a_hit("apis", None))
    assert drawn([uncovered], REFS, f"{RULE},coverage>=80")[0]["best_ref"] == "cerana"


def test_columns_are_those_of_probabilities() -> None:
    row = drawn([a_query(a_hit("mellifera", 990))], REFS, RULE)[0]
    assert list(row) == [
        *("query", "query_id", "length", "strand", "verdict", "rank", "taxon"),
        *RANKS,
        *(f"p_{rank}" for rank in RANKS),
        *("p_novel", "novel_rank", "best_ref", "similarity", "identity", "query_coverage"),
        *("n_hits", "alternatives", "reason"),
    ]


@pytest.mark.parametrize(
    ("within", "verdict"), [(0, "identified"), (0.1, "identified"), (0.2, "ambiguous")]
)
def test_within_is_in_percentage_points(within: float, verdict: str) -> None:
    query = a_query(a_hit("mellifera", 499, 500), a_hit("cerana", 498, 500))
    assert drawn([query], REFS, RULE, within)[0]["verdict"] == verdict


def test_many_names_are_counted_and_few_listed() -> None:
    refs = {f"r{i}": named("Apidae", "Apis", f"Apis {i}") for i in range(9)}
    row = drawn([a_query(*(a_hit(name, 990) for name in refs))], refs, RULE)[0]
    assert row["reason"] == "9 species are within 0.5 % of the best identity"
    assert row["alternatives"] == "; ".join(f"Apis {i} (0.11)" for i in range(6))


def test_no_queries_no_rows() -> None:
    assert drawn([], REFS, RULE) == []
    assert drawn([], {}, RULE) == []


# --- what is no rule ------------------------------------------------------------------------------

FORM = "RANK>=PERCENT, more of them behind commas, in quotes, as in 'species>=97,genus>=95'"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("", FORM),
        ("species", FORM),
        ("species=97", FORM),
        ("species>=", FORM),
        ("species>=many", FORM),
        ("species>=97,", FORM),
        ("species>=97,species>=98", "every rank once"),
        ("coverage>=80", "a rank beside coverage"),
        ("species>=101", "percentages up to 100, as 97 (not 0.97)"),
        ("species>=-1", "percentages up to 100, as 97 (not 0.97)"),
        ("species>=nan", "percentages up to 100, as 97 (not 0.97)"),
        ("species>=0.97", "percentages up to 100, as 97 (not 0.97)"),
        ("species>=97,coverage>=0.8", "percentages up to 100, as 97 (not 0.97)"),
    ],
)
def test_what_is_no_rule(rule: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        QuerySettings(rule=rule)
    assert str(caught.value) == f"rule is {rule!r}: expected {expected}"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            "species>=97,tribe>=95",
            "ranks of this library (family, genus, species) or coverage, not 'tribe'",
        ),
        (
            "species>=95,genus>=97",
            "at most the 95 % of species for genus, which stands above",
        ),
        (
            "family>=96,species>=95.5",
            "at most the 95.5 % of species for family, which stands above",
        ),
    ],
)
def test_what_is_no_rule_for_these_ranks(rule: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_rule(QuerySettings(rule=rule), RANKS)
    assert str(caught.value) == f"rule is {rule!r}: expected {expected}"


def test_what_a_rule_does_not_go_with() -> None:
    for fields, message in (
        ({"rule": RULE, "align": 0}, "align is 0: expected 1 or more: a rule needs identities"),
        (
            {"rule": RULE, "min_confidence": 0.5},
            "min-confidence is 0.5: expected none beside a rule, which names by identity",
        ),
        ({"within": 1.0}, "within is 1.0: expected a rule beside it"),
        (
            {"rule": RULE, "within": -0.1},
            "within is -0.1: expected percentage points from 0 to 100",
        ),
    ):
        with pytest.raises(SettingsError) as caught:
            QuerySettings(**fields)
        assert str(caught.value) == message
    settings = QuerySettings(rule=" genus >= 95 , species>=97.5 ,species_group>=96")
    assert settings.cuts == {"genus": 95, "species": 97.5, "species_group": 96}


# --- the same by a slow and plain way -------------------------------------------------------------


def order_of(path: Path) -> tuple[Any, ...]:
    """The order of taxa: by rank, then by parent, then by name."""
    lowest = max((i for i, name in enumerate(path) if name), default=-1)
    return (lowest, order_of(path[:lowest]), path[lowest]) if lowest >= 0 else (-1,)


def slow_rule(
    query: Query, refs: dict[str, Ref], cuts: dict[str, int], coverage: int, within: str
) -> dict[str, Any]:
    """What the contract says, for one query, in exact fractions."""
    if query["problem"] or query["is_off"]:
        verdict = "invalid" if query["problem"] else "off_target"
        return {"verdict": verdict, "rank": None, **dict.fromkeys(RANKS), "alternatives": ""}
    counted = [
        hit
        for hit in query["hits"]
        if hit["identity"] is not None
        and 100 * hit["query"] >= coverage
        and max(hit["query"], hit["reference"]) >= Fraction(1, 2)
    ]
    best = max((hit["identity"] for hit in counted), default=Fraction(-1))
    near = [hit for hit in counted if best - hit["identity"] <= Fraction(within) / 100]
    depth = max((i for i, r in enumerate(RANKS) if r in cuts and 100 * best >= cuts[r]), default=-1)
    paths = {path for hit in near for path, _ in refs[hit["ref"]]}
    names: list[str | None] = []
    asked = None
    for position in range(depth + 1):
        said = {path[position] for path in paths if any(path[position:])}
        if len(said) > 1:
            asked = position
            break
        names.append(said.pop() if said else None)
    last = max((i for i, name in enumerate(names) if name), default=-1)
    if asked is None and last == depth:
        asked = next((i for i, r in enumerate(RANKS) if r in cuts and i > depth), None)
    shares: dict[Path, Fraction] = defaultdict(Fraction)
    for hit in near if asked is not None else []:
        own = [(path, n) for path, n in refs[hit["ref"]] if any(path[asked:])]
        for path, n in own:
            shares[path[: asked + 1]] += Fraction(n, sum(records for _, records in own))
    total = sum(shares.values())
    shown = sorted((p for p in shares if p[-1]), key=lambda p: (-shares[p], order_of(p)))
    is_parted = asked is not None and asked <= depth
    if is_parted and len(shown) > 1:
        verdict = "ambiguous"
    elif last == len(RANKS) - 1:
        verdict = "identified"
    else:
        verdict = "partial" if last >= 0 else "unassigned"
    texts = [f"{path[-1]} ({float(shares[path] / total):.2f})" for path in shown[:6]]
    return {
        "verdict": verdict,
        "rank": RANKS[last] if last >= 0 else None,
        **dict(zip(RANKS, [*names, *[None] * 3], strict=False)),
        "alternatives": "" if verdict == "identified" else "; ".join(texts),
    }


any_path = st.tuples(
    st.sampled_from(["F1", "F1", "F1", "F2", None]),
    st.sampled_from(["G1", "G1", "G2", None]),
    st.sampled_from(["s1", "s1", "s2", "s3", None]),
).filter(any)
any_ref = st.lists(st.tuples(any_path, st.integers(1, 3)), max_size=3, unique_by=lambda p: p[0])
identities = [
    *(Fraction(m, 1000) for m in (1000, 995, 990, 975, 970, 965, 950, 949, 945, 900, 895)),
    *(Fraction(m, 600) for m in (597, 582, 579, 570, 567)),
    *(Fraction(m, 658) for m in (658, 655, 654, 639, 638)),
    None,
]
coverages = st.sampled_from([Fraction(n, 20) for n in (20, 20, 20, 16, 15, 10, 9)])


@st.composite
def any_query(draw_from: st.DrawFn) -> Query:
    kind = draw_from(st.integers(0, 11))
    if kind == 0:
        return a_query(problem="empty sequence")
    hits = [
        {
            "ref": draw_from(st.sampled_from(["r0", "r1", "r2", "r3", "r4"])),
            "identity": draw_from(st.sampled_from(identities)),
            "query": draw_from(coverages),
            "reference": draw_from(coverages),
        }
        for _ in range(draw_from(st.integers(0, 5)))
    ]
    return a_query(*hits, is_off=kind == 1)


any_cuts = st.sampled_from(
    [
        {"species": 97, "genus": 95, "family": 90},
        {"species": 97},
        {"genus": 95},
        {"species": 95, "genus": 95},
        {"species": 97, "family": 95},
        {"species": 0},
        {"species": 100, "family": 0},
    ]
)


@settings(deadline=None, max_examples=300)
@given(
    queries=st.lists(any_query(), min_size=1, max_size=5),
    lineages=st.tuples(*[any_ref] * 5),
    cuts=any_cuts,
    coverage=st.sampled_from([0, 0, 80]),
    within=st.sampled_from(["0", "0.5", "2"]),
    order=st.permutations(range(5)),
)
def test_names_are_those_of_the_contract_whatever_the_order_of_references(
    queries: list[Query],
    lineages: tuple[list[tuple[Path, int]], ...],
    cuts: dict[str, int],
    coverage: int,
    within: str,
    order: list[int],
) -> None:
    refs = {f"r{i}": tuple(ref) for i, ref in enumerate(lineages)}
    items = [f"{rank}>={cut}" for rank, cut in cuts.items()]
    rule = ",".join([*items, *([f"coverage>={coverage}"] if coverage else [])])
    rows = drawn(queries, refs, rule, float(within))
    for row, query in zip(rows, queries, strict=True):
        expected = slow_rule(query, refs, cuts, coverage, within)
        assert {key: row[key] for key in expected} == expected
    shuffled = {f"r{i}": refs[f"r{i}"][::-1] for i in order}
    assert drawn(queries, shuffled, rule, float(within)) == rows
