"""Segments: one row a unique sequence, with all its labels and its vectors. Written once."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import UInt64
from seqsearch.dna.windows import Windows, pieces
from seqsearch.errors import FolderError
from seqsearch.index import vectors
from seqsearch.index.spans import Spans
from seqsearch.index.spill import LABEL_FIELDS, SEQUENCES, Spill
from seqsearch.index.vectors import BLOCK, Vectors, VectorWriter
from seqsearch.tables import (
    Float32,
    Int32,
    Int64,
    lists_from,
    make_folder,
    mapped_array,
    one_array,
    to_numpy,
    whole_file,
    write_array,
)
from seqsearch.threads import prefetch

FOLDER = "segments"
VIEW = "default"
FLUSHED = 16 * BLOCK  # vectors after which they are brought to disk
OWN = ("refs.parquet", "sequences.u8.npy", "offsets.npy")
STRETCHES = f"{VIEW}/rows.npy"  # only where a row has several vectors
FILES = (*OWN, STRETCHES, *(f"{VIEW}/{name}" for name in vectors.FILES))  # that there may be


def write_rows(folder: Path, spill: Spill, ranks: Sequence[str], rows: Int64 | None = None) -> None:
    """Write all of a segment but its vectors; the spill has its sequences in the folder already.

    Parameters
    ----------
    folder : Path
    spill : Spill
        Complete.
    ranks : sequence of str
        Columns of the labels, highest first.
    rows : (n,) int64, optional
        The only rows to write, ascending.
    """
    offsets, digests = spill.offsets, spill.digests
    if rows is not None:
        spill.keep(rows)
        lengths = np.diff(offsets)[rows]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        digests = digests[rows]
    with whole_file(folder / "offsets.npy") as temporary:
        write_array([offsets], offsets.dtype, offsets.shape, temporary)
    lineages = spill.lineages
    missing = [name for name in ranks if name not in lineages.column_names]
    for name in missing:
        lineages = lineages.append_column(name, pa.nulls(len(lineages), pa.string()))
    lineages = lineages.select([*LABEL_FIELDS[1:], *ranks])
    names = [*LABEL_FIELDS, *ranks]
    fields = [pa.field(name, pa.string()) for name in names]
    schema = pa.schema(
        {
            "ref_id": pa.string(),
            "digest": pa.binary(16),
            "length": pa.int32(),
            "labels": pa.list_(pa.struct(fields)),
        }
    )
    with (
        whole_file(folder / "refs.parquet") as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for lines in spill.sorted_lines(ranks, rows):
            row = to_numpy(lines["row"])
            first, last = int(row[0]), int(row[-1]) + 1
            starts = np.searchsorted(row, np.arange(first, last + 1))
            said = lineages.take(lines["lineage"])
            ids = one_array(lines["ref_id"])
            columns = [ids, *(one_array(said[name]) for name in said.column_names)]
            refs = {
                "ref_id": ids.take(pa.array(starts[:-1])),
                "digest": _binary(digests[first:last]),
                "length": pa.array(np.diff(offsets[first : last + 1]).astype(np.int32)),
                "labels": lists_from(pa.StructArray.from_arrays(columns, names=names), starts),
            }
            writer.write_table(pa.table(refs, schema=schema))


def lengths_in(folder: Path) -> Int64:
    """Return (n,) int64: bases of the sequences of a segment that has no vectors yet."""
    return np.diff(np.load(folder / "offsets.npy", allow_pickle=False))


def cut_rows(folder: Path, windows: Windows) -> int:
    """Decide what the vectors of a segment are of; returns how many there will be.

    A long sequence gets one for each of its windows, and then the segment a file that tells them.

    Parameters
    ----------
    folder : Path
        With the sequences.
    windows : Windows
    """
    lengths = lengths_in(folder)
    if not windows.are_long(lengths).any():
        return len(lengths)
    table = np.stack(windows.cover(lengths), axis=1).astype(np.int32)
    make_folder(folder / VIEW)
    with whole_file(folder / STRETCHES) as temporary:
        write_array([table], table.dtype, table.shape, temporary)
    return len(table)


def write_vectors(
    folder: Path,
    encode: Callable[[SequenceBatch], Float32],
    dim: int,
    kind: str,
    done: int,
    report: Callable[[int, int], None],
    flushed: Callable[[int], None],
) -> None:
    """Write the vectors of a segment's sequences, after `cut_rows`.

    Parameters
    ----------
    folder : Path
    encode : callable
        From a batch to (n, dim) float32.
    dim : int
    kind : str
        How they are stored, one of `vectors.KINDS`.
    done : int
        Vectors that are there already.
    report : callable
        Told how many are written, and of how many.
    flushed : callable
        Told now and then how many are on disk.
    """
    start, end, bases = _stretches(folder)
    count = len(start)
    make_folder(folder / VIEW)
    with (
        (folder / SEQUENCES).open("rb") as file,
        VectorWriter(folder / VIEW, kind, (count, dim), done) as writer,
    ):
        begin = file.seek(-bases, io.SEEK_END)  # they are the end of the file
        for stop, block in prefetch(_encoded(encode, file, begin, start, end, done)):
            writer.append(block)
            report(stop, count)
            if stop % FLUSHED == 0 or stop == count:
                writer.flush()
                flushed(stop)


def _stretches(folder: Path) -> tuple[Int64, Int64, int]:
    """Return where what the vectors are of starts and ends among all bases, and their number."""
    offsets: Int64 = np.load(folder / "offsets.npy", allow_pickle=False)
    if not (folder / STRETCHES).exists():
        return offsets[:-1], offsets[1:], int(offsets[-1])
    row, start, end = np.load(folder / STRETCHES, allow_pickle=False).T
    return offsets[row] + start, offsets[row] + end, int(offsets[-1])


def _encoded(
    encode: Callable[[SequenceBatch], Float32],
    file: BinaryIO,
    begin: int,
    start: Int64,
    end: Int64,
    done: int,
) -> Iterator[tuple[int, Float32]]:
    """Yield the vectors of the next `BLOCK` stretches of the file's bases, and how far that is.

    Stretches ascend, so that those of a block lie together; they may overlap.
    """
    for first in range(done, len(start), BLOCK):
        stop = min(first + BLOCK, len(start))
        here = start[first]
        file.seek(begin + here)
        own = np.fromfile(file, np.uint8, end[stop - 1] - here)
        together = SequenceBatch(pa.nulls(1, pa.string()), own, np.array([0, len(own)]))
        owner = np.zeros(stop - first, np.int64)
        yield (
            stop,
            encode(pieces(together, owner, start[first:stop] - here, end[first:stop] - here)),
        )


def _binary(digests: UInt64) -> pa.Array:
    raw = pa.py_buffer(np.ascontiguousarray(digests))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(digests), [None, raw])


class Segment:
    """A segment opened for reading; large arrays are memory-mapped.

    Attributes
    ----------
    name : str
    first_row, rows : int
        Numbers of its rows in the index.
    first_vector : int
        Number of its first vector in the index.
    sequences : (bases,) uint8
    offsets : (rows + 1,) int64
    stretches : (vectors, 3) int32 or None
        Row in the segment, first base and end of what each vector is of; None: one a row.
    vectors : Vectors
    """

    def __init__(
        self, index: Path, name: str, first_row: int, rows: int, first_vector: int
    ) -> None:
        self.folder = index / FOLDER / name
        self.name, self.first_row, self.rows = name, first_row, rows
        self.first_vector = first_vector
        self.sequences = mapped_array(self.folder / "sequences.u8.npy")
        self.offsets: Int64 = mapped_array(self.folder / "offsets.npy")
        self.stretches = self._read_stretches()
        count = rows if self.stretches is None else len(self.stretches)
        self.vectors = Vectors.open(self.folder / VIEW, count)
        if len(self.offsets) != rows + 1:
            raise FolderError(
                self.folder, f"holds not the {rows:,} rows of the manifest", advice="build it again"
            )

    def _read_stretches(self) -> Int32 | None:
        path = self.folder / STRETCHES
        if not path.exists():
            return None
        table: Int32 = mapped_array(path)
        if table.ndim != 2 or table.shape[1] != 3 or table[-1, 0] != self.rows - 1:
            raise FolderError(path, "the file is damaged", advice="build the index again")
        return table

    @property
    def files(self) -> list[str]:
        """Paths of its files inside the index."""
        several = [] if self.stretches is None else [STRETCHES]
        inside = [*OWN, *several, *(f"{VIEW}/{name}" for name in self.vectors.files)]
        return [f"{FOLDER}/{self.name}/{name}" for name in inside]

    def refs(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read `refs.parquet`: ref_id, digest, length, labels."""
        path = self.folder / "refs.parquet"
        try:
            return pq.read_table(path, columns=columns)
        except (pa.ArrowInvalid, OSError) as error:
            raise FolderError(
                path, "the file is damaged", advice="build the index again"
            ) from error

    def digests(self) -> UInt64:
        """(rows, 2) uint64."""
        column = one_array(self.refs(["digest"])["digest"])
        return np.frombuffer(column.buffers()[1], np.uint64)[: 2 * self.rows].reshape(-1, 2)

    def label_blocks(self, fields: Sequence[str]) -> Iterator[pa.Table]:
        """Yield `row` and some fields of the labels, those that it has, a group of rows at once."""
        path = self.folder / "refs.parquet"
        first = self.first_row
        try:
            with pq.ParquetFile(path) as file:
                labels = file.schema_arrow.field("labels").type.value_type
                leaves = [f"labels.list.element.{name}" for name in fields if name in labels.names]
                for group in range(file.num_row_groups):
                    column = one_array(file.read_row_group(group, columns=leaves)["labels"])
                    yield _lines(column, first)
                    first += len(column)
        except (pa.ArrowInvalid, OSError) as error:
            raise FolderError(
                path, "the file is damaged", advice="build the index again"
            ) from error

    def batch(self, rows: Int64, named: bool = True) -> SequenceBatch:
        """Return the sequences of rows (numbers in the index), with their ref_ids if `named`.

        Names are read from a file each time; searching does without them.
        """
        if not named:
            place = rows - self.first_row
            lengths = self.offsets[place + 1] - self.offsets[place]
            return self.pieces(rows, np.zeros_like(lengths), lengths)
        ids = one_array(self.refs(["ref_id"])["ref_id"])
        return SequenceBatch(ids, self.sequences, self.offsets).take(rows - self.first_row)

    def pieces(self, rows: Int64, start: Int64, end: Int64) -> SequenceBatch:
        """Return stretches of rows (numbers in the index); whole ones are not read for that."""
        nameless = pa.nulls(0, pa.string())  # for the others none is made: they may be millions
        everything = SequenceBatch(nameless, self.sequences, self.offsets)
        return pieces(everything, rows - self.first_row, start, end)


