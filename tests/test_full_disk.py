"""A full disk gives one line that names the file; the old index and committed parts stay."""

from __future__ import annotations

import gc
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seqsearch.jobs.inspecting import verify_index
from seqsearch.jobs.opened import open_index
from seqsearch.runs.folder import PARTS, RunFolder

FULL = "File too large"  # the limit on file sizes is the disk here


@dataclass(frozen=True)
class Place:
    """An index, a library to add, queries, and an empty place."""

    index: Path
    library: Path
    table: Path
    queries: Path
    out: Path


@pytest.fixture
def place(index_folder: Path, library_files: Path, tmp_path: Path) -> Place:
    index = shutil.copytree(index_folder, tmp_path / "index")
    with open_index(index) as opened:  # compiles what a limited process could not keep
        opened.classify(library_files / "queries.fasta")
    names = ("references.fasta", "references.tsv", "queries.fasta")
    return Place(index, *(library_files / name for name in names), tmp_path / "out")


def limited(size: int, *words: str | Path) -> str:
    """Run a command that may write no file beyond a size; returns its one line of error."""

    def set_limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    done = subprocess.run(
        [sys.executable, "-m", "seqsearch", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=set_limit,
    )
    assert done.stdout == ""
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("Error: ").rstrip()


# The default encoder alone would fill these disks.
PLAIN = ("--encoder", "spectrum")
SMALL, MIDDLE, LARGE = 60, 100_000, 1_200_000  # before, among and after the sequences


@pytest.mark.parametrize(
    ("size", "inside"),
    [
        (SMALL, "encoder/config.json"),
        (MIDDLE, "segments/0001/sequences.u8.npy"),
        (LARGE, "segments/0001/default/vectors.f16.npy"),
    ],
)
def test_build(size: int, inside: str, place: Place) -> None:
    build = ("index", "build", place.library, "--taxonomy", place.table, "-o", place.out, *PLAIN)
    assert limited(size, *build) == f"{place.out / inside}: {FULL}"
    assert not place.out.exists()


def test_build_stopped_at_the_catalog(place: Place, more_bees: Path) -> None:
    message = limited(MIDDLE, "index", "build", more_bees, "-o", place.out, *PLAIN)
    catalog = place.out / "catalog-0001.duckdb"
    assert message.startswith(f"{catalog}: the catalog could not be written: ")
    assert FULL in message
    assert not place.out.exists()


@pytest.mark.parametrize("size", [MIDDLE, LARGE])
def test_an_index_that_is_replaced(size: int, place: Place, hashes: Any) -> None:
    before = hashes(place.index)
    build = ("index", "build", place.library, "--taxonomy", place.table, "-o", place.index, *PLAIN)
    assert FULL in limited(size, *build, "--overwrite")
    assert hashes(place.index) == before


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_add(size: int, place: Place, hashes: Any) -> None:
    before = hashes(place.index)
    table = place.queries.with_suffix(".tsv")
    message = limited(size, "index", "add", place.index, place.queries, "--taxonomy", table)
    assert str(place.index) in message
    assert FULL in message
    assert hashes(place.index) == before


def test_query(place: Place, command: Any) -> None:
    query = ("query", place.index, place.queries, "-o", place.out, "--batch-size", "50")
    message = limited(300, *query)
    assert message == f"{place.out / 'run.json'}: {FULL}"
    assert not place.out.exists()

    message = limited(11_500, *query)  # enough for the parts, not for what is made of them all
    assert message.startswith(f"{place.out}/")
    assert FULL in message
    run = RunFolder.open(place.out)
    assert run.parts_done() == 7
    parts = [run.part_file(kind, i) for kind in PARTS for i in range(7)]
    written = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in parts]
    left = {path.relative_to(place.out).as_posix() for path in place.out.rglob("*.*")}
    assert left - {"refs.parquet"} == {
        "run.json",
        ".lock",
        *(path.relative_to(place.out).as_posix() for path in parts),
    }

    assert command(*query).status == 0
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in parts] == written
    assert RunFolder.open(place.out).is_finished


def test_call(place: Place, hashes: Any) -> None:
    with open_index(place.index) as index:
        index.query(place.queries, place.out)
    before = hashes(place.out)
    message = limited(2000, "call", place.out, "--min-confidence", "0.1")
    assert message.startswith(f"{place.out / 'assignments.'}")
    assert hashes(place.out) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2.5 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2500k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a small disk")
    yield folder
    gc.collect()  # what an error kept open
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full(
    small_disk: Path, tiny_index: Path, place: Place, hashes: Any, fails: Any, command: Any
) -> None:
    index = shutil.copytree(tiny_index, small_disk / "index")  # 1.6 MB
    before = hashes(small_disk)
    full = "No space left on device"
    build = ("index", "build", place.library, "--taxonomy", place.table, *PLAIN)
    for words in (
        (*build, "-o", small_disk / "other"),
        (*build, "-o", index, "--overwrite"),
        ("index", "add", index, place.library, "--taxonomy", place.table),
    ):
        message = fails(*words)
        assert message.startswith(str(small_disk))
        assert full in message
        assert hashes(small_disk) == before
    verify_index(index)

    (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free - 60_000))
    query = ("query", place.index, place.queries, "-o", small_disk / "run", "--batch-size", "20")
    message = fails(*query)
    assert message.startswith(str(small_disk / "run"))
    assert full in message
    done = RunFolder.open(small_disk / "run").parts_done()
    assert done > 0
    (small_disk / "ballast").unlink()
    assert command(*query).status == 0
    run = RunFolder.open(small_disk / "run")
    assert run.is_finished
    assert run.state["resumed_at"] == 20 * done
