"""The vote: candidates name a lineage from the top down, each rank within the one above.

A candidate weighs ((1 - s1 + e) / (1 - s + e))^p, s its similarity, s1 the best one's: inverse
distance weighting (Shepard 1968; for k-NN, Dudani 1976) relative to the nearest. Near the library
the nearest decides; far from it, where distances hardly differ, many share the vote. `EXPONENT`
and `SOFTENING` were chosen on references of the bench libraries held out from them
(scripts/tune_vote.py).

Where the nearest candidates have no name at a rank, a name is carried by those behind, and counts
less: shares are multiplied by (1 - s1 + e) / (1 - s + e), s the similarity of the nearest that has
one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from seqsearch.index.catalog import Votes
from seqsearch.tables import Float32, Int32, Int64
from seqsearch.taxonomy import Taxonomy
from seqsearch.threads import resolve_threads, spread

EXPONENT = 32.0
SOFTENING = 0.03
ALTERNATIVES = 5  # names kept beside the best, a rank
SAME = 1e-9  # relative difference below which two sums of weights are the same number
TIE = 0.02  # relative difference up to which names tie: far candidates add such crumbs to either


@dataclass(frozen=True)
class Ballots:
    """The result of a vote; ranks run as in the taxonomy.

    Attributes
    ----------
    taxon : (n, ranks) int32
        The best name at each rank, a path from the top down; -1 where there is none.
    share : (n, ranks) float32
        Its share of the votes at that rank, never rising from a rank to the one below.
    tied : (n, ranks) int32
        How many names share the best place.
    other : (n, ranks, ALTERNATIVES) int32
        The next names within the same parent, best first; -1 filled.
    other_share : (n, ranks, ALTERNATIVES) float32
    """

    taxon: Int32
    share: Float32
    tied: Int32
    other: Int32
    other_share: Float32


def vote(
    taxonomy: Taxonomy,
    votes: Votes,
    rows: Int64,
    similarities: Float32,
    threads: int = 0,
    kernel: tuple[float, float] = (EXPONENT, SOFTENING),
) -> Ballots:
    """Let each query's candidates vote.

    At each rank a candidate's weight is split over the names its labels have there, by how many
    records have them; labels that end above the rank abstain, labels that skip it vote for the gap.
    Only lineages that agree with what was decided above, gaps included, can be named. Names of
    equal share are ordered by their path; those within `TIE` of the best are counted in `tied`.

    Parameters
    ----------
    taxonomy : Taxonomy
    votes : Votes
    rows : (n, c) int64
        Candidates, best first; -1 filled.
    similarities : (n, c) float32
    threads : int
    kernel : (float, float)
        p and e of the weights.
    """
    shape = (len(rows), len(taxonomy.ranks))
    ballots = Ballots(
        np.full(shape, -1, np.int32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.int32),
        np.full((*shape, ALTERNATIVES), -1, np.int32),
        np.zeros((*shape, ALTERNATIVES), np.float32),
    )

    def task(start: int, stop: int) -> None:
        _count(
            taxonomy.lineage,
            taxonomy.rank,
            votes.start,
            votes.taxon,
            votes.records,
            rows,
            similarities,
            kernel,
            (ballots.taxon, ballots.share, ballots.tied, ballots.other, ballots.other_share),
            start,
            stop,
        )

    spread(task, len(rows), resolve_threads(threads))
    return ballots


@njit(nogil=True, cache=True)
def _count(
    lineage: Int32,
    rank_of: Int32,
    starts: Int64,
    taxa: Int32,
    records: Int32,
    rows: Int64,
    similarities: Float32,
    kernel: tuple[float, float],
    ballots: tuple[Int32, Float32, Int32, Int32, Float32],
    start: int,
    stop: int,
) -> None:
    best_taxon, share, tied, other, other_share = ballots
    exponent, softening = kernel
    for i in range(start, stop):
        ceiling = 1.0
        path = best_taxon[i]  # what is decided so far
        for rank in range(lineage.shape[1]):
            names, weights, found, gap = _tally(
                lineage, rank_of, starts, taxa, records, rows[i], similarities[i], exponent,
                softening, rank, path,
            )  # fmt: skip
            total = gap[1]
            for n in range(found):
                total += weights[n]
            within = 0  # move the names on the path to the front
            for n in range(found):
                if _follows(lineage[names[n]], path, rank):
                    names[within], names[n] = names[n], names[within]
                    weights[within], weights[n] = weights[n], weights[within]
                    within += 1
            if within == 0:
                continue
            _sort(names, weights, within)
            if gap[0] > weights[0] * (1.0 + SAME):
                continue  # the lineages that lead here have no name at this rank
            ceiling = min(ceiling, gap[2] * weights[0] / total)
            best_taxon[i, rank], share[i, rank] = names[0], ceiling
            tied[i, rank] = 1
            while tied[i, rank] < within and weights[tied[i, rank]] >= weights[0] * (1.0 - TIE):
                tied[i, rank] += 1
            for n in range(1, min(within, 1 + other.shape[2])):
                other[i, rank, n - 1] = names[n]
                other_share[i, rank, n - 1] = min(ceiling, gap[2] * weights[n] / total)


@njit(nogil=True, cache=True)
def _follows(lineage: Int32, path: Int32, rank: int) -> bool:
    """Tell whether a lineage agrees with a path at the ranks above `rank`."""
    for above in range(rank):  # noqa: SIM110  compiled
        if lineage[above] != path[above]:
            return False
    return True


@njit(nogil=True, cache=True)
def _tally(  # noqa: C901  the inner loop of the vote, kept in one piece for the compiler
    lineage: Int32,
    rank_of: Int32,
    starts: Int64,
    taxa: Int32,
    records: Int32,
    rows: Int64,
    similarities: Float32,
    exponent: float,
    softening: float,
    rank: int,
    path: Int32,
) -> tuple[Int32, np.ndarray, int, tuple[float, float, float]]:
    """Sum the weights by name at one rank.

    Returns names and weights, how many are filled, and the weight of labels that skip the rank
    (those on the path, all) with how near the nearest voting candidate is, in (0, 1].
    """
    room = 0
    for row in rows:
        if row >= 0:
            room += starts[row + 1] - starts[row]
    names = np.empty(room, np.int32)
    weights = np.empty(room, np.float64)
    found, gap_within, gap_all, nearness = 0, 0.0, 0.0, 0.0
    best = 1.0 - np.float64(similarities[0]) + softening
    for c in range(len(rows)):
        if rows[c] < 0:
            break
        first, last = starts[rows[c]], starts[rows[c] + 1]
        voting = 0
        for v in range(first, last):
            if rank_of[taxa[v]] >= rank:
                voting += records[v]
        if voting == 0:
            continue
        ratio = best / (1.0 - np.float64(similarities[c]) + softening)
        nearness = max(nearness, ratio)
        weight = ratio**exponent
        for v in range(first, last):
            if rank_of[taxa[v]] < rank:
                continue
            part = weight * records[v] / voting
            name = lineage[taxa[v], rank]
            if name < 0:
                gap_all += part
                if _follows(lineage[taxa[v]], path, rank):
                    gap_within += part
                continue
            n = 0
            while n < found and names[n] != name:
                n += 1
            if n == found:
                names[n], weights[n] = name, 0.0
                found += 1
            weights[n] += part
    return names, weights, found, (gap_within, gap_all, nearness)


@njit(nogil=True, cache=True)
def _sort(names: Int32, weights: np.ndarray, count: int) -> None:
    """Sort by weight, heaviest first; ties by taxon number, which follows the path."""
    for n in range(1, count):
        name, weight = names[n], weights[n]
        at = n
        while at > 0:
            before = weights[at - 1]
            ties = abs(before - weight) <= SAME * max(before, weight)
            if (ties and names[at - 1] < name) or (not ties and before > weight):
                break
            names[at], weights[at] = names[at - 1], before
            at -= 1
        names[at], weights[at] = name, weight
