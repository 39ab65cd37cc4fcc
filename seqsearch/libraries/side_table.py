"""Taxonomy tables: what is said of each id, read a block at a time."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from seqsearch.dna.digests import Numbering, text_digests
from seqsearch.dna.reading import open_bytes
from seqsearch.errors import InputError
from seqsearch.libraries.distinct import DistinctLines, first_places, line_digests
from seqsearch.libraries.fasta_lineage import parse_lineages
from seqsearch.libraries.names import RANK_ORDER, known_names
from seqsearch.libraries.records import first_problem, problems_where
from seqsearch.tables import Bool, Int64, one_array

BLOCK = 16 << 20  # bytes of a table that are parsed at once
ID_COLUMNS = ("id", "seqid", "sequence_id", "feature id", "feature-id", "featureid", "name")
LINEAGE_COLUMNS = ("taxon", "taxonomy", "lineage")
EXTERNAL_COLUMNS = ("taxid", "tax_id", "external_id")
_NO_STRINGS = pa.array([], pa.string())
Opened = Callable[[], AbstractContextManager[BinaryIO]]


class SideTable:
    """A taxonomy table; ids are numbered in the order in which they first stand in it.

    Memory holds a hash and two numbers an id, and the distinct lineages.

    Attributes
    ----------
    ranks : tuple of str
        Highest first, whatever the order of the table's columns.
    first_id : str
        "" where it has none.
    notes : list of str
    """

    def __init__(self, ranks: tuple[str, ...]) -> None:
        self.ranks, self.first_id = ranks, ""
        self.notes: list[str] = []
        self._without_id = 0
        self._ids, self._lines, self._paths = Numbering(), DistinctLines(), Numbering()
        self._path_of_line: Int64 = np.empty(0, np.int64)
        self._line: Int64 = np.empty(0, np.int64)  # first of each id
        self._has_two: Bool = np.empty(0, np.bool_)
        self._said: pa.Table | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: pa.StringArray, lines: pa.Table) -> None:
        """Take in rows of the table: ids, and a line of `ranks`, external_id and problem each."""
        has_id = ids.is_valid()
        self._without_id += len(ids) - has_id.true_count
        ids, lines = ids.filter(has_id), lines.filter(has_id)
        if not len(ids):
            return
        self.first_id = self.first_id or ids[0].as_py()
        known, before = len(self._lines), len(self)
        line = self._lines.add(lines)
        new = lines.take(pa.array(first_places(line, known))).select(list(self.ranks))
        path = self._paths.add(line_digests(new))
        self._path_of_line = np.concatenate([self._path_of_line, path])
        number = self._ids.add(text_digests(ids))
        self._line = np.concatenate([self._line, line[first_places(number, before)]])
        more = np.zeros(len(self) - before, np.bool_)
        self._has_two = np.concatenate([self._has_two, more])
        differs = self._path_of_line[line] != self._path_of_line[self._line[number]]
        self._has_two[number[differs]] = True

    def finish(self) -> None:
        """Note what was left out, once all rows are in."""
        if self._without_id:
            self.notes.append(
                f"{self._without_id:,} rows of the table have no id and were left out"
            )
        if len(self):
            self._said = self._lines.table()

    def find(self, ids: pa.StringArray) -> Int64:
        """Return (n,) int64: the number of each id, -1 where the table lacks it."""
        return self._ids.find(text_digests(ids))

    def look_up(
        self, numbers: Int64
    ) -> tuple[dict[str, pa.StringArray], pa.StringArray, pa.StringArray]:
        """Return what is said of ids, null for -1.

        Returns
        -------
        dict of str to (n,) pyarrow string
            Names by rank, null where unknown.
        (n,) pyarrow string
            Identifiers elsewhere, or null.
        (n,) pyarrow string
            Why an id's lineage cannot be used, else null.
        """
        is_there = numbers >= 0
        if self._said is None:
            nothing = pa.nulls(len(numbers), pa.string())
            return dict.fromkeys(self.ranks, nothing), nothing, nothing
        line = np.where(is_there, self._line[numbers], 0)
        said = self._said.take(pa.array(line, mask=~is_there))
        has_two = is_there & self._has_two[numbers]
        problem = first_problem(
            problems_where(has_two, "the id has two lineages in the table"),
            one_array(said["problem"]),
        )
        lineage = {rank: one_array(said[rank]) for rank in self.ranks}
        return lineage, one_array(said["external_id"]), problem


def read_side_table(path: Path) -> SideTable:
    """Read a taxonomy table; TSV or CSV, of any compression.

    Raises
    ------
    InputError
        It has no id column, no rank or lineage column, or rows of other lengths.
    """
    opened = _opened(path)
    form = _form_of(path, opened)
    columns = {name.strip().lower(): name for name in form.names}
    if len(columns) < len(form.names):
        raise InputError(path, "two columns have the same name", line=1)
    id_column = next((columns[c] for c in ID_COLUMNS if c in columns), None)
    lineage_column = next((columns[c] for c in LINEAGE_COLUMNS if c in columns), None)
    external = next((columns[c] for c in EXTERNAL_COLUMNS if c in columns), None)
    ranks = [rank for rank in RANK_ORDER if rank in columns]
    if id_column is None or not (ranks or lineage_column):
        raise InputError(
            path,
            f"no taxonomy table: its columns are {', '.join(form.names[:8])!r}",
            line=1,
            advice="it needs a column 'id' and columns named by rank (kingdom ... species), "
            "or a column 'taxonomy' with k__...;p__... lineages",
        )
    side = SideTable(tuple(ranks or parse_lineages(_NO_STRINGS)[0]))
    for table in form.blocks(path, opened):
        problem = pa.nulls(len(table), pa.string())
        if ranks:
            lineage = {rank: _known(table[columns[rank]]) for rank in ranks}
        else:
            lineage, problem = parse_lineages(pc.fill_null(one_array(table[lineage_column]), ""))
        external_id = _known(table[external]) if external else pa.nulls(len(table), pa.string())
        lines = pa.table({**lineage, "external_id": external_id, "problem": problem})
        side.add(known_names(table[id_column]), lines)
    if form.skipped:
        problem = f"have not {len(form.names)} fields and were left out"
        side.notes.append(
            f"{form.skipped:,} rows of the table {problem}, the first: {form.example!r}"
        )
    side.finish()
    return side


def _known(column: pa.ChunkedArray) -> pa.StringArray:
    """Return `known_names` of a column of few distinct ones."""
    encoded = one_array(column).dictionary_encode()
    return known_names(encoded.dictionary).take(encoded.indices)


@dataclass
class _Form:
    """How a table is written, and what could not be read of it.

    Attributes
    ----------
    names : list of str
        Columns; made up where there is no header.
    has_header : bool
    delimiter, encoding : str
    skipped : int
        Rows with another number of fields.
    example : str
        The beginning of the first of them.
    """

    names: list[str]
    has_header: bool
    delimiter: str
    encoding: str
    skipped: int = 0
    example: str = field(default="")

    def blocks(self, path: Path, opened: Opened) -> Iterator[pa.Table]:
        """Yield the rows, all columns as text."""

        def skip(row: pv.InvalidRow) -> str:
            self.example = self.example or row.text[:60]
            self.skipped += 1
            return "skip"

        is_csv = self.delimiter == ","
        try:
            with (
                opened() as handle,
                pv.open_csv(
                    handle,
                    read_options=pv.ReadOptions(
                        column_names=self.names,
                        skip_rows=1 if self.has_header else 0,
                        encoding=self.encoding,
                        block_size=BLOCK,
                    ),
                    parse_options=pv.ParseOptions(
                        delimiter=self.delimiter,
                        quote_char='"' if is_csv else False,
                        newlines_in_values=False,
                        invalid_row_handler=skip,
                    ),
                    convert_options=pv.ConvertOptions(
                        column_types=dict.fromkeys(self.names, pa.string()),
                        strings_can_be_null=False,
                    ),
                ) as reader,
            ):
                for batch in reader:
                    table = pa.Table.from_batches([batch])
                    yield table if is_csv else _unquoted(table)
        except pa.ArrowInvalid as error:
            raise InputError(path, str(error).splitlines()[0], advice="mend that row") from error


def _unquoted(table: pa.Table) -> pa.Table:
    """Take outer quotes off: tables with tabulators rarely have any; a value keeps its inside."""
    for place, name in enumerate(table.column_names):
        if pc.any(pc.starts_with(table[name], '"')).as_py():
            inside = pc.replace_substring_regex(one_array(table[name]), r'^"(.*)"$', r"\1")
            table = table.set_column(place, name, inside)
    return table


def _opened(path: Path) -> Opened:
    """Return what opens a table, as often as need be; a pipe is read once, and kept."""
    if path.is_file():
        return lambda: open_bytes(str(path))
    with open_bytes(str(path)) as handle:
        data = handle.read()
    return lambda: nullcontext(io.BytesIO(data))


def _form_of(path: Path, opened: Opened) -> _Form:
    """Look how a table is written; reads it once through, for its encoding."""
    decoder, encoding = codecs.getincrementaldecoder("utf-8")(), "utf-8"
    with opened() as handle:
        beginning = block = handle.read(BLOCK)
        while block and encoding == "utf-8":
            try:
                decoder.decode(block, final=False)
                block = handle.read(BLOCK)
                if not block:
                    decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                encoding = "latin-1"
    if not beginning.strip():
        raise InputError(path, "the file is empty")
    if b"\0" in beginning[:4096]:
        raise InputError(path, "a binary file, not a table")
    first_line = beginning.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].rstrip(b"\r")
    delimiter = "\t" if b"\t" in first_line else ","
    fields = first_line.decode("utf-8", "replace").split(delimiter)
    if len(fields) == 2 and "__" in fields[1]:
        return _Form(["id", "taxonomy"], False, delimiter, encoding)
    return _Form([name.strip('" ') for name in fields], True, delimiter, encoding)
