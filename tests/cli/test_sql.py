"""`seqsearch sql`: what it answers, in which form, and that nothing is in its reach."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from seqsearch.analytics.views import VIEWS, run_sql
from seqsearch.errors import QueryError, SettingsError
from seqsearch.jobs.calibrating import calibrate_anew
from seqsearch.jobs.opened import open_index
from seqsearch.jobs.opened_run import open_run

COUNT = "SELECT count(*) AS n FROM queries"


# --- forms ----------------------------------------------------------------------------------------


def test_a_table(five_reads: Path, command: Any) -> None:
    answer = command("sql", five_reads, "SELECT query_id, size FROM queries ORDER BY query LIMIT 2")
    assert (answer.status, answer.err) == (0, "")
    lines = [line.split() for line in answer.out.splitlines() if line.strip()]
    assert lines[0] == ["query_id", "size"]
    assert lines[2:] == [["q1;size=5", "5"], ["q2"], ["2", "rows"]]


def test_json(five_reads: Path, command: Any) -> None:
    answer = command("sql", five_reads, COUNT, "--json")
    assert json.loads(answer.out) == [{"n": 5}]


def test_csv_with_lists(five_reads: Path, command: Any) -> None:
    statement = "SELECT name, alternatives FROM calls WHERE query = 2 AND rank = 'species'"
    rows = list(csv.reader(io.StringIO(command("sql", five_reads, statement, "--csv").out)))
    assert rows[0] == ["name", "alternatives"]
    assert rows[1][0] == "Apis cerana"
    other = json.loads(rows[1][1])
    assert [(one["name"], one["share"]) for one in other] == [("Apis mellifera", 0.5)]


def test_parquet(five_reads: Path, tmp_path: Path, command: Any, fails: Any) -> None:
    path = tmp_path / "out.parquet"
    answer = command("sql", five_reads, COUNT, "--parquet", path)
    assert (answer.status, answer.out, answer.err) == (0, "", "")
    assert pq.read_table(path).to_pylist() == [{"n": 5}]
    message = fails("sql", five_reads, COUNT, "--parquet", tmp_path / "missing" / "out.parquet")
    assert message.startswith(str(tmp_path / "missing"))
    message = fails("sql", five_reads, "SELECT INTERVAL 1 DAY AS i", "--parquet", tmp_path / "i")
    assert message.endswith("cast that column to VARCHAR")
    assert not (tmp_path / "i").exists()


def test_list(command: Any) -> None:
    answer = command("sql", "--list")
    assert (answer.status, answer.err) == (0, "")
    words = {line.split()[0] for line in answer.out.splitlines() if line.startswith("  ")}
    assert words == {*VIEWS, "composition", "unassigned", "best-hits"}


# --- named queries --------------------------------------------------------------------------------


def rows(answer: Any) -> list[tuple[Any, ...]]:
    assert (answer.status, answer.err) == (0, "")
    return [tuple(row.values()) for row in json.loads(answer.out)]


def test_composition(five_reads: Path, tmp_path: Path, command: Any) -> None:
    """By hand: q1 (5 reads) is A. mellifera, q2 B. terrestris, q3 (2 reads) ties within Apis."""
    run = shutil.copytree(five_reads, tmp_path / "run")
    assert command("call", run, "--min-confidence", "0.9", "--quiet").status == 0
    found = rows(command("sql", run, "--name", "composition", "--json"))
    assert [row for row in found if row[3] != "Apidae"] == [
        ("run", "one", "genus", "Apis", 1, 5),
        ("run", "one", "genus", "Bombus", 1, 1),
        ("run", "one", "species", "Apis mellifera", 1, 5),
        ("run", "one", "species", "Bombus terrestris", 1, 1),
        ("run", "two", "genus", "Apis", 1, 2),
    ]
    assert found[0] == ("run", "one", "family", "Apidae", 2, 6)


def test_unassigned(five_reads: Path, command: Any) -> None:
    found = rows(command("sql", five_reads, "--name", "unassigned", "--json"))
    reason = "no stretch of 8 bases without an unknown one (too short, or N)"
    assert found[-1] == ("run", "q5", 3, "invalid", None, None, reason)


def test_best_hits(five_reads: Path, command: Any) -> None:
    found = rows(command("sql", five_reads, "--name", "best-hits", "--json"))
    assert found[:2] == [
        ("run", "q1;size=5", "a", 1.0, 1.0, "+", "Apidae;Apis;Apis mellifera"),
        ("run", "q2", "c", 1.0, 1.0, "-", "Apidae;Bombus;Bombus terrestris"),
    ]
    assert found[2][1] == "q3;size=2"
    assert found[2][2] in ("a", "b")


# --- targets --------------------------------------------------------------------------------------


def test_an_index_and_runs_together(
    tiny_index: Path, five_reads: Path, tiny_run: Path, command: Any
) -> None:
    targets = (tiny_index, five_reads, tiny_run)
    counts = "SELECT target, count(*) AS n FROM {} GROUP BY ALL ORDER BY ALL"
    found = rows(command("sql", *targets, counts.format("queries"), "--json"))
    assert found == [(str(five_reads), 5), (str(tiny_run), 2)]  # both are called "run"
    found = rows(command("sql", *targets, counts.format("refs"), "--json"))
    assert ("index", 3) in found
    joined = (
        "SELECT h.query, r.ref_id FROM hits h JOIN refs r ON r.reference = h.reference "
        f"WHERE h.target = '{tiny_run}' AND r.target = 'index' AND h.hit = 0 ORDER BY ALL"
    )
    assert rows(command("sql", *targets, joined, "--json")) == [(0, "a"), (1, "c")]


def test_every_view_has_what_the_documentation_says(
    bees: Path, five_reads: Path, command: Any
) -> None:
    calibrate_anew(bees)
    text = (Path(__file__).resolve().parents[2] / "docs" / "sql.md").read_text()
    lines = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert lines.keys() == VIEWS.keys()
    for view, line in lines.items():
        answer = command("sql", bees, five_reads, f"FROM {view} LIMIT 0", "--csv")
        header = next(csv.reader(io.StringIO(answer.out)))
        assert header[0] == "target"
        if "one column a rank" in line:
            header = [name for name in header if name not in ("family", "genus", "species")]
        if view != "assignments":  # these are in scores.md
            assert [name for name in header[1:] if not re.search(rf"\b{name}\b", line)] == []


def test_targets_that_are_none(tmp_path: Path, five_reads: Path, fails: Any) -> None:
    expected = f"{tmp_path}: neither an index nor a run"
    assert fails("sql", five_reads, tmp_path, "SELECT 1") == expected
    with pytest.raises(SettingsError):
        run_sql([], "SELECT 1")


def test_from_python(five_reads: Path) -> None:
    run = open_run(five_reads)
    assert run.sql(COUNT).to_pylist() == [{"n": 5}]
    with pytest.raises(QueryError, match="syntax error"):
        run.sql("SELEC 1")


def test_an_unfinished_run(
    tiny_index: Path, reads: list[Path], tmp_path: Path, command: Any
) -> None:
    def stop(stage: str, done: int, fraction: float | None) -> None:
        if stage == "query" and done == 1:
            raise InterruptedError

    with open_index(tiny_index) as index, pytest.raises(InterruptedError):
        index.query(reads[0], tmp_path / "run", batch_size=1, progress=stop)
    answer = command("sql", tmp_path / "run", "SELECT status FROM runs", "--json")
    assert json.loads(answer.out) == [{"status": "unfinished"}]
    assert json.loads(command("sql", tmp_path / "run", COUNT, "--json").out) == [{"n": 1}]


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELEC 1", 'syntax error at or near "selec"'),
        ("SELECT * FROM nothing", "nothing does not exist"),
        ("SELECT nothing FROM queries", 'column "nothing" not found'),
        ("SELECT 'x'::INT", "Could not convert string 'x' to INT32"),
        ("", "only statements that read are allowed"),
        (";", "only statements that read are allowed"),
        ("SET VARIABLE a = 1", "only statements that read are allowed"),
    ],
)
def test_wrong_statements(statement: str, said: str, five_reads: Path, fails: Any) -> None:
    assert said.lower() in fails("sql", five_reads, statement).lower()


def test_a_missing_view_is_answered_with_those_there_are(five_reads: Path, fails: Any) -> None:
    message = fails("sql", five_reads, "SELECT * FROM nothing")
    assert "refs, taxa, ranks, queries, hits, calls, assignments, runs" in message


def test_time_limit(five_reads: Path, fails: Any, command: Any) -> None:
    forever = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range < b.range"
    assert fails("sql", five_reads, forever, "--time-limit", "0.3") == "stopped after 0.3 s"
    assert command("sql", five_reads, COUNT, "--time-limit", "60").status == 0
    assert command("sql", five_reads, COUNT, "--time-limit", "0").status == 0


# --- the sandbox ----------------------------------------------------------------------------------

# FILE is a file that exists, NEW one that does not, CATALOG the index's own.
FORBIDDEN = [
    "SELECT * FROM read_csv('FILE')",
    "SELECT * FROM 'FILE'",
    "FROM read_text('FILE')",
    "FROM read_blob('FILE')",
    "FROM read_json('FILE')",
    "FROM sniff_csv('FILE')",
    "FROM glob('/*')",
    "FROM read_parquet('RUN/refs.parquet')",
    "FROM parquet_metadata('RUN/refs.parquet')",
    "FROM parquet_schema('RUN/refs.parquet')",
    "FROM query('FROM read_text(''FILE'')')",
    "FROM query_table('FILE')",
    "COPY (SELECT 1) TO 'NEW'",
    "COPY (SELECT 1) TO '/dev/stdout'",
    "CREATE TABLE t AS SELECT 1 AS a; COPY t FROM 'FILE'",
    "EXPORT DATABASE 'NEW'",
    "IMPORT DATABASE 'RUN'",
    "ATTACH 'NEW' AS other",
    "ATTACH 'CATALOG' AS other",
    "ATTACH 'CATALOG' AS other (READ_WRITE)",
    "DETACH index0; ATTACH 'CATALOG' AS index0 (READ_WRITE)",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD 'NEW'",
    "SET enable_external_access = true",
    "RESET enable_external_access",
    "SET lock_configuration = false",
    "SET python_enable_replacements = true",
    "SET temp_directory = 'NEW'",
    "SET threads = 1",
    "PRAGMA threads = 1",
    "PRAGMA enable_profiling = 'json'",
    "CALL enable_logging(storage = 'file', storage_config = {'path': 'NEW'})",
    "CREATE PERSISTENT SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "SELECT getenv('HOME')",
    "SELECT * FROM statement",  # Python variables where the statement is run
    "SELECT * FROM connection",
    "SELECT * FROM manifest",
    "SELECT * FROM table",
    "DROP TABLE index0.refs",
    "DELETE FROM index0.refs",
    "UPDATE index0.refs SET ref_id = 'x'",
    "INSERT INTO index0.refs SELECT * FROM index0.refs",
    "ALTER TABLE index0.refs ADD COLUMN x INT",
    "CREATE TABLE index0.mine AS SELECT 1",
    "EXPLAIN ANALYZE DELETE FROM index0.refs",
    "WITH gone AS (DELETE FROM index0.refs RETURNING ref_id) SELECT * FROM gone",
    "CREATE OR REPLACE VIEW refs AS SELECT 1 AS n; FROM refs",
    "DROP VIEW refs",
    "DETACH index0",
    "PREPARE p AS SELECT 1; EXECUTE p",
    "BEGIN; SELECT 1; COMMIT",
]
READING = {
    "FROM refs SELECT count(*) AS n": 3,
    "WITH r AS (FROM refs) SELECT count(*) AS n FROM r": 3,
    "VALUES (3)": 3,
    "SELECT 1; SELECT 3": 3,
    "SELECT max(reference) + 1 AS n FROM (SUMMARIZE refs) JOIN refs ON true": 3,
    "SELECT count(*) AS n FROM (DESCRIBE refs) WHERE column_name IN ('ref_id', 'genus', 'row')": 2,
    "SELECT Apis + Bombus AS n FROM (PIVOT refs ON genus IN ('Apis', 'Bombus') USING count(*) "
    "GROUP BY target)": 3,
}


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_out_of_reach(
    statement: str,
    tiny_index: Path,
    five_reads: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hashes: Any,
    fails: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "secret.csv"
    file.write_text("word\nsesame\n")
    places = {
        "FILE": file,
        "NEW": tmp_path / "new",
        "RUN": five_reads,
        "CATALOG": tiny_index / "catalog-0001.duckdb",
    }
    for word, place in places.items():
        statement = statement.replace(word, str(place))
    before = hashes(tiny_index), hashes(five_reads), hashes(tmp_path)
    message = fails("sql", tiny_index, five_reads, statement)
    assert "sesame" not in message
    assert (hashes(tiny_index), hashes(five_reads), hashes(tmp_path)) == before


@pytest.mark.parametrize("statement", READING)
def test_every_way_to_read(
    statement: str, tiny_index: Path, five_reads: Path, hashes: Any, command: Any
) -> None:
    before = hashes(tiny_index), hashes(five_reads)
    (row,) = json.loads(command("sql", tiny_index, statement, "--json").out)
    assert list(row.values()) == [READING[statement]]
    assert command("sql", tiny_index, five_reads, f"EXPLAIN {statement}").status == 0
    assert (hashes(tiny_index), hashes(five_reads)) == before
