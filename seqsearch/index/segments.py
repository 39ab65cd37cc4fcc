"""Segments: one row a unique sequence, with all its labels and its vector. Written once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import UInt64
from seqsearch.errors import FolderError
from seqsearch.index import vectors
from seqsearch.index.vectors import Vectors, write_vectors
from seqsearch.tables import (
    Float32,
    Int64,
    lists_from,
    mapped_array,
    one_array,
    to_numpy,
    write_array,
    write_parquet,
)

FOLDER = "segments"
VIEW = "default"
OWN = ("refs.parquet", "sequences.u8.npy", "offsets.npy")
FILES = (*OWN, *(f"{VIEW}/{name}" for name in vectors.FILES))  # that there may be


def write_segment(
    folder: Path,
    rows: SequenceBatch,
    digests: UInt64,
    labels: pa.Table,
    encode: Callable[[SequenceBatch], Float32],
    dim: int,
    kind: str,
) -> None:
    """Write one segment.

    Parameters
    ----------
    folder : Path
        Made here.
    rows : SequenceBatch
        Unique sequences; ids are each row's first label.
    digests : (n, 2) uint64
    labels : pyarrow.Table
        `row` (int64, place in this segment, ascending), ref_id, source, accession, external_id
        and one column a rank: one line a record.
    encode : callable
        From a batch to (n, dim) float32.
    dim : int
    kind : str
        How vectors are stored, one of `vectors.KINDS`.
    """
    folder.mkdir(parents=True)
    offsets = np.searchsorted(to_numpy(labels["row"]), np.arange(len(rows) + 1))
    fields = [name for name in labels.column_names if name != "row"]
    structs = pa.StructArray.from_arrays([one_array(labels[name]) for name in fields], names=fields)
    refs = pa.table(
        {
            "ref_id": rows.ids,
            "digest": _binary(digests),
            "length": pa.array(rows.lengths.astype(np.int32)),
            "labels": lists_from(structs, offsets),
        }
    )
    write_parquet(refs, folder / "refs.parquet")
    for name, values in (("sequences.u8.npy", rows.bytes), ("offsets.npy", rows.offsets)):
        write_array([values], values.dtype, values.shape, folder / name)
    write_vectors(rows, encode, dim, kind, folder / VIEW)


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
        column = one_array(self.refs(["labels"])["labels"])
        row = to_numpy(pc.list_parent_indices(column)).astype(np.int64) + self.first_row
        structs = column.flatten()
        fields = {field.name: structs.field(i) for i, field in enumerate(structs.type)}
        return pa.table({"row": pa.array(row), **fields})

    def batch(self, rows: Int64, named: bool = True) -> SequenceBatch:
        """Return the sequences of rows (numbers in the index), with their ref_ids if `named`.

        Names are read from a file each time; searching does without them.
        """
        names = self.refs(["ref_id"])["ref_id"] if named else pa.nulls(self.rows, pa.string())
        ids = one_array(names)
        return SequenceBatch(ids, self.sequences, self.offsets).take(rows - self.first_row)


def sequences_of(segments: Sequence[Segment], rows: Int64, named: bool = True) -> SequenceBatch:
    """Return the sequences of rows, in the order of the segments, with their ref_ids if `named`."""
    own = ((s, rows[(rows >= s.first_row) & (rows < s.first_row + s.rows)]) for s in segments)
    return SequenceBatch.concatenate([segment.batch(some, named) for segment, some in own])


def live_labels(segments: Sequence[Segment], removed: Int64) -> pa.Table:
    """Return the labels of all rows but the removed ones; ranks a segment lacks are null."""
    tables = [segment.labels() for segment in segments]
    labels = pa.concat_tables(tables, promote_options="default")
    return labels.filter(pc.invert(pc.is_in(labels["row"], value_set=pa.array(removed))))
