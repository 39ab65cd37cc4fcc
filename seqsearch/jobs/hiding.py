"""References asked for while the library does not know them, or their species, genus ..."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from seqsearch.index.catalog import Votes
from seqsearch.index.store import IndexStore
from seqsearch.index.vectors import unit
from seqsearch.jobs.nearest import Nearest
from seqsearch.search.candidates import Candidates
from seqsearch.search.evidence import LOWEST, Evidence, Sampling, gather
from seqsearch.search.vote import Ballots, vote
from seqsearch.tables import Bool, Float32, Int32, Int64

CANDIDATES = 50  # as of queries by default
ALIGNED = 20  # of these, as of queries by default
BLOCK = 4096
MIXED = -3  # a row whose labels differ at a rank
DECOY = -1


@dataclass(frozen=True)
class Asked:
    """What a search found with kin hidden.

    Attributes
    ----------
    hidden : (n,) int64
        How many of the lowest ranks the library lacks of each query; `DECOY` of what is no
        sequence of this marker.
    truth : (n, ranks) int32
        Its own taxa.
    evidence : Evidence
    taxa : (n, ranks) int32
        Called.
    fold : (n,) int64
        See `crossvalidating.folds_of`.
    is_single : (ranks,) bool
        The library has one taxon there.
    """

    hidden: Int64
    truth: Int32
    evidence: Evidence
    taxa: Int32
    fold: Int64
    is_single: Bool


Answers = list[tuple[Asked, Asked]]  # with alignment, without


@dataclass(frozen=True)
class Judged:
    """What candidates say of a queries.

    Attributes
    ----------
    ballots : Ballots
    evidence : Evidence
    voters : (a, v) int64
        Rows of `votes` that stood for the candidates.
    votes : Votes
    """

    ballots: Ballots
    evidence: Evidence
    voters: Int64
    votes: Votes


class Hiding:
    """Records of a library, asked for with kin hidden.

    Scenario 0 hides the record itself, scenario j the taxon that it belongs to at the j-th lowest
    rank. A row whose labels are all hidden is not found; one that keeps some votes with these.

    Parameters
    ----------
    store : IndexStore
    rows, entries : (n,) int64
        Row of each record asked for, and its line in `Votes`.
    depth : int, optional
        How many of the highest ranks take part; all unless given. Lower ones hide nothing.

    Attributes
    ----------
    depth, scenarios : int
    truth : (n, ranks) int32
        The records' own taxa.
    sampling : Sampling
        Of the library, nothing hidden.
    is_single : (ranks,) bool
        The library has one taxon there.
    """

    def __init__(
        self, store: IndexStore, rows: Int64, entries: Int64, depth: int | None = None
    ) -> None:
        self._store, self._rows, self._entries = store, rows, entries
        taxonomy, votes = store.taxonomy, store.votes
        self.truth: Int32 = taxonomy.lineage[votes.taxon[entries]]
        self.sampling = Sampling.of(taxonomy, votes)
        taxa = np.bincount(taxonomy.rank, minlength=len(taxonomy.ranks))
        self.is_single: Bool = taxa == 1
        self.depth = len(taxonomy.ranks) if depth is None else depth
        self.scenarios = 1 + min(LOWEST, self.depth)
        self._agreed = _agreed(taxonomy.lineage[votes.taxon], votes.start)
        records = np.append(0, np.cumsum(votes.records))
        self._records = records[votes.start[1:]] - records[votes.start[:-1]]  # of each row

    def is_possible(self, hidden: int) -> Bool:
        """(n,) bool: whether the library then lacks just so many of the lowest ranks.

        The taxon above what is hidden must have other records.
        """
        ranks = self.depth
        known = np.where(self.truth >= 0, self.sampling.records[np.maximum(self.truth, 0)], 0)
        gone = np.ones(len(known), np.int64) if hidden == 0 else known[:, ranks - hidden]
        if hidden == ranks:
            return gone > 0
        return (gone > 0) & (known[:, ranks - hidden - 1] > gone)

    def has_other(self, own: Int32, rows: Int64) -> Bool:
        """Return whether rows have a label with another lowest taxon than a record's own.

        Parameters
        ----------
        own : (a,) int32
            -1: none; then no other is.
        rows : (a, c) int64
            -1: none.
        """
        lowest = self._agreed[rows, -1]
        is_other = (lowest != own[:, None]) & (lowest != -1) & (own >= 0)[:, None]
        return is_other & (rows >= 0) & (self._records[rows] > 0)

    def gone(self, hidden: int, asked: Int64, taxa: Int32) -> Int64:
        """Return (a, ranks) int64: how many records of the taxa called are hidden.

        Parameters
        ----------
        hidden : int
            Scenario.
        asked : (a,) int64
            Which of the records.
        taxa : (a, ranks) int32
        """
        truth = self.truth[asked]
        count = np.ones(len(asked), np.int64)
        if hidden:
            count = self.sampling.records[truth[:, self.depth - hidden]]
        return np.where((taxa == truth) & (taxa >= 0), count[:, None], 0)

    def voters(self, hidden: int, asked: Int64, rows: Int64) -> tuple[Int64, Votes]:
        """Return what stands for candidates in a vote, where some of their labels are hidden.

        Parameters
        ----------
        hidden : int
            Scenario.
        asked : (a,) int64
            Which of the records.
        rows : (a, c) int64
            Candidates.

        Returns
        -------
        (a, c) int64
            Rows of the votes returned, of which those behind the library's are new.
        Votes
        """
        votes, lineage = self._store.votes, self._store.taxonomy.lineage
        result = rows.copy()
        taxa, records = [votes.taxon], [votes.records]
        sizes: list[int] = []
        at = self.depth - hidden
        if hidden:
            mixed = (rows >= 0) & (self._agreed[rows, at] == MIXED)
        else:
            mixed = rows == self._rows[asked, None]
        for i, c in zip(*np.nonzero(mixed), strict=True):  # few
            query = asked[i]
            lines = slice(votes.start[rows[i, c]], votes.start[rows[i, c] + 1])
            taxon, left = votes.taxon[lines], votes.records[lines].copy()
            if hidden:
                left[lineage[taxon, at] == self.truth[query, at]] = 0
            else:
                left[self._entries[query] - lines.start] -= 1
            if (left == votes.records[lines]).all():
                continue
            result[i, c] = len(votes.start) - 1 + len(sizes)
            taxa.append(taxon[left > 0])
            records.append(left[left > 0])
            sizes.append(int(np.count_nonzero(left)))
        start = np.append(votes.start, votes.start[-1] + np.cumsum(sizes, dtype=np.int64))
        return result, Votes(start, np.concatenate(taxa), np.concatenate(records))

    def judge(
        self,
        hidden: int,
        asked: Int64,
        found: Candidates,
        lengths: Int64,
        threads: int,
        depth: int | None = None,
    ) -> Judged:
        """Let candidates vote, and gather the evidence.

        Parameters
        ----------
        hidden : int
            Scenario.
        asked : (a,) int64
            Which of the records.
        found : Candidates
            Of these.
        lengths : (a,) int64
            Bases of what was searched for.
        threads : int
        depth : int, optional
            Of the calibration that judges; as here unless given.
        """
        store = self._store
        voters, votes = self.voters(hidden, asked, found.rows[:, : found.scores.shape[1]])
        ballots = vote(store.taxonomy, votes, voters, found.scores, threads)
        evidence = gather(
            found, ballots, lengths, store.spans.lengths, store.taxonomy, votes, self.sampling,
            threads, voters, self.gone(hidden, asked, ballots.taxon), depth or self.depth,
        )  # fmt: skip
        return Judged(ballots, evidence, voters, votes)

    def nearest(
        self, vectors: Float32, asked: Int64, threads: int
    ) -> tuple[list[Int64], list[Float32]]:
        """Return the nearest rows in every scenario, best first, and their cosines.

        All are compared: with kin hidden, what is nearest may stand in any list.

        Parameters
        ----------
        vectors : (n, d) float32
            Of length 1.
        asked : (n,) int64
            Which of the records each is of.
        threads : int

        Returns
        -------
        list of (n, CANDIDATES) int64
            Vectors by scenario, each of another row; -1 filled.
        list of (n, CANDIDATES) float32
        """
        live, spans = self._store.live_vectors, self._store.spans
        rows = self._rows[asked]
        own = np.where(self._records[rows] == 1, rows, -1)
        several = None if spans.are_rows else spans.rows
        truth, agreed = self.truth[asked, : self.depth], self._agreed[:, : self.depth]
        nearest = Nearest(len(asked), CANDIDATES, self.scenarios, own, truth, several)
        with threadpool_limits(threads):
            for start in range(0, len(live), BLOCK):
                some = live[start : start + BLOCK]
                products = vectors @ unit(self._store.vectors(some)).T
                nearest.look_at(products, some, agreed[spans.rows_of(some)], threads)
        for segment in self._store.segments:
            segment.vectors.release()
        found = [nearest.found(hidden) for hidden in range(self.scenarios)]
        cosines = [np.minimum(np.round(best, 6), 1) for _, best in found]
        return [near for near, _ in found], [np.where(np.isneginf(c), 0, c) for c in cosines]


def _agreed(taxa: Int32, start: Int64) -> Int32:
    """Return (rows, ranks) int32: the taxa that all lines of a row agree on; `MIXED`: they do not.

    Parameters
    ----------
    taxa : (l, ranks) int32
    start : (rows + 1,) int64
        First line of each row; a row that was taken out has none, and -1 here.
    """
    agreed = np.full((len(start) - 1, taxa.shape[1]), -1, np.int32)
    has = np.diff(start) > 0
    if has.any():
        starts = start[:-1][has]
        lowest, highest = np.minimum.reduceat(taxa, starts), np.maximum.reduceat(taxa, starts)
        agreed[has] = np.where(lowest == highest, lowest, MIXED)
    return agreed
