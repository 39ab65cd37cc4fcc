"""Segments: one row a unique sequence, with all its labels and its vector. Written once."""

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
from seqsearch.errors import FolderError
from seqsearch.index import vectors
from seqsearch.index.spill import LABEL_FIELDS, SEQUENCES, Spill
from seqsearch.index.vectors import BLOCK, Vectors, VectorWriter
from seqsearch.tables import (
    Float32,
    Int64,
    lists_from,
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
FILES = (*OWN, *(f"{VIEW}/{name}" for name in vectors.FILES))  # that there may be


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
    write_array([offsets], offsets.dtype, offsets.shape, folder / "offsets.npy")
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


def write_vectors(
    folder: Path,
    encode: Callable[[SequenceBatch], Float32],
    dim: int,
    kind: str,
    done: int,
    report: Callable[[int, int], None],
    flushed: Callable[[int], None],
) -> None:
    """Write the vectors of a segment's sequences.

    Parameters
    ----------
    folder : Path
    encode : callable
        From a batch to (n, dim) float32.
    dim : int
    kind : str
        How they are stored, one of `vectors.KINDS`.
    done : int
        Rows whose vectors are there already.
    report : callable
        Told how many rows' vectors are written, and of how many.
    flushed : callable
        Told now and then how many rows' vectors are on disk.
    """
    offsets = np.load(folder / "offsets.npy", allow_pickle=False)
    rows = len(offsets) - 1
    (folder / VIEW).mkdir(exist_ok=True)
    with (
        (folder / SEQUENCES).open("rb") as bases,
        VectorWriter(folder / VIEW, kind, (rows, dim), done) as writer,
    ):
        for stop, block in prefetch(_encoded(encode, bases, offsets, done)):
            writer.append(block)
            report(stop, rows)
            if stop % FLUSHED == 0 or stop == rows:
                writer.flush()
                flushed(stop)


def _encoded(
    encode: Callable[[SequenceBatch], Float32], bases: BinaryIO, offsets: Int64, done: int
) -> Iterator[tuple[int, Float32]]:
    """Yield the vectors of the next `BLOCK` sequences, and where these end."""
    rows = len(offsets) - 1
    bases.seek(offsets[done] - offsets[-1], io.SEEK_END)  # they are the end of the file
    for start in range(done, rows, BLOCK):
        stop = min(start + BLOCK, rows)
        ends = offsets[start : stop + 1] - offsets[start]
        own = np.fromfile(bases, np.uint8, ends[-1])
        yield stop, encode(SequenceBatch(pa.nulls(stop - start, pa.string()), own, ends))


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
    sequences : (bases,) uint8
    offsets : (rows + 1,) int64
    vectors : Vectors
    """

    def __init__(self, index: Path, name: str, first_row: int, rows: int) -> None:
        self.folder = index / FOLDER / name
        self.name, self.first_row, self.rows = name, first_row, rows
        self.sequences = mapped_array(self.folder / "sequences.u8.npy")
        self.offsets: Int64 = mapped_array(self.folder / "offsets.npy")
        self.vectors = Vectors.open(self.folder / VIEW, rows)
        if len(self.offsets) != rows + 1:
            raise FolderError(
                self.folder, f"holds not the {rows:,} rows of the manifest", advice="build it again"
            )

    @property
    def files(self) -> list[str]:
        """Paths of its files inside the index."""
        inside = [*OWN, *(f"{VIEW}/{name}" for name in self.vectors.files)]
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

    def labels(self) -> pa.Table:
        """Return one line a record: `row` (number in the index) and the label's fields."""
        return _lines(one_array(self.refs(["labels"])["labels"]), self.first_row)

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
        names = self.refs(["ref_id"])["ref_id"] if named else pa.nulls(self.rows, pa.string())
        ids = one_array(names)
        return SequenceBatch(ids, self.sequences, self.offsets).take(rows - self.first_row)


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


def live_labels(segments: Sequence[Segment], removed: Int64) -> pa.Table:
    """Return the labels of all rows but the removed ones; ranks a segment lacks are null."""
    tables = [segment.labels() for segment in segments]
    labels = pa.concat_tables(tables, promote_options="default")
    return labels.filter(pc.invert(pc.is_in(labels["row"], value_set=pa.array(removed))))


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
