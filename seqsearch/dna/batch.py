"""`SequenceBatch`: cleaned upper-case DNA as one byte array and offsets."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numba import njit

from seqsearch.tables import Int64, UInt8, one_array


@dataclass(frozen=True)
class SequenceBatch:
    """Sequences as arrays; sequence i is `bytes[offsets[i]:offsets[i + 1]]`.

    Attributes
    ----------
    ids : (n,) pyarrow string
        Names; they need not be distinct.
    bytes : (offsets[-1],) uint8
        A, C, G, T and the IUPAC codes for the unknown, upper case, without gaps.
    offsets : (n + 1,) int64
        Ascending, from 0.
    """

    ids: pa.StringArray
    bytes: UInt8
    offsets: Int64

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64:
        """(n,) int64: bases of each sequence."""
        return np.diff(self.offsets)

    def sequence(self, position: int) -> str:
        """Return one sequence as text.

        >>> SequenceBatch.from_clean(["a", "b"], [b"ACGT", b"GG"]).sequence(1)
        'GG'
        """
        start, stop = self.offsets[position : position + 2]
        return self.bytes[start:stop].tobytes().decode("ascii")

    def slice(self, start: int, stop: int) -> SequenceBatch:
        """Return the sequences `start` to `stop` as a view on the same bytes."""
        offsets = self.offsets[start : stop + 1]
        return SequenceBatch(
            self.ids.slice(start, stop - start),
            self.bytes[offsets[0] : offsets[-1]],
            offsets - offsets[0],
        )

    def take(self, positions: Int64) -> SequenceBatch:
        """Return the sequences at `positions`, in that order, as a copy."""
        ids = self.ids.take(pa.array(positions))
        return self.cut(ids, self.offsets[positions], self.offsets[positions + 1])

    def cut(self, ids: pa.StringArray, first: Int64, end: Int64) -> SequenceBatch:
        """Return pieces as a copy: of `bytes`, from the places `first` to `end`, excluded."""
        offsets = _offsets_of(end - first)
        taken = np.empty(offsets[-1], np.uint8)
        _copy(self.bytes, first, offsets, taken)
        return SequenceBatch(ids, taken, offsets)

    def strings(self) -> pa.LargeStringArray:
        """Return the sequences as a pyarrow array that shares their bytes."""
        data = pa.py_buffer(np.ascontiguousarray(self.bytes))
        return pa.LargeStringArray.from_buffers(len(self), pa.py_buffer(self.offsets), data)

    @classmethod
    def from_clean(cls, ids: Sequence[str], sequences: Iterable[builtins.bytes]) -> SequenceBatch:
        """Make a batch of sequences that are clean already (reading cleans what is not)."""
        pieces = list(sequences)
        lengths = np.fromiter((len(piece) for piece in pieces), np.int64, len(pieces))
        joined = np.frombuffer(b"".join(pieces), np.uint8)
        return cls(pa.array(ids, pa.string()), joined, _offsets_of(lengths))

    @classmethod
    def concatenate(cls, batches: Sequence[SequenceBatch]) -> SequenceBatch:
        """Return all sequences of several batches as one."""
        if len(batches) == 1:
            return batches[0]
        ids = one_array(pa.chunked_array([batch.ids for batch in batches], pa.string()))
        lengths = [batch.lengths for batch in batches]
        joined = [batch.bytes for batch in batches]
        empty = np.empty(0, np.int64)
        return cls(
            ids,
            np.concatenate(joined) if joined else np.empty(0, np.uint8),
            _offsets_of(np.concatenate(lengths) if lengths else empty),
        )


@njit(nogil=True, cache=True)
def _copy(bases: UInt8, starts: Int64, offsets: Int64, taken: UInt8) -> None:
    for record in range(len(starts)):
        size = offsets[record + 1] - offsets[record]
        taken[offsets[record] : offsets[record + 1]] = bases[starts[record] : starts[record] + size]


def _offsets_of(lengths: Int64) -> Int64:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
