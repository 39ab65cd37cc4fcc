"""A build that was killed goes on where it was, and ends as one that was not."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from seqsearch.errors import FolderError, InputError, SettingsError
from seqsearch.index import manifest, segments, spill, writer
from seqsearch.index.manifest import read_manifest
from seqsearch.index.store import IndexStore
from seqsearch.jobs import build
from seqsearch.jobs.build import build_index
from seqsearch.libraries import fasta_table
from seqsearch.settings import BuildSettings

BLOCK = 64
Stage = tuple[str, int]  # of the progress, and how many sequences of it are done at least
LIBRARY = 1024  # in whole blocks, the first one
KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import test_going_on
test_going_on.make_small(setattr)
stage, least = sys.argv[2], int(sys.argv[3])
seen = []

def progress(name, done, fraction):
    seen.append(name)
    if seen.count(stage) * test_going_on.BLOCK >= least:
        os.kill(os.getpid(), signal.SIGKILL)

test_going_on.make(sys.argv[4], sys.argv[5], progress)
"""


def make_small(patch: Any) -> None:
    """Make blocks so small that a few hundred records have several."""
    patch(fasta_table, "BATCH_SIZE", BLOCK)
    patch(segments, "BLOCK", BLOCK)
    patch(segments, "FLUSHED", 2 * BLOCK)


def make(files: str | Path, out: str | Path, progress: Any, **changes: Any) -> build.Change:
    """Build an index of two libraries of one folder."""
    libraries = [Path(files, "references.fasta"), Path(files, "queries.fasta")]
    options = {"marker": "COI", **changes}
    tables = [path.with_suffix(".tsv") for path in libraries]
    settings = BuildSettings(encoder="spectrum", calibrate=False, threads=1)
    return build_index(
        libraries, out, taxonomy=tables, settings=settings, progress=progress, **options
    )


class Seen:
    """Notes where the stages begin."""

    def __init__(self) -> None:
        self.first: dict[str, int] = {}
        self.told = ""  # that it goes on, and from where

    def __call__(self, stage: str, done: int, fraction: float | None) -> None:
        if stage.startswith("going on: "):
            self.told = stage.removeprefix("going on: ")
            return
        self.first.setdefault(stage, done)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch.setattr)


