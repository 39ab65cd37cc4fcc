"""What a library is asked for when it is asked for its own rows: of long ones their marker."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.strand import reverse_complement
from seqsearch.dna.windows import Windows
from seqsearch.encoders.base import Encoder
from seqsearch.index.store import IndexStore
from seqsearch.search.locate import Locator
from seqsearch.search.retrieve import Retriever
from seqsearch.tables import Bool, Float32, Int64
from seqsearch.threads import resolve_threads


class Markers:
    """Rows of an index as queries.

    A row that would be a long query is asked for as such: by the place of the marker in it, which
    the other references tell, and as these read it: a genome has genes on both strands.

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
    def _places(self) -> tuple[Int64, Int64, Bool]:
        """Start and end of what is asked for, of every row, and whether it is turned."""
        store = self._store
        start, end = np.zeros(store.rows, np.int64), store.lengths.astype(np.int64)
        is_turned = np.zeros(store.rows, np.bool_)
        long = store.live_rows[self._windows.are_long(store.lengths[store.live_rows])]
        if len(long):
            locator = Locator(
                self._encoder, store, self._retriever, self._windows, "both", self._threads
            )
            texts = store.sequences(long, named=False)
            start[long], end[long], is_turned[long], _ = locator.locate(texts)
        return start, end, is_turned

    def batch(self, rows: Int64) -> SequenceBatch:
        """Return what is asked for of ascending rows, without names."""
        start, end, is_turned = self._places
        found = self._store.pieces(rows, start[rows], end[rows])
        turned = np.flatnonzero(is_turned[rows])
        if not len(turned):
            return found
        place = np.arange(len(rows))
        place[turned] = len(rows) + np.arange(len(turned))
        both = SequenceBatch.concatenate([found, reverse_complement(found.take(turned))])
        return both.take(place)

    def vectors(self, rows: Int64) -> Float32:
        """Return (r, d) float32: vectors of `batch`; those of whole rows as they are stored."""
        store, (start, end, is_turned) = self._store, self._places
        numbers = store.spans.first_of(rows)
        _, first, last = store.spans.stretches(numbers)
        found = store.vectors(numbers)
        is_other = (first != start[rows]) | (last != end[rows]) | is_turned[rows]
        other = np.flatnonzero(is_other)
        if len(other):
            found[other] = self._encoder.encode(self.batch(rows[other]))
        return found
