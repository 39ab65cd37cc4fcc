"""Records on their way into a segment: spilled to disk as they come, then sorted out of core.

Memory holds 16 to 32 bytes a unique sequence (its hash and number), its length, and the distinct
lineages; bases and names go to files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import Numbering, UInt64, digests
from seqsearch.errors import FolderError
from seqsearch.libraries.distinct import DistinctLines, first_places
from seqsearch.memory import Memory
from seqsearch.tables import (
    ArrayWriter,
    Int64,
    delete,
    make_folder,
    mapped_array,
    one_array,
    stoppable,
    to_numpy,
    whole_file,
    write_parquet,
)

LABEL_FIELDS = ("ref_id", "source", "accession", "external_id")
ROWS = 65536  # whose labels are sorted out and written together, if they are not too many
SHOWN = 5  # ids of those that stand with several sequences
SEQUENCES = "sequences.u8.npy"
_BASES = np.dtype(np.uint8)


@dataclass(frozen=True)
class Mark:
    """How far a spill had come when everything was on disk.

    Attributes
    ----------
    number : int
        Marks so far, this one included.
    rows, bases : int
        Unique sequences.
    lines, parts : int
        Label lines, and files of them.
    """

    number: int = 0
    rows: int = 0
    bases: int = 0
    lines: int = 0
    parts: int = 0


class Spill:
    """Unique sequences and their label lines; rows are numbered as sequences first appear.

    Parameters
    ----------
    folder : Path
        Made here if need be; holds `lines-*`, `rows-*` and `lineages-*.parquet`.
    segment : Path
        Folder of a segment, made here; gets its file of sequences, complete after `finish`.
    memory : Memory
    mark : Mark, optional
        Go on from there; what was written later is cut off.

    Raises
    ------
    FolderError
        What the mark says is not all there.
    """

    def __init__(
        self, folder: Path, segment: Path, memory: Memory, mark: Mark | None = None
    ) -> None:
        self.folder, self.sequences, self.memory = folder, segment / SEQUENCES, memory
        make_folder(folder)
        make_folder(segment)
        self.mark = mark or Mark()
        self._rows, self._lineages = Numbering(), DistinctLines()
        self._lengths: list[Int64] = []
        self._held: list[pa.Table] = []
        self.bases, self.lines, self._parts = self.mark.bases, self.mark.lines, self.mark.parts
        self._clear()
        self._load()
        self._writer = ArrayWriter(self.sequences, _BASES, (0,), self.mark.bases)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def digests(self) -> UInt64:
        """(rows, 2) uint64: hashes of the unique sequences."""
        return self._rows.hashes

    @property
    def offsets(self) -> Int64:
        """(rows + 1,) int64: where each sequence begins, and the last one ends."""
        self._lengths = [np.concatenate([np.empty(0, np.int64), *self._lengths])]
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self._lengths[0])])

    @property
    def lineages(self) -> pa.Table:
        """The distinct lines of all but the labels' ids: source, identifiers and names by rank."""
        return self._lineages.table()

    def add(self, batch: SequenceBatch, labels: pa.Table) -> None:
        """Take in records.

        Parameters
        ----------
        batch : SequenceBatch
            One sequence a record.
        labels : pyarrow.Table
            One line a record, in the same order: `LABEL_FIELDS` and one column a rank.
        """
        before = len(self)
        row = self._rows.add(digests(batch))
        fresh = batch.take(first_places(row, before))
        self._writer.append(fresh.bytes)
        self._lengths.append(fresh.lengths)
        self.bases += len(fresh.bytes)
        self.lines += len(labels)
        lineage = self._lineages.add(labels.drop_columns(["ref_id"]))
        self._held.append(
            pa.table({"row": row, "ref_id": labels["ref_id"], "lineage": pa.array(lineage)})
        )
        if sum(map(len, self._held)) >= self.memory.lines:
            self._write_lines()

    def flush(self) -> Mark:
        """Bring all to disk, and return the mark to go on from."""
        self._write_lines()
        mark = self.mark
        lengths = np.diff(self.offsets)[mark.rows :]
        raw = pa.py_buffer(np.ascontiguousarray(self.digests[mark.rows :]))
        digest = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(lengths), [None, raw])
        rows = pa.table({"digest": digest, "length": lengths})
        write_parquet(rows, self.folder / f"rows-{mark.number:05d}.parquet")
        known = sum(pq.read_metadata(path).num_rows for path in self._files("lineages"))
        lineages = self._lineages.table(since=known)
        write_parquet(lineages, self.folder / f"lineages-{mark.number:05d}.parquet")
        self._writer.flush()
        self.mark = Mark(mark.number + 1, len(self), self.bases, self.lines, self._parts)
        return self.mark

    def finish(self) -> None:
        """Complete the file of the sequences, and bring it to disk."""
        self._write_lines()
        self._writer.set_length(self.bases)
        self._writer.flush()
        self._writer.close()

    def keep(self, rows: Int64) -> None:
        """Leave all rows but some out of the file of the sequences, after `finish`."""
        offsets = self.offsets
        mapped = np.asarray(mapped_array(self.sequences))
        everything = SequenceBatch(pa.nulls(len(self), pa.string()), mapped, offsets)
        bases = int(np.diff(offsets)[rows].sum())
        with (
            whole_file(self.sequences) as temporary,
            ArrayWriter(temporary, _BASES, (bases,)) as writer,
        ):
            for start in range(0, len(rows), ROWS):
                writer.append(everything.take(rows[start : start + ROWS]).bytes)
            writer.flush()

    def close(self) -> None:
        """Close the file of the sequences, complete or not."""
        self._writer.close()

    def find(self, digests: UInt64) -> Int64:
        """Return (m,) int64: the row of each sequence, by its hash; -1 where it has none."""
        return self._rows.find(digests)

    def delete(self) -> None:
        """Delete what was spilled, after the segment is written."""
        for kind in ("lines", "rows", "lineages"):
            for path in self._files(kind):
                delete(path)

    def repeats(self) -> list[str]:
        """Say how many records repeat another one, and which ids stand with several sequences."""
        self._write_lines()
        lineages = self.lineages
        sources = {"lineage": np.arange(len(lineages)), "source": lineages["source"]}
        with self._database(sources=pa.table(sources)) as connection:
            distinct = "SELECT DISTINCT row, ref_id, lineage FROM lines"
            found = connection.sql(f"SELECT count(*) AS n FROM ({distinct})").to_arrow_table()
            connection.execute(  # in DuckDB's memory, which goes to disk where it must
                "CREATE TEMP TABLE several AS "
                "SELECT ref_id FROM lines JOIN sources USING (lineage) GROUP BY source, ref_id "
                "HAVING min(row) < max(row) OR min(lineage) < max(lineage)"
            )
            several = connection.sql("SELECT count(*) AS n FROM several").to_arrow_table()
            first = f"SELECT ref_id FROM several ORDER BY ref_id LIMIT {SHOWN}"
            shown = connection.sql(first).to_arrow_table()["ref_id"].to_pylist()
        notes = []
        repeated = self.lines - found["n"][0].as_py()
        if repeated:
            notes.append(
                f"{repeated:,} records repeat another one (id, sequence and names): kept once"
            )
        if shown:
            count = several["n"][0].as_py()
            said = "ids stand with several sequences or names, all kept"
            listed = ", ".join(shown) + (", ..." if count > SHOWN else "")
            notes.append(f"{count:,} {said}: {listed}")
        return notes

    def counts(self, rows: Int64) -> Int64:
        """Return (r,) int64: how many different label lines each of some rows has."""
        self._write_lines()
        with self._database(wanted=pa.table({"row": rows})) as connection:
            found = connection.sql(
                "SELECT row, count(*) AS lines FROM (SELECT DISTINCT row, ref_id, lineage "
                "FROM lines JOIN wanted USING (row)) GROUP BY row"
            ).to_arrow_table()
        counts = np.zeros(len(self), np.int64)
        counts[to_numpy(found["row"])] = to_numpy(found["lines"])
        return counts[rows]

    def sorted_lines(self, ranks: Sequence[str], rows: Int64 | None = None) -> Iterator[pa.Table]:
        """Yield label lines once each, by row and then by what they say.

        Parameters
        ----------
        ranks : sequence of str
            In the order in which they decide.
        rows : (r,) int64, optional
            The only rows to yield, ascending; they are numbered anew from 0.

        Yields
        ------
        pyarrow.Table
            `row` (int64), ref_id and lineage (place in `lineages`) of the next rows, whole ones: at
            most `ROWS`, and fewer where these have more lines than memory is to hold.
        """
        self._write_lines()
        tables = {"places": self._places(ranks)}
        row, join = "l.row", ""
        if rows is not None:
            tables["wanted"] = pa.table({"old": rows, "new": np.arange(len(rows))})
            row, join = "w.new", "JOIN wanted w ON w.old = l.row"
        with self._database(**tables) as connection:
            reader = connection.sql(
                f"SELECT {row} AS row, l.ref_id, l.lineage FROM lines l {join} "
                "JOIN places p USING (lineage) ORDER BY 1, l.ref_id, p.place"
            ).to_arrow_reader(self.memory.lines)
            for table in _by_rows(reader, self.memory.lines):
                yield _once(table)

    def _places(self, ranks: Sequence[str]) -> pa.Table:
        """Return `lineage` and its `place` among all when they are sorted."""
        lineages = self.lineages
        order = [name for name in (*LABEL_FIELDS[1:], *ranks) if name in lineages.column_names]
        found = pc.sort_indices(lineages, [(name, "ascending") for name in order])
        return pa.table({"lineage": found.cast(pa.int64()), "place": np.arange(len(found))})

    @contextmanager
    def _database(self, **tables: pa.Table) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a DuckDB with the view `lines` and some tables beside it."""
        sorting = str(self.folder / "sorting")
        # Not DuckDB's own reader, which would take signs in a folder's name for a pattern.
        lines = pads.dataset(self._files("lines"))
        try:
            with (
                stoppable(),
                duckdb.connect(
                    config={"memory_limit": self.memory.database, "temp_directory": sorting}
                ) as connection,
            ):
                for name, table in tables.items():
                    connection.register(name, table)
                connection.register("lines", lines)
                yield connection
        except duckdb.OutOfMemoryException as error:
            problem = f"too little memory to sort the labels: {error}"
            raise FolderError(self.folder, problem, advice="raise --memory") from error
        except duckdb.Error as error:  # a full disk, mostly
            raise FolderError(self.folder, f"the labels could not be sorted: {error}") from error

    def _write_lines(self) -> None:
        if self._held:
            path = self.folder / f"lines-{self._parts:05d}.parquet"
            write_parquet(pa.concat_tables(self._held), path)
            self._held, self._parts = [], self._parts + 1

    def _files(self, kind: str) -> list[Path]:
        return sorted(self.folder.glob(f"{kind}-[0-9]*.parquet"))

    def _clear(self) -> None:
        """Delete what was written after the mark."""
        counts = {"lines": self.mark.parts, "rows": self.mark.number, "lineages": self.mark.number}
        for kind, count in counts.items():
            for path in self._files(kind)[count:]:
                delete(path)
            if len(self._files(kind)) < count:
                raise FolderError(self.folder, f"lacks {kind} of an unfinished build")

    def _load(self) -> None:
        for path in self._files("rows"):
            rows = pq.read_table(path)
            raw = one_array(rows["digest"]).buffers()[1]
            self._rows.add(np.frombuffer(raw, np.uint64)[: 2 * len(rows)].reshape(-1, 2))
            self._lengths.append(to_numpy(rows["length"]))
        for path in self._files("lineages"):
            self._lineages.add(pq.read_table(path))


def _by_rows(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.Table]:
    """Cut sorted lines into tables of whole rows.

    A table ends before every `ROWS`th row, and with the row whose lines reach `most`.
    """
    held: list[pa.Table] = []
    for batch in batches:
        lines = pa.Table.from_batches([batch])
        while len(lines):
            row = to_numpy(lines["row"])
            first = held[0]["row"][0].as_py() if held else int(row[0])
            cut = np.searchsorted(row, (first // ROWS + 1) * ROWS)
            room = most - sum(map(len, held))
            if room <= len(row):
                full = row[room - 1] if room > 0 else held[-1]["row"][-1].as_py()
                cut = min(cut, np.searchsorted(row, full, side="right"))
            held.append(lines.slice(0, cut))
            if cut == len(lines):
                break  # the next batch may have more of its last row
            yield pa.concat_tables(held)
            held, lines = [], lines.slice(cut)
    if held:
        yield pa.concat_tables(held)


def _once(lines: pa.Table) -> pa.Table:
    """Leave repeated neighbours out."""
    is_new = np.zeros(len(lines), np.bool_)
    for name in lines.column_names:
        values = one_array(lines[name])
        changes = pc.not_equal(values[1:], values[:-1])
        is_new[1:] |= changes.to_numpy(zero_copy_only=False)
    is_new[:1] = True
    return lines.filter(pa.array(is_new))
