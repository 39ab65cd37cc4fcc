"""Hits of a run in the forms that other tools read: blast6 and SAM."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.strand import reverse_complement
from seqsearch.errors import FolderError, SettingsError
from seqsearch.index.store import IndexStore
from seqsearch.runs.folder import REFS, RunFolder
from seqsearch.search.align import cigar
from seqsearch.settings import VERSION
from seqsearch.tables import check_output, one_array, to_numpy, whole_file

FORMATS = ("auto", "blast6", "sam")
UNKNOWN_QUALITY = 255
UNMAPPED, REVERSE, SECONDARY = 4, 16, 256
_ENDS = ("query_start", "query_end", "reference_start", "reference_end")


def export_run(
    folder: str | Path, out: str | Path, format: str = "auto", overwrite: bool = False
) -> int:
    """Write the aligned hits of a finished run; see `Run.export`.

    Raises
    ------
    FolderError
        Not a finished run, nothing was aligned, or the output exists and not `overwrite`. For SAM
        also: sequences were not kept, or the index is not the one that was searched.
    SettingsError
        Not one of `FORMATS`.
    """
    if format not in FORMATS:
        raise SettingsError("format", format, " or ".join(FORMATS))
    run, target = RunFolder.open(folder), Path(out)
    if not run.is_finished:
        raise FolderError(
            run.path, "this run is not finished", advice="query again to go on with it"
        )
    if not run.state["settings"]["align"]:
        raise FolderError(
            run.path, "nothing is aligned in this run", advice="query with --align 20"
        )
    check_output(target, overwrite)
    is_sam = target.suffix == ".sam" if format == "auto" else format == "sam"
    count = 0
    with whole_file(target) as temporary, temporary.open("w") as file:
        for lines in _sam(run) if is_sam else _blast6(run):
            file.writelines(f"{line}\n" for line in lines)
            count += sum(not line.startswith("@") for line in lines)
    return count


def _hits(run: RunFolder, number: int) -> pa.Table:
    """Return the aligned hits of a part, with `query_id`, `query_length`, and of refs `ref_id`."""
    queries = run.read_part("queries", number, ["query", "query_id", "length"])
    refs = run.read_file(REFS, ["reference", "ref_id", "length"])
    hits = run.read_part("hits", number)
    hits = hits.filter(pc.is_valid(hits["query_start"]))
    asked = pc.index_in(hits["query"], value_set=one_array(queries["query"]))
    found = pc.index_in(hits["reference"], value_set=one_array(refs["reference"]))
    hits = hits.append_column("query_id", queries["query_id"].take(asked))
    hits = hits.append_column("query_length", queries["length"].take(asked))
    return hits.append_column("ref_id", refs["ref_id"].take(found))


def _blast6(run: RunFolder) -> Iterator[list[str]]:
    """Yield lines as VSEARCH's --blast6out has them: evalue -1, bits 0, minus hits end first."""
    for number in range(run.parts_done()):
        hits = _hits(run, number)
        is_minus = pc.equal(hits["strand"], "-")
        first, last = pc.add(hits["query_start"], 1), hits["query_end"]
        spans = pc.add(
            pc.subtract(hits["query_end"], hits["query_start"]),
            pc.subtract(hits["reference_end"], hits["reference_start"]),
        )
        identity = 100 * np.nan_to_num(to_numpy(pc.fill_null(hits["identity"], 0.0)))
        columns = [
            hits["query_id"],
            hits["ref_id"],
            pa.array(np.char.mod("%.1f", identity)),
            pc.divide(pc.add(spans, hits["gaps"]), 2),  # columns, those of unknown bases too
            hits["mismatches"],
            hits["gap_opens"],
            pc.if_else(is_minus, last, first),
            pc.if_else(is_minus, first, last),
            pc.add(hits["reference_start"], 1),
            hits["reference_end"],
            pa.array(["-1"] * len(hits), pa.string()),
            pa.array(["0"] * len(hits), pa.string()),
        ]
        texts = [one_array(pc.cast(column, pa.string())) for column in columns]
        yield pc.binary_join_element_wise(*texts, "\t").to_pylist()


def _sam(run: RunFolder) -> Iterator[list[str]]:
    """Yield the header, then a line a hit; queries without one are unmapped."""
    if not run.state["settings"]["keep_sequences"]:
        raise FolderError(
            run.path, "the run kept no sequences", advice="query without --no-sequences"
        )
    refs = run.read_file(REFS, ["reference", "ref_id", "length"]).to_pylist()
    names = _distinct_names(refs)
    header = ["@HD\tVN:1.6\tSO:unsorted"]
    header += [f"@SQ\tSN:{names[ref['reference']]}\tLN:{ref['length']}" for ref in refs]
    yield [*header, f"@PG\tID:seqsearch\tPN:seqsearch\tVN:{VERSION}"]
    path = run.state["index"]["path"]
    with closing(IndexStore.open(path)) as store:
        if store.manifest.index_id != run.state["index"]["id"]:
            raise FolderError(path, "the index has changed since the run", advice="query again")
        for number in range(run.parts_done()):
            yield _sam_part(run, number, store, names)


def _sam_part(run: RunFolder, number: int, store: IndexStore, names: dict[int, str]) -> list[str]:
    queries = run.read_part("queries", number, ["query", "query_id", "sequence"])
    hits = _hits(run, number)
    distinct = np.unique(to_numpy(hits["reference"]))
    sequences = store.sequences(distinct, named=False).strings().to_pylist()
    references = dict(zip(distinct.tolist(), sequences, strict=True))
    texts: list[str] = [text or "" for text in queries["sequence"].to_pylist()]
    ids: list[str] = queries["query_id"].to_pylist()
    turned = reverse_complement(SequenceBatch.from_clean(ids, [t.encode() for t in texts]))
    first = queries["query"][0].as_py() if len(queries) else 0
    by_query: list[list[str]] = [[] for _ in ids]
    for hit in hits.to_pylist():
        at = hit["query"] - first
        is_minus = hit["strand"] == "-"
        text = turned.sequence(at) if is_minus else texts[at]
        ends = [hit[name] for name in _ENDS]
        if is_minus:
            ends[:2] = len(text) - ends[1], len(text) - ends[0]
        path = cigar(text, references[hit["reference"]], ends) or "*"
        is_first = not by_query[at]
        flag = (REVERSE if is_minus else 0) | (0 if is_first else SECONDARY)
        by_query[at].append(
            f"{_name(ids[at])}\t{flag}\t{names[hit['reference']]}\t{hit['reference_start'] + 1}\t"
            f"{UNKNOWN_QUALITY}\t{path}\t*\t0\t0\t"
            f"{text if is_first else '*'}\t*\tNM:i:{hit['mismatches'] + hit['gaps']}"
        )
    return [
        line
        for name, text, lines in zip(ids, texts, by_query, strict=True)
        for line in lines or [f"{_name(name)}\t{UNMAPPED}\t*\t0\t0\t*\t*\t0\t0\t{text or '*'}\t*"]
    ]


def _distinct_names(refs: list[dict[str, Any]]) -> dict[int, str]:
    """Return a name for each reference; where several share an id, their number is added."""
    counts = Counter(_name(ref["ref_id"]) for ref in refs)
    return {
        ref["reference"]: name if counts[name] == 1 else f"{name}|{ref['reference']}"
        for ref in refs
        for name in [_name(ref["ref_id"])]
    }


def _name(text: str) -> str:
    """Return a name without what SAM allows in none."""
    return "".join("_" if character.isspace() else character for character in text) or "*"
