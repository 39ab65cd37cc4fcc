"""The run folder of a query: parts as they come, resumed where an earlier run was cut off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.dna.reading import Reads, read_sequences
from seqsearch.errors import FolderError, SettingsError
from seqsearch.index.store import IndexStore
from seqsearch.jobs.assigning import assign, check_unassigned_out
from seqsearch.jobs.importing import Progress
from seqsearch.jobs.pipeline import Clock, Searched
from seqsearch.runs.folder import REFS, RunFolder, check_target
from seqsearch.search.verdicts import OFF_TARGET
from seqsearch.settings import VERSION, QuerySettings
from seqsearch.tables import locked, sha256_of, write_parquet

Search = Callable[[Iterable[tuple[int, Reads]], QuerySettings, Clock], Iterator[Searched]]


@dataclass(frozen=True)
class QueryFiles:
    """What is queried, and where the answers go."""

    files: list[str]
    out: Path
    overwrite: bool
    unassigned_out: Path | None


def query_files(
    store: IndexStore,
    opened_s: float,
    search: Search,
    job: QueryFiles,
    settings: QuerySettings,
    progress: Progress,
) -> RunFolder:
    """Search files into a run folder; see `Index.query`."""
    if not job.files:
        raise SettingsError("reads", [], "at least one file, or - for standard input")
    if job.unassigned_out is not None and not settings.keep_sequences:
        raise SettingsError("unassigned-out", str(job.unassigned_out), "a run that keeps sequences")
    if job.files.count("-") > 1:
        raise SettingsError("reads", job.files, "standard input once")
    if job.unassigned_out is not None:
        may_replace = job.overwrite or _is_being_written(job.unassigned_out, job.out)
        check_unassigned_out(job.unassigned_out, job.out, may_replace, job.files)
    began = time.perf_counter()
    inputs = [_input(name) for name in job.files]
    check_target(job.out)
    with locked(job.out, "run"):
        about = _about(store, inputs, settings)
        if job.unassigned_out is not None:
            about["unassigned_out"] = str(job.unassigned_out.resolve())
        run = RunFolder.start(job.out, about, job.overwrite)
        clock = Clock()
        ready = time.perf_counter()
        try:
            resumed_at = _write_parts(run, store, search, job.files, settings, clock, progress)
        except BaseException:
            run.discard_if_empty()
            raise
        searched = time.perf_counter()
        _write_refs(run, store)
        counts = assign(run, settings, job.unassigned_out)
        finished = time.perf_counter()
        timings = {
            "startup_s": opened_s + ready - began,
            "search_wall_s": searched - ready,
            **{f"{stage}_s": seconds for stage, seconds in clock.seconds.items()},
            "finish_s": finished - searched,
            "total_s": opened_s + finished - began,
        }
        run.state |= {
            "status": "finished",
            "counts": counts,
            "resumed_at": resumed_at,
            "timings": {name: round(seconds, 3) for name, seconds in timings.items()},
            "warnings": _warnings(run, counts),
        }
        run.save()
    return run


def _is_being_written(output: Path, run: Path) -> bool:
    """Whether an unfinished run has begun with this output, and may have been cut off behind it."""
    try:
        state = RunFolder.open(run).state
    except FolderError:
        return False
    is_own = state.get("unassigned_out") == str(output.resolve())
    return is_own and state["status"] == "unfinished"


def _write_parts(
    run: RunFolder,
    store: IndexStore,
    search: Search,
    files: list[str],
    settings: QuerySettings,
    clock: Clock,
    progress: Progress,
) -> int:
    """Search what is not committed yet; returns how many queries were."""
    done = run.parts_done()
    resumed_at = total = sum(run.read_part("queries", i, ["query"]).num_rows for i in range(done))
    reads = _unfinished_reads(files, settings.batch_size, done)
    progress("query", resumed_at, None)
    for number, found in enumerate(search(reads, settings, clock), start=done):
        with clock.timed("write"):
            run.write_part(number, _tables(found, store))
        total += len(found.queries)
        progress("query", total, found.fraction)
    return resumed_at


def _input(name: str) -> dict[str, Any]:
    """Describe an input file; one that is no sequences fails here, before a folder is made."""
    path = Path(name)
    if name == "-" or path.is_fifo():  # can be read once, so neither looked at nor resumed
        return {"path": name, "bytes": None, "sha256": None}
    next(read_sequences(name, batch_size=1))
    return {"path": str(path.resolve()), "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _about(
    store: IndexStore, inputs: list[dict[str, Any]], settings: QuerySettings
) -> dict[str, Any]:
    manifest = store.manifest
    return {
        "package_version": VERSION,
        "index": {
            "path": str(store.folder.resolve()),
            "id": manifest.index_id,
            "encoder": manifest.encoder["name"],
            "ranks": list(manifest.ranks),
            "taxa": {rank: manifest.counts[rank] for rank in manifest.ranks},
        },
        "inputs": inputs,
        "settings": settings.that_decide(),
        "identity": {
            "version": VERSION,
            "index": manifest.index_id,
            "inputs": [source["sha256"] for source in inputs],
            "settings": settings.that_decide(),
        },
    }


def _unfinished_reads(files: list[str], batch_size: int, done: int) -> Iterator[tuple[int, Reads]]:
    """Yield the batches behind the first `done`, with the number of their first query."""
    number = first = 0
    for name in files:
        for reads in read_sequences(name, batch_size):
            if number >= done:
                yield first, reads
            number, first = number + 1, first + len(reads)


def _tables(found: Searched, store: IndexStore) -> dict[str, pa.Table]:
    return {
        "queries": found.queries,
        "hits": found.hits.table(),
        "calls": found.calls.table(store.manifest.ranks),
    }


def _write_refs(run: RunFolder, store: IndexStore) -> None:
    """Write the references that were hit, so that the run can be read without its index."""
    parts = (run.read_part("hits", i, ["reference"]) for i in range(run.parts_done()))
    pieces = [np.empty(0, np.int64), *(pc.unique(part["reference"]).to_numpy() for part in parts)]
    write_parquet(store.catalog.refs(np.unique(np.concatenate(pieces))), run.path / REFS)


def _warnings(run: RunFolder, counts: dict[str, Any]) -> list[str]:
    warnings = []
    queries, verdicts = counts["queries"], counts["verdicts"]
    invalid = verdicts.get("invalid", 0)
    if invalid:
        warnings.append(f"{invalid:,} of {queries:,} queries are invalid (column reason says why)")
    off_target = verdicts.get(OFF_TARGET, 0)
    if off_target > 0.1 * queries:
        taxon = run.state["settings"]["taxon"]
        where = f"below {taxon}" if taxon else "in this library: another marker?"
        warnings.append(f"{off_target / queries:.0%} of the queries are like nothing {where}")
    minus = counts["minus_strand"]
    if run.state["settings"]["strand"] == "both" and minus > 0.01 * queries:
        warnings.append(f"{minus / queries:.0%} of the queries matched as reverse complements")
    return warnings
