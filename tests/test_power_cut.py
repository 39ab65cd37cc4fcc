"""A power cut takes nothing that a manifest or a committed part relies on: it was flushed before.

A killed process leaves its writes to the system; a power cut does not. So every file that a commit
relies on, and every folder down to it, has to be fsynced before the rename that commits. The same
holds for what a build notes as done, which a resumed build does not look at again.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqsearch.index import segments, vectors
from seqsearch.index.building import FOLDER, STATE
from seqsearch.index.manifest import CURRENT
from seqsearch.jobs.build import add_to_index, build_index, remove_from_index
from seqsearch.jobs.opened import open_index
from seqsearch.libraries import fasta_table
from seqsearch.settings import BuildSettings

Needed = Callable[[Path, Path], set[Path]]


class Disk:
    """Notes what is flushed, and asks at every rename whether all that it needs has been.

    A file is safe while it is as it was when it was flushed, a folder while it was flushed with the
    names in it that are needed.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, needed: Needed) -> None:
        self.flushed: dict[int, Any] = {}  # by inode: names in a folder, hash of a file
        self.lost: set[Path] = set()
        self.renamed: list[str] = []
        fsync, replace = os.fsync, os.replace

        def noting_fsync(handle: int) -> None:
            status = os.fstat(handle)
            if stat.S_ISDIR(status.st_mode):
                self.flushed[status.st_ino] = set(os.listdir(handle))
            else:
                content = os.pread(handle, status.st_size, 0)
                self.flushed[status.st_ino] = hashlib.sha256(content).hexdigest()
            fsync(handle)

        def asking_replace(source: Path, target: Path) -> None:
            is_compiled = Path(target).suffix in (".nbi", ".nbc")  # numba's, which are made again
            paths = set() if is_compiled else needed(Path(source), Path(target))
            named = {path for path in paths if path != Path(source)}
            self.lost |= {path for path in paths if not self.is_safe(path, named)}
            self.renamed.append(Path(target).name)
            replace(source, target)

        monkeypatch.setattr(os, "fsync", noting_fsync)
        monkeypatch.setattr(os, "replace", asking_replace)

    def is_safe(self, path: Path, needed: set[Path]) -> bool:
        found = self.flushed.get(path.stat().st_ino)
        if path.is_dir():
            return found is not None and {p.name for p in needed if p.parent == path} <= found
        return found == hashlib.sha256(path.read_bytes()).hexdigest()


def named_by_manifest(source: Path, target: Path) -> set[Path]:
    """Return the manifest, the files it names, and all folders down to them."""
    if target.name != CURRENT:
        return {source}
    names = [Path(name) for name in json.loads(source.read_text())["files"]]
    return {source} | {target.parent / path for name in names for path in (name, *name.parents)}


def noted_by_build(source: Path, target: Path) -> set[Path]:
    """Return the note, what it says is done, and all folders down to that."""
    if target.name != STATE:
        return {source}
    index, state = target.parent.parent, json.loads(source.read_text())
    segment = index / segments.FOLDER / f"{state['plan']['number']:04d}"
    steps, mark = state["steps"], state["steps"]["mark"]
    files: set[Path] = set()
    if steps["rows"]:
        files |= {segment / name for name in segments.OWN}
    elif mark["number"]:
        kinds = [("lines", mark["parts"]), ("rows", mark["number"]), ("lineages", mark["number"])]
        parts = [f"{kind}-{number:05d}.parquet" for kind, count in kinds for number in range(count)]
        files |= {segment / "sequences.u8.npy", *(index / FOLDER / part for part in parts)}
    if steps["encoded"]:
        files |= {path for n in vectors.FILES if (path := segment / segments.VIEW / n).exists()}
    inside = {path.relative_to(index) for path in files}
    return {source, *files} | {index / folder for path in inside for folder in path.parents}


def committed_with(source: Path, target: Path) -> set[Path]:
    """Return what a run's part needs beside it."""
    if target.parent.name != "calls":
        return {source}
    run = target.parent.parent
    beside = {run / kind / target.name for kind in ("queries", "hits")}
    return {source, run, run / "run.json", *beside, *(path.parent for path in beside)}


def test_a_manifest_is_written_after_everything_it_names_is_on_disk(
    library_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fasta, table = library_files / "references.fasta", library_files / "references.tsv"
    more, more_table = library_files / "queries.fasta", library_files / "queries.tsv"
    index = tmp_path / "index"
    disk = Disk(monkeypatch, named_by_manifest)
    build_index(fasta, index, taxonomy=table)
    add_to_index(index, more, taxonomy=more_table)
    remove_from_index(index, ["ref00000"])
    build_index(more, index, taxonomy=more_table, overwrite=True)
    assert disk.renamed.count(CURRENT) == 4
    assert disk.lost == set()


@pytest.mark.parametrize("kind", vectors.KINDS)
def test_a_build_notes_as_done_what_is_on_disk(
    kind: str, library_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fasta_table, "BATCH_SIZE", 64)
    monkeypatch.setattr(segments, "BLOCK", 64)
    monkeypatch.setattr(segments, "FLUSHED", 128)
    libraries = [library_files / "references.fasta", library_files / "queries.fasta"]
    tables = [path.with_suffix(".tsv") for path in libraries]
    disk = Disk(monkeypatch, noted_by_build)
    settings = BuildSettings(encoder="spectrum", vectors=kind, calibrate=False)
    build_index(libraries, tmp_path / "index", taxonomy=tables, settings=settings)
    # Begun, two libraries, repeats and rows, and the vectors in several steps.
    assert disk.renamed.count(STATE) > 6
    assert disk.lost == set()


def test_a_part_is_committed_after_everything_of_it_is_on_disk(
    index_folder: Path, library_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, committed_with)
    with open_index(index_folder) as index:
        index.query(library_files / "queries.fasta", tmp_path / "run", batch_size=100)
    assert disk.renamed.count("part-00001.parquet") == 3
    assert disk.lost == set()
