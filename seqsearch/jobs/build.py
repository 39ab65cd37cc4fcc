"""Index build, add, remove."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.analytics.audit import NOTHING_EXCLUDED, read_excluded
from seqsearch.devices.choice import devices_of
from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.base import COMPANIONS, Encoder
from seqsearch.encoders.registry import folder_of, load_encoder
from seqsearch.errors import FolderError, SettingsError
from seqsearch.index.manifest import Manifest, read_manifest
from seqsearch.index.store import IndexStore
from seqsearch.index.writer import IndexWriter, Learned, check_target
from seqsearch.jobs.calibrating import learn
from seqsearch.jobs.importing import (
    Imported,
    Progress,
    Rows,
    distinct_labels,
    first_ids,
    import_libraries,
    paired,
    silent,
)
from seqsearch.jobs.inspecting import encoder_of
from seqsearch.jobs.lists import search_plan
from seqsearch.jobs.placing import placed
from seqsearch.libraries.names import merged_ranks
from seqsearch.settings import VERSION, BuildSettings
from seqsearch.tables import Float32, Int64, locked, to_numpy, whole_file

Paths = Sequence[str | Path] | str | Path
RECALIBRATED = 0.25  # share of the rows that changes before an index is calibrated anew
NOTHING = np.empty(0, np.int64)


@dataclass(frozen=True)
class Change:
    """What a build, an addition or a removal did.

    Attributes
    ----------
    folder : Path
    manifest : Manifest
        The state that is current now.
    sources : tuple of dict
        The libraries of this change, with their ledgers.
    """

    folder: Path
    manifest: Manifest
    sources: tuple[dict[str, Any], ...]


def build_index(
    libraries: Paths,
    out: str | Path,
    *,
    taxonomy: Paths | None = None,
    format: str = "auto",
    marker: str = "",
    overwrite: bool = False,
    exclude: str | Path | None = None,
    settings: BuildSettings | None = None,
    progress: Progress = silent,
) -> Change:
    r"""Build an index of reference libraries.

    Parameters
    ----------
    libraries : path or list of paths
        Sequences with names.
    out : path
        Index folder.
    taxonomy : path or list of paths, optional
        Side tables: one for all libraries, or one each.
    format : str
        Name of an importer, or "auto".
    marker : str
        What the library is of; kept with the index.
    overwrite : bool
        Replace an index that is there; it stays readable until the new one is complete.
    exclude : path, optional
        Table of records to leave out, as `library audit` writes it.

    Raises
    ------
    InputError
        A library cannot be read, or nothing of it can be used.
    FolderError
        Something is in the way.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "ref.fasta").write_text(">a k__Animalia;g__Apis\nACGTACGTACGT\n")
    >>> change = build_index(folder / "ref.fasta", folder / "index")
    >>> change.manifest.counts["rows"], change.manifest.ranks
    (1, ('kingdom', 'genus'))
    """
    settings = settings or BuildSettings()
    folder = Path(out)
    check_target(folder, overwrite)
    excluded = NOTHING_EXCLUDED if exclude is None else read_excluded(exclude)
    devices = devices_of(settings.device)
    encoder = placed(load_encoder(settings.encoder, settings.threads), devices)
    imported = import_libraries(paired(libraries, taxonomy), format, encoder, progress, excluded)
    with locked(folder, "index"):
        check_target(folder, overwrite)  # it may have changed while the libraries were read
        with IndexWriter(folder, None) as writer:
            described = _save_encoder(folder, encoder, folder_of(settings.encoder), writer.number)
            _write_rows(writer, imported.rows, encoder, progress)
            chosen = {} if settings.search == "auto" else {"chosen": settings.search}
            manifest = writer.commit(
                action="build",
                removed=NOTHING,
                ranks=imported.ranks,
                marker=marker,
                encoder=described,
                sources=imported.sources,
                ann=search_plan(writer, encoder, NOTHING, chosen),
                package_version=VERSION,
                learn=_learning(folder, encoder, settings.threads, progress)
                if settings.calibrate
                else None,
            )
        writer.drop_history()
    return Change(folder, manifest, imported.sources)


def add_to_index(
    index: str | Path,
    libraries: Paths,
    *,
    taxonomy: Paths | None = None,
    format: str = "auto",
    threads: int = 0,
    progress: Progress = silent,
) -> Change:
    """Add libraries to an index; afterwards it answers as one built of everything at once.

    A sequence that is there already keeps its row's labels and gains the new ones.

    Raises
    ------
    InputError, FolderError
        As `build_index`; or there is no index.
    """
    folder = Path(index)
    read_manifest(folder)  # before the libraries are read
    with locked(folder, "index"), ExitStack() as stack:
        store = stack.enter_context(closing(IndexStore.open(folder)))
        encoder = encoder_of(store, threads)
        imported = import_libraries(paired(libraries, taxonomy), format, encoder, progress)
        rows, replaced = _merged(store, imported)
        manifest = _next_state(
            store,
            encoder,
            action="add",
            rows=rows,
            gone=replaced,
            ranks=merged_ranks([store.manifest.ranks, imported.ranks]),
            sources=(*store.manifest.sources, *imported.sources),
            threads=threads,
            progress=progress,
        )
    return Change(folder, manifest, imported.sources)


def remove_from_index(
    index: str | Path, ref_ids: Sequence[str], *, threads: int = 0, progress: Progress = silent
) -> Change:
    """Take references out by id; a row goes when its last label does.

    Raises
    ------
    SettingsError
        An id is not in the index (then nothing is changed), or no reference would be left.
    """
    folder = Path(index)
    read_manifest(folder)
    with locked(folder, "index"), ExitStack() as stack:
        store = stack.enter_context(closing(IndexStore.open(folder)))
        encoder = encoder_of(store, threads)
        found = store.catalog.rows_of(list(ref_ids))
        missing = [ref_id for ref_id in ref_ids if ref_id not in found]
        if missing or not ref_ids:
            shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise SettingsError("ref ids", shown, "ids of references in this index (none removed)")
        touched = np.unique(np.concatenate([np.array(rows, np.int64) for rows in found.values()]))
        labels = store.live_labels()
        labels = labels.filter(pc.is_in(labels["row"], value_set=pa.array(touched)))
        labels = labels.filter(pc.invert(pc.is_in(labels["ref_id"], value_set=pa.array(ref_ids))))
        if len(touched) == len(store.live_rows) and not len(labels):
            raise SettingsError("ref ids", f"{len(found):,} ids", "to leave at least one reference")
        manifest = _next_state(
            store,
            encoder,
            action="remove",
            rows=_rows_again(store, labels),
            gone=touched,
            ranks=store.manifest.ranks,
            sources=store.manifest.sources,
            threads=threads,
            progress=progress,
        )
    return Change(folder, manifest, ())


def _next_state(
    store: IndexStore,
    encoder: Encoder,
    *,
    action: str,
    rows: Rows | None,
    gone: Int64,
    ranks: tuple[str, ...],
    sources: tuple[dict[str, Any], ...],
    threads: int,
    progress: Progress,
) -> Manifest:
    """Write new rows, take others out, commit."""
    with IndexWriter(store.folder, store) as writer:
        if rows is not None:
            _write_rows(writer, rows, encoder, progress)
        removed = np.union1d(store.removed, gone)
        changed = len(gone) + (0 if rows is None else len(rows.batch))
        is_other = changed > RECALIBRATED * len(store.live_rows)
        return writer.commit(
            action=action,
            removed=removed,
            ranks=ranks,
            marker=store.manifest.marker,
            encoder=store.manifest.encoder,
            sources=sources,
            ann=search_plan(writer, encoder, removed, store.manifest.ann),
            calibration=store.manifest.calibration,
            resolvability=store.manifest.resolvability,
            package_version=VERSION,
            learn=_learning(store.folder, encoder, threads, progress)
            if store.manifest.resolvability and is_other
            else None,
        )


def _learning(
    folder: Path, encoder: Encoder, threads: int, progress: Progress
) -> Callable[[Manifest], Learned]:
    """Return what calibrates a state that no reader sees yet."""

    def learned(manifest: Manifest) -> Learned:
        progress("calibrate", 0, None)
        with closing(IndexStore(folder, manifest)) as store:
            return learn(store, encoder, threads)

    return learned


def _merged(store: IndexStore, imported: Imported) -> tuple[Rows | None, Int64]:
    """Return the rows to write for an addition, and the old rows that they replace."""
    rows = imported.rows
    words = [("high", "<u8"), ("low", "<u8")]
    old = np.ascontiguousarray(store.digests()[store.live_rows]).view(words).ravel()
    new = np.ascontiguousarray(rows.digests).view(words).ravel()
    _, old_at, new_at = np.intersect1d(old, new, assume_unique=True, return_indices=True)
    if not len(old_at):
        return rows, NOTHING
    replaced = store.live_rows[old_at]
    place = np.full(store.rows, -1, np.int64)  # of replaced rows among the new ones
    place[replaced] = new_at
    labels = store.live_labels()
    labels = labels.filter(pc.is_in(labels["row"], value_set=pa.array(replaced)))
    moved = labels.set_column(
        labels.column_names.index("row"), "row", pa.array(place[to_numpy(labels["row"])])
    )
    both = pa.concat_tables([rows.labels, moved], promote_options="default")
    lines = distinct_labels(both)
    # Rows that gain no label stay as they are.
    before = np.bincount(to_numpy(moved["row"]), minlength=len(rows.batch))
    after = np.bincount(to_numpy(lines["row"]), minlength=len(rows.batch))
    gains = after > before
    kept = np.flatnonzero(gains)
    if not len(kept):
        return None, NOTHING
    position = np.cumsum(gains) - 1
    lines = lines.filter(pa.array(gains[to_numpy(lines["row"])]))
    lines = lines.set_column(
        lines.column_names.index("row"), "row", pa.array(position[to_numpy(lines["row"])])
    )
    batch = rows.batch.take(kept)
    batch = SequenceBatch(first_ids(lines), batch.bytes, batch.offsets)
    return Rows(batch, rows.digests[kept], lines), np.sort(replaced[gains[new_at]])


def _rows_again(store: IndexStore, labels: pa.Table) -> Rows | None:
    """Return rows of the index anew, with the labels that are left to them."""
    if not len(labels):
        return None
    left = np.unique(to_numpy(labels["row"]))
    numbered = labels.set_column(
        labels.column_names.index("row"),
        "row",
        pa.array(np.searchsorted(left, to_numpy(labels["row"]))),
    )
    lines = distinct_labels(numbered)
    batch = store.sequences(left)
    return Rows(
        SequenceBatch(first_ids(lines), batch.bytes, batch.offsets), store.digests()[left], lines
    )


def _write_rows(writer: IndexWriter, rows: Rows, encoder: Encoder, progress: Progress) -> None:
    done = 0

    def encode(batch: SequenceBatch) -> Float32:
        nonlocal done
        vectors = encoder.encode(batch)
        done += len(batch)
        progress("encode", done, done / len(rows.batch))
        return vectors

    writer.add_segment(rows.batch, rows.digests, rows.labels, encode, encoder.dim)


def _hash_of(folder: Path) -> str:
    try:
        return load_encoder(folder).content_hash
    except FolderError:  # damaged: none that could be used again
        return ""


def _save_encoder(
    folder: Path, encoder: Encoder, source: Path | None, number: int
) -> dict[str, Any]:
    """Copy the encoder beside the vectors; another one's folder is never written over."""
    name = "encoder"
    if (folder / name).exists() and _hash_of(folder / name) != encoder.content_hash:
        name = f"encoder-{number:04d}"
    if not (folder / name).exists():
        (folder / name).mkdir()
        for companion in COMPANIONS:
            if source is not None and (source / companion).is_file():
                with whole_file(folder / name / companion) as temporary:
                    shutil.copyfile(source / companion, temporary)
        encoder.save(folder / name)  # its config.json, which makes it an encoder, comes last
    return {
        "name": encoder.name,
        "sha256": encoder.content_hash,
        "dim": encoder.dim,
        "folder": name,
    }
