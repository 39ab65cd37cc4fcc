"""The bench: a stand-in command line on a small bench folder, its figures, tables and errors."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqsearch.errors import FolderError, InputError
from seqsearch.evaluation.bench import (
    COLUMNS,
    MEAN,
    OURS,
    BenchSettings,
    pool_results,
    read_run,
    run_library,
)
from seqsearch.evaluation.bench_table import LEGEND, text_of, write_tsv
from seqsearch.evaluation.measure import CommandError, measure
from seqsearch.evaluation.peers import read_library

ROOT = Path(__file__).resolve().parents[1]
CUT = "vsearch best hit, species at >= 97 % identity"
RANKS = ("order", "family", "genus", "species")

# Writes the folders that the real commands write: every query is called Apis mellifera, in the
# order of the file. It also records how it was started.
STAND_IN = """
import gzip, json, pathlib, sys
import pyarrow as pa, pyarrow.parquet as pq
arguments = sys.argv[1:]
out = pathlib.Path(arguments[arguments.index("-o") + 1])
out.mkdir(parents=True)
(out / "arguments.json").write_text(json.dumps(arguments))
if arguments[0] == "query":
    text = gzip.open(arguments[2], "rt").read()
    ids = [line[1:] for line in text.splitlines() if line[0] == ">"]
    names = {"order": "Hymenoptera", "family": "Apidae", "genus": "Apis",
             "species": "Apis mellifera"}
    columns = {"query_id": ids, "verdict": ["identified"] * len(ids)}
    columns |= {rank: [name] * len(ids) for rank, name in names.items()}
    columns |= {"p_species": [0.5] * len(ids)}
    pq.write_table(pa.table(columns), out / "assignments.parquet")
    (out / "run.json").write_text(json.dumps({
        "timings": {"search_wall_s": 0.25, "finish_s": 0.0},
        "counts": {"queries": len(ids)}}))
"""


def write_tsv_text(path: Path, *rows: tuple[object, ...]) -> None:
    text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A bench folder of two equal libraries: two queries of each set."""
    for name in ("one", "two"):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        subsets = ("seen", "unseen_species", "unseen_genus", "unseen_family")
        queries = [(f"{s}{i}", s, f"Apis{'' if i else 'ta'}") for s in subsets for i in (0, 1)]
        write_tsv_text(
            folder / "query.tax.tsv",
            ("id", "kingdom", *RANKS, "set"),
            *((q, "A", "Hymenoptera", "Apidae", g, f"{g} mellifera", s) for q, s, g in queries),
        )
        fasta = "".join(f">{q}\nACGT\n" for q, _, _ in queries).encode()
        (folder / "query.fasta.gz").write_bytes(gzip.compress(fasta))
        (folder / "ref.fasta.gz").write_bytes(gzip.compress(b">r\nACGT\n"))
        (folder / "ref.tax.tsv").write_text("id\tspecies\nr\tApis mellifera\n")
        top = "vsearch global top1"
        write_tsv_text(
            folder / "peers.tsv", ("method", "q/s", "build_s"), (top, 9.5, 2), (CUT, 9.5, 2)
        )
        write_tsv_text(
            folder / "peers_calls.tsv.gz",
            ("method", "id", "reference", "identity", *RANKS),
            *(
                (top, q, "r", 97 if i % 2 else 96.9, "Hymenoptera", "Apidae", "Apista", f"{g} x")
                for i, (q, _, g) in enumerate(queries)
            ),
        )
    return tmp_path / "data"


@pytest.fixture
def settings(bench: Path, tmp_path: Path) -> BenchSettings:
    program = tmp_path / "stand_in.py"
    program.write_text(STAND_IN)
    return BenchSettings(
        bench, ("one", "two"), align=3, encoder="spectrum", program=(sys.executable, str(program))
    )


def test_library_is_built_asked_and_scored(settings, tmp_path):
    result = run_library(settings, "one", tmp_path / "kept")
    assert result.scores[OURS].cells[COLUMNS["seen/species"][0]].micro == 50.0
    assert result.scores[OURS].mean() == 70.0  # 50, 50, 50 at species and genus, 100, 100 above
    assert result.micro["seen/genus"]["vsearch global top1"].value == 0.0
    assert result.micro["seen/species"]["vsearch global top1"].value == 50.0
    assert result.costs.startup_s == pytest.approx(result.costs.query_s - 0.25)
    assert result.costs.queries_per_s == 8 / 0.25
    assert result.costs.build_s > 0
    assert result.costs.query_peak_mib > 10
    assert result.peer_costs["vsearch global top1"].queries_per_s == 9.5


def test_commands_are_given_the_files_and_settings(settings, tmp_path):
    run_library(settings, "one", tmp_path / "kept")
    folder, data = tmp_path / "kept" / "one", settings.data / "one"
    build = json.loads((folder / "index" / "arguments.json").read_text())
    assert build == [
        *("index", "build", str(data / "ref.fasta.gz"), "--taxonomy", str(data / "ref.tax.tsv")),
        *("-o", str(folder / "index"), "--encoder", "spectrum", "--threads", "2", "--quiet"),
    ]
    query = json.loads((folder / "run" / "arguments.json").read_text())
    assert query == [
        *("query", str(folder / "index"), str(data / "query.fasta.gz"), "-o", str(folder / "run")),
        *("--min-confidence", "0", "--align", "3", "--threads", "2", "--quiet"),
    ]


