"""What a run keeps of the reads themselves, and of the hits."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from seqsearch.jobs.opened import open_index
from seqsearch.jobs.opened_run import Run
from seqsearch.jobs.pipeline import sample_name


@pytest.fixture
def run(tiny_index: Path, tmp_path: Path) -> Run:
    (tmp_path / "site.1.fastq.gz").write_bytes(
        gzip.compress(b"@a;size=12; first read\nacguACGTTTGACCA\n+\n" + b"I" * 15 + b"\n")
    )
    (tmp_path / "site.2.fa").write_text(
        ">b;size=x\nNNNN\n>a\nGGATTACACCTTAGA\n>c\nGGATTACACCTTAGA\n"
    )
    with open_index(tiny_index) as index:
        files = [tmp_path / "site.1.fastq.gz", tmp_path / "site.2.fa"]
        return index.query(files, tmp_path / "run", min_confidence=0, hits=2, candidates=3)


def test_queries_are_numbered_over_all_files(run: Run) -> None:
    rows = run.sql("SELECT * EXCLUDE (target) FROM queries ORDER BY query").to_pylist()
    assert [row["query"] for row in rows] == [0, 1, 2, 3]
    assert [row["query_id"] for row in rows] == ["a;size=12;", "b;size=x", "a", "c"]
    assert [row["description"] for row in rows] == ["first read", "", "", ""]
    assert [row["sample"] for row in rows] == ["site.1", "site.2", "site.2", "site.2"]
    assert [row["size"] for row in rows] == [12, None, None, None]
    assert [row["length"] for row in rows] == [15, 4, 15, 15]
    assert rows[0]["sequence"] == "ACGTACGTTTGACCA"
    assert [row["problem"] is None for row in rows] == [True, False, True, True]


def test_hits_are_numbered_and_as_many_as_wanted(run: Run) -> None:
    hits = run.hits()
    assert hits["query"].to_pylist() == [0, 0, 2, 2, 3, 3]
    assert hits["hit"].to_pylist() == [0, 1] * 3
    assert hits["similarity"].to_pylist()[::2] == [1, 1, 1]
    rows = run.assignments().to_pylist()
    assert [row["best_ref"] for row in rows] == ["a", None, "c", "c"]
    assert [row["n_hits"] for row in rows] == [2, 0, 2, 2]
    assert [row["query"] for row in rows] == [0, 1, 2, 3]


def test_counts_and_warnings_of_the_run(run: Run) -> None:
    assert run.state["counts"]["queries"] == 4
    assert run.state["counts"]["verdicts"] == {"identified": 3, "invalid": 1}
    assert run.state["warnings"] == ["1 of 4 queries are invalid (column reason says why)"]
    assert run.state["timings"]["total_s"] >= run.state["timings"]["search_wall_s"] >= 0


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.c/x.fa", "x"),
        ("x.FASTA.GZ", "x"),
        ("x.fastq.zst", "x"),
        ("x.y.fna.xz", "x.y"),
        ("x", "x"),
        ("x.fasta.txt", "x.fasta.txt"),
        ("-", "stdin"),
    ],
)
def test_samples_are_named_after_their_file(path: str, name: str) -> None:
    assert sample_name(path) == name
