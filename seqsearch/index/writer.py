"""An index opened for writing: one writer at a time, new files first, the manifest last."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from seqsearch.dna.windows import Windows
from seqsearch.errors import FolderError, InputError, SettingsError
from seqsearch.index import building, segments
from seqsearch.index.catalog import CatalogSummary, write_catalog
from seqsearch.index.lists import FILES as ANN_FILES
from seqsearch.index.manifest import (
    CURRENT,
    HISTORY,
    Manifest,
    commit,
    describe_files,
    keep_in_history,
    restore_advice,
    with_borrowed_told,
)
from seqsearch.index.segments import Segment, live_label_blocks, spans_of
from seqsearch.index.store import IndexStore
from seqsearch.index.vectors import kind_for
from seqsearch.memory import Memory
from seqsearch.tables import (
    Int64,
    delete,
    foreign_files,
    whole_file,
    write_array,
    write_json,
    write_parquet,
)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room on the disk, of the user's, in a file

_SEGMENT_FILES = "|".join(("default", *(file.replace(".", r"\.") for file in segments.FILES)))
_BUILDING_FILES = r"build\.json|(lines|rows|lineages)-\d{5,}\.parquet|sorting(/.*)?"
_ANN_FILES = "|".join(file.replace(".", r"\.") for file in ANN_FILES)
_OWN = (
    r"manifest\.json",
    r"manifests(/\d{4,}\.json)?",
    rf"segments(/\d{{4,}}(/({_SEGMENT_FILES}))?)?",
    rf"{building.FOLDER}(/({_BUILDING_FILES}))?",
    r"encoder(-\d{4,})?(/[\w.-]+\.(json|safetensors|md|txt))?",
    r"catalog-\d{4,}\.duckdb(\.wal)?",
    r"removed-\d{4,}\.npy",
    r"calibration-\d{4,}\.json",
    r"resolvability-\d{4,}\.parquet",
    rf"ann-\d{{4,}}(/({_ANN_FILES}))?",
)


def check_target(folder: Path, overwrite: bool) -> None:
    """Raise `FolderError` unless an index may be built in a folder.

    It may where nothing is, where a build was cut off, and, with `overwrite`, over an index; never
    over files that are no index's.
    """
    if folder.exists() and not folder.is_dir():
        raise FolderError(folder, "there is a file of this name", advice="choose another output")
    if not folder.is_dir():
        return
    is_ours = (folder / CURRENT).exists() or (folder / ".lock").exists()
    foreign = foreign_files(folder, _OWN if is_ours else ())
    if foreign:
        raise FolderError(
            folder, f"has files that are no index's ({foreign[0]})", advice="choose another output"
        )
    if (folder / CURRENT).exists() and not overwrite:
        raise FolderError(folder, "this index exists", advice="give --overwrite to replace it")
    if not overwrite and any((folder / HISTORY).glob("[0-9]*.json")):
        raise FolderError(
            folder,
            "this index has lost its manifest.json",
            advice=f"{restore_advice(folder)}, or give --overwrite to replace it",
        )


@dataclass(frozen=True)
class Learned:
    """What a library says of itself.

    Attributes
    ----------
    calibration : dict or None
        None where the library is too small for one of its own.
    resolvability : pyarrow.Table
    """

    calibration: dict[str, Any] | None
    resolvability: pa.Table


class IndexWriter:
    """Writes the next state of an index; use inside `locked`, as a context manager.

    An error inside takes back what was written since the last commit; of a new index what its
    build noted as done stays, unless the same build could not go on with it.

    Parameters
    ----------
    folder : Path
    store : IndexStore or None
        The state that is added to; None starts anew.
    is_resumed : bool
        Keep what an earlier writer left of this state.
    """

    def __init__(self, folder: Path, store: IndexStore | None, is_resumed: bool = False) -> None:
        self.folder, self.store = folder, store
        if store is not None:  # the last writer may have been killed before it did
            keep_in_history(folder, store.manifest)
        self.number = next_number(folder)
        self._clear_leftovers(is_resumed)
        self._new: list[Segment] = []
        self._windows = None if store is None else store.windows

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            self._clear_leftovers(self.store is None and not _is_final(error))

    @property
    def working(self) -> Path:
        """Where records are spilled."""
        return self.folder / building.FOLDER

    @property
    def new_segment(self) -> Path:
        """Folder of the segment that this writer adds."""
        return self.folder / segments.FOLDER / f"{self.number:04d}"

    @property
    def segments(self) -> list[Segment]:
        """All segments of the next state."""
        return [*(self.store.segments if self.store else []), *self._new]

    def kind_of_vectors(self, chosen: str, count: int, dim: int) -> str:
        """Return how the new segment stores vectors: as chosen, or else as those before do."""
        if chosen != "auto":
            return chosen
        before = self.segments
        return before[-1].vectors.kind if before else kind_for(count, dim)

    def add_segment(self, rows: int, windows: Windows) -> None:
        """Make the new segment, which has so many rows, cut as said, part of the next state."""
        self._windows = windows
        first = self.store.rows if self.store else 0
        vectors = len(self.store.spans) if self.store else 0
        self._new.append(Segment(self.folder, self.new_segment.name, first, rows, vectors))

    def commit(
        self,
        *,
        action: str,
        removed: Int64,
        ranks: tuple[str, ...],
        marker: str,
        encoder: dict[str, Any],
        sources: tuple[dict[str, Any], ...],
        ann: dict[str, Any],
        calibration: str = "",
        resolvability: str = "",
        package_version: str,
        memory: Memory,
        learn: Callable[[Manifest], Learned | None] | None = None,
    ) -> Manifest:
        """Write what is derived, then the manifest; from then on readers see the new state.

        Parameters
        ----------
        removed : (r,) int64
            All rows taken out, ascending, those of earlier states included.
        ranks : tuple of str
            Those that no live record has a name at are left out.
        encoder : dict
            With `folder`, the encoder's own folder inside the index.
        ann : dict
            With `folder`, if it has one.
        calibration, resolvability : str
            Files of an earlier state that go on serving.
        learn : function, optional
            Lets the library say what its answers are worth; given the manifest as it would be. None
            where what was said before goes on serving.
        """
        everything = self.segments
        removed_file = self._write_removed(removed)
        catalog = f"catalog-{self.number:04d}.duckdb"
        summary = self._write_catalog(catalog, removed, ranks, sources, memory)
        derived = (catalog, removed_file, calibration, resolvability)
        names = [name for name in derived if name]
        names += [f"{ann['folder']}/{file}" for file in ANN_FILES if "folder" in ann]
        names += [file for segment in everything for file in segment.files]
        vectors = np.count_nonzero(~np.isin(spans_of(everything).rows, removed))
        inside = self.folder / encoder["folder"]
        names += [f"{encoder['folder']}/{p.name}" for p in sorted(inside.iterdir())]
        # Files of earlier states keep the hashes they were written with: damage must not be signed.
        earlier = self.store.manifest.files if self.store else {}
        known = {name: earlier[name] for name in names if name in earlier}
        manifest = Manifest(
            number=self.number,
            action=action,
            created=_now(),
            package_version=package_version,
            marker=marker,
            ranks=summary.ranks,
            encoder=encoder,
            segments=tuple(
                {"name": s.name, "first_row": s.first_row, "rows": s.rows} for s in everything
            ),
            removed=removed_file,
            catalog=catalog,
            files=known | describe_files(self.folder, [n for n in names if n not in known]),
            counts={**summary.counts, "removed": len(removed), "vectors": int(vectors)},
            sources=sources,
            views=(segments.VIEW,),
            ann=ann,
            calibration=calibration,
            resolvability=resolvability,
            windows={} if self._windows is None else asdict(self._windows),
            notes=tuple(_notes(summary)),
        )
        learned = None if learn is None else learn(manifest)
        if learned is not None:
            manifest = self._with_learned(manifest, learned)
        manifest = with_borrowed_told(manifest)
        commit(self.folder, manifest)
        # Not before: flushing takes long, and a build that is killed in it goes on from what is
        # noted there. What a writer killed here leaves, the next one deletes.
        if self.working.exists():
            delete(self.working)
        return manifest

    def commit_learned(self, learned: Learned) -> Manifest:
        """Write what the library says of itself, then the manifest of an else equal state."""
        if self.store is None:
            raise ValueError("there is no state to calibrate")
        before = replace(
            self.store.manifest, number=self.number, action="calibrate", created=_now()
        )
        manifest = with_borrowed_told(self._with_learned(before, learned))
        commit(self.folder, manifest)
        return manifest

    def _with_learned(self, before: Manifest, learned: Learned) -> Manifest:
        """Write what the library says of itself; returns the manifest that names it."""
        table = f"resolvability-{self.number:04d}.parquet"
        write_parquet(learned.resolvability, self.folder / table)
        names = [table]
        if learned.calibration is not None:
            names.append(f"calibration-{self.number:04d}.json")
            write_json(learned.calibration, self.folder / names[-1])
        replaced = (before.calibration, before.resolvability)
        files = {path: known for path, known in before.files.items() if path not in replaced}
        return replace(
            before,
            calibration="" if learned.calibration is None else names[-1],
            resolvability=table,
            files=files | describe_files(self.folder, names),
        )

    def drop_history(self) -> None:
        """Delete what only earlier states need; after a commit that replaced them."""
        for path in (self.folder / HISTORY).glob("[0-9]*.json"):
            if int(path.stem) != self.number:
                path.unlink()
        self._clear_leftovers()

    def _write_removed(self, removed: Int64) -> str:
        if not len(removed):
            return ""
        name = f"removed-{self.number:04d}.npy"
        with whole_file(self.folder / name) as temporary:
            write_array([removed], removed.dtype, removed.shape, temporary)
        return name

    def _write_catalog(
        self,
        name: str,
        removed: Int64,
        ranks: tuple[str, ...],
        sources: tuple[dict[str, Any], ...],
        memory: Memory,
    ) -> CatalogSummary:
        lengths = np.concatenate([np.diff(s.offsets) for s in self.segments]).astype(np.int32)
        told = ("source", "path", "format", "sha256", "records", "kept")
        source_lines = pa.table(
            {key: pa.array([str(source[key]) for source in sources]) for key in told}
        )

        def blocks(fields: Sequence[str]) -> Iterator[pa.Table]:
            return live_label_blocks(self.segments, removed, fields)

        return write_catalog(self.folder / name, blocks, lengths, ranks, source_lines, memory)

    def _clear_leftovers(self, is_resumed: bool = False) -> None:
        """Delete files of our own that no manifest names: what a killed writer left behind.

        A build that goes on keeps the new segment, and what was spilled for it.
        """
        named: set[str] = set()
        kept = list((self.folder / HISTORY).glob("[0-9]*.json"))
        current = self.folder / CURRENT
        for path in kept + ([current] if current.is_file() else []):
            named |= self._files_named(path)
        top = {name.split("/")[0] for name in named} | {CURRENT, HISTORY, ".lock"}
        held = {name.split("/")[1] for name in named if name.startswith(f"{segments.FOLDER}/")}
        if is_resumed:
            top |= {building.FOLDER, segments.FOLDER}
            held.add(self.new_segment.name)
        strange = [Path(name) for name in foreign_files(self.folder, _OWN)]
        foreign = {str(p) for path in strange for p in (path, *path.parents)}
        inside = self.folder / segments.FOLDER
        for entry in list(inside.iterdir()) if inside.is_dir() else []:
            if entry.name not in held and f"{segments.FOLDER}/{entry.name}" not in foreign:
                delete(entry)
        for entry in list(self.folder.iterdir()):
            if entry.name not in top | foreign:
                delete(entry)

    def _files_named(self, path: Path) -> set[str]:
        try:
            return set(json.loads(path.read_text())["files"])
        except (ValueError, KeyError, TypeError) as error:
            if self.store is None:  # it is replaced
                return set()
            raise FolderError(
                path, "the manifest of an earlier state is damaged", advice="delete it"
            ) from error


def _is_final(error: BaseException) -> bool:
    """Return whether a build that failed so would fail again, or has filled the disk."""
    if isinstance(error, OSError):
        return error.errno in FULL
    if isinstance(error, FolderError):  # what it would go on with is damaged, or the disk is full
        return not isinstance(error.__cause__, duckdb.OutOfMemoryException)
    return isinstance(error, InputError | SettingsError)


def next_number(folder: Path) -> int:
    """Return the number of the next state of an index folder."""
    states = [folder / CURRENT, *(folder / HISTORY).glob("[0-9]*.json")]
    return 1 + max(_number(path) for path in states)


def _number(path: Path) -> int:
    """Number of a state, as well as can be told."""
    if path.stem.isdecimal():
        return int(path.stem)
    try:
        return int(json.loads(path.read_text())["number"])
    except (OSError, ValueError, KeyError, TypeError):  # it is replaced
        return 0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _notes(summary: CatalogSummary) -> list[str]:
    notes = []
    for repair in summary.repairs:
        old, new = (";".join(name or "-" for name in path) for path in (repair.old, repair.new))
        notes.append(
            f"{repair.rank} {repair.name}: {repair.records:,} records moved from {old} to {new}"
        )
    if summary.homonyms:
        shown = ", ".join(summary.homonyms[:10]) + (", ..." if len(summary.homonyms) > 10 else "")
        notes.append(
            f"{len(summary.homonyms):,} names stand in several lineages and are kept apart: {shown}"
        )
    return notes
