"""Every command through the entry point: what it prints, writes and returns."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from seqsearch.cli.reliability import long_lines
from seqsearch.devices.choice import gpu_problem, gpus_of_driver, has_torch
from seqsearch.errors import MissingExtraError
from seqsearch.index.manifest import BORROWED, read_manifest
from seqsearch.jobs import doctor, inspecting, opened, steps
from seqsearch.jobs.inspecting import verify_index
from seqsearch.settings import VERSION
from seqsearch.tables import locked

PROGRAM = [sys.executable, "-m", "seqsearch"]


def column(run: Path, name: str) -> list[Any]:
    return pq.read_table(run / "assignments.parquet")[name].to_pylist()


# --- the program ----------------------------------------------------------------------------------


def test_version_and_help(command: Any) -> None:
    assert command("--version").out == f"seqsearch {VERSION}\n"
    for words in ((), ("index",), ("index", "build"), ("query",), ("call",), ("sql",), ("demo",)):
        answer = command(*words, "--help")
        assert answer.status == 0
        assert answer.out.split(maxsplit=2)[:2] == ["Usage:", "seqsearch"]
        assert command(*words, "-h").out == answer.out


@pytest.mark.parametrize(
    "words", ["", "index", "nothing", "query", "query --nothing", "index build x -o y --threads z"]
)
def test_usage_errors_exit_2(words: str, command: Any) -> None:
    answer = command(*words.split())
    assert answer.status == 2
    assert "Usage: seqsearch" in answer.out + answer.err


def test_a_process_reads_standard_input(
    tiny_index: Path, reads: list[Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["query", str(tiny_index), "-", "-o", str(run), "--strand", "plus"]
    done = subprocess.run(
        [*PROGRAM, *words], input=reads[0].read_bytes(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[-1] == f"{run}/assignments.tsv (named from 0.8 on)".encode()
    assert column(run, "query_id") == ["q1;size=5", "q2"]
    samples = pq.read_table(run / "queries" / "part-00000.parquet")["sample"].to_pylist()
    assert samples == ["stdin", "stdin"]


def test_a_process_that_fails_leaves_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "index", "info", "missing"], capture_output=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"Error: missing: no such index\n"


def test_a_reader_that_has_seen_enough(five_reads: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = ["sql", str(five_reads), "SELECT * FROM range(100000)", "--csv"]
    done = subprocess.run([*PROGRAM, *words], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_progress_on_a_terminal_only(tiny_index: Path, reads: list[Path], tmp_path: Path) -> None:
    screen, terminal = pty.openpty()
    words = ["query", str(tiny_index), str(reads[0]), "-o", str(tmp_path / "run")]
    done = subprocess.run(
        [*PROGRAM, *words], stdout=subprocess.DEVNULL, stderr=terminal, check=True
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(screen, 4096)
        except OSError:  # Linux says so where nothing is left
            break
        if not piece:
            break
        shown += piece
    os.close(screen)
    assert done.returncode == 0
    assert b"query" in shown
    assert b"2 sequences" in shown


def test_stopped_by_the_user(
    tiny_index: Path,
    reads: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Any,
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(opened, "query_files", stopped)
    answer = command("query", tiny_index, reads[0], "-o", tmp_path / "run")
    assert answer.status == 130
    assert answer.err.endswith(
        "Error: stopped; a build or a query goes on when the same command is run again\n"
    )


# --- demo and doctor ------------------------------------------------------------------------------


def test_demo(tmp_path: Path, command: Any, fails: Any) -> None:
    folder = tmp_path / "demo"
    demo = ("demo", "-o", folder, "--families", "2", "--seed", "5")
    answer = command(*demo)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith("A library of simulated sequences")
    assert answer.out.endswith(f"Next: seqsearch sql {folder / 'run'} --name composition\n")
    verify_index(folder / "index")
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("references.fasta", "references.tsv", "queries.fasta", "queries.tsv", "index", "run")
    }
    assert fails(*demo) == f"{folder}: a demo is here; give --overwrite, or another folder"
    again = command(*demo, "--overwrite", "--quiet")
    assert (again.status, again.out, again.err) == (0, "", "")


def test_doctor(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = command("doctor")
    assert (answer.status, answer.err) == (0, "")
    assert "MISSING" not in answer.out
    findings = {one["what"]: one for one in json.loads(command("doctor", "--json").out)}
    assert findings["seqsearch"]["detail"].startswith(VERSION)
    assert findings["self-test"]["works"] is True
    if not gpus_of_driver():
        assert findings["GPU"]["works"] is None

    def missing() -> None:
        raise MissingExtraError("FAISS", "cpu")

    monkeypatch.setattr(doctor, "load_faiss", missing)
    answer = command("doctor")
    assert answer.status == 1
    line = next(line for line in answer.out.splitlines() if line.startswith("MISSING"))
    assert line.endswith("FAISS is not installed: pip install 'seqsearch[cpu]'")


def test_doctor_looks_at_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="needs the extra models")
    from seqsearch.search import device_rows

    def finding(cards: int, problem: str, names: tuple[str, ...] = ()) -> doctor.Finding:
        monkeypatch.setattr(doctor, "gpus_of_driver", lambda: cards)
        monkeypatch.setattr(doctor, "gpu_problem", lambda: problem)
        monkeypatch.setattr(doctor, "gpu_names", lambda: names)
        return doctor._gpu()

    assert finding(0, "") == doctor.Finding(
        "GPU", None, "none that NVIDIA's driver shows; all runs on the CPU"
    )
    assert finding(2, "it is odd") == doctor.Finding(
        "GPU", False, "2 in this machine, but it is odd; the CPU serves"
    )
    assert finding(1, "", ("cpu",)) == doctor.Finding(
        "GPU", True, "1 for encoding and search; vectors and their products are those of the CPU"
    )
    products = device_rows.products
    monkeypatch.setattr(device_rows, "products", lambda *pair: products(*pair) + 1e-3)
    assert finding(1, "", ("cpu",)) == doctor.Finding(
        "GPU", False, "1 for encoding and search; but its products are not those of the CPU"
    )
    monkeypatch.setattr(doctor, "ROUNDING", -1)
    assert finding(1, "", ("cpu",)).detail.endswith(
        "its vectors and products are not those of the CPU"
    )

    def failing(*_: object) -> None:
        raise RuntimeError("no kernel image\nand more")

    monkeypatch.setattr(device_rows, "products", failing)
    assert finding(1, "", ("cpu",)) == doctor.Finding("GPU", False, "no kernel image")


def test_a_gpu_that_is_not_there(tiny_index: Path, more_bees: Path, fails: Any) -> None:
    if not gpu_problem():
        pytest.skip("there is one")
    out = more_bees.parent / "out"
    for words in (
        ("query", tiny_index, more_bees, "-o", out),
        ("index", "build", more_bees, "-o", out),
    ):
        said = fails(*words, "--device", "cuda", status=2 if has_torch() else 1)
        assert "PyTorch" in said
        assert said.find("seqsearch doctor says what is missing") > 0
        assert not out.exists()


# --- index ----------------------------------------------------------------------------------------

TABLE = "id\tgenus\tspecies\nx\tOsmia\tOsmia rufa\ny\tOsmia\tOsmia cornuta\n"


def test_index_build(more_bees: Path, tmp_path: Path, command: Any) -> None:
    packed, table = tmp_path / "osmia.fasta.gz", tmp_path / "osmia.tsv"
    packed.write_bytes(gzip.compress(b">x\nTTGACGTACCAGTTA\n>y\nTTGACGTACGGGTTA\n"))
    table.write_text(TABLE)
    index = tmp_path / "index"
    build = ("index", "build", packed, "--taxonomy", table, "-o", index, "--marker", "COI")
    answer = command(*build, "--encoder", "spectrum")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        "osmia.fasta.gz (fasta-table): 2 records read, 2 kept",
        f"calibration: {BORROWED}",
        f"{index}: 2 unique sequences of 2 records, 1 genus, 2 species (state 1)",
    ]
    answer = command(*build, "--overwrite", "--json", "--threads", "1")
    described = json.loads(answer.out)
    assert (described["marker"], described["ranks"]) == ("COI", ["genus", "species"])
    assert described["counts"]["records"] == 2
    quiet = command("index", "build", more_bees, "-o", tmp_path / "quiet", "--quiet")
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")


def test_index_build_that_was_stopped_goes_on(
    more_bees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Any, fails: Any
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    index = tmp_path / "index"
    build = ("index", "build", more_bees, "-o", index, "--memory", "1G", "--no-calibrate")
    with monkeypatch.context() as patch:
        patch.setattr(steps, "write_vectors", stopped)
        assert command(*build).status == 130
    assert fails("index", "info", index) == (
        f"{index}: no index yet: its build is running, or was cut off (0 of 2 vectors written); "
        "give the same index build again, and it goes on"
    )
    lines = command(*build).out.splitlines()
    assert lines[0] == "went on with a build that was cut off (0 of 2 vectors written)"
    assert lines[-1].startswith(f"{index}: 2 unique sequences of 2 records")


def test_index_build_with_windows_and_without(tmp_path: Path, command: Any) -> None:
    genome, fasta = "ACGTTAGCCATTGACCA" * 100, tmp_path / "library.fasta"
    records = [f">r{i} g__Apis;s__Apis sp{i}\n{genome[i : i + 250]}\n" for i in range(30)]
    fasta.write_text("".join([*records, f">genome g__Apis;s__Apis sp99\n{genome}\n"]))
    build = ("index", "build", fasta, "--no-calibrate", "-o")
    told = {}
    for option in ("--windows", "--no-windows"):
        assert command(*build, tmp_path / option, option).status == 0
        told[option] = json.loads(command("index", "info", tmp_path / option, "--json").out)
    assert told["--windows"]["counts"]["vectors"] > told["--no-windows"]["counts"]["vectors"]
    rows = told["--no-windows"]["counts"]["rows"]
    assert told["--no-windows"]["counts"]["vectors"] == rows
    assert f"none, {rows} vectors" in command("index", "info", tmp_path / "--no-windows").out


def test_index_build_with_too_little_memory(more_bees: Path, tmp_path: Path, fails: Any) -> None:
    build = ("index", "build", more_bees, "-o", tmp_path / "index", "--memory")
    assert fails(*build, "9 lives", status=2) == (
        "memory is '9 lives': expected a size, as 8G, 500M or a number of bytes"
    )
    assert fails(*build, "64M", status=2) == "memory is '64M': expected 512M or more"
    assert not (tmp_path / "index").exists()


def test_index_build_of_two_libraries_with_a_table_each(tmp_path: Path, command: Any) -> None:
    words: list[str | Path] = []
    for name, sequence in (("x", "TTGACGTACCAGTTA"), ("y", "TTGACGTACGGGTTA")):
        fasta, table = tmp_path / f"{name}.fasta", tmp_path / f"{name}.tsv"
        fasta.write_text(f">{name}\n{sequence}\n")
        table.write_text(f"id\tgenus\n{name}\tGenus{name}\n")
        words += [fasta, "--taxonomy", table]
    answer = command("index", "build", *words, "-o", tmp_path / "index")
    assert answer.out.splitlines() == [
        "x.fasta (fasta-table): 1 records read, 1 kept",
        "y.fasta (fasta-table): 1 records read, 1 kept",
        f"calibration: {BORROWED}",
        f"{tmp_path / 'index'}: 2 unique sequences of 2 records, 2 genus (state 1)",
    ]


def test_index_add_and_remove(bees: Path, more_bees: Path, tmp_path: Path, command: Any) -> None:
    answer = command("index", "add", bees, more_bees)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        "more.fasta (fasta-lineage): 2 records read, 2 kept",
        f"{bees}: 5 unique sequences of 5 records, 1 family, 2 genus, 5 species (state 2)",
    ]
    assert json.loads(command("index", "add", bees, more_bees, "--json").out)["state"] == 3
    answer = command("index", "remove", bees, "a", "e")
    assert answer.out == (
        f"{bees}: 3 unique sequences of 3 records, 1 family, 2 genus, 3 species (state 4)\n"
    )
    ids = tmp_path / "ids.txt"
    ids.write_text("b\n\n d \n")
    answer = command("index", "remove", bees, "--ids-file", ids, "--quiet")
    assert (answer.status, answer.out, answer.err) == (0, "", "")
    assert read_manifest(bees).counts["records"] == 1
    verify_index(bees)


def test_ids_file_that_cannot_be_read(bees: Path, tmp_path: Path, fails: Any) -> None:
    missing, binary = tmp_path / "missing.txt", tmp_path / "ids.xlsx"
    binary.write_bytes(b"PK\x03\x04\xff\xfe\x80")
    expected = f"{missing}: No such file or directory"
    assert fails("index", "remove", bees, "--ids-file", missing) == expected
    message = fails("index", "remove", bees, "--ids-file", binary, status=2)
    assert message.endswith("expected ids of references in this index (none removed)")


def test_index_info_verify_list(bees: Path, command: Any) -> None:
    answer = command("index", "info", bees)
    assert (answer.status, answer.err) == (0, "")
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert "ranks family 1, genus 2, species 3" in lines
    assert "rows 3 unique sequences of 3 records, 0 rows taken out" in lines
    described = json.loads(command("index", "info", bees, "--json").out)
    assert described["encoder"] == "spectrum-k8-d2048"

    answer = command("index", "verify", bees)
    sound = f"{bees}: sound (6 files as written, 3 sampled references find themselves)\n"
    assert (answer.status, answer.out, answer.err) == (0, sound, "")
    assert command("index", "verify", bees, "--quiet").out == ""

    (bees.parent / "no index").mkdir()
    (bees.parent / "bundle").mkdir()
    (bees.parent / "bundle" / "manifest.json").write_text('{"wheels": []}')  # of no index
    listed = json.loads(command("index", "list", bees.parent, "--json").out)
    assert [one["index"] for one in listed] == [str(bees)]
    assert "spectrum" in command("index", "list", bees.parent).out
    empty = bees.parent / "no index"
    assert command("index", "list", empty).out == f"no index in {empty}\n"


def test_index_info_tells_how_reliable_probabilities_were(
    bees: Path, command: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = command("index", "info", bees).out
    assert "reliability of coi, its, 16s, 28s, 12s together, genera held out" in text
    assert max(map(len, text[text.index("reliability") :].splitlines()[:10])) < 100
    measured = json.loads(command("index", "info", bees, "--json").out)["reliability"]
    species = measured["aligned"]["default"]["species"]
    cells = next(line.split() for line in text.splitlines() if line.startswith("species "))
    errors = [tables["species"]["ece"] for name, tables in measured["aligned"].items()]
    assert cells == [
        "species", f"{species['queries']:,}", f"{species['ece']:.3f}",
        f"{100 * species['named']:.1f}", f"{100 * species['right']:.1f}",
        *(f"{error:.3f}" for error in errors[1:]),
    ]  # fmt: skip
    assert "reliability" not in json.loads(command("index", "list", bees.parent, "--json").out)[0]

    every = command("index", "info", bees, "--reliability").out
    assert "marker" not in every
    for how in ("with alignment", "without (--align 0)"):
        assert f"\nspecies, {how}, default prior: " in every
        assert f"\nspecies, {how}, every scenario as often: " in every
    p, right = (species["bins"][name][0] for name in ("p", "right"))
    assert f"{p:8.3f}{right:8.3f}{species['bins']['queries'][0]:9,}  " in every

    values = json.loads(inspecting.DEFAULT.read_text())
    del values["about"]["reliability"]
    (tmp_path / "old.json").write_text(json.dumps(values))
    monkeypatch.setattr(inspecting, "DEFAULT", tmp_path / "old.json")
    expected = "reliability not measured (seqsearch index calibrate measures it)"
    assert expected in command("index", "info", bees).out.splitlines()
    assert command("index", "info", bees, "--reliability").out == expected + "\n"
    assert json.loads(command("index", "info", bees, "--json").out)["reliability"] is None


def test_bars_stand_where_shares_and_probabilities_do() -> None:
    bins = {"p": [0.0, 0.5, 1.0], "right": [0.2, 0.5, 0.9], "queries": [7, 8, 1200]}
    table = {"queries": 1215, "ece": 0.1, "named": 0.3, "right": None, "bins": bins}
    empty = {"queries": 5, "ece": 0.0, "named": 0.0, "right": None}
    way = {"default": {"species": table}, "even": {"species": empty}}
    lines = list(long_lines({"libraries": [], "aligned": way, "vectors": way}))
    assert lines[0] == "reliability of this library, genera held out; # share right, | probability"
    assert lines[2] == "species, with alignment, default prior: 1,215 queries, ECE 0.100"
    assert lines[4:7] == [
        "   0.000   0.200        7  |#########",
        "   0.500   0.500        8  " + 25 * "#" + "|",
        "   1.000   0.900    1,200  " + 45 * "#" + "     |",
    ]
    assert lines[9] == "  no name is right"


def test_a_second_writer_is_refused(
    bees: Path, bee_run: Path, more_bees: Path, hashes: Any, fails: Any, command: Any
) -> None:
    expected = f"{bees}: another process is writing this index"
    before = hashes(bees)
    with locked(bees, "index"):
        assert fails("index", "add", bees, more_bees) == expected
        assert fails("index", "remove", bees, "a") == expected
        assert fails("index", "build", more_bees, "-o", bees, "--overwrite") == expected
        assert command("index", "verify", bees).status == 0  # readers are free
        assert command("query", bees, more_bees, "-o", bees.parent / "free").status == 0
    assert hashes(bees) == before
    with locked(bee_run, "run"):
        expected = f"{bee_run}: another process is writing this run"
        assert fails("query", bees, more_bees, "-o", bee_run, "--overwrite") == expected
        assert fails("call", bee_run) == expected
    assert command("index", "add", bees, more_bees).status == 0


# --- query and call -------------------------------------------------------------------------------


def test_query(tiny_index: Path, reads: list[Path], tmp_path: Path, command: Any) -> None:
    run, rest = tmp_path / "run", tmp_path / "rest.fasta"
    answer = command("query", tiny_index, *reads, "-o", run, "--unassigned-out", rest)
    assert answer.status == 0
    assert answer.err.splitlines() == [
        "Warning: 1 of 5 queries are invalid (column reason says why)",
        "Warning: 20% of the queries matched as reverse complements",
    ]
    assert answer.out.splitlines()[0].startswith(f"5 queries against {tiny_index}; searched 5 in ")
    assert answer.out.splitlines()[-1] == f"{run}/assignments.tsv (named from 0.8 on)"
    assert column(run, "query_id") == ["q1;size=5", "q2", "q3;size=2", "q4", "q5"]
    assert column(run, "taxon")[:3] == ["Apis mellifera", "Bombus terrestris", "Apis"]
    assert column(run, "verdict")[:3] == ["identified", "identified", "ambiguous"]
    assert column(run, "verdict")[4] == "invalid"
    assert column(run, "strand")[:3] == ["+", "-", "+"]
    samples = pq.read_table(run / "queries" / "part-00000.parquet")["sample"].to_pylist()
    assert samples == ["one", "one"]


def test_query_prints_json_or_nothing(
    tiny_index: Path, reads: list[Path], tmp_path: Path, command: Any
) -> None:
    answer = command("query", tiny_index, *reads, "-o", tmp_path / "json", "--json")
    state = json.loads(answer.out)
    assert (answer.err, state["status"], state["counts"]["queries"]) == ("", "finished", 5)
    answer = command("query", tiny_index, *reads, "-o", tmp_path / "quiet", "--quiet")
    assert (answer.status, answer.out, answer.err) == (0, "", "")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--min-confidence 0", ["Apis mellifera", "Bombus terrestris"]),
        ("--strand plus --candidates 10 --align 0", ["Apis mellifera", None]),
        ("--taxon Bombus --min-confidence 0", ["Bombus terrestris", "Bombus terrestris"]),
        ("--hits 1 --candidates 1 --min-confidence 0.3", ["Apis mellifera", "Bombus terrestris"]),
    ],
)
def test_query_options(
    options: str,
    expected: list[str],
    tiny_index: Path,
    reads: list[Path],
    tmp_path: Path,
    command: Any,
) -> None:
    run = tmp_path / "run"
    words = ("--quiet", "--threads", "1", "--device", "cpu", *options.split())
    assert command("query", tiny_index, reads[0], "-o", run, *words).status == 0
    assert column(run, "taxon") == expected


def test_query_without_sequences(
    tiny_index: Path, reads: list[Path], tmp_path: Path, command: Any, fails: Any
) -> None:
    run, rest = tmp_path / "run", tmp_path / "rest.fasta"
    words = ("query", tiny_index, reads[0], "-o", run, "--no-sequences")
    expected = f"unassigned-out is {str(rest)!r}: expected a run that keeps sequences"
    assert fails(*words, "--unassigned-out", rest, status=2) == expected
    assert command(*words).status == 0
    assert "sequence" not in pq.read_schema(run / "queries" / "part-00000.parquet").names
    assert fails("call", run, "--unassigned-out", rest, status=2) == expected
    assert command("call", run, "--min-confidence", "1").status == 0


def test_unassigned_reads(index_folder: Path, tmp_path: Path, command: Any) -> None:
    reads, run = tmp_path / "reads.fasta", tmp_path / "run"
    rest, all_named = tmp_path / "rest.fasta", tmp_path / "none.fasta"
    reads.write_text(">good x y\n" + "ACGTTGCA" * 9 + "\n>bad\nNN\n")
    query = ("query", index_folder, reads, "-o", run, "--min-confidence", "1", "--quiet")
    assert command(*query, "--unassigned-out", rest).status == 0
    ranks = dict(zip(column(run, "query_id"), column(run, "rank"), strict=True))
    expected = "" if ranks["good"] else ">good x y\n" + "ACGTTGCA" * 9 + "\n"
    assert rest.read_text() == expected
    call = ("call", run, "--min-confidence", "0", "--unassigned-out", all_named, "--quiet")
    assert command(*call).status == 0
    assert all_named.read_text() == ""


def test_an_unfinished_run_from_standard_input(
    tiny_index: Path, reads: list[Path], tmp_path: Path, command: Any, fails: Any
) -> None:
    run = tmp_path / "run"
    query = ("query", tiny_index, "-", "-o", run, "--batch-size", "1")
    cut = gzip.compress(reads[0].read_bytes() * 50_000)[:-9]
    message = fails(*query, stdin=cut)
    assert message == ("standard input: the gz data are cut short; copy or download the file again")
    if run.exists():
        advice = "give --overwrite to start again"
        expected = "an unfinished run from standard input is here, which cannot be resumed"
        assert fails(*query, stdin=cut) == f"{run}: {expected}; {advice}"
    assert command(*query, "--overwrite", stdin=reads[0].read_bytes()).status == 0
    assert column(run, "query_id") == ["q1;size=5", "q2"]


def test_call(bee_run: Path, command: Any) -> None:
    answer = command("call", bee_run, "--min-confidence", "0")
    assert answer.status == 0
    assert answer.out.splitlines()[-1] == f"{bee_run}/assignments.tsv (named from 0 on)"
    assert column(bee_run, "taxon") == ["Apis mellifera", "Bombus terrestris"]
    assert command("call", bee_run, "--quiet").out == ""
    state = json.loads(command("call", bee_run, "--min-confidence", "0.5", "--json").out)
    assert state["settings"]["min_confidence"] == 0.5


def test_training_from_the_command_line(index_folder: Path, tmp_path: Path, command: Any) -> None:
    pytest.importorskip("accelerate", reason="needs the extra train")
    out = tmp_path / "encoder"
    words = ["train", "contrastive", str(index_folder), "-o", str(out), "--steps", "3"]
    small = ["--set", "bag.dim=16", "--set", "bag.patterns=11111", "--set", "spectrum_dim=32"]
    done = command(*words, *small, "--batch-size", "32", "--name", "mine")
    assert done.status == 0
    assert "unseen_genus" in done.out
    assert f"{out}: mine-d48, " in done.out
    again = command(*words)
    assert (again.status, again.err) == (
        1,
        f"Error: {out}: this encoder exists; give --overwrite to replace it\n",
    )
    odd = command(*words, "--set", "steps")
    assert (odd.status, odd.err) == (2, "Error: set is 'steps': expected NAME=VALUE\n")
    share = command(*words, "--overwrite", "--share", "coi=2")
    assert share.status == 2
    assert "a marker of these libraries" in share.err


def test_a_pretrained_network_names_queries(
    library_files: Path, index_folder: Path, tmp_path: Path, command: Any, fails: Any
) -> None:
    pytest.importorskip("accelerate", reason="needs the extra train")
    references = library_files / "references.fasta"
    encoder, tuned = tmp_path / "encoder", tmp_path / "tuned"
    sizes = ("hidden_size=16", "num_hidden_layers=1", "intermediate_size=16")
    tiny = [word for size in sizes for word in ("--set", f"network.{size}")]
    words = ["train", "pretrain", references, "-o", encoder, "--recipe", "barcodebert-small"]
    options = [*tiny, "--steps", "4", "--batch-size", "8", "--threads", "1"]
    done = command(*words, *options, "--name", "mine")
    assert done.status == 0
    assert "shares at the place" in done.out
    assert f"{encoder}: mine-d16, " in done.out
    found = json.loads(command(*words, *options, "--overwrite", "--json").out)
    assert found["guess"]["loss"] > 0
    silent = ["--threads", "1", "--quiet"]
    tuning = ["train", "finetune", index_folder, "--from", encoder, "-o", tuned, "--steps", "2"]
    index, run = tmp_path / "index", tmp_path / "run"
    building = ["index", "build", references, "--taxonomy", library_files / "references.tsv"]
    asking = ["query", index, library_files / "queries.fasta", "-o", run, "--min-confidence", "0"]
    for words_of in (
        [*tuning, "--batch-size", "8", *silent],
        [*building, "-o", index, "--no-calibrate", "--encoder", tuned, *silent],
        [*asking, *silent],
    ):
        answer = command(*words_of)
        assert (answer.status, answer.out, answer.err) == (0, "", "")
    rows = [line.split("\t") for line in (library_files / "queries.tsv").read_text().splitlines()]
    family = {row[0]: row[rows[0].index("family")] for row in rows[1:]}
    named = dict(zip(column(run, "query_id"), column(run, "family"), strict=True))
    right = [named[query] == name for query, name in family.items() if query in named]
    assert sum(right) > 0.6 * len(named)  # of ten families, some of which the library lacks
    wrong = fails("train", "pretrain", references, "-o", run, "--recipe", "cnn", status=2)
    assert wrong == (
        "recipe is 'cnn': expected one of barcodebert, barcodebert-small, metaberta, "
        "metaberta-small for train pretrain"
    )


def test_export(tiny_run: Path, tmp_path: Path, command: Any, fails: Any) -> None:
    out = tmp_path / "hits.b6"
    assert command("export", tiny_run, "-o", out).out.endswith(f"lines in {out}\n")
    assert out.read_text().splitlines()[0].split("\t")[:3] == ["q1", "a", "100.0"]
    assert fails("export", tiny_run, "-o", out).startswith(f"{out}")
    assert command("export", tiny_run, "-o", out, "--overwrite", "--quiet").out == ""
    wrong = fails("export", tiny_run, "-o", tmp_path / "x", "--format", "bam", status=2)
    assert wrong == "format is 'bam': expected auto or blast6 or sam"
