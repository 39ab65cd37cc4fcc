"""How far a search of inverted lists has to go, measured on queries whose nearest are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from seqsearch.index.ann import InvertedLists, leave_out
from seqsearch.index.effort import Effort
from seqsearch.index.sketch import MULTIPLE
from seqsearch.jobs.nearest import Nearest
from seqsearch.tables import Float32, Float64, Int64

NEAREST = 20  # as many as are aligned: of ten, answers would be those of exact search less often
RECALL = 0.99  # of these, to be reached
SLACK = 0.005  # so much less than the most may serve where it is not reached, for speed
BEST = 66  # compared in full as efforts are measured: a query's 50 candidates, and some
# What the bounds are to keep of the nearest, list by list and by sketches. Of queries that lie
# farther than those measured, lists lose whole groups of relatives, so they are spared less.
OF_LISTS = (0.999, 1.0)
OF_SKETCHES = (0.985, 0.99, 0.9925, 0.995, 0.9975, 0.999, 1.0)
COMPARED = (256, 512, 1024, 2048, 4096, 8192)
# Both bounds are at least so wide: where all that is near was in the nearest list, and as near as
# the rest by sketches, nothing was measured of queries that have less near.
LEAST = 0.01
TRIED = 40  # efforts that are searched with, cheapest first
MOST_PROBES = 512  # a query that has nothing near would look into all lists
# Time beside that of a byte that is scanned (about 30 ps, on two cores of a Xeon):
READ = 9  # of a byte of codes, read here and there
KEPT = 1450  # of one more vector kept for comparison by codes


@dataclass(frozen=True)
class Question:
    """What efforts are measured by: q queries.

    Attributes
    ----------
    queries : (q, d) float32
        Of length 1.
    near : list of (m,) int64
        Vectors that are as similar to each query as the last of its nearest, by whole vectors.
    behind : (all of them,) float32
        How much less similar to the query than the nearest list's is the centre of the list that
        each is in.
    """

    queries: Float32
    near: list[Int64]
    behind: Float32

    @classmethod
    def of(
        cls,
        queries: Float32,
        nearest: Nearest,
        searched: InvertedLists,
        vectors_of: Callable[[Int64], Float32],
    ) -> Question:
        """Ask for what was found to be nearest.

        Parameters
        ----------
        queries : (q, d) float32
        nearest : Nearest
            Has looked at all vectors.
        searched : InvertedLists
        vectors_of : callable
            From ascending numbers of vectors to these.
        """
        numbers, products = nearest.found()
        is_near = (numbers >= 0) & (products >= products[:, NEAREST - 1 : NEAREST] - 1e-6)
        near = [own[some] for own, some in zip(numbers, is_near, strict=True)]
        distinct, place = np.unique(np.concatenate(near), return_inverse=True)
        sketches, lists = searched.sketch.of(vectors_of(distinct)), searched.lists
        own_list = lists.near(sketches, 1, np.inf, 1)[0][place, 0]
        asking = searched.sketch.of(queries)
        best = lists.near(asking, 1, np.inf, 1)[1][:, 0]
        owner = np.repeat(np.arange(len(near)), [len(own) for own in near])
        products = np.einsum("ij,ij->i", asking[owner], lists.centers[own_list])
        return cls(queries, near, best[owner] - products)

    def recall(self, found: Int64) -> float:
        """Return the share of the nearest that is among the vectors found."""
        shares = [
            min(NEAREST, int(np.isin(wanted, own).sum())) / min(NEAREST, len(wanted))
            for wanted, own in zip(self.near, found, strict=True)
        ]
        return float(np.mean(shares))

    def gaps(self, numbers: Int64, products: Float32) -> Float64:
        """Return how far behind the last that is compared anyway each of the near ones is.

        Parameters
        ----------
        numbers : (q, c) int64
            The most similar by sketches first.
        products : (q, c) float32

        Returns
        -------
        (all near ones,) float64
            inf: not found.
        """
        gaps = []
        last = min(BEST, numbers.shape[1]) - 1
        for wanted, own, product in zip(self.near, numbers, products, strict=True):
            is_own = np.isin(own, wanted)
            missing = len(wanted) - np.count_nonzero(is_own)
            gaps.append(product[last] - product[is_own].astype(np.float64))
            gaps.append(np.full(missing, np.inf))
        return np.concatenate(gaps)


@dataclass(frozen=True)
class Tuned:
    """An effort, what it takes, and what it reaches.

    Attributes
    ----------
    effort : Effort
    lists, vectors : float
        Looked into, and compared by codes, on average of a query.
    cost : float
        In bytes scanned.
    recall : float
        By sketches alone, as long as it is a candidate.
    """

    effort: Effort
    lists: float
    vectors: float
    cost: float
    recall: float


def tuned_effort(searched: InvertedLists, size: int, question: Question, threads: int) -> Tuned:
    """Return the cheapest effort that reaches the recall; where none does, the best, or nearly.

    Parameters
    ----------
    searched : InvertedLists
    size : int
        Bytes of the codes of a vector.
    question : Question
    threads : int
    """
    candidates = sorted(_candidates(searched, size, question, threads), key=lambda one: one.cost)
    # Codes lose some of what sketches keep, and find nothing else.
    least = min(RECALL, max(one.recall for one in candidates) - SLACK)
    tried = []
    for one in [one for one in candidates if one.recall >= least][:TRIED]:
        found = searched.search(question.queries, BEST, one.effort, threads)
        recall = question.recall(found)
        tried.append(Tuned(one.effort, one.lists, one.vectors, one.cost, recall))
        if recall >= RECALL:
            return tried[-1]
    most = max(one.recall for one in tried)
    return next(one for one in tried if one.recall >= most - SLACK)


def _candidates(
    searched: InvertedLists, size: int, question: Question, threads: int
) -> Iterator[Tuned]:
    """Yield efforts that keep by sketches what is asked, or nearly."""
    lists = searched.lists
    probes = min(MOST_PROBES, max(1, lists.count // 2))
    sizes = np.array([lists.index.invlists.list_size(i) for i in range(lists.count)])
    total = int(sizes.sum())
    kept = [compared for compared in COMPARED if compared < total / 2] or [max(1, total // 2)]
    sketches = searched.sketch.of(question.queries, threads)
    for reach in map(float, np.unique(np.maximum(np.quantile(question.behind, OF_LISTS), LEAST))):
        near = lists.near(sketches, probes, reach, threads)
        numbers, products = lists.search(sketches, near, kept[-1], threads)
        is_list = near[0] >= 0
        scanned = float(np.where(is_list, sizes[near[0]], 0).sum(axis=1).mean())
        for compared in kept:
            own = numbers[:, :compared], products[:, :compared]
            gaps = question.gaps(*own)
            gaps = np.quantile(
                np.append(gaps[np.isfinite(gaps)], LEAST), OF_SKETCHES, method="higher"
            )
            for margin in map(float, np.unique(np.maximum(gaps, LEAST))):
                looked_at = own[0].copy()
                leave_out(looked_at, own[1], BEST, margin)
                vectors = float(np.count_nonzero(looked_at >= 0, axis=1).mean())
                cost = scanned * searched.sketch.width / (2 * MULTIPLE)
                cost += KEPT * compared + READ * vectors * size
                effort = Effort(probes, reach, compared, margin)
                recall = question.recall(looked_at)
                yield Tuned(effort, float(is_list.sum(axis=1).mean()), vectors, cost, recall)
