"""The same input has the same answers, however the work is cut and whatever comes first."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

Findings = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def shuffled_reads(reads: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return random.Random(1).sample(reads, len(reads))


@pytest.fixture(scope="module")
def plain(records, reads, module_bench) -> tuple[Any, Any, Findings]:
    """Index, reads and findings that the others are compared with."""
    index = module_bench.index(module_bench.library(records))
    file = module_bench.reads(reads)
    return index, file, module_bench.findings(module_bench.query(index, file))


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 2), (7, 1), (7, 4), (4096, 1), (4096, 4)])
def test_batches_and_threads(plain, module_bench, batch_size: int, threads: int) -> None:
    index, file, expected = plain
    run = module_bench.query(index, file, threads, batch_size=batch_size)
    assert module_bench.findings(run) == expected
    parts = -(-len(expected["queries"]) // batch_size)
    assert run.folder.parts_done() == parts


def test_the_order_of_the_queries(plain, module_bench, shuffled_reads) -> None:
    index, _, expected = plain
    run = module_bench.query(index, module_bench.reads(shuffled_reads), batch_size=20)
    assert module_bench.findings(run) == expected
    assert run.assignments()["query_id"].to_pylist() == [read[0] for read in shuffled_reads]
    assert run.assignments()["query"].to_pylist() == list(range(len(shuffled_reads)))


def test_the_answers_are_worth_comparing(plain) -> None:
    _, _, expected = plain
    verdicts = {row["verdict"] for row in expected["answers"]}
    assert verdicts >= {"identified", "partial", "ambiguous", "invalid"}
    assert {row["strand"] for row in expected["answers"]} == {"+", "-", None}
    assert any(len(hit["reference"]["labels"]) > 1 for hit in expected["hits"])


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_references(plain, module_bench, records, seed: int) -> None:
    _, file, expected = plain
    order = random.Random(seed).sample(records, len(records))
    run = module_bench.query(module_bench.index(module_bench.library(order)), file)
    assert module_bench.findings(run) == expected


def test_records_that_stand_twice(plain, module_bench, records) -> None:
    _, file, expected = plain
    doubled = random.Random(3).sample([*records, *records[::3], *records[::2]], len(records))
    missing = [record for record in records if record not in doubled]
    index = module_bench.index(module_bench.library([*doubled, *missing]))
    assert module_bench.findings(module_bench.query(index, file)) == expected


def test_the_same_library_in_two_files(plain, module_bench, records) -> None:
    _, file, expected = plain
    middle = len(records) // 2
    parts = [module_bench.library(part) for part in (records[:middle], records[middle - 9 :])]
    index = module_bench.index(*parts)
    assert module_bench.findings(module_bench.query(index, file)) == expected


def test_the_case_and_gaps_of_references_do_not_matter(plain, module_bench, records) -> None:
    _, file, expected = plain
    written = [
        replace(r, sequence="-" + r.sequence.lower().replace("t", "u")) if i % 2 else r
        for i, r in enumerate(records)
    ]
    index = module_bench.index(module_bench.library(written))
    assert module_bench.findings(module_bench.query(index, file)) == expected


def test_queries_of_one_id_are_answered_each(plain, module_bench, reads) -> None:
    index, _, expected = plain
    good = [read for read in reads if len(read[1]) > 300][:3]
    run = module_bench.query(index, module_bench.reads([("same", read[1]) for read in good]))
    found = run.assignments().drop_columns(["query", "query_id"]).to_pylist()
    by_id = {row["query_id"]: row for row in expected["answers"]}
    for row, read in zip(found, good, strict=True):
        assert {"query_id": read[0], **row} == by_id[read[0]]


def test_two_files_are_queried_as_one(plain, module_bench, reads) -> None:
    index, _, expected = plain
    files = [module_bench.reads(reads[:30], "one"), module_bench.reads(reads[30:], "two")]
    run = module_bench.query(index, files, batch_size=16)
    found = module_bench.findings(run)
    samples = {row.pop("sample") for row in found["queries"]}
    assert samples == {"one", "two"}
    without = [{k: v for k, v in row.items() if k != "sample"} for row in expected["queries"]]
    assert found == {**expected, "queries": without}
