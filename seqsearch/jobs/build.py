"""Index build, add, remove."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seqsearch.devices.choice import devices_of
from seqsearch.dna.windows import Windows
from seqsearch.encoders.base import Encoder
from seqsearch.encoders.folder import COMPANIONS
from seqsearch.encoders.registry import folder_of, load_encoder
from seqsearch.errors import FolderError, SettingsError
from seqsearch.index.building import Building
from seqsearch.index.manifest import Manifest, read_manifest
from seqsearch.index.segments import lengths_in, write_rows
from seqsearch.index.spill import Spill
from seqsearch.index.store import IndexStore
from seqsearch.index.writer import IndexWriter, Learned, check_target, next_number
from seqsearch.jobs.calibrating import learn
from seqsearch.jobs.importing import (
    Progress,
    import_libraries,
    paired,
    silent,
    with_repeats,
)
from seqsearch.jobs.inspecting import encoder_of
from seqsearch.jobs.lists import search_plan
from seqsearch.jobs.merging import labels_left, merge, spill_again
from seqsearch.jobs.placing import placed
from seqsearch.jobs.steps import Inputs, encode_segment, read_inputs
from seqsearch.libraries.names import merged_ranks
from seqsearch.memory import memory_for
from seqsearch.search.calibrate import still_fits
from seqsearch.settings import VERSION, BuildSettings
from seqsearch.tables import Int64, delete, locked, whole_file

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
    resumed : str
        How far it had come when it was cut off, if this went on with it.
    """

    folder: Path
    manifest: Manifest
    sources: tuple[dict[str, Any], ...]
    resumed: str = ""


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

    One that was killed goes on where it was when it is built again with the same settings from the
    same files; anything else starts anew.

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
    folder, memory = Path(out), memory_for(settings.memory)
    check_target(folder, overwrite)
    devices = devices_of(settings.device)
    encoder = placed(load_encoder(settings.encoder, settings.threads), devices)
    inputs = Inputs(paired(libraries, taxonomy), format, exclude)
    with locked(folder, "index"):
        check_target(folder, overwrite)  # it may have changed while the encoder was read
        decisive = {
            "number": next_number(folder),
            "version": VERSION,
            "encoder": encoder.content_hash,
            "settings": settings.that_decide(),
            "marker": marker,
        }
        building = Building(folder, {**decisive, **inputs.stamps()})
        with IndexWriter(folder, None, building.is_resumed) as writer:
            resumed = str(building.steps) if building.is_resumed else ""
            if resumed:
                progress(f"going on: {resumed}", building.steps.mark.rows, None)
            described = _save_encoder(folder, encoder, folder_of(settings.encoder), writer.number)
            read_inputs(writer, building, inputs, encoder, memory, progress)
            windows = Windows.of(lengths_in(writer.new_segment))
            if not settings.windows:
                windows = replace(windows, longest=sys.maxsize)
            encode_segment(writer, encoder, windows, settings.vectors, progress, building)
            writer.add_segment(building.steps.rows, windows)
            chosen = {} if settings.search == "auto" else {"chosen": settings.search}
            manifest = writer.commit(
                action="build",
                removed=NOTHING,
                ranks=merged_ranks(building.steps.ranks),
                marker=marker,
                encoder=described,
                sources=building.steps.sources,
                ann=search_plan(writer, encoder, NOTHING, chosen, settings.threads),
                package_version=VERSION,
                memory=memory,
                learn=_learning(folder, encoder, settings.threads, progress)
                if settings.calibrate
                else None,
            )
        writer.drop_history()
    return Change(folder, manifest, manifest.sources, resumed)


def add_to_index(
    index: str | Path,
    libraries: Paths,
    *,
    taxonomy: Paths | None = None,
    format: str = "auto",
    threads: int = 0,
    memory: str | int | None = None,
    progress: Progress = silent,
) -> Change:
    """Add libraries to an index; afterwards it answers as one built of everything at once.

    A sequence that is there already keeps its row's labels and gains the new ones.

    Parameters
    ----------
    memory : str or int, optional
        As in `BuildSettings`.

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
        writer = stack.enter_context(IndexWriter(folder, store))
        spill = stack.enter_context(
            closing(Spill(writer.working, writer.new_segment, memory_for(memory)))
        )
        found = import_libraries(paired(libraries, taxonomy), format, encoder, spill, progress)
        sources = with_repeats(found.sources, spill)
        kept, replaced = merge(store, spill)
        manifest = _next_state(
            writer,
            encoder,
            action="add",
            spill=spill,
            kept=kept,
            gone=replaced,
            ranks=merged_ranks([store.manifest.ranks, *found.ranks]),
            sources=(*store.manifest.sources, *sources),
            threads=threads,
            progress=progress,
        )
    return Change(folder, manifest, sources)


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
        is_all = len(touched) == len(store.live_rows)
        if is_all and not any(len(lines) for lines in labels_left(store, touched, ref_ids)):
            raise SettingsError("ref ids", f"{len(found):,} ids", "to leave at least one reference")
        writer = stack.enter_context(IndexWriter(folder, store))
        spill = stack.enter_context(
            closing(Spill(writer.working, writer.new_segment, memory_for(None)))
        )
        for lines in labels_left(store, touched, ref_ids):
            spill_again(store, spill, lines)
        manifest = _next_state(
            writer,
            encoder,
            action="remove",
            spill=spill,
            kept=np.arange(len(spill)),
            gone=touched,
            ranks=store.manifest.ranks,
            sources=store.manifest.sources,
            threads=threads,
            progress=progress,
        )
    return Change(folder, manifest, ())


def _next_state(
    writer: IndexWriter,
    encoder: Encoder,
    *,
    action: str,
    spill: Spill,
    kept: Int64,
    gone: Int64,
    ranks: tuple[str, ...],
    sources: tuple[dict[str, Any], ...],
    threads: int,
    progress: Progress,
) -> Manifest:
    """Write rows that were spilled and are kept, take others out, commit."""
    store = writer.store
    if store is None:
        raise ValueError("there is no state to change")
    spill.finish()
    if len(kept):
        write_rows(writer.new_segment, spill, ranks, kept if len(kept) < len(spill) else None)
        encode_segment(writer, encoder, store.windows, "auto", progress)
        writer.add_segment(len(kept), store.windows)
    else:
        delete(writer.new_segment)
    spill.delete()
    removed = np.union1d(store.removed, gone)
    is_other = len(gone) + len(kept) > RECALIBRATED * len(store.live_rows)
    learning = _learning(store.folder, encoder, threads, progress)

    def learned(manifest: Manifest) -> Learned | None:
        if is_other or not still_fits(store.folder, manifest):
            return learning(manifest)
        return None

    return writer.commit(
        action=action,
        removed=removed,
        ranks=ranks,
        marker=store.manifest.marker,
        encoder=store.manifest.encoder,
        sources=sources,
        ann=search_plan(writer, encoder, removed, store.manifest.ann, threads),
        calibration=store.manifest.calibration,
        resolvability=store.manifest.resolvability,
        package_version=VERSION,
        memory=spill.memory,
        learn=learned if store.manifest.resolvability else None,
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
        "length_exponent": encoder.length_exponent,
        "folder": name,
    }
