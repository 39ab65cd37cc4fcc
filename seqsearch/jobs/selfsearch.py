"""A library asked for each of its own records, while it does not know that record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.base import Encoder, devices_under
from seqsearch.index.catalog import Votes
from seqsearch.index.store import IndexStore
from seqsearch.jobs.hiding import ALIGNED, CANDIDATES, Hiding
from seqsearch.jobs.markers import Markers
from seqsearch.jobs.placing import fitting
from seqsearch.search.align import Alignments
from seqsearch.search.calibrate import (
    Calibration,
    Probabilities,
    open_calibration,
    probabilities,
)
from seqsearch.search.candidates import (
    Candidates,
    align_candidates,
    alignments_of,
    unplaced,
)
from seqsearch.search.evidence import LOWEST
from seqsearch.search.retrieve import open_retriever
from seqsearch.tables import Bool, Float32, Float64, Int32, Int64

AT_ONCE = 4096  # records


@dataclass(frozen=True)
class Found:
    """What was found for a records, each unknown to the library.

    Attributes
    ----------
    asked : (a,) int64
        Which of the records of the search.
    batch : SequenceBatch
        What was searched for.
    candidates : Candidates
    taxa : (a, ranks) int32
        Called.
    probable : Probabilities
    own, called : (a, ranks) int32
        How many of the aligned candidates bear the record's own name, and the one called.
    """

    asked: Int64
    batch: SequenceBatch
    candidates: Candidates
    taxa: Int32
    probable: Probabilities
    own: Int32
    called: Int32

    @property
    def alignments(self) -> Alignments:
        """(a, v): of the best candidates."""
        return alignments_of(self.candidates)

    @property
    def edits(self) -> Float32:
        """(a,) float32: to the nearest candidate; NaN where there is none."""
        return self.alignments.edits[:, 0]

    @property
    def identities(self) -> Float32:
        """(a,) float32: with the nearest candidate; NaN where there is none."""
        return self.alignments.identity[:, 0]


class SelfSearch:
    """Searches a library for its own records.

    Records of one sequence that say the same are one.

    Parameters
    ----------
    store : IndexStore
    encoder : Encoder
        That of the index.
    threads : int

    Attributes
    ----------
    rows, entries : (n,) int64
        Row of each record, and its line in `Votes`.
    hiding : Hiding
    markers : Markers
        What is asked for of each row.
    """

    def __init__(self, store: IndexStore, encoder: Encoder, threads: int = 0) -> None:
        self._store, self._encoder, self._threads = store, encoder, threads
        votes = store.votes
        self.rows: Int64 = np.repeat(np.arange(store.rows), np.diff(votes.start))
        self.entries: Int64 = np.arange(len(votes.taxon))
        self.hiding = Hiding(store, self.rows, self.entries)
        self._retriever = open_retriever(
            store, threads, devices=fitting(store, devices_under(encoder))
        )
        self.markers = Markers(store, encoder, self._retriever, threads)
        records = np.append(0, np.cumsum(votes.records))[votes.start]
        self._is_lone: Bool = np.diff(records)[self.rows] == 1

    @cached_property
    def _calibration(self) -> Calibration:
        """Read when something is judged: a search for what is nearest does without."""
        return open_calibration(self._store)

    @cached_property
    def _prior(self) -> Float64:
        return prior_of(self.hiding, self._calibration.depth)

    def nearest(self) -> Iterator[tuple[Int64, SequenceBatch, Candidates]]:
        """Yield records by number, as they are asked for, with their nearest; none is aligned."""
        for start in range(0, len(self.rows), AT_ONCE):
            asked = np.arange(start, min(start + AT_ONCE, len(self.rows)))
            distinct, place = np.unique(self.rows[asked], return_inverse=True)
            batch = self.markers.batch(distinct).take(place)
            yield asked, batch, self._nearest(asked, batch, self.markers.vectors(distinct)[place])

    def whole(self) -> Iterator[Found]:
        """Search for the records as they are."""
        for asked, batch, nearest in self.nearest():
            yield self._judged(asked, batch, nearest)

    def halves(self, asked: Int64, is_second: bool) -> Found:
        """Search for one half of each of some records.

        Parameters
        ----------
        asked : (a,) int64
        is_second : bool
        """
        distinct, place = np.unique(self.rows[asked], return_inverse=True)
        batch = _half(self.markers.batch(distinct).take(place), is_second)
        return self._judged(asked, batch, self._nearest(asked, batch, self._encoder.encode(batch)))

    def _nearest(self, asked: Int64, batch: SequenceBatch, vectors: Float32) -> Candidates:
        """Return the nearest rows but for the record itself."""
        near, cosines = self._retriever.search(vectors, CANDIDATES + 1)
        is_own = self._store.spans.rows_of(near) == self.rows[asked, None]
        is_own &= self._is_lone[asked, None]
        near, cosines = np.where(is_own, -1, near), np.where(is_own, 0, cosines)
        behind = np.argsort(near < 0, axis=1, kind="stable")[:, :CANDIDATES]
        return unplaced(
            np.take_along_axis(near, behind, axis=1),
            np.take_along_axis(cosines, behind, axis=1),
            batch,
            self._store,
            self._threads,
        )

    def _judged(self, asked: Int64, batch: SequenceBatch, nearest: Candidates) -> Found:
        """Align the candidates and let them vote."""
        store, threads, depth = self._store, self._threads, self._calibration.depth
        found = align_candidates(nearest, batch, store, ALIGNED, "both", threads)
        judged = self.hiding.judge(0, asked, found, batch.lengths, threads, depth)
        taxa = judged.ballots.taxon
        probable = probabilities(
            self._calibration.aligned,
            judged.evidence,
            taxa,
            self._prior,
            self.hiding.is_single,
            depth,
        )
        own, called = (
            _bearers(store.taxonomy.lineage, judged.votes, judged.voters, names)
            for names in (self.hiding.truth[asked], taxa)
        )
        return Found(asked, batch, found, taxa, probable, own, called)


def prior_of(hiding: Hiding, depth: int) -> Float64:
    """Return (scenarios,) float64: of how many records the library lacks each rank without them.

    Parameters
    ----------
    hiding : Hiding
    depth : int
        How many of the highest ranks the calibration knows.
    """
    truth, scenarios = hiding.truth[:, :depth], 1 + min(LOWEST, depth)
    records = np.where(truth >= 0, hiding.sampling.records[np.maximum(truth, 0)], 0)
    lacks = np.cumprod((records == 1)[:, ::-1], axis=1).sum(axis=1)
    counts = np.bincount(np.minimum(lacks, scenarios - 1), minlength=scenarios)
    return (counts + 1.0) / (counts + 1.0).sum()


def _half(batch: SequenceBatch, is_second: bool) -> SequenceBatch:
    middle = batch.offsets[:-1] + batch.lengths // 2
    ends = np.stack(
        [middle, batch.offsets[1:]] if is_second else [batch.offsets[:-1], middle], axis=1
    )
    kept = np.zeros(len(batch.bytes) + 1, np.int64)
    np.add.at(kept, ends[:, 0], 1)
    np.add.at(kept, ends[:, 1], -1)
    offsets = np.append(0, np.cumsum(ends[:, 1] - ends[:, 0]))
    return SequenceBatch(batch.ids, batch.bytes[np.cumsum(kept[:-1]) > 0], offsets)


def _bearers(lineage: Int32, votes: Votes, voters: Int64, taxa: Int32) -> Int32:
    """Return (a, ranks) int32: how many of the candidates have a label with each taxon."""
    counts = np.zeros(taxa.shape, np.int32)
    _count_bearers(lineage, votes.start, votes.taxon, voters, taxa, counts)
    return counts


@njit(nogil=True, cache=True)
def _count_bearers(
    lineage: Int32, starts: Int64, of_label: Int32, voters: Int64, taxa: Int32, counts: Int32
) -> None:
    for i in range(len(voters)):
        for rank in range(taxa.shape[1]):
            for row in voters[i]:
                if row < 0 or taxa[i, rank] < 0:
                    continue
                for label in range(starts[row], starts[row + 1]):
                    if lineage[of_label[label], rank] == taxa[i, rank]:
                        counts[i, rank] += 1
                        break
