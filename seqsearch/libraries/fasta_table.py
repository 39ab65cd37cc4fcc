"""FASTA with a side table: `id` and one column a rank, or `id` and one column of lineages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from seqsearch.dna.reading import open_bytes, read_sequences
from seqsearch.errors import InputError, SettingsError
from seqsearch.libraries.fasta_lineage import parse_lineages
from seqsearch.libraries.names import RANK_ORDER, known_names
from seqsearch.libraries.records import (
    Library,
    LibraryRecords,
    defect_problems,
    first_problem,
    nameless,
    problems_where,
)
from seqsearch.tables import Bool, one_array, to_numpy

BATCH_SIZE = 65536  # looking up ids costs a pass over the table, so it is done for many at once
ID_COLUMNS = ("id", "seqid", "sequence_id", "feature id", "feature-id", "featureid", "name")
LINEAGE_COLUMNS = ("taxon", "taxonomy", "lineage")
EXTERNAL_COLUMNS = ("taxid", "tax_id", "external_id")


class FastaTable:
    """Importer of FASTA with a taxonomy table (TSV or CSV)."""

    name = "fasta-table"
    description = "FASTA with a side table (TSV, CSV): id and rank columns, or id and lineage"

    def recognises(self, header: str, has_table: bool) -> bool:  # noqa: ARG002
        """Any FASTA with a table."""
        return has_table

    def read(self, path: Path, table: Path | None) -> Library:
        """Read the table, open the FASTA."""
        if table is None:
            raise SettingsError("taxonomy", None, f"a table with --format {self.name}")
        side = read_side_table(table)
        notes = list(side.notes)
        records = _records(path, table, side, notes)
        return Library(path, self.name, side.ranks, records, (path, table), notes)


@dataclass(frozen=True)
class SideTable:
    """A taxonomy table, one row an id.

    Attributes
    ----------
    ids : (m,) pyarrow string
    lineage : dict of str to (m,) pyarrow string
    external_id : (m,) pyarrow string
    problem : (m,) pyarrow string
        Why the id's lineage cannot be used, else null.
    notes : tuple of str
    """

    ids: pa.StringArray
    lineage: dict[str, pa.StringArray]
    external_id: pa.StringArray
    problem: pa.StringArray
    notes: tuple[str, ...]

    @property
    def ranks(self) -> tuple[str, ...]:
        """Ranks, highest first, whatever the order of the table's columns."""
        return tuple(self.lineage)


def read_side_table(path: Path) -> SideTable:
    """Read a taxonomy table; TSV or CSV, of any compression.

    Raises
    ------
    InputError
        It has no id column, no rank or lineage column, or rows of other lengths.
    """
    table, skipped = _read_delimited(path)
    columns = {name.strip().lower(): name for name in table.column_names}
    if len(columns) < len(table.column_names):
        raise InputError(path, "two columns have the same name", line=1)
    id_column = next((columns[c] for c in ID_COLUMNS if c in columns), None)
    lineage_column = next((columns[c] for c in LINEAGE_COLUMNS if c in columns), None)
    ranks = [rank for rank in RANK_ORDER if rank in columns]
    if id_column is None or not (ranks or lineage_column):
        raise InputError(
            path,
            f"no taxonomy table: its columns are {', '.join(table.column_names[:8])!r}",
            line=1,
            advice="it needs a column 'id' and columns named by rank (kingdom ... species), "
            "or a column 'taxonomy' with k__...;p__... lineages",
        )
    ids = known_names(table[id_column])
    malformed = pa.nulls(len(ids), pa.string())
    if ranks:
        lineage = {rank: known_names(table[columns[rank]]) for rank in ranks}
    else:
        texts = pc.fill_null(one_array(table[lineage_column]), "")
        lineage, malformed = parse_lineages(texts)
    external = next((columns[c] for c in EXTERNAL_COLUMNS if c in columns), None)
    external_id = known_names(table[external]) if external else pa.nulls(len(ids), pa.string())
    return _one_row_an_id(ids, lineage, external_id, malformed, skipped)


