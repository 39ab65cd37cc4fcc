"""Damaged indexes and runs are named with what to do; what is in the way is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from seqsearch.errors import FolderError
from seqsearch.index.store import IndexStore
from seqsearch.jobs.build import build_index
from seqsearch.jobs.inspecting import verify_index
from seqsearch.jobs.opened import open_index
from seqsearch.jobs.opened_run import open_run
from seqsearch.tables import sha256_of

FILES = (
    "catalog-0001.duckdb",
    "encoder/config.json",
    "segments/0001/refs.parquet",
    "segments/0001/offsets.npy",
    "segments/0001/sequences.u8.npy",
    "segments/0001/default/vectors.f16.npy",
)


# --- damaged indexes ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short(name: str, bees: Path, more_bees: Path, hashes: Any, fails: Any) -> None:
    path = bees / name
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    expected = (
        f"{path}: has {size - 1:,} bytes, the manifest says {size:,}: cut short or changed; "
        "build the index again"
    )
    before = hashes(bees)
    for words in (("verify", bees), ("add", bees, more_bees), ("remove", bees, "a")):
        assert fails("index", *words) == expected
    assert fails("query", bees, more_bees, "-o", bees.parent / "out") == expected
    with pytest.raises(FolderError) as caught:
        open_index(bees)
    assert caught.value.path == path
    assert hashes(bees) == before


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(name: str, bees: Path, more_bees: Path, fails: Any) -> None:
    (bees / name).unlink()
    expected = f"{bees / name}: a file of the index is missing; build it again"
    assert fails("index", "verify", bees) == expected
    assert fails("query", bees, more_bees, "-o", bees.parent / "out") == expected


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte(name: str, bees: Path, fails: Any) -> None:
    data = bytearray((bees / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bees / name).write_bytes(data)
    expected = f"{bees / name}: its content has changed (SHA-256); build the index again"
    assert fails("index", "verify", bees) == expected


def test_vectors_that_are_not_the_sequences(bees: Path, fails: Any) -> None:
    """Hashes as written, but nothing finds itself: what a faulty encoder would leave."""
    path = bees / FILES[-1]
    data = path.read_bytes()
    path.write_bytes(data[:128] + data[128:][::-1])
    manifest = bees / "manifest.json"
    fields = json.loads(manifest.read_text())
    fields["files"][FILES[-1]]["sha256"] = sha256_of(path)
    manifest.write_text(json.dumps(fields))
    expected = f"{bees}: 3 of 3 sampled references do not find themselves; build the index again"
    assert fails("index", "verify", bees) == expected


def test_a_damaged_catalog_in_a_query(
    index_folder: Path, library_files: Path, tmp_path: Path, fails: Any
) -> None:
    index = shutil.copytree(index_folder, tmp_path / "index")
    catalog = index / FILES[0]
    data = bytearray(catalog.read_bytes())
    data[len(data) // 4 :] = bytes(len(data) - len(data) // 4)
    catalog.write_bytes(data)
    expected = f"{catalog}: the catalog is damaged; build the index again"
    queries = library_files / "queries.fasta"
    assert fails("query", index, queries, "-o", tmp_path / "run") == expected
    assert not (tmp_path / "run").exists()


DAMAGED = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "empty": lambda path: path.write_bytes(b""),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "a list": lambda path: path.write_text("[1, 2]"),
    "a field less": lambda path: path.write_text(path.read_text().replace('"marker"', '"mark"')),
}


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_manifest(
    how: str, bees: Path, more_bees: Path, fails: Any, command: Any
) -> None:
    manifest = bees / "manifest.json"
    DAMAGED[how](manifest)
    expected = f"{manifest}: the manifest is damaged; copy manifests/0001.json over it"
    for words in (("info", bees), ("verify", bees), ("add", bees, more_bees)):
        assert fails("index", *words) == expected
    assert fails("query", bees, more_bees, "-o", bees.parent / "out") == expected
    assert fails("sql", bees, "SELECT 1") == expected

    rebuilt = shutil.copytree(bees, bees.parent / "rebuilt")
    assert command("index", "build", more_bees, "-o", rebuilt, "--overwrite").status == 0
    verify_index(rebuilt)

    shutil.copy(bees / "manifests" / "0001.json", manifest)  # as advised
    assert command("index", "verify", bees).status == 0


@pytest.mark.parametrize(
    ("version", "advice"), [(9, "update seqsearch"), (2, "build the index again")]
)
def test_another_format_version(bees: Path, fails: Any, version: int, advice: str) -> None:
    manifest = bees / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"format_version": 3', f'"format_version": {version}'))
    expected = f"{bees}: index format {version}, this version reads 3; {advice}"
    assert fails("index", "info", bees) == expected


def test_a_damaged_manifest_of_an_earlier_state(
    bees: Path, more_bees: Path, hashes: Any, fails: Any, command: Any
) -> None:
    history = bees / "manifests" / "0001.json"
    history.write_text("{")
    before = hashes(bees)
    expected = f"{history}: the manifest of an earlier state is damaged; delete it"
    assert fails("index", "add", bees, more_bees) == expected
    assert hashes(bees) == before
    history.unlink()  # as advised
    assert command("index", "add", bees, more_bees).status == 0
    verify_index(bees)

    history.write_text("{")
    build_index(more_bees, bees, overwrite=True)
    verify_index(bees)
    assert not history.exists()


def test_no_manifest_of_an_earlier_state(bees: Path, more_bees: Path, command: Any) -> None:
    shutil.rmtree(bees / "manifests")
    assert command("index", "add", bees, more_bees).status == 0
    assert IndexStore.open(bees).manifest.number == 2
    verify_index(bees)


def test_no_index(tmp_path: Path, more_bees: Path, fails: Any) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "cut" / "segments").mkdir(parents=True)
    for name, sentence in (
        ("missing", "no such index"),
        ("nothing", "not an index (no manifest.json)"),
        ("cut", "the build of this index was cut off; run index build again"),
    ):
        for words in (
            ("info", name),
            ("verify", name),
            ("add", name, more_bees),
            ("remove", name, "a"),
        ):
            folder = tmp_path / words[1]
            assert fails("index", words[0], folder, *words[2:]) == f"{folder}: {sentence}"
        assert fails("query", folder, more_bees, "-o", tmp_path / "run") == f"{folder}: {sentence}"
        assert fails("sql", folder, "SELECT 1") == f"{folder}: neither an index nor a run"
    assert not (tmp_path / "missing").exists()


# --- damaged runs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["queries", "hits", "calls"])
def test_a_damaged_part(kind: str, bee_run: Path, hashes: Any, fails: Any) -> None:
    part = bee_run / kind / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-9])
    before = hashes(bee_run)
    damaged = f"{part}: a part of the run is missing or damaged; query again with --overwrite"
    assert fails("call", bee_run) == damaged
    assert str(part) in fails("sql", bee_run, f"SELECT * FROM {kind}")
    assert hashes(bee_run) == before


@pytest.mark.parametrize("name", ["refs.parquet", "assignments.parquet"])
def test_a_damaged_table_of_a_run(name: str, bee_run: Path, fails: Any) -> None:
    path = bee_run / name
    path.write_bytes(path.read_bytes()[:-9])
    damaged = f"{path}: the file is damaged; query again with --overwrite"
    assert fails("sql", bee_run, "SELECT 1") == damaged
    if name == "refs.parquet":
        assert fails("call", bee_run) == damaged


def test_a_damaged_later_part(
    index_folder: Path, library_files: Path, tmp_path: Path, fails: Any
) -> None:
    run = tmp_path / "run"
    with open_index(index_folder) as opened:
        opened.query(library_files / "queries.fasta", run, batch_size=200)
    part = run / "hits" / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-9])
    damaged = f"{part}: a part of the run is missing or damaged; query again with --overwrite"
    assert fails("call", run) == damaged
    assert str(part) in fails("sql", run, "SELECT * FROM hits")


def test_a_missing_part(bee_run: Path, fails: Any) -> None:
    part = bee_run / "hits" / "part-00000.parquet"
    part.unlink()
    damaged = f"{part}: a part of the run is missing or damaged; query again with --overwrite"
    assert fails("call", bee_run) == damaged


def test_a_damaged_run_file(bee_run: Path, fails: Any) -> None:
    (bee_run / "run.json").write_text("{")
    expected = f"{bee_run / 'run.json'}: run.json is damaged; query again"
    assert fails("call", bee_run) == expected
    assert fails("sql", bee_run, "SELECT 1") == expected


def test_a_run_of_another_version(bee_run: Path, fails: Any) -> None:
    file = bee_run / "run.json"
    file.write_text(file.read_text().replace('"format_version": 1', '"format_version": 9'))
    assert fails("call", bee_run) == f"{bee_run}: run format 9, this version reads 1"


def test_no_run(tmp_path: Path, fails: Any) -> None:
    assert fails("call", tmp_path / "missing") == f"{tmp_path / 'missing'}: no such run"
    assert fails("call", tmp_path) == f"{tmp_path}: not a run (no run.json)"
    with pytest.raises(FolderError, match="no such run"):
        open_run(tmp_path / "missing")


# --- folders in the way ---------------------------------------------------------------------------


def test_an_index_is_not_overwritten_unasked(
    bees: Path, more_bees: Path, hashes: Any, fails: Any, command: Any
) -> None:
    before = hashes(bees)
    expected = f"{bees}: this index exists; give --overwrite to replace it"
    assert fails("index", "build", more_bees, "-o", bees) == expected
    assert hashes(bees) == before
    assert command("index", "build", more_bees, "-o", bees, "--overwrite", "--quiet").status == 0
    assert IndexStore.open(bees).manifest.counts["records"] == 2


def test_a_run_is_not_overwritten_unasked(
    bees: Path, bee_run: Path, more_bees: Path, hashes: Any, fails: Any, command: Any
) -> None:
    before = hashes(bee_run)
    advice = "give --overwrite to query again, or draw new assignments with call"
    assert (
        fails("query", bees, more_bees, "-o", bee_run)
        == f"{bee_run}: this run is finished; {advice}"
    )
    assert hashes(bee_run) == before
    assert command("query", bees, more_bees, "-o", bee_run, "--overwrite", "--quiet").status == 0
    assert open_run(bee_run).assignments()["query_id"].to_pylist() == ["d", "e"]


FOREIGN_TO_INDEXES = (
    "notes.txt",
    "segments/notes.txt",
    "segments/0001/notes.txt",
    "manifests/notes.txt",
    "encoder/weights.pt",
    "catalog-backup.duckdb",
    "removed-mine.npy",
    ".hidden",
)
FOREIGN_TO_RUNS = (
    "notes.txt",
    "queries/reads.fasta",
    "hits/part-1.csv",
    ".hidden",
    "mine",
)


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    return path


@pytest.mark.parametrize("name", FOREIGN_TO_INDEXES)
def test_strange_files_in_an_index_are_kept(
    name: str, bees: Path, more_bees: Path, hashes: Any, fails: Any, command: Any
) -> None:
    mine = put(bees / name)
    before = hashes(bees)
    expected = f"{bees}: has files that are no index's ({name}); choose another output"
    assert fails("index", "build", more_bees, "-o", bees, "--overwrite") == expected
    assert hashes(bees) == before
    assert command("index", "add", bees, more_bees).status == 0
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", FOREIGN_TO_RUNS)
def test_strange_files_in_a_run_are_kept(
    name: str, bees: Path, bee_run: Path, more_bees: Path, hashes: Any, fails: Any
) -> None:
    put(bee_run / name)
    before = hashes(bee_run)
    expected = f"{bee_run}: has files that are no run's ({name}); choose another output"
    assert fails("query", bees, more_bees, "-o", bee_run, "--overwrite") == expected
    assert hashes(bee_run) == before


@pytest.mark.parametrize(
    "name", ["encoder/config.json", "refs.parquet", "queries/part-00000.parquet", "assignments.tsv"]
)
@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_files_of_other_folders_are_kept_whatever_their_names(
    name: str,
    overwrite: tuple[str],
    bees: Path,
    more_bees: Path,
    tmp_path: Path,
    hashes: Any,
    fails: Any,
) -> None:
    folder = tmp_path / "project"
    put(folder / name)
    for words, what in (
        (("index", "build", more_bees), "index"),
        (("query", bees, more_bees), "run"),
    ):
        message = fails(*words, "-o", folder, *overwrite)
        assert message.startswith(f"{folder}: has files that are no {what}'s (")
    assert hashes(folder).keys() == {name}


def test_indexes_and_runs_do_not_replace_each_other(
    bees: Path, bee_run: Path, more_bees: Path, hashes: Any, fails: Any
) -> None:
    before = hashes(bees) | hashes(bee_run)
    message = fails("query", bees, more_bees, "-o", bees, "--overwrite")
    assert message.startswith(f"{bees}: has files that are no run's (")
    message = fails("index", "build", more_bees, "-o", bee_run, "--overwrite")
    assert message.startswith(f"{bee_run}: has files that are no index's (")
    assert hashes(bees) | hashes(bee_run) == before
