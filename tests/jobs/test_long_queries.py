"""Markers in long queries: found, named as alone, and told where they lie."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Bio.Seq import Seq

from seqsearch.jobs.opened import open_index
from seqsearch.jobs.opened_run import Run
from seqsearch.search import locate

Read = tuple[str, str]
ALONE = ("identity", "similarity", "reference_coverage", "reference_start", "reference_end")


def random_dna(length: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


def turned(text: str) -> str:
    return str(Seq(text).reverse_complement())


@pytest.fixture(scope="module", params=["spectrum", "markers-1"])
def index(request, module_bench, records) -> Path:
    """Of an encoder that tells strands apart, and of one that does not."""
    return module_bench.index(module_bench.library(records), encoder=request.param)


@pytest.fixture(scope="module")
def chosen(records) -> list[Any]:
    return records[5:400:29]


@pytest.fixture(scope="module")
def long_reads(chosen) -> list[Read]:
    """References in random flanks, at either end and in between, every second one turned."""
    reads = []
    for i, record in enumerate(chosen):
        text = turned(record.sequence) if i % 2 else record.sequence
        before, behind = ((0, 7000), (9000, 0), (3000, 4500))[i % 3]
        read = random_dna(before, 2 * i) + text + random_dna(behind, 2 * i + 1)
        reads.append((f"long{i}", read))
    return reads


@pytest.fixture(scope="module")
def run(module_bench, index, long_reads) -> Run:
    return module_bench.query(index, module_bench.reads(long_reads), batch_size=5)


def best_hits(findings: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    return {hit["query"]: hit for hit in findings["hits"] if hit["hit"] == 0}


def test_a_marker_is_found_where_it_lies(run, module_bench, chosen, long_reads) -> None:
    found = best_hits(module_bench.findings(run))
    for i, (record, (name, text)) in enumerate(zip(chosen, long_reads, strict=True)):
        hit, given = found[name], turned(record.sequence) if i % 2 else record.sequence
        start = text.index(given)
        assert (hit["query_start"], hit["query_end"]) == (start, start + len(given))
        assert (hit["strand"], hit["identity"]) == ("-" if i % 2 else "+", 1)
        assert hit["query_coverage"] == pytest.approx(len(given) / len(text))
        assert hit["reference_coverage"] == 1


def test_it_is_named_as_it_is_alone(run, module_bench, index, chosen, bench) -> None:
    alone = [
        (f"long{i}", turned(r.sequence) if i % 2 else r.sequence) for i, r in enumerate(chosen)
    ]
    expected = module_bench.findings(bench.query(index, bench.reads(alone)))
    found = module_bench.findings(run)
    assert found["calls"] == expected["calls"]
    other = ("length", "query_coverage")
    for one, two in zip(found["answers"], expected["answers"], strict=True):
        assert {k: one[k] for k in one if k not in other} == {
            k: two[k] for k in two if k not in other
        }
    assert [[h[k] for k in ALONE] for h in found["hits"]] == [
        [h[k] for k in ALONE] for h in expected["hits"]
    ]


def test_exports_lie_on_the_query_as_it_was_given(run, long_reads, records, tmp_path) -> None:
    texts, references = dict(long_reads), {r.name: r.sequence for r in records}
    run.export(tmp_path / "hits.b6")
    for line in (tmp_path / "hits.b6").read_text().splitlines():
        name, ref, identity, *rest = line.split("\t")
        first, last, start, end = map(int, rest[3:7])
        if identity == "100.0":
            inside = texts[name][min(first, last) - 1 : max(first, last)]
            inside = turned(inside) if first > last else inside
            assert inside == references[ref][start - 1 : end]
    run.export(tmp_path / "hits.sam")
    lines = [line.split("\t") for line in (tmp_path / "hits.sam").read_text().splitlines()]
    lines = [line for line in lines if len(line) == 12]
    assert len(lines) == len(run.hits())
    for name, flag, ref, start, _, path, *_, tag in lines:
        query = turned(texts[name]) if int(flag) & 16 else texts[name]
        at, place, edits = 0, int(start) - 1, 0
        for size, kind in re.findall(r"(\d+)([=XIDS])", path):
            count = int(size)
            if kind in "=X":
                for i in range(count):
                    assert (query[at + i] == references[ref][place + i]) == (kind == "=")
            edits += count * (kind in "XID")
            at += count * (kind in "=XIS")
            place += count * (kind in "=XD")
        assert at == len(query)
        assert tag == f"NM:i:{edits}"


def test_no_batch_thread_or_neighbour_changes_an_answer(
    run, module_bench, index, long_reads, reads, monkeypatch
) -> None:
    expected, bench = module_bench.findings(run), module_bench
    short = bench.findings(bench.query(index, bench.reads(reads)))
    mixed = bench.reads([*reads[:30], *long_reads, *reads[30:], *long_reads[:3]][:-3])
    for batch_size, threads, at_once in ((1, 1, 3), (64, 4, 7), (4096, 2, 2048)):
        monkeypatch.setattr(locate, "AT_ONCE", at_once)
        found = bench.findings(bench.query(index, mixed, threads, batch_size=batch_size))
        for kind, key in (("answers", "query_id"), ("hits", "query"), ("calls", "query")):
            own = [row for row in found[kind] if row[key].startswith("long")]
            rest = [row for row in found[kind] if not row[key].startswith("long")]
            assert own == expected[kind]
            assert rest == short[kind]


def test_long_queries_repeated_are_answered_each(index, bench, long_reads) -> None:
    (_, text), *_ = long_reads
    again = [("one", text), ("two", text), ("three", text)]
    found = bench.findings(bench.query(index, bench.reads(again), batch_size=2))
    assert len({row["query_start"] for row in found["hits"] if row["hit"] == 0}) == 1
    assert len({row["best_ref"] for row in found["answers"]}) == 1


def test_of_two_markers_the_strand_asked_for_counts(index, bench, chosen) -> None:
    one, other = chosen[0].sequence, chosen[7].sequence
    text = random_dna(4000, 90) + one + random_dna(4000, 91) + turned(other) + random_dna(4000, 92)
    file = bench.reads([("both", text)])
    for strand, start, expected in (("plus", 4000, one), ("minus", 8000 + len(one), other)):
        (hit,) = best_hits(bench.findings(bench.query(index, file, strand=strand))).values()
        assert (hit["query_start"], hit["query_end"]) == (start, start + len(expected))
        assert hit["identity"] == 1


def test_with_align_0_it_is_named_as_it_is_alone(index, bench, chosen, long_reads) -> None:
    alone = [(name, r.sequence) for (name, _), r in zip(long_reads, chosen, strict=True)]
    expected = bench.findings(bench.query(index, bench.reads(alone), align=0))
    found = bench.findings(bench.query(index, bench.reads(long_reads), align=0))
    assert found["calls"] == expected["calls"]
    assert {hit["query_start"] for hit in found["hits"]} == {None}
    assert {hit["query_coverage"] for hit in found["hits"]} == {None}
    for i, row in enumerate(sorted(found["answers"], key=lambda r: int(r["query_id"][4:]))):
        assert row["strand"] == ("-" if i % 2 else "+")


def test_only_below_a_taxon(index, bench, chosen) -> None:
    inside = next(r for r in chosen if "genus" in r.lineage)
    outside = next(r for r in chosen if r.lineage.get("genus") != inside.lineage["genus"])
    text = random_dna(3000, 80) + outside.sequence + random_dna(3000, 81) + inside.sequence
    file = bench.reads([("two", text)])
    taxon = inside.lineage["genus"]
    (row,) = bench.findings(bench.query(index, file, taxon=taxon, min_confidence=0))["answers"]
    assert (row["genus"], row["identity"]) == (taxon, 1)


def test_long_queries_that_hold_nothing(bench, records) -> None:
    index = bench.index(bench.library(records))
    marker = records[40].sequence
    odd = [
        ("unknown", "N" * 50_000),
        ("random", random_dna(200_000, 5)),
        ("poly", "A" * 20_000),
        ("hidden", "N" * 9000 + marker + "N" * 9000),
        ("lone", "N" * 9000 + marker[:40] + "N" * 9000),
        ("half", random_dna(6000, 6) + marker[: len(marker) // 2]),
        ("empty", ""),
    ]
    found = bench.findings(bench.query(index, bench.reads(odd)))
    rows = {row["query_id"]: row for row in found["answers"]}
    assert {name for name in rows if rows[name]["verdict"] == "invalid"} == {"unknown", "empty"}
    assert {name for name in rows if rows[name]["verdict"] == "off_target"} >= {"random", "poly"}
    for name in ("hidden", "half"):
        assert rows[name]["best_ref"] == records[40].name
        assert rows[name]["identity"] == 1
    assert rows["hidden"]["query_coverage"] == pytest.approx(len(marker) / (18_000 + len(marker)))


def test_a_run_cut_off_among_long_queries_goes_on(index, bench, long_reads, run) -> None:
    file, out = bench.reads(long_reads), bench.path("run")

    class Cut(Exception):  # noqa: N818  what a signal would be
        pass

    def stop(_: str, done: int, __: float | None) -> None:
        if done > 3:
            raise Cut

    with open_index(index) as opened:
        with pytest.raises(Cut):
            opened.query(file, out, batch_size=2, progress=stop)
        resumed = opened.query(file, out, batch_size=2)
    assert resumed.folder.state["resumed_at"] > 0
    assert bench.findings(resumed) | {"queries": []} == bench.findings(run) | {"queries": []}
