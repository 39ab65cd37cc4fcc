"""Index and run folders as read-only views in a DuckDB that can reach nothing else."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from seqsearch.analytics.resolvability import read_resolvability
from seqsearch.errors import FolderError, QueryError, SettingsError
from seqsearch.index.manifest import CURRENT, read_manifest
from seqsearch.runs.folder import ASSIGNMENTS, PARTS, REFS, RUN_FILE, RunFolder
from seqsearch.tables import stoppable

VIEWS = {
    "refs": "references with their lineage (of an index: all; of a run: those that were hit)",
    "taxa": "taxa (of a run: those that were called)",
    "ranks": "the library's ranks and their positions",
    "sources": "the libraries of an index",
    "labels": "every record of an index: identical sequences share a reference",
    "resolvability": "what the taxa of an index's lowest rank share, and how near they are",
    "queries": "the queries of a run",
    "hits": "the nearest references of each query",
    "calls": "the best name of each query and rank, whatever the threshold",
    "assignments": "one row per query, as drawn last",
    "runs": "settings and counts of each run",
}

# DETACH and ATTACH would open a catalog for writing: DuckDB keeps the files of attached databases
# in reach whatever its settings say.
_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


def run_sql(
    targets: Sequence[str | Path], statement: str, time_limit: float | None = None
) -> pa.Table:
    """Run an SQL statement over index and run folders.

    Every view has a column `target`, the folder's name. Files, network, extensions and settings
    are out of reach, so a statement of a stranger can do no harm but take time.

    Parameters
    ----------
    targets : sequence of path
        Index folders and run folders.
    statement : str
    time_limit : float, optional
        Seconds after which the statement is stopped.

    Raises
    ------
    QueryError
        The statement is wrong, not allowed, or took too long.
    FolderError
        A target is neither an index nor a run.
    SettingsError
        No target is given, or the time limit is not above 0.
    """
    if time_limit is not None and not time_limit > 0:
        raise SettingsError("time-limit", time_limit, "a number of seconds above 0")
    with stoppable(), duckdb.connect(":memory:") as connection:
        made = _make_views(connection, targets)
        timer = threading.Timer(time_limit or 0, connection.interrupt)
        if time_limit:
            timer.start()
        try:
            statements = connection.extract_statements(statement)
            if not statements or any(one.type not in _READING for one in statements):
                raise QueryError(
                    "only statements that read are allowed: SELECT, FROM, WITH, VALUES, DESCRIBE, "
                    "SUMMARIZE, EXPLAIN, PIVOT ... IN (...)"
                )
            result = connection.sql(statement)
            return _with_distinct_names(result.to_arrow_table())
        except duckdb.InterruptException as error:
            raise QueryError(f"stopped after {time_limit:g} s") from error
        except duckdb.Error as error:
            raise QueryError(_sentence(error, made)) from error
        finally:
            timer.cancel()


def _with_distinct_names(table: pa.Table) -> pa.Table:
    """Number the repeats of a column name: a join's `SELECT *` has some."""
    names: list[str] = []
    for name in table.column_names:
        repeats = 1
        while (name if repeats == 1 else f"{name}_{repeats}") in names:
            repeats += 1
        names.append(name if repeats == 1 else f"{name}_{repeats}")
    return table.rename_columns(names)


def _sentence(error: duckdb.Error, made: list[str]) -> str:
    """Return DuckDB's message, with the views where it misses one."""
    text = str(error).split("\n\n")[0].strip()
    if "does not exist" not in text:
        return text
    missing = [view for view in VIEWS if f"Table with name {view} " in text]
    if missing:
        text = f"no view {missing[0]} here ({missing[0]}: {VIEWS[missing[0]]})"
        text += "; an index has none of a run's views, and an unfinished run not all"
    return f"{text}; views here: {', '.join(made)}"


def _make_views(connection: duckdb.DuckDBPyConnection, targets: Sequence[str | Path]) -> list[str]:
    """Create the views, then close the door; returns their names."""
    if not targets:
        raise SettingsError("targets", [], "at least one index or run folder")
    parts: dict[str, list[str]] = defaultdict(list)
    for number, (name, folder) in enumerate(_named(targets).items()):
        label = "'" + name.replace("'", "''") + "' AS target"
        if (folder / CURRENT).is_file():
            _index_parts(connection, folder, number, label, parts)
        elif (folder / RUN_FILE).is_file():
            _run_parts(connection, folder, number, label, parts)
        else:
            raise FolderError(folder, "neither an index nor a run")
    for view, selects in parts.items():
        connection.execute(f"CREATE VIEW {view} AS " + " UNION ALL BY NAME ".join(selects))
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return [view for view in VIEWS if view in parts]


