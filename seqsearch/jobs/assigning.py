"""Assignments drawn from a run's calls, at any threshold or by a rule, without searching."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from xopen import xopen

from seqsearch.errors import FolderError, SettingsError
from seqsearch.runs.folder import ASSIGNMENTS, REFS, RunFolder
from seqsearch.search.calls import draw
from seqsearch.search.rules import check_rule, open_rule
from seqsearch.search.verdicts import INVALID, OFF_TARGET
from seqsearch.settings import MIN_CONFIDENCE, WITHIN, QuerySettings
from seqsearch.tables import check_output, locked, one_array, whole_file

NEEDED = ("query", "query_id", "length", "problem", "note")  # of queries/, without --unassigned-out


def check_unassigned_out(path: Path, run: Path, overwrite: bool, inputs: Sequence[str]) -> None:
    """Raise `FolderError` unless FASTA may be written here; over an input it never may."""
    check_output(path, overwrite)
    if run.resolve() in path.resolve().parents:
        raise FolderError(path, "this is inside the run folder", advice="choose another output")
    if any(name != "-" and path.resolve() == Path(name).resolve() for name in inputs):
        raise FolderError(path, "this is an input", advice="choose another output")


def assign(run: RunFolder, settings: QuerySettings, unassigned_out: Path | None) -> dict[str, Any]:
    """Write assignments.tsv and .parquet of a run; returns counts.

    Both files are replaced whole, or not at all. `unassigned_out` receives the queries without any
    name as FASTA.
    """
    known = (
        ["reference", "ref_id"] if settings.rule is None else ["reference", "ref_id", "lineages"]
    )
    refs = run.read_file(REFS, known)
    rule = open_rule(settings, run.ranks, refs)
    taxa = run.state["index"]["taxa"]
    is_single = tuple(taxa[rank] == 1 for rank in run.ranks)
    columns = None if unassigned_out is not None else list(NEEDED)
    verdicts: Counter[str] = Counter()
    named: Counter[str] = Counter()
    queries = minus = 0
    with ExitStack() as stack:
        target = run.path / ASSIGNMENTS
        parquet_file = stack.enter_context(whole_file(target.with_suffix(".parquet")))
        tsv_file = stack.enter_context(whole_file(target.with_suffix(".tsv")))
        parquet, tsv, unassigned = None, None, None
        if unassigned_out is not None:
            temporary = stack.enter_context(whole_file(unassigned_out))
            packed = unassigned_out.suffix in (".gz", ".bz2", ".xz", ".zst")
            unassigned = stack.enter_context(
                xopen(temporary, "wb", threads=0, format=unassigned_out.suffix[1:])
                if packed
                else temporary.open("wb")
            )
        for number in range(run.parts_done()):
            part = run.read_part("queries", number, columns)
            hits, calls = run.read_part("hits", number), run.read_part("calls", number)
            table = draw(
                part, hits, calls, refs, run.ranks, is_single, settings.min_confidence, rule
            )
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
            is_of_marker = pc.not_equal(table["verdict"], OFF_TARGET)
            is_minus = pc.and_(pc.equal(table["strand"], "-"), is_of_marker)
            minus += pc.sum(is_minus).as_py() or 0
    return {
        "queries": queries,
        "verdicts": dict(verdicts),
        "named_to": dict(named),
        "minus_strand": minus,
    }


def redraw(
    folder: str | Path,
    min_confidence: float = MIN_CONFIDENCE,
    unassigned_out: str | Path | None = None,
    overwrite: bool = False,
    rule: str | None = None,
    within: float = WITHIN,
) -> RunFolder:
    """Draw the assignments of a finished run again; see `Run.call`.

    Raises
    ------
    FolderError
        Not a run, or one that is not finished; `unassigned_out` exists and not `overwrite`.
    SettingsError
        The threshold is not in [0, 1]; the rule is none, or not of this run's ranks.
    """
    run = RunFolder.open(folder)
    if not run.is_finished:
        raise FolderError(
            run.path, "this run is not finished", advice="query again to go on with it"
        )
    given = {"min_confidence": min_confidence, "rule": rule, "within": within}
    settings = QuerySettings(**{**run.state["settings"], **given})
    check_rule(settings, run.ranks)
    if unassigned_out is not None and not settings.keep_sequences:
        raise SettingsError("unassigned-out", str(unassigned_out), "a run that keeps sequences")
    output = None if unassigned_out is None else Path(unassigned_out)
    if output is not None:
        check_unassigned_out(
            output, run.path, overwrite, [source["path"] for source in run.state["inputs"]]
        )
    with locked(run.path, "run"):
        run.state["counts"] = assign(run, settings, output)
        run.state["settings"] = settings.that_decide()
        run.save()
    return run


def tsv_lines(table: pa.Table) -> bytes:
    """Return rows as tab-separated text; probabilities are cut to 4 decimals.

    Only fields with a quote in them are quoted, as readers of CSV expect.

    >>> tsv_lines(pa.table({"name": ["it's"], "p_genus": [0.123456]})).decode().split()
    ["it's", '0.1235']
    """
    texts = []
    for name in table.column_names:
        column = one_array(table[name])
        if name.startswith("p_") and pa.types.is_floating(column.type):
            column = pc.round(column, 4)
        text = pc.fill_null(pc.cast(column, pa.string()), "")
        texts.append(_escaped(text) if pa.types.is_string(column.type) else text)
    texts[-1] = pc.binary_join_element_wise(texts[-1], "", "\n")
    lines = pc.binary_join_element_wise(*texts, "\t")
    return b"" if not len(lines) else lines.buffers()[2].to_pybytes()


def _escaped(text: pa.StringArray) -> pa.StringArray:
    """Replace what would end a field, and quote fields with a quote in them."""
    if not pc.any(pc.match_substring_regex(text, r'[\t\r\n"]')).as_py():
        return text
    text = pc.replace_substring_regex(text, r"[\t\r\n]", " ")
    doubled = pc.replace_substring(text, '"', '""')
    quoted = pc.binary_join_element_wise('"', doubled, '"', "")
    return pc.if_else(pc.match_substring(text, '"'), quoted, text)


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