@pytest.fixture(scope="module")
def files(library_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(library_files, tmp_path_factory.mktemp("going") / "on")


def killed(stage: Stage, files: Path, out: Path) -> None:
    """Build in another process that is killed at a stage."""
    words = [str(Path(__file__).parent), stage[0], str(stage[1]), str(files), str(out)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *words],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == -signal.SIGKILL


def assert_same(one: Path, other: Path, hashes: Any) -> None:
    """Files and what the catalogs say; the database's own bytes differ from build to build."""
    found, expected = hashes(one), hashes(other)
    aside = {n for n in expected if n.endswith(".duckdb") or "manifest" in n}
    assert found.keys() == expected.keys()
    assert {n: found[n] for n in found.keys() - aside} == {
        n: expected[n] for n in expected.keys() - aside
    }
    states = []
    for folder in (one, other):
        store = IndexStore.open(folder)
        refs, votes = store.catalog.refs(store.live_rows), store.votes
        arrays = [votes.start.tolist(), votes.taxon.tolist(), store.taxonomy.parent.tolist()]
        told = store.manifest
        said = (told.sources, told.counts, told.ranks, told.notes)
        states.append((refs.to_pylist(), arrays, store.catalog.labels().to_pylist(), said))
        store.close()
    assert states[0] == states[1]


@pytest.mark.parametrize(
    ("stage", "says", "first"),
    [
        (("import", 2 * BLOCK), "nothing read yet", {"import": BLOCK, "encode": BLOCK}),
        (("import", LIBRARY + 3 * BLOCK), "1 libraries read", {"import": BLOCK, "encode": BLOCK}),
        (("encode", 3 * BLOCK), r"128 of [0-9,]+ vectors written", {"encode": 3 * BLOCK}),
    ],
)
def test_it_goes_on(
    stage: Stage,
    says: str,
    first: dict[str, int],
    files: Path,
    tmp_path: Path,
    hashes: Any,
    small: None,
) -> None:
    killed(stage, files, tmp_path / "index")
    with pytest.raises(FolderError, match=rf"no index yet.*\({says}\); give the same index build"):
        read_manifest(tmp_path / "index")
    seen = Seen()
    change = make(files, tmp_path / "index", seen)
    assert seen.first == first
    assert re.fullmatch(says, change.resumed or "nothing read yet")
    assert seen.told == change.resumed
    assert make(files, tmp_path / "other", Seen()).resumed == ""
    assert_same(tmp_path / "index", tmp_path / "other", hashes)


def test_windows_of_long_references_go_on(
    files: Path, tmp_path: Path, hashes: Any, small: None
) -> None:
    """Killed before the windows of genomes, among them, and behind."""
    copy = shutil.copytree(files, tmp_path / "files")
    records = (copy / "references.fasta").read_text().split(">")[1:]
    rng = np.random.default_rng(4)
    for i in (300, 301, 302):
        records[i] += "".join(rng.choice(list("ACGT"), 60_000)) + "\n"
    (copy / "references.fasta").write_text("".join(f">{record}" for record in records))
    make(copy, tmp_path / "other", Seen())
    store = IndexStore.open(tmp_path / "other")
    among = np.flatnonzero(np.diff(store.spans.rows) == 0)
    first, last, total = int(among[0]), int(among[-1]), len(store.spans)
    assert total > store.rows + 300
    store.close()
    for at in (first // BLOCK, (first + last) // 2 // BLOCK, last // BLOCK + 3):
        out = tmp_path / f"index{at}"
        killed(("encode", at * BLOCK), copy, out)
        resumed = make(copy, out, Seen()).resumed
        done = at * BLOCK // (2 * BLOCK) * 2 * BLOCK
        assert resumed in {f"{n:,} of {total:,} vectors written" for n in (done, done - 2 * BLOCK)}
        assert_same(out, tmp_path / "other", hashes)


def test_a_library_that_was_read_is_not_read_again(
    files: Path, tmp_path: Path, hashes: Any, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enough(KeyboardInterrupt):
        pass

    def interrupt(*_: Any) -> None:
        raise Enough

    with monkeypatch.context() as patch:  # after the libraries, before rows are written
        patch.setattr(spill.Spill, "finish", interrupt)
        with pytest.raises(Enough):
            make(files, tmp_path / "index", Seen())
    with pytest.raises(FolderError, match=r"no index yet.*\(2 libraries read\)"):
        read_manifest(tmp_path / "index")
    seen = Seen()
    assert make(files, tmp_path / "index", seen).resumed == "2 libraries read"
    assert seen.first == {"encode": BLOCK}
    make(files, tmp_path / "other", Seen())
    assert_same(tmp_path / "index", tmp_path / "other", hashes)


def test_a_build_cut_off_in_the_commit_goes_on(
    files: Path, tmp_path: Path, hashes: Any, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enough(KeyboardInterrupt):
        pass

    def interrupt(*_: Any) -> None:
        raise Enough

    with monkeypatch.context() as patch:  # while it flushes what the manifest names
        patch.setattr(manifest, "flush_to_disk", interrupt)
        with pytest.raises(Enough):
            make(files, tmp_path / "index", Seen())
    seen = Seen()
    assert re.fullmatch(
        r"([0-9,]+) of \1 vectors written", make(files, tmp_path / "index", seen).resumed
    )
    assert seen.first == {}
    make(files, tmp_path / "other", Seen())
    assert_same(tmp_path / "index", tmp_path / "other", hashes)


def out_of_memory(*_: Any) -> Any:
    try:
        raise duckdb.OutOfMemoryException("could not allocate block")
    except duckdb.Error as error:
        raise FolderError("building", "too little memory", advice="raise --memory") from error


def refuse(*_: Any) -> Any:
    raise MemoryError


@pytest.mark.parametrize("failing", [out_of_memory, refuse])
def test_a_build_that_had_too_little_memory_goes_on(
    failing: Any, files: Path, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # after the vectors
        patch.setattr(writer, "write_catalog", failing)
        with pytest.raises((FolderError, MemoryError)):
            make(files, tmp_path / "index", Seen())
    seen = Seen()
    assert "vectors written" in make(files, tmp_path / "index", seen).resumed
    assert seen.first == {}


@pytest.mark.parametrize(
    "error",
    [
        InputError("more.fasta", "is no FASTA"),
        SettingsError("memory", "1K", "more"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_a_build_that_would_fail_again_is_taken_back(
    error: Exception, files: Path, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(writer, "write_catalog", fail)
    with pytest.raises(type(error)):
        make(files, tmp_path / "index", Seen())
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("other", ["marker", "library", "damage"])
def test_anything_else_starts_anew(
    other: str, files: Path, tmp_path: Path, hashes: Any, small: None
) -> None:
    copy = shutil.copytree(files, tmp_path / "files")
    killed(("encode", 3 * BLOCK), copy, tmp_path / "index")
    if other == "library":
        with (copy / "queries.fasta").open("a") as handle:
            handle.write("\n")
    if other == "damage":
        (tmp_path / "index" / "building" / "build.json").write_text("{}")
    marker = "12S" if other == "marker" else "COI"
    seen = Seen()
    assert make(copy, tmp_path / "index", seen, marker=marker).resumed == ""
    assert seen.first == {"import": BLOCK, "encode": BLOCK}
    make(copy, tmp_path / "other", Seen(), marker=marker)
    assert_same(tmp_path / "index", tmp_path / "other", hashes)


def test_an_index_stays_readable_while_it_is_replaced(
    files: Path, tmp_path: Path, hashes: Any, small: None
) -> None:
    index = tmp_path / "index"
    make(files, index, Seen(), marker="old")
    before = hashes(index)

    class Enough(KeyboardInterrupt):
        pass

    def stop(stage: str, done: int, fraction: float | None) -> None:
        if stage == "encode" and done >= 3 * BLOCK:
            raise Enough

    with pytest.raises(Enough):
        make(files, index, stop, overwrite=True)
    assert read_manifest(index).marker == "old"
    assert before.items() <= hashes(index).items()
    state = json.loads((index / "building" / "build.json").read_text())
    assert state["steps"]["encoded"] == 2 * BLOCK
    assert "128 of" in make(files, index, Seen(), overwrite=True).resumed
    assert read_manifest(index).marker == "COI"
    assert not (index / "building").exists()
