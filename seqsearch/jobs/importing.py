"""Libraries become rows: unique sequences, each with all the labels it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.analytics.audit import NOTHING_EXCLUDED, Excluded
from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import UInt64, digests
from seqsearch.encoders.base import Encoder
from seqsearch.errors import InputError, SettingsError
from seqsearch.libraries.ledger import Ledger
from seqsearch.libraries.names import merged_ranks
from seqsearch.libraries.records import Library, LibraryRecords, first_problem, problems_where
from seqsearch.libraries.registry import open_library
from seqsearch.tables import Int64, one_array, sha256_of, to_numpy

Progress = Callable[[str, int, float | None], None]
LABEL_FIELDS = ("ref_id", "source", "accession", "external_id")


def silent(stage: str, done: int, fraction: float | None) -> None:
    """Report no progress.

    A progress function is given the stage's name, how many sequences are done, and the fraction
    of the whole where it is known.
    """


@dataclass(frozen=True)
class Rows:
    """Unique sequences with their labels.

    Attributes
    ----------
    batch : SequenceBatch
        ids are each row's alphabetically first label.
    digests : (n, 2) uint64
    labels : pyarrow.Table
        `row` (place in the batch, ascending), `LABEL_FIELDS` and one column a rank.
    """

    batch: SequenceBatch
    digests: UInt64
    labels: pa.Table


@dataclass(frozen=True)
class Imported:
    """Everything that was kept of some libraries.

    Attributes
    ----------
    rows : Rows
    ranks : tuple of str
        Ranks at which any record has a name, highest first.
    sources : tuple of dict
        One a library, with its ledger.
    """

    rows: Rows
    ranks: tuple[str, ...]
    sources: tuple[dict[str, Any], ...]


def paired(
    libraries: Sequence[str | Path] | str | Path, tables: Sequence[str | Path] | str | Path | None
) -> list[tuple[Path, Path | None]]:
    """Pair libraries with taxonomy tables: none, one for all, or one each."""
    paths = [libraries] if isinstance(libraries, (str, Path)) else list(libraries)
    given = [tables] if isinstance(tables, (str, Path)) else list(tables or [])
    if not paths:
        raise SettingsError("libraries", [], "at least one file")
    if len(given) not in (0, 1, len(paths)):
        raise SettingsError(
            "taxonomy", [str(g) for g in given], f"no table, one for all, or {len(paths)}, one each"
        )
    side = given * len(paths) if len(given) == 1 else given or [None] * len(paths)  # type: ignore[list-item]
    return [
        (Path(path), Path(table) if table is not None else None)
        for path, table in zip(paths, side, strict=True)
    ]


def import_libraries(
    pairs: Sequence[tuple[Path, Path | None]],
    format: str,
    encoder: Encoder,
    progress: Progress = silent,
    excluded: Excluded = NOTHING_EXCLUDED,
) -> Imported:
    """Read libraries, keep what can be used and is not excluded, and make rows of it.

    Raises
    ------
    InputError
        A file cannot be read, or nothing of a library can be used.
    """
    batches: list[SequenceBatch] = []
    labels: list[pa.Table] = []
    ranks: list[tuple[str, ...]] = []
    sources: list[dict[str, Any]] = []
    for path, table in pairs:
        library = open_library(path, table, format)
        own, own_labels, ledger = _kept(library, encoder, excluded, progress)
        if not ledger.kept:
            raise InputError(str(path), "no record can be used: " + "; ".join(ledger.lines()[1:4]))
        batches += own
        labels += own_labels
        named = pa.concat_tables(own_labels)
        ranks.append(tuple(r for r in library.ranks if named[r].null_count < len(named)))
        sources.append(_source(library, ledger))
    merged = merged_ranks(ranks)
    everything = pa.concat_tables(labels, promote_options="default")
    rows = unique_rows(
        SequenceBatch.concatenate(batches), everything.select([*LABEL_FIELDS, *merged])
    )
    sources[-1]["ledger"]["notes"] += _repeats(rows, len(everything))
    return Imported(rows, merged, tuple(sources))


def _repeats(rows: Rows, records: int) -> list[str]:
    """Say how many records repeat another one, and which ids stand with several sequences."""
    notes = []
    if len(rows.labels) < records:
        repeated = records - len(rows.labels)
        notes.append(f"{repeated:,} records repeat another one (id, sequence and names): kept once")
    counts = rows.labels.group_by(["source", "ref_id"]).aggregate([([], "count_all")])
    several = counts.filter(pc.greater(counts["count_all"], 1))["ref_id"].to_pylist()
    if several:
        shown = ", ".join(sorted(several)[:5]) + (", ..." if len(several) > 5 else "")
        notes.append(
            f"{len(several):,} ids stand with several sequences or names, all kept: {shown}"
        )
    return notes


def _kept(
    library: Library, encoder: Encoder, excluded: Excluded, progress: Progress
) -> tuple[list[SequenceBatch], list[pa.Table], Ledger]:
    ledger = Ledger()
    batches, labels = [], []
    for records in library.records:
        kept = ledger.admit(
            _with_excluded(_with_encodable(records, encoder), excluded, library.path.name)
        )
        take = pa.array(kept)
        batch = records.batch.take(kept)
        batches.append(batch)
        columns = {
            "ref_id": batch.ids,
            "source": pa.array([library.path.name] * len(kept), pa.string()),
            "accession": pa.nulls(len(kept), pa.string()),
            "external_id": records.external_id.take(take),
        }
        lineage = {rank: names.take(take) for rank, names in records.lineage.items()}
        labels.append(pa.table({**columns, **lineage}))
        progress("import", ledger.read, None)
    ledger.notes.extend(library.notes)
    return batches, labels, ledger


def _with_encodable(records: LibraryRecords, encoder: Encoder) -> LibraryRecords:
    """Add the problem of sequences that the encoder sees nothing of."""
    unseen = problems_where(~encoder.encodable(records.batch), encoder.why_not())
    problem = first_problem(records.problem, unseen)
    return LibraryRecords(records.batch, records.lineage, records.external_id, problem)


def _with_excluded(records: LibraryRecords, excluded: Excluded, source: str) -> LibraryRecords:
    """Add the problem of records that are to be left out."""
    listed = problems_where(
        excluded.of(records.batch.ids, source).to_numpy(zero_copy_only=False),
        "excluded by the user",
    )
    problem = first_problem(records.problem, listed)
    return LibraryRecords(records.batch, records.lineage, records.external_id, problem)


def _source(library: Library, ledger: Ledger) -> dict[str, Any]:
    return {
        "source": library.path.name,
        "path": str(library.path.resolve()),
        "format": library.format,
        "sha256": sha256_of(library.path) if library.path.is_file() else None,
        "taxonomy": [
            {"path": str(path.resolve()), "sha256": sha256_of(path)}
            for path in library.files[1:]
            if path.is_file()
        ],
        "records": ledger.read,
        "kept": ledger.kept,
        "ledger": ledger.to_json(),
    }


def unique_rows(batch: SequenceBatch, labels: pa.Table) -> Rows:
    """Give identical sequences one row with all their labels, rows in order of appearance.

    Parameters
    ----------
    batch : SequenceBatch
        One sequence a record.
    labels : pyarrow.Table
        One line a record, in the same order; lines that say the same are kept once a row.
    """
    hashed = digests(batch)
    words = np.ascontiguousarray(hashed).view([("high", "<u8"), ("low", "<u8")]).ravel()
    _, first, inverse = np.unique(words, return_index=True, return_inverse=True)
    by_appearance = np.argsort(first)
    row_of = np.empty(len(first), np.int64)
    row_of[by_appearance] = np.arange(len(first))
    lines = labels.append_column("row", pa.array(row_of[inverse]))
    lines = distinct_labels(lines)
    kept = first[by_appearance]
    rows = batch.take(kept)
    return Rows(SequenceBatch(first_ids(lines), rows.bytes, rows.offsets), hashed[kept], lines)


def distinct_labels(lines: pa.Table) -> pa.Table:
    """Return label lines once each, by row and then by what they say, whatever came first."""
    fields = [name for name in lines.column_names if name != "row"]
    once = lines.group_by(["row", *fields], use_threads=False).aggregate([])
    return once.sort_by([(name, "ascending") for name in ("row", *fields)]).combine_chunks()


def first_ids(lines: pa.Table) -> pa.StringArray:
    """Return each row's first ref_id; lines as from `distinct_labels`, without empty rows."""
    starts: Int64 = np.unique(to_numpy(lines["row"]), return_index=True)[1]
    return one_array(pc.take(lines["ref_id"], pa.array(starts)))
