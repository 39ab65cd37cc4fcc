"""What a library is asked for when it is asked for its own rows: of long ones their marker."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.windows import Windows
from seqsearch.encoders.base import Encoder
from seqsearch.index.store import IndexStore
from seqsearch.search.locate import Locator
from seqsearch.search.retrieve import Retriever
from seqsearch.tables import Float32, Int64
from seqsearch.threads import resolve_threads


class Markers:
    """Rows of an index as queries.

    A row that would be a long query is asked for as such: by the place of the marker in it, which
    the other references tell.

    Parameters
    ----------
    store : IndexStore
    encoder : Encoder
    retriever : Retriever
    threads : int
    """

    def __init__(
        self, store: IndexStore, encoder: Encoder, retriever: Retriever, threads: int = 0
    ) -> None:
        self._store, self._encoder, self._retriever = store, encoder, retriever
        self._threads = resolve_threads(threads)
        self._windows = Windows.of(store.lengths[store.live_rows])

    @cached_property
    def _places(self) -> tuple[Int64, Int64]:
        """Start and end of what is asked for, of every row."""
        store = self._store
        start, end = np.zeros(store.rows, np.int64), store.lengths.astype(np.int64)
        long = store.live_rows[self._windows.are_long(store.lengths[store.live_rows])]
        if len(long):
            locator = Locator(
                self._encoder, store, self._retriever, self._windows, "both", self._threads
            )
            start[long], end[long] = locator.locate(store.sequences(long, named=False))
        return start, end

    def batch(self, rows: Int64) -> SequenceBatch:
        """Return what is asked for of ascending rows, without names."""
        start, end = self._places
        return self._store.pieces(rows, start[rows], end[rows])

    def vectors(self, rows: Int64) -> Float32:
        """Return (r, d) float32: vectors of `batch`; those of whole rows as they are stored."""
        store, (start, end) = self._store, self._places
        numbers = store.spans.first_of(rows)
        _, first, last = store.spans.stretches(numbers)
        found = store.vectors(numbers)
        other = np.flatnonzero((first != start[rows]) | (last != end[rows]))
        if len(other):
            found[other] = self._encoder.encode(self.batch(rows[other]))
        return found
