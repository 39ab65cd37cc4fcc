"""Where in a long query the library's marker lies.

One vector of a whole genome says little of a marker in it. So a long query is cut to overlapping
windows, each is searched, and the nearest references of the best ones are laid into the query
around them. The place of the best one is cut out, and answered like any other query.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from seqsearch.devices.vectors import Vectors
from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.strand import reverse_complement
from seqsearch.dna.windows import Windows, pieces, windows
from seqsearch.encoders.base import Encoder, vectors_of
from seqsearch.index.store import IndexStore
from seqsearch.runs.results import ALIGNED, EITHER, MINUS, PLUS, Hits
from seqsearch.search.candidates import Candidates, align_candidates, find_candidates
from seqsearch.search.retrieve import Retriever
from seqsearch.tables import Bool, Float32, Int64

AT_ONCE = 2048  # windows that are encoded and searched together
NEAREST = 8  # references looked at, a window
AMONG = 32  # they are sought among so many, where long references have several vectors
PLACES = 4  # windows of a query that are looked at closely
NO_BASE = ord("-")  # agrees with nothing in an alignment
_START, _END = ALIGNED.index("query_start"), ALIGNED.index("query_end")


def encode_strands(batch: SequenceBatch, encoder: Encoder, strand: str) -> dict[int, Vectors]:
    """Encode sequences on the strands asked for.

    Parameters
    ----------
    batch : SequenceBatch
        n sequences.
    encoder : Encoder
    strand : str
        "both", "plus" or "minus".

    Returns
    -------
    dict of int to (n, d) float32, or the same on GPUs
        By strand; `EITHER` where the encoder tells none from the other.
    """
    if encoder.is_strand_free:
        return {EITHER: vectors_of(encoder, batch)}
    vectors = {}
    if strand in ("both", "plus"):
        vectors[PLUS] = vectors_of(encoder, batch)
    if strand in ("both", "minus"):
        vectors[MINUS] = vectors_of(encoder, reverse_complement(batch))
    return vectors


@dataclass(frozen=True)
class Parts:
    """What of n queries is searched: of long ones the place of the marker, else all.

    Attributes
    ----------
    batch : SequenceBatch
        The n parts.
    start : (n,) int64
        First base of each part in its query.
    whole : (n,) int64
        Bases of the queries.
    searched : (n,) int64
        Windows of each query that were searched to find its part; 1 where all of it is.
    """

    batch: SequenceBatch
    start: Int64
    whole: Int64
    searched: Int64

    @classmethod
    def all_of(cls, batch: SequenceBatch) -> Parts:
        """Return queries that are searched as they are."""
        start, searched = np.zeros(len(batch), np.int64), np.ones(len(batch), np.int64)
        return cls(batch, start, batch.lengths, searched)

    @property
    def lengths(self) -> Int64:
        """(n,) int64: bases of each part."""
        return self.batch.lengths

    def on_whole(self, hits: Hits, first: int) -> Hits:
        """Tell of hits of the parts where they lie in the queries, and what they cover of them.

        Parameters
        ----------
        hits : Hits
        first : int
            Number of the first query.
        """
        if (self.whole == self.lengths).all():
            return hits
        owner, alignment = hits.query - first, hits.alignment.copy()
        is_aligned = alignment[:, _START] >= 0
        alignment[is_aligned, _START] += self.start[owner[is_aligned]]
        alignment[is_aligned, _END] += self.start[owner[is_aligned]]
        spans = (alignment[:, _END] - alignment[:, _START]).astype(np.float32)
        coverage = np.where(
            self.whole[owner] == self.lengths[owner],
            hits.query_coverage,
            np.where(is_aligned, spans / self.whole[owner], np.float32(np.nan)),
        )
        return replace(hits, query_coverage=coverage.astype(np.float32), alignment=alignment)


@dataclass(frozen=True)
class Locator:
    """Finds the place of the marker in long queries.

    Attributes
    ----------
    encoder : Encoder
    store : IndexStore
    retriever : Retriever
    windows : Windows
    strand : str
        "both", "plus" or "minus".
    threads : int
    """

    encoder: Encoder
    store: IndexStore
    retriever: Retriever
    windows: Windows
    strand: str
    threads: int

    def parts(self, batch: SequenceBatch) -> Parts:
        """Return what is to be searched of queries, of which some are long."""
        start, end = np.zeros(len(batch), np.int64), batch.lengths
        searched = np.ones(len(batch), np.int64)
        long = np.flatnonzero(self.windows.are_long(end))
        start[long], end[long], _, searched[long] = self.locate(batch.take(long))
        cut = pieces(batch, np.arange(len(batch)), start, end)
        cut = SequenceBatch(batch.ids, cut.bytes, cut.offsets)
        return Parts(cut, start, batch.lengths, searched)

    def locate(self, batch: SequenceBatch) -> tuple[Int64, Int64, Bool, Int64]:
        """Find the place in each query.

        Of places that are as good the first is taken.

        Returns
        -------
        (n,) int64, (n,) int64
            Starts and ends, excluded.
        (n,) bool
            Whether the references read it the other way round.
        (n,) int64
            Windows that were searched, at least 1.
        """
        owner, start = windows(batch.lengths, self.windows.size, self.windows.step)
        found = self._nearest(batch, owner, start)
        is_found = found.rows[:, 0] >= 0
        searched = np.bincount(owner[is_found], minlength=len(batch))
        best = _best(owner, np.where(is_found, found.similarities[:, 0], -np.inf), PLACES)
        owner, start = owner[best], start[best]
        end = np.minimum(start + self.windows.size, batch.lengths[owner])
        found = _chosen(found, best)
        # So much around a window that its longest reference fits, wherever the window lies in it.
        rows = found.rows
        room = np.where(rows >= 0, self.store.lengths[rows], 0).max(axis=1).astype(np.int64)
        room = np.minimum(room, self.windows.longest)
        start = np.maximum(start - room, 0)
        end = np.minimum(end + room, batch.lengths[owner])
        around = pieces(batch, owner, start, end)
        # Anything could lie among the unknown bases of a scaffold, and at no cost.
        around.bytes[around.bytes == ord("N")] = NO_BASE
        placed = align_candidates(found, around, self.store, NEAREST, self.strand, self.threads)
        places = _places(placed, owner, start, end, batch.lengths)
        return *places, np.maximum(searched, 1)

    def _nearest(self, batch: SequenceBatch, owner: Int64, start: Int64) -> Candidates:
        """Find the references nearest to each window, some windows at a time.

        Those that hold nothing to encode, of unknown bases say, are like none.
        """
        count = NEAREST if self.store.spans.are_rows else AMONG
        shape = (len(owner), count)
        rows, near = np.full(shape, -1, np.int64), np.full(shape, -1, np.int64)
        similarities, strands = np.zeros(shape, np.float32), np.full(shape, PLUS, np.int8)
        for first in range(0, len(owner), AT_ONCE):
            some = np.arange(first, min(first + AT_ONCE, len(owner)))
            end = np.minimum(start[some] + self.windows.size, batch.lengths[owner[some]])
            cut = pieces(batch, owner[some], start[some], end)
            kept = np.flatnonzero(self.encoder.encodable(cut))
            if len(kept) < len(cut):
                some, cut = some[kept], cut.take(kept)
            vectors = encode_strands(cut, self.encoder, self.strand)
            found = find_candidates(cut, vectors, self.retriever, self.store, count)
            rows[some], near[some] = found.rows, found.vectors
            similarities[some], strands[some] = found.similarities, found.strands
        # What is much longer than most is a little like anything, and takes long to lay anywhere.
        is_left_out = (rows < 0) | (self.store.lengths[rows] > self.windows.longest)
        rows, similarities = np.where(is_left_out, -1, rows), np.where(is_left_out, 0, similarities)
        near = np.where(is_left_out, -1, near)
        order = np.argsort(is_left_out, axis=1, kind="stable")[:, :NEAREST]
        similarities = np.take_along_axis(similarities, order, axis=1)
        return Candidates(
            rows=np.take_along_axis(rows, order, axis=1),
            vectors=np.take_along_axis(near, order, axis=1),
            similarities=similarities,
            strands=np.take_along_axis(strands, order, axis=1),
            scores=similarities,
        )


def _chosen(found: Candidates, at: Int64) -> Candidates:
    return Candidates(
        rows=found.rows[at],
        vectors=found.vectors[at],
        similarities=found.similarities[at],
        strands=found.strands[at],
        scores=found.scores[at],
    )


def _best(owner: Int64, similarities: Float32, count: int) -> Int64:
    """Return positions of the `count` most similar windows of each query, in their order."""
    order = np.lexsort((-similarities, owner))
    first = np.searchsorted(owner, owner[order])  # of the same query
    return np.sort(order[np.arange(len(order)) - first < count])


def _places(
    placed: Candidates, owner: Int64, start: Int64, end: Int64, lengths: Int64
) -> tuple[Int64, Int64, Bool]:
    """Return where the best reference of each query would lie as a whole, the query permitting.

    And whether it is the reverse complement that would.

    Parameters
    ----------
    placed : Candidates
        Of p stretches of queries, aligned.
    owner, start, end : (p,) int64
        Query that each stretch is of, and where in it; every query has one.
    lengths : (n,) int64
        Of the queries.
    """
    if placed.alignments is None:
        raise ValueError("candidates were not aligned")
    # Where no column says anything, similarity stands for the identity, but tells of no place.
    scores = np.where(np.isnan(placed.alignments.identity), -np.inf, placed.scores)
    column = scores.argmax(axis=1)
    order = np.lexsort((-placed.scores[:, 0], -scores.max(axis=1), owner))
    best = order[np.searchsorted(owner, np.arange(len(lengths)))]
    column = column[best]
    aligned, is_minus = placed.alignments[best, column], placed.strands[best, column] == MINUS
    fields = aligned.aligned(is_minus)[:, _START:].astype(np.int64)
    first, last, before, behind = fields.T
    behind = aligned.reference_lengths - behind
    left, right = np.where(is_minus, behind, before), np.where(is_minus, before, behind)
    first, last = start[best] + first - left, start[best] + last + right
    is_told = np.isfinite(scores[best, column])
    first, last = np.where(is_told, first, start[best]), np.where(is_told, last, end[best])
    return np.maximum(first, 0), np.minimum(last, lengths), is_minus & is_told
