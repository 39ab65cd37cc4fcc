"""Lines of text columns, told apart: a library has far fewer lineages than records."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from seqsearch.dna.digests import Numbering, UInt64, mixed, text_digests
from seqsearch.tables import Int64, one_array


class DistinctLines:
    """The distinct lines of tables of text, numbered in the order in which they first come.

    A column that a table lacks is null in all its lines. Memory is that of the distinct lines.
    """

    def __init__(self) -> None:
        self._numbering = Numbering()
        self._parts: list[pa.Table] = []

    def __len__(self) -> int:
        return len(self._numbering)

    def add(self, lines: pa.Table) -> Int64:
        """Return (n,) int64: the number of each line; new ones get the next.

        Examples
        --------
        >>> import pyarrow as pa
        >>> distinct = DistinctLines()
        >>> distinct.add(pa.table({"genus": ["Apis", "Bombus", "Apis"]})).tolist()
        [0, 1, 0]
        >>> distinct.add(pa.table({"order": [None, "O"], "genus": ["Bombus", "Apis"]})).tolist()
        [1, 2]
        """
        before = len(self)
        numbers = self._numbering.add(line_digests(lines))
        self._parts.append(lines.take(pa.array(first_places(numbers, before))))
        return numbers

    def table(self, since: int = 0) -> pa.Table:
        """Return the lines by number, those from number `since` on."""
        together = pa.concat_tables(self._parts, promote_options="default").combine_chunks()
        self._parts = [together]
        return together.slice(since)


def first_places(numbers: Int64, before: int) -> Int64:
    """Return where each number from `before` on first stands, by number."""
    new = np.flatnonzero(numbers >= before)
    return new[np.unique(numbers[new], return_index=True)[1]]


def line_digests(lines: pa.Table) -> UInt64:
    """(n, 2) uint64: a hash of each line, the same in any order of the columns."""
    total = np.zeros((len(lines), 2), np.uint64)
    for name in lines.column_names:
        texts = one_array(lines[name])
        if texts.null_count == len(texts):
            continue
        own = mixed(text_digests(texts) ^ text_digests(pa.array([name]))[0])
        own[texts.is_null().to_numpy(zero_copy_only=False)] = 0
        total += own
    return total
