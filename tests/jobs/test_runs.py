"""Runs: gone on with, drawn again, read without their index."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest

from seqsearch.errors import FolderError, SettingsError
from seqsearch.jobs.opened import open_index
from seqsearch.jobs.opened_run import Run, open_run

SIZE = 13  # reads a part


@pytest.fixture(scope="module")
def index(module_bench, records) -> Path:
    return module_bench.index(module_bench.library(records))


@pytest.fixture(scope="module")
def file(module_bench, reads) -> Path:
    return module_bench.reads(reads)


@pytest.fixture(scope="module")
def whole(module_bench, index, file) -> Run:
    return module_bench.query(index, file, batch_size=SIZE)


class StoppedError(Exception):
    """What cuts a run off."""


def cut_off(index: Path, file: Path, out: Path, after: int, **options: Any) -> None:
    """Query until so many parts are committed."""

    def progress(stage: str, done: int, fraction: float | None) -> None:
        if done >= after * SIZE:
            raise StoppedError

    with open_index(index, threads=2) as opened, pytest.raises(StoppedError):
        opened.query(file, out, progress=progress, batch_size=SIZE, **options)


def drawn(run: Run) -> tuple[bytes, bytes]:
    return tuple((run.path / f"assignments.{kind}").read_bytes() for kind in ("tsv", "parquet"))


@pytest.mark.parametrize("after", [1, 3])
def test_a_run_cut_off_goes_on(module_bench, index, file, whole, after: int) -> None:
    out = module_bench.path("run")
    cut_off(index, file, out, after)
    cut = open_run(out)
    assert cut.state["status"] == "unfinished"
    kept = sorted(out.glob("*/part-*.parquet"))
    assert len(kept) == 3 * after
    times = [path.stat().st_mtime_ns for path in kept]
    with pytest.raises(FolderError, match="not finished"):
        cut.assignments()
    with pytest.raises(FolderError, match="not finished"):
        cut.call(0.5)
    with open_index(index, threads=1) as opened:
        run = opened.query(file, out, batch_size=SIZE)
    assert drawn(run) == drawn(whole)
    assert module_bench.findings(run) == module_bench.findings(whole)
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert run.state["resumed_at"] == after * SIZE
    assert run.state["counts"] == whole.state["counts"]


@pytest.mark.parametrize("lost", [["calls/part-00002"], ["calls/part-00001", "hits/part-00002"]])
def test_parts_that_were_lost_are_searched_again(
    module_bench, index, file, whole, lost: list[str]
) -> None:
    out = module_bench.path("run")
    cut_off(index, file, out, 3)
    for name in lost:
        (out / f"{name}.parquet").unlink()
    with open_index(index, threads=2) as opened:
        run = opened.query(file, out, batch_size=SIZE)
    assert drawn(run) == drawn(whole)
    assert run.state["resumed_at"] == SIZE * int(lost[0][-1])


def test_only_the_same_run_goes_on(module_bench, index, file, whole, reads) -> None:
    out = module_bench.path("run")
    cut_off(index, file, out, 2)
    others = {
        "other settings": (file, {"batch_size": SIZE, "candidates": 20}),
        "other inputs": (module_bench.reads(reads[:-1]), {"batch_size": SIZE}),
    }
    with open_index(index, threads=2) as opened:
        for problem, (reads_file, options) in others.items():
            with pytest.raises(FolderError, match=f"an unfinished run with {problem} is here"):
                opened.query(reads_file, out, **options)
        run = opened.query(file, out, batch_size=SIZE)
        assert drawn(run) == drawn(whole)
        with pytest.raises(FolderError, match="this run is finished"):
            opened.query(file, out, batch_size=SIZE)
        again = opened.query(file, out, overwrite=True, batch_size=60)
    assert again.folder.parts_done() == 2
    assert module_bench.findings(again) == module_bench.findings(whole)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.95, 1.0])
def test_drawn_again_is_queried_again(
    module_bench, index, file, whole, threshold: float, tmp_path: Path
) -> None:
    copy = module_bench.path("run")
    shutil.copytree(whole.path, copy)
    run = open_run(copy)
    table = run.call(threshold, tmp_path / "unassigned.fasta")
    fresh = module_bench.query(
        index,
        file,
        batch_size=SIZE,
        min_confidence=threshold,
        unassigned_out=tmp_path / "fresh.fasta",
    )
    assert drawn(run) == drawn(fresh)
    assert table.equals(fresh.assignments())
    unassigned = (tmp_path / "unassigned.fasta").read_bytes()
    assert unassigned == (tmp_path / "fresh.fasta").read_bytes()
    for part in ("counts", "settings", "index", "inputs"):
        assert open_run(copy).state[part] == fresh.state[part]
    back = run.call(whole.state["settings"]["min_confidence"])
    assert back.equals(whole.assignments())
    assert drawn(run) == drawn(whole)


def test_names_only_reach_higher_as_the_threshold_rises(module_bench, whole) -> None:
    copy = module_bench.path("run")
    shutil.copytree(whole.path, copy)
    ranks = whole.folder.ranks
    before: list[tuple[Any, ...]] = []
    for threshold in (0.0, 0.3, 0.8, 1.0):
        table = open_run(copy).call(threshold).to_pylist()
        names = [tuple(row[rank] for rank in ranks) for row in table]
        for row, path in zip(table, names, strict=True):
            reached = [row[f"p_{rank}"] for rank, name in zip(ranks, path, strict=True) if name]
            assert all(p is None or p >= threshold - 1e-6 for p in reached)
        for higher, lower in zip(names, before, strict=False):
            named = max((i + 1 for i, name in enumerate(higher) if name), default=0)
            assert higher[:named] == lower[:named]
        before = names


def test_unassigned_queries_are_written(module_bench, index, file, reads, tmp_path: Path) -> None:
    run = module_bench.query(
        index, file, min_confidence=1.0, unassigned_out=tmp_path / "unassigned.fasta"
    )
    rows = run.assignments().to_pylist()
    text = dict(reads)
    nameless = [r["query_id"] for r in rows if r["rank"] is None and r["verdict"] != "invalid"]
    expected = "".join(f">{name}\n{text[name]}\n" for name in nameless)
    assert nameless
    assert (tmp_path / "unassigned.fasta").read_text() == expected
    with pytest.raises(SettingsError, match="expected a run that keeps sequences"):
        module_bench.query(index, file, keep_sequences=False, unassigned_out=tmp_path / "x")


def test_a_run_without_sequences(module_bench, index, file, whole) -> None:
    run = module_bench.query(index, file, keep_sequences=False, batch_size=SIZE)
    assert drawn(run) == drawn(whole)
    assert "sequence" not in run.folder.dataset("queries").schema.names


def test_the_two_files_of_assignments_say_the_same(whole) -> None:
    with (whole.path / "assignments.tsv").open(newline="") as handle:
        lines = list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = whole.assignments().to_pylist()
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert list(line) == list(row)
        for name, value in row.items():
            if isinstance(value, float):
                assert float(line[name]) == pytest.approx(value, abs=5.1e-5)
            else:
                assert line[name] == ("" if value is None else str(value))


def test_a_run_is_read_without_its_index(module_bench, index, file, whole) -> None:
    gone = module_bench.path("index")
    shutil.copytree(index, gone)
    run = module_bench.query(gone, file, batch_size=SIZE)
    shutil.rmtree(gone)
    opened = open_run(run.path)
    findings = module_bench.findings(opened)
    assert findings == module_bench.findings(whole)
    assert all(hit["reference"]["lineage"] for hit in findings["hits"])
    assert opened.call(0.8).equals(whole.assignments())
    best = opened.sql(
        "SELECT q.query_id, r.ref_id, r.species FROM hits h JOIN queries q USING (query) "
        "JOIN refs r USING (reference) WHERE h.hit = 0 ORDER BY h.query"
    ).to_pylist()
    answered = [row for row in whole.assignments().to_pylist() if row["best_ref"]]
    assert [(row["query_id"], row["ref_id"]) for row in best] == [
        (row["query_id"], row["best_ref"]) for row in answered
    ]


def test_a_run_of_nothing_but_bad_queries(module_bench, index) -> None:
    run = module_bench.query(index, module_bench.reads([("a", "ACG"), ("b", "MKVLE")]))
    rows = run.assignments().to_pylist()
    assert [row["verdict"] for row in rows] == ["invalid"] * 2
    assert [row["reason"] for row in rows] == [
        "no stretch of 11 bases without an unknown one (too short, or N)",
        "not DNA: letters or signs that no nucleotide code has (is it a protein?)",
    ]
    assert run.hits().num_rows == run.calls().num_rows == 0
    assert run.state["counts"]["verdicts"] == {"invalid": 2}
    assert run.call(0.5).to_pylist() == rows