def _named(targets: Sequence[str | Path]) -> dict[str, Path]:
    """Name targets by their folder, by the whole path where two folders have one name."""
    paths = [Path(target) for target in dict.fromkeys(map(str, targets))]
    names = [path.resolve().name for path in paths]
    return {
        str(path) if names.count(name) > 1 else name: path
        for name, path in zip(names, paths, strict=True)
    }


def _index_parts(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    number: int,
    label: str,
    parts: dict[str, list[str]],
) -> None:
    manifest = read_manifest(folder)
    database = f"index{number}"
    path = str(folder / manifest.catalog).replace("'", "''")
    try:
        connection.execute(f"ATTACH '{path}' AS {database} (READ_ONLY)")
    except duckdb.Error as error:
        raise FolderError(
            folder, "its catalog is damaged", advice="build the index again"
        ) from error
    ranks = "".join(f', t."{rank}"' for rank in manifest.ranks)
    parts["refs"].append(
        f"SELECT {label}, r.row AS reference, r.* EXCLUDE (row), t.lineage{ranks} "
        f"FROM {database}.refs r LEFT JOIN {database}.taxa t ON t.taxon = r.taxon"
    )
    parts["labels"].append(
        f"SELECT {label}, row AS reference, * EXCLUDE (row) FROM {database}.labels"
    )
    for table in ("taxa", "sources"):
        parts[table].append(f"SELECT {label}, * FROM {database}.{table}")
    if manifest.resolvability:
        view = f"resolvability_{number}"
        connection.register(view, read_resolvability(folder / manifest.resolvability).table)
        parts["resolvability"].append(f"SELECT {label}, * FROM {view}")
    _rank_part(connection, manifest.ranks, number, label, parts)


def _run_parts(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    number: int,
    label: str,
    parts: dict[str, list[str]],
) -> None:
    run = RunFolder.open(folder)
    given: dict[str, Any] = {}
    if run.parts_done():
        given = {kind: run.dataset(kind) for kind in PARTS}
    for view, file in ((ASSIGNMENTS, f"{ASSIGNMENTS}.parquet"), ("refs", REFS)):
        if (folder / file).is_file():
            try:
                given[view] = ds.dataset(folder / file, format="parquet")
            except (pa.ArrowInvalid, OSError):
                run.read_file(file)  # says what is wrong
                raise
    given["runs"] = _run_table(run)
    for view, data in given.items():
        connection.register(f"{view}_{number}", data)
        parts[view].append(f"SELECT {label}, * FROM {view}_{number}")
    if "calls" in given:
        parts["taxa"].append(f"SELECT DISTINCT {label}, taxon, rank, name FROM calls_{number}")
    _rank_part(connection, run.ranks, number, label, parts)


def _rank_part(
    connection: duckdb.DuckDBPyConnection,
    ranks: tuple[str, ...],
    number: int,
    label: str,
    parts: dict[str, list[str]],
) -> None:
    positions = np.arange(len(ranks), dtype=np.int32)
    connection.register(f"ranks_{number}", pa.table({"rank": list(ranks), "position": positions}))
    parts["ranks"].append(f"SELECT {label}, * FROM ranks_{number}")


def _run_table(run: RunFolder) -> pa.Table:
    state = run.state
    counts, timings = state.get("counts", {}), state.get("timings", {})
    row = {
        "status": state["status"],
        "created": state["created"],
        "seqsearch": state["package_version"],
        "index_path": state["index"]["path"],
        "index_id": state["index"]["id"],
        "encoder": state["index"]["encoder"],
        "inputs": [source["path"] for source in state["inputs"]],
        "min_confidence": float(state["settings"]["min_confidence"]),
        "rule": state["settings"].get("rule"),
        "queries": counts.get("queries"),
        "seconds": timings.get("total_s"),
        "warnings": state.get("warnings", []),
    }
    return pa.table({key: [value] for key, value in row.items()})
