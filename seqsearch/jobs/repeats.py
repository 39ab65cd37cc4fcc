"""Identical queries are searched once: which of a batch are new, and the answers of the others."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import digests
from seqsearch.runs.results import Calls, Hits
from seqsearch.tables import Int64

REMEMBERED = 1 << 16  # distinct queries whose answers are kept: some 70 MB


@dataclass(frozen=True)
class Distinct:
    """The distinct sequences of a batch of n queries, numbered through the run.

    Attributes
    ----------
    new : (u,) int64
        Places in the batch of those not answered yet; they have the numbers from `first` on.
    first : int
    number : (n,) int64
        Of each query's sequence.
    """

    new: Int64
    first: int
    number: Int64


class Seen:
    """Numbers distinct sequences; the last `REMEMBERED` before a batch are known in it."""

    def __init__(self) -> None:
        self._number: dict[bytes, int] = {}
        self._next = 0

    def distinct(self, batch: SequenceBatch) -> Distinct:
        """Number the sequences of the next batch."""
        first, new, numbers = self._next, [], []
        for place, digest in enumerate(digests(batch).view("V16").ravel().tolist()):
            number = self._number.get(digest)
            if number is None or number < first - REMEMBERED:
                number = self._next
                self._number[digest] = number
                self._next += 1
                new.append(place)
            numbers.append(number)
        if len(self._number) > 4 * REMEMBERED:
            known = self._next - REMEMBERED
            self._number = {d: n for d, n in self._number.items() if n >= known}
        return Distinct(np.array(new, np.int64), first, np.array(numbers, np.int64))


class Answers:
    """What was found for the last `REMEMBERED` distinct sequences and those of this batch."""

    def __init__(self) -> None:
        self._parts: deque[tuple[int, Hits, Calls]] = deque()

    def add(self, first: int, hits: Hits, calls: Calls) -> None:
        """Keep the answers of the distinct sequences from number `first` on.

        In `hits` and `calls`, `query` is the number of the sequence.
        """
        while len(self._parts) > 1 and self._parts[1][0] <= first - REMEMBERED:
            self._parts.popleft()
        self._parts.append((first, hits, calls))

    def of(self, number: Int64, queries: Int64) -> tuple[Hits, Calls]:
        """Return the answers of queries, given the numbers of their sequences.

        Parameters
        ----------
        number : (n,) int64
        queries : (n,) int64
            Numbers of the queries in the run, which the answers shall have.
        """
        firsts = [first for first, _, _ in self._parts]
        oldest = np.searchsorted(firsts, number.min(initial=firsts[-1]), side="right") - 1
        needed = list(self._parts)[oldest:]
        hits = Hits.concatenate([part for _, part, _ in needed])
        calls = Calls.concatenate([part for _, _, part in needed])
        at, query = _rows_of(hits.query, number, queries)
        hits = hits.take(at, query)
        at, query = _rows_of(calls.query, number, queries)
        return hits, calls.take(at, query)


def _rows_of(owner: Int64, number: Int64, queries: Int64) -> tuple[Int64, Int64]:
    """Return where the rows of the numbers asked for stand, and the query of each.

    Parameters
    ----------
    owner : (m,) int64
        Number that each row belongs to, ascending.
    number, queries : (n,) int64
    """
    start = np.searchsorted(owner, number)
    count = np.searchsorted(owner, number, side="right") - start
    before = np.cumsum(count) - count
    at = np.arange(count.sum()) + np.repeat(start - before, count)
    return at, np.repeat(queries, count)