def _one_row_an_id(
    ids: pa.StringArray,
    lineage: dict[str, pa.StringArray],
    external_id: pa.StringArray,
    malformed: pa.StringArray,
    notes: list[str],
) -> SideTable:
    """Drop rows without id and repeated rows; mark ids that have two lineages."""
    path = pc.binary_join_element_wise(*lineage.values(), "\t", null_handling="replace")
    code = pc.dictionary_encode(path).indices
    rows = pa.table({"id": ids, "path": code, "row": np.arange(len(ids))})
    rows = rows.filter(pc.is_valid(ids))
    without_id = len(ids) - len(rows)
    grouped = rows.group_by("id").aggregate([("row", "min"), ("path", "count_distinct")])
    grouped = grouped.sort_by("row_min")
    first = one_array(grouped["row_min"])
    two_lineages = to_numpy(grouped["path_count_distinct"]) > 1
    if without_id:
        notes = [*notes, f"{without_id:,} rows of the table have no id and were left out"]
    return SideTable(
        one_array(grouped["id"]),
        {rank: names.take(first) for rank, names in lineage.items()},
        external_id.take(first),
        first_problem(
            problems_where(two_lineages, "the id has two lineages in the table"),
            malformed.take(first),
        ),
        tuple(notes),
    )


def _records(
    path: Path, table: Path, side: SideTable, notes: list[str]
) -> Iterator[LibraryRecords]:
    used = np.zeros(len(side.ids), np.bool_)
    example = ""
    for reads in read_sequences(path, BATCH_SIZE):
        ids = reads.batch.ids
        example = example or str(ids[0].as_py())
        at = pc.index_in(ids, value_set=side.ids)
        found = pc.is_valid(at).to_numpy(zero_copy_only=False)
        used[to_numpy(pc.drop_null(at)).astype(np.int64)] = True
        lineage = {rank: names.take(at) for rank, names in side.lineage.items()}
        has_no_id = pc.equal(ids, "").to_numpy(zero_copy_only=False)
        problem = first_problem(
            defect_problems(reads),
            problems_where(has_no_id, "no id in the header"),
            problems_where(~found, "the id is not in the taxonomy table"),
            side.problem.take(at),
            problems_where(nameless(lineage, len(ids)), "no name at any rank"),
        )
        yield LibraryRecords(reads.batch, lineage, side.external_id.take(at), problem)
    _note_unused(path, table, side, used, example, notes)


def _note_unused(
    path: Path, table: Path, side: SideTable, used: Bool, example: str, notes: list[str]
) -> None:
    unused = len(used) - int(used.sum())
    if unused == len(used) and unused:
        raise InputError(
            table,
            f"none of its ids is in {path}: the table has {side.ids[0].as_py()!r}, "
            f"the FASTA has {example!r}",
            advice="ids must be the first word of the FASTA headers",
        )
    if unused:
        notes.append(f"{unused:,} ids of the table have no sequence")


def _read_delimited(path: Path) -> tuple[pa.Table, list[str]]:
    """Read a TSV or CSV with all columns as text, and say which rows were skipped.

    A header is made where there is none.
    """
    with open_bytes(str(path)) as handle:
        data = handle.read()
    if not data.strip():
        raise InputError(path, "the file is empty")
    if b"\0" in data[:4096]:
        raise InputError(path, "a binary file, not a table")
    first_line = data.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].rstrip(b"\r")
    delimiter = "\t" if b"\t" in first_line else ","
    fields = first_line.decode("utf-8", "replace").split(delimiter)
    headerless = ["id", "taxonomy"] if len(fields) == 2 and "__" in fields[1] else None
    names = headerless or [field.strip('" ') for field in fields]
    skipped: list[str] = []

    def skip(row: pv.InvalidRow) -> str:
        skipped.append(row.text)
        return "skip"

    try:
        table = pv.read_csv(
            pa.py_buffer(data),
            read_options=pv.ReadOptions(
                column_names=names, skip_rows=0 if headerless else 1, encoding=_encoding(data)
            ),
            parse_options=pv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if delimiter == "," else False,
                newlines_in_values=False,
                invalid_row_handler=skip,
            ),
            convert_options=pv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise InputError(path, str(error).splitlines()[0], advice="mend that row") from error
    if delimiter == "\t":  # tables of the field rarely quote; a quoted value keeps its inside
        unquoted = [
            pc.replace_substring_regex(one_array(c), r'^"(.*)"$', r"\1") for c in table.columns
        ]
        table = pa.table(unquoted, names=table.column_names)
    notes = []
    if skipped:
        problem = f"have not {len(names)} fields and were left out, the first: {skipped[0][:60]!r}"
        notes.append(f"{len(skipped):,} rows of the table {problem}")
    return table, notes


def _encoding(data: bytes) -> str:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"
