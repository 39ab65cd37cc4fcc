"""Pieces of sequences, and windows that cover them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from seqsearch.dna.batch import SequenceBatch
from seqsearch.tables import Bool, Int32, Int64

# Of queries half as long again as most references, windows find more than one vector does, and so
# they do of such references (scripts/bench_windows.py).
LONGER, MOST = 1.5, 0.95
SHORTEST = 200  # bases of a window


@dataclass(frozen=True)
class Windows:
    """How long sequences are cut for a library.

    Attributes
    ----------
    longest : int
        Bases of a sequence that is searched, or found, as a whole.
    size, step : int
        Bases of a window, and between the starts of two.
    """

    longest: int
    size: int
    step: int

    @classmethod
    def of(cls, lengths: Int32 | Int64) -> Windows:
        """Fit windows to the lengths of a library's references, (n,)."""
        typical, long = np.quantile(lengths, (0.5, MOST)) if len(lengths) else (0, 0)
        size = max(int(typical), SHORTEST)
        return cls(int(LONGER * max(long, size)), size, size // 2)

    def are_long(self, lengths: Int32 | Int64) -> Bool:
        """Tell by length which sequences are cut."""
        return lengths > self.longest

    def cover(self, lengths: Int64) -> tuple[Int64, Int64, Int64]:
        """Cover long sequences with windows, the others with one stretch each.

        Parameters
        ----------
        lengths : (n,) int64

        Returns
        -------
        (w,) int64, (w,) int64, (w,) int64
            Sequence, first base and end of each stretch, ascending.

        Examples
        --------
        >>> Windows(longest=5, size=4, step=2).cover(np.array([5, 7]))
        (array([0, 1, 1, 1]), array([0, 0, 2, 3]), array([5, 4, 6, 7]))
        """
        owner, start = windows(np.where(self.are_long(lengths), lengths, 0), self.size, self.step)
        end = np.where(self.are_long(lengths)[owner], start + self.size, lengths[owner])
        return owner, start, end


def windows(lengths: Int64, size: int, step: int) -> tuple[Int64, Int64]:
    """Cover sequences with windows; the last one of each ends where its sequence does.

    Parameters
    ----------
    lengths : (n,) int64
        Bases of each sequence.
    size, step : int
        Bases of a window, and between the starts of two.

    Returns
    -------
    (w,) int64, (w,) int64
        Sequence and first base of each window, ascending. A sequence that is no longer than a
        window has one, which starts at 0.

    Examples
    --------
    >>> windows(np.array([9, 3]), size=4, step=2)
    (array([0, 0, 0, 0, 1]), array([0, 2, 4, 5, 0]))
    """
    rest = np.maximum(lengths - size, 0)
    counts = -(-rest // step) + 1
    owner = np.repeat(np.arange(len(lengths)), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return owner, np.minimum(number * step, rest[owner])


def pieces(batch: SequenceBatch, owner: Int64, start: Int64, end: Int64) -> SequenceBatch:
    """Return pieces of sequences as a copy, without names.

    Parameters
    ----------
    batch : SequenceBatch
    owner : (p,) int64
        Sequence that each piece is of.
    start, end : (p,) int64
        Bases of it, end excluded.

    Examples
    --------
    >>> batch = SequenceBatch.from_clean(["a", "b"], [b"ACGT", b"GGCC"])
    >>> pieces(batch, np.array([1, 0]), np.array([1, 0]), np.array([3, 4])).strings().to_pylist()
    ['GC', 'ACGT']
    """
    unnamed = pa.array([""] * len(owner), pa.string())
    return batch.cut(unnamed, batch.offsets[owner] + start, batch.offsets[owner] + end)
