"""What each vector of an index is of: a row, or one of the windows of a long one."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from seqsearch.tables import Int32, Int64


class Spans:
    """Which stretch of which row each vector is of.

    Vectors are numbered as they are stored, segment by segment and by row in each. Where no row has
    several, a vector has the number of its row, and no table is kept.

    Parameters
    ----------
    row_lengths : (r,) int32
        Bases of all rows.
    table : (v, 3) int32 or None
        Row, first base and end of each vector, ascending; None: each is of the whole row of its
        number.
    """

    def __init__(self, row_lengths: Int32, table: Int32 | None = None) -> None:
        self._row_lengths, self._table = row_lengths, table

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def are_rows(self) -> bool:
        """Whether every vector is of the whole row of its number."""
        return self._table is None

    @cached_property
    def lengths(self) -> Int32:
        """(v,) int32: bases that each vector is of."""
        if self._table is None:
            return self._row_lengths
        return self._table[:, 2] - self._table[:, 1]

    @cached_property
    def rows(self) -> Int64:
        """(v,) int64: the row of each vector."""
        if self._table is None:
            return np.arange(len(self._row_lengths))
        return self._table[:, 0].astype(np.int64)

    def rows_of(self, numbers: Int64) -> Int64:
        """Return (...) int64: the rows of some vectors; of -1 (none) -1."""
        if self._table is None:
            return numbers
        return np.where(numbers >= 0, self.rows[numbers], -1)

    def numbers_of(self, rows: Int64) -> Int64:
        """Return (w,) int64: all vectors of ascending rows, ascending."""
        if self._table is None:
            return rows
        is_chosen = np.zeros(len(self._row_lengths), np.bool_)
        is_chosen[rows] = True
        return np.flatnonzero(is_chosen[self.rows])

    def first_of(self, rows: Int64) -> Int64:
        """Return (r,) int64: the first vector of each row."""
        return rows if self._table is None else np.searchsorted(self.rows, rows)

    def stretches(self, numbers: Int64) -> tuple[Int64, Int64, Int64]:
        """Return (...) int64 each: row, first base and end of some vectors."""
        if self._table is None:
            start = np.zeros(numbers.shape, np.int64)
            return numbers, start, self._row_lengths[numbers].astype(np.int64)
        row, start, end = np.moveaxis(self._table[numbers].astype(np.int64), -1, 0)
        return row, start, end
