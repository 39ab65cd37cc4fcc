"""A power cut takes nothing that a manifest or a committed part relies on: it was flushed before.

A killed process leaves its writes to the system; a power cut does not. So every file that a commit
relies on, and every folder down to it, has to be fsynced before the rename that commits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from seqsearch.index.manifest import CURRENT
from seqsearch.jobs.build import add_to_index, build_index, remove_from_index
from seqsearch.jobs.opened import open_index

Needed = Callable[[Path, Path], set[Path]]


class Disk:
    """Notes what is flushed, and asks at every rename whether all that it needs has been."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, needed: Needed) -> None:
        self.flushed: set[int] = set()
        self.lost: set[Path] = set()
        self.renamed: list[str] = []
        fsync, replace = os.fsync, os.replace

        def noting_fsync(handle: int) -> None:
            self.flushed.add(os.fstat(handle).st_ino)
            fsync(handle)

        def asking_replace(source: Path, target: Path) -> None:
            paths = needed(Path(source), Path(target))
            self.lost |= {path for path in paths if path.stat().st_ino not in self.flushed}
            self.renamed.append(Path(target).name)
            replace(source, target)

        monkeypatch.setattr(os, "fsync", noting_fsync)
        monkeypatch.setattr(os, "replace", asking_replace)


def named_by_manifest(source: Path, target: Path) -> set[Path]:
    """Return the manifest, the files it names, and all folders down to them."""
    if target.name != CURRENT:
        return {source}
    names = [Path(name) for name in json.loads(source.read_text())["files"]]
    return {source} | {target.parent / path for name in names for path in (name, *name.parents)}


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


def test_a_part_is_committed_after_everything_of_it_is_on_disk(
    index_folder: Path, library_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, committed_with)
    with open_index(index_folder) as index:
        index.query(library_files / "queries.fasta", tmp_path / "run", batch_size=100)
    assert disk.renamed.count("part-00001.parquet") == 3
    assert disk.lost == set()
