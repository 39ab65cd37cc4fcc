"""What a search and its vote tell of a query, as numbers that a probability is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from seqsearch.index.catalog import Votes
from seqsearch.search.candidates import Candidates
from seqsearch.search.vote import Ballots
from seqsearch.tables import Float32, Float64, Int32, Int64
from seqsearch.taxonomy import Taxonomy
from seqsearch.threads import resolve_threads, spread

LOWEST = 4  # ranks from the lowest up that are looked at closely
NEAR, FAR = 0.01, 0.03  # keep logarithms of distances finite, as in the score (search/rank.py)
LEAST_SHARE = 0.005
OF_RANK = ("margin", "share", "behind", "depth")  # evidence that each rank has
OF_QUERY = ("distance", "dissimilarity", "length", "length_ratio", "breadth")


@dataclass(frozen=True)
class Evidence:
    """Evidence of n queries; natural logarithms throughout, so that products become sums.

    Attributes
    ----------
    query : (n, len(OF_QUERY)) float64
        distance: of the best candidate, log(1 - identity + NEAR) where it was aligned, else as
        dissimilarity; dissimilarity: log(1 - similarity + FAR) of it; length: log(bases / 500);
        length_ratio: log(longer / shorter) of query and best candidate, or its window; breadth:
        log(1 + taxa below the name called at the second rank from below, of the calibrated ones).
    rank : (n, ranks, len(OF_RANK)) float64
        margin: log of the distance of the nearest candidate of another name over that of the
        nearest of the name called; share: log odds of its share of votes; behind: log of the
        distance of its nearest candidate over that of the nearest of all; depth: log(1 + its
        records). Zeros where nothing is called.
    best : (n,) float32
        Score of the best candidate.
    """

    query: Float64
    rank: Float64
    best: Float32

    def down_to(self, depth: int) -> Evidence:
        """Return it without the ranks below the `depth` highest."""
        return Evidence(self.query, self.rank[:, :depth], self.best)


@dataclass(frozen=True)
class Sampling:
    """How well a library samples its taxa.

    Attributes
    ----------
    records : (taxa,) int64
        Records in or below each taxon.
    children : (taxa,) int64
        Taxa right below each.
    """

    records: Int64
    children: Int64

    @classmethod
    def of(cls, taxonomy: Taxonomy, votes: Votes) -> Sampling:
        """Count."""
        lineage = taxonomy.lineage[votes.taxon]
        each = np.broadcast_to(votes.records[:, None], lineage.shape)
        records = np.bincount(
            lineage[lineage >= 0], weights=each[lineage >= 0], minlength=len(taxonomy)
        )
        parents = taxonomy.parent[taxonomy.parent >= 0]
        children = np.bincount(parents, minlength=len(taxonomy))
        return cls(np.rint(records).astype(np.int64), children)


def gather(
    found: Candidates,
    ballots: Ballots,
    lengths: Int64,
    reference_lengths: Int32,
    taxonomy: Taxonomy,
    votes: Votes,
    sampling: Sampling,
    threads: int = 0,
    voters: Int64 | None = None,
    gone: Int64 | None = None,
    depth: int | None = None,
) -> Evidence:
    """Gather the evidence of n queries.

    Parameters
    ----------
    found : Candidates
        In their final order.
    ballots : Ballots
        Of those that voted.
    lengths : (n,) int64
        Bases of the queries.
    reference_lengths : (vectors of the index,) int32
        Of a long reference what its window has.
    taxonomy, votes, sampling
        Of the library.
    threads : int
    voters : (n, v) int64, optional
        Rows of `votes` that stand for the candidates, where these lost some labels.
    gone : (n, ranks) int64, optional
        Records of the taxa called that the query is not to know.
    depth : int, optional
        How many of the highest ranks a calibration knows; all unless given.
    """
    scores = found.scores
    rows = np.ascontiguousarray(found.rows[:, : scores.shape[1]])
    voters = rows if voters is None else voters
    inside = np.zeros(ballots.taxon.shape, np.float64)
    outside = np.zeros(ballots.taxon.shape, np.float64)
    spread(
        lambda a, b: _nearest(
            taxonomy.lineage, votes.start, votes.taxon, voters, scores, ballots.taxon,
            inside, outside, a, b,
        ),
        len(rows),
        resolve_threads(threads),
    )  # fmt: skip
    is_called = ballots.taxon >= 0
    best = 1 - scores[:, :1].astype(np.float64) + FAR if len(rows) else np.empty((0, 1))
    share = np.clip(ballots.share.astype(np.float64), LEAST_SHARE, 1 - LEAST_SHARE)
    left = sampling.records[np.maximum(ballots.taxon, 0)] - (0 if gone is None else gone)
    inside, outside = 1 - inside + FAR, 1 - outside + FAR
    ranks = np.stack(
        [
            np.log(outside / inside),
            np.log(share / (1 - share)),
            np.log(inside / best),
            np.log1p(left),
        ],
        axis=2,
    )
    ranks[~is_called] = 0
    depth = ballots.taxon.shape[1] if depth is None else depth
    second = ballots.taxon[:, max(depth - 2, 0)]
    query = _of_query(found, second, lengths, reference_lengths, sampling)
    return Evidence(query, ranks, scores[:, 0] if len(scores) else scores.reshape(-1))


def _of_query(
    found: Candidates,
    second: Int32,
    lengths: Int64,
    reference_lengths: Int32,
    sampling: Sampling,
) -> Float64:
    result = np.zeros((len(lengths), len(OF_QUERY)))
    if not len(lengths):
        return result
    best, similarity = found.vectors[:, 0], found.similarities[:, 0].astype(np.float64)
    near = similarity
    if found.alignments is not None:
        identity = found.alignments[:, 0].supported_identity.astype(np.float64)
        near = np.where(np.isnan(identity), similarity, identity)
        result[:, 0] = np.log(1 - near + NEAR)
    else:
        result[:, 0] = np.log(1 - similarity + FAR)
    result[:, 1] = np.log(1 - similarity + FAR)
    result[:, 2] = np.log(np.maximum(lengths, 1) / 500)
    ratio = np.maximum(lengths, 1) / np.maximum(reference_lengths[np.maximum(best, 0)], 1)
    result[:, 3] = np.abs(np.log(ratio))
    result[:, 4] = np.where(second >= 0, np.log1p(sampling.children[np.maximum(second, 0)]), 0)
    return result


@njit(nogil=True, cache=True)
def _nearest(
    lineage: Int32,
    starts: Int64,
    taxa: Int32,
    rows: Int64,
    scores: Float32,
    called: Int32,
    inside: Float64,
    outside: Float64,
    start: int,
    stop: int,
) -> None:
    """Fill in the best scores of candidates with and without the name called at each rank.

    Without any of one kind, the least score there is stands for it: no candidate was nearer.
    """
    for i in range(start, stop):
        for rank in range(called.shape[1]):
            with_name, without = -np.inf, -np.inf
            least = 1.0
            for c in range(rows.shape[1]):
                row = rows[i, c]
                if row < 0:
                    break
                least = min(least, np.float64(scores[i, c]))
                bears = False
                for v in range(starts[row], starts[row + 1]):
                    if lineage[taxa[v], rank] == called[i, rank]:
                        bears = True
                if bears:
                    with_name = max(with_name, np.float64(scores[i, c]))
                else:
                    without = max(without, np.float64(scores[i, c]))
            inside[i, rank] = with_name if with_name > -np.inf else least
            outside[i, rank] = without if without > -np.inf else least