def _lines(labels: pa.ListArray, first_row: int) -> pa.Table:
    """Return one line a label: `row` and the label's fields."""
    row = to_numpy(pc.list_parent_indices(labels)).astype(np.int64) + first_row
    structs = labels.flatten()
    fields = {field.name: structs.field(i) for i, field in enumerate(structs.type)}
    return pa.table({"row": pa.array(row), **fields})


def sequences_of(segments: Sequence[Segment], rows: Int64, named: bool = True) -> SequenceBatch:
    """Return the sequences of rows, in the order of the segments, with their ref_ids if `named`."""
    own = ((s, rows[(rows >= s.first_row) & (rows < s.first_row + s.rows)]) for s in segments)
    return SequenceBatch.concatenate([segment.batch(some, named) for segment, some in own])


def pieces_of(segments: Sequence[Segment], rows: Int64, start: Int64, end: Int64) -> SequenceBatch:
    """Return stretches of ascending rows, without names.

    Parameters
    ----------
    segments : sequence of Segment
    rows : (p,) int64
    start, end : (p,) int64
        First base and end of each.
    """
    own = ((s, (rows >= s.first_row) & (rows < s.first_row + s.rows)) for s in segments)
    return SequenceBatch.concatenate([s.pieces(rows[at], start[at], end[at]) for s, at in own])


def spans_of(segments: Sequence[Segment]) -> Spans:
    """Return what each vector of all segments is of."""
    lengths = [np.diff(segment.offsets).astype(np.int32) for segment in segments]
    every = np.concatenate([np.empty(0, np.int32), *lengths])
    if all(segment.stretches is None for segment in segments):
        return Spans(every)
    tables = []
    for segment, own in zip(segments, lengths, strict=True):
        table = segment.stretches
        if table is None:
            table = np.stack([np.arange(len(own)), np.zeros_like(own), own], axis=1)
        tables.append(table + np.array([segment.first_row, 0, 0]))
    return Spans(every, np.concatenate(tables).astype(np.int32))


def live_label_blocks(
    segments: Sequence[Segment], removed: Int64, fields: Sequence[str]
) -> Iterator[pa.Table]:
    """Yield `row` and some fields of the labels of all rows but the removed ones, rows ascending.

    Fields that a segment lacks are missing in its tables.
    """
    is_live = np.ones(sum(segment.rows for segment in segments), np.bool_)
    is_live[removed] = False
    for segment in segments:
        for lines in segment.label_blocks(fields):
            yield lines.filter(pa.array(is_live[to_numpy(lines["row"])]))