def test_species_cut_is_made_from_the_best_hits_identity(bench):
    peers = read_library(bench, "one").peers
    assert peers["vsearch global top1"]["species"].to_pylist() == ["Apista x", "Apis x"] * 4
    assert peers[CUT]["species"].to_pylist() == ["", "Apis x"] * 4
    assert peers[CUT]["genus"].to_pylist() == ["Apista"] * 8


def test_text_fits_120_columns_and_shows_every_method(settings, tmp_path):
    results = [run_library(settings, name, tmp_path / "kept") for name in settings.libraries]
    for result in (*results, pool_results(results)):
        text = text_of(result)
        assert max(map(len, text.splitlines())) <= 120
        assert not any(line != line.rstrip() for line in text.splitlines())
        rows = [line for line in text.splitlines() if line.startswith("vsearch, sp. >= 97 %")]
        assert len(rows) == 3
        assert re.fullmatch(r"vsearch, sp. >= 97 % +0.0 \+50.0[ ^]? .*", rows[0])
    assert max(map(len, LEGEND.splitlines())) <= 120
    assert "32 q/s after " in text_of(results[0])
    assert text_of(pool_results(results)).startswith("== one+two: 16 queries\n\n")


def test_tsv_has_every_figure_once(settings, tmp_path):
    results = [run_library(settings, name, tmp_path / "kept") for name in settings.libraries]
    write_tsv([*results, pool_results(results)], tmp_path / "results.tsv")
    lines = (tmp_path / "results.tsv").read_text().splitlines()
    header, rows = lines[0].split("\t"), [line.split("\t") for line in lines[1:]]
    assert header == [
        *("library", "method", "measure", "value", "queries", "difference", "low", "high", "p")
    ]
    values = {tuple(row[:3]): row[3:] for row in rows}
    assert len(values) == len(rows)
    assert {len(row) for row in rows} == {len(header)}
    assert values["one", OURS, "seen/species"] == ["50", "2", "", "", "", ""]
    assert values["one", OURS, MEAN] == ["70", "", "", "", "", ""]
    assert float(values["one", OURS, "startup_s"][0]) == pytest.approx(
        results[0].costs.startup_s, abs=1e-5
    )
    assert values["one+two", CUT, "seen/species"][:3] == ["0", "4", "50"]
    assert ("one+two", OURS, "startup_s") not in values


def test_run_folder_without_a_rank_is_read_without_it(tmp_path):
    pq.write_table(pa.table({"query_id": ["a"], "genus": ["G"]}), tmp_path / "assignments.parquet")
    record = {"timings": {"finish_s": 1, "search_wall_s": 2}, "counts": {"queries": 1}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    answers, busy, rate = read_run(tmp_path)
    assert (answers.to_pydict(), busy, rate) == ({"id": ["a"], "genus": ["G"]}, 3.0, 0.5)


def test_incomplete_run_folders_say_what_is_missing(tmp_path):
    with pytest.raises(FolderError, match=r"assignments.parquet: the run folder lacks this file$"):
        read_run(tmp_path)
    pq.write_table(pa.table({"query_id": ["a"]}), tmp_path / "assignments.parquet")
    (tmp_path / "run.json").write_text('{"timings": {"finish_s": 1}, "counts": {"queries": 1}}')
    with pytest.raises(FolderError, match=r"timings or counts are incomplete .*search_wall_s"):
        read_run(tmp_path)


def test_incomplete_bench_folders_say_what_is_missing(bench):
    with pytest.raises(FolderError, match=r"nine: no such bench library; give the bench folder"):
        read_library(bench, "nine")
    with pytest.raises(FolderError, match=r"peers_250.tsv: this file of the bench library is mis"):
        read_library(bench, "one", fragments=True)
    write_tsv_text(bench / "one" / "peers.tsv", ("method", "q/s", "build_s"), ("new", 1, 1))
    with pytest.raises(InputError, match=r"one: no answers of 'new', which has figures$"):
        read_library(bench, "one")


def test_measure_is_of_the_command_and_not_of_this_process():
    held = np.ones(40_000_000)  # 305 MiB, resident
    small = measure([sys.executable, "-c", "import time; time.sleep(0.2)"])
    large = measure([sys.executable, "-c", "x = b'1' * (100 << 20)"])
    assert held[0] == 1
    assert small.wall_s >= 0.2
    assert small.peak_mib < 60
    assert 100 < large.peak_mib < 160


def test_failing_commands_are_told_with_their_last_line():
    command = [sys.executable, "-c", "import sys; print('first'); sys.exit('Error: it broke')"]
    with pytest.raises(CommandError, match=r": ended with 1: Error: it broke$") as caught:
        measure(command)
    assert caught.value.exit_code == 1
    assert caught.value.said == "Error: it broke\n"
    with pytest.raises(CommandError, match="no-such-program: could not be started: FileNotFound"):
        measure(["no-such-program"])


def test_script_without_data_ends_with_one_line(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "bench.py"), "--data", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.decode() == (
        f"Error: {tmp_path / 'coi'}: no such bench library; give the bench folder (--data)\n"
    )
