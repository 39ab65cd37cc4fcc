"""Assignments drawn from a run's calls, at any threshold, without searching."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqsearch.errors import FolderError, SettingsError
from seqsearch.runs.folder import ASSIGNMENTS, REFS, RunFolder
from seqsearch.search.calls import INVALID, draw
from seqsearch.settings import QuerySettings
from seqsearch.tables import locked, one_array, whole_file


def assign(run: RunFolder, min_confidence: float, unassigned_out: Path | None) -> dict[str, Any]:
    """Write assignments.tsv and .parquet of a run; returns counts.

    Both files are replaced whole, or not at all. `unassigned_out` receives the queries without any
    name as FASTA.
    """
    refs = run.read_file(REFS, ["reference", "ref_id"])
    taxa = run.state["index"]["taxa"]
    is_single = tuple(taxa[rank] == 1 for rank in run.ranks)
    verdicts: Counter[str] = Counter()
    named: Counter[str] = Counter()
    queries = minus = 0
    with ExitStack() as stack:
        target = run.path / ASSIGNMENTS
        parquet_file = stack.enter_context(whole_file(target.with_suffix(".parquet")))
        tsv_file = stack.enter_context(whole_file(target.with_suffix(".tsv")))
        parquet, tsv, unassigned = None, None, None
        if unassigned_out is not None:
            unassigned = stack.enter_context(
                stack.enter_context(whole_file(unassigned_out)).open("wb")
            )
        for number in range(run.parts_done()):
            part = run.read_part("queries", number)
            hits, calls = run.read_part("hits", number), run.read_part("calls", number)
            table = draw(part, hits, calls, refs, run.ranks, is_single, min_confidence)
            if parquet is None or tsv is None:
                parquet = stack.enter_context(pq.ParquetWriter(parquet_file, table.schema))
                tsv = stack.enter_context(tsv_file.open("wb"))
                tsv.write(("\t".join(table.column_names) + "\n").encode())
            parquet.write_table(table)
            tsv.write(tsv_lines(table))
            if unassigned is not None:
                unassigned.write(_fasta(part, table))
            verdicts.update(table["verdict"].to_pylist())
            named.update(name for name in table["rank"].to_pylist() if name)
            queries += len(table)
            minus += pc.sum(pc.equal(table["strand"], "-")).as_py() or 0
    return {
        "queries": queries,
        "verdicts": dict(verdicts),
        "named_to": dict(named),
        "minus_strand": minus,
    }


def redraw(
    folder: str | Path, min_confidence: float, unassigned_out: str | Path | None = None
) -> RunFolder:
    """Draw the assignments of a finished run again; see `Run.call`.

    Raises
    ------
    FolderError
        Not a run, or one that is not finished.
    SettingsError
        The threshold is not in [0, 1].
    """
    run = RunFolder.open(folder)
    if not run.is_finished:
        raise FolderError(
            run.path, "this run is not finished", advice="query again to go on with it"
        )
    settings = {**run.state["settings"], "min_confidence": min_confidence}
    QuerySettings(**settings)
    if unassigned_out is not None and not settings["keep_sequences"]:
        raise SettingsError("unassigned-out", str(unassigned_out), "a run that keeps sequences")
    with locked(run.path, "run"):
        run.state["counts"] = assign(
            run, min_confidence, None if unassigned_out is None else Path(unassigned_out)
        )
        run.state["settings"] = settings
        run.save()
    return run


def tsv_lines(table: pa.Table) -> bytes:
    r"""Return rows as tab-separated text without quotes; probabilities are cut to 4 decimals.

    >>> tsv_lines(pa.table({"name": ['a "b"', None], "p_genus": [0.123456, 1.0]}))
    b'a "b"\t0.1235\n\t1\n'
    """
    texts = []
    for name in table.column_names:
        column = one_array(table[name])
        if name.startswith("p_") and pa.types.is_floating(column.type):
            column = pc.round(column, 4)
        text = pc.fill_null(pc.cast(column, pa.string()), "")
        texts.append(pc.replace_substring_regex(text, r"[\t\r\n]", " "))
    lines = pc.binary_join_element_wise(*texts, "\t")
    return "".join(f"{line}\n" for line in lines.to_pylist()).encode()


def _fasta(queries: pa.Table, assignments: pa.Table) -> bytes:
    """Return the queries that were given no name, invalid ones left out."""
    is_nameless = pc.and_(
        pc.is_null(assignments["rank"]), pc.not_equal(assignments["verdict"], INVALID)
    )
    chosen = queries.filter(is_nameless)
    described = pc.binary_join_element_wise(chosen["query_id"], chosen["description"], " ")
    header = pc.utf8_rtrim_whitespace(described).cast(pa.large_string())
    records = pc.binary_join_element_wise(
        pa.scalar(">", pa.large_string()), header, pa.scalar("\n", pa.large_string()),
        chosen["sequence"], pa.scalar("\n", pa.large_string()), pa.scalar("", pa.large_string()),
    )  # fmt: skip
    return "".join(records.to_pylist()).encode()
