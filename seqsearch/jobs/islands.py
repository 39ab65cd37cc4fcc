"""Groups of references that are like each other and like nothing else in the library."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.simulation import shuffled
from seqsearch.encoders.base import Encoder
from seqsearch.index.store import IndexStore
from seqsearch.jobs.hiding import ALIGNED
from seqsearch.jobs.markers import Markers
from seqsearch.search.candidates import Candidates, align_candidates, unplaced
from seqsearch.search.retrieve import Retriever, open_retriever
from seqsearch.tables import Bool, Float32, Int64

DECOYS = 3000  # shuffled references
CHANCE = 0.999  # quantile of what they reach
LARGEST = 0.01  # share of the library that an island may be; larger ones are parts of it
LEAST = 100  # rows of a library that has parts
ASKED = 5  # rows of an island that are compared with the rest


@dataclass(frozen=True)
class Islands:
    """Rows outside the main part.

    Attributes
    ----------
    rows : (r,) int64
        Ascending.
    sizes : (r,) int64
        Rows of the group of each.
    """

    rows: Int64
    sizes: Int64


class Neighbours:
    """Which rows of an index are more alike than shuffled sequences are to any row.

    Attributes
    ----------
    group : (rows of the index,) int64
        Rows that are linked, directly or not, have one number.
    least_score : float
        What shuffled sequences hardly reach.
    """

    def __init__(self, store: IndexStore, encoder: Encoder, markers: Markers, threads: int) -> None:
        self.store, self.encoder, self.markers, self.threads = store, encoder, markers, threads
        live = store.live_rows
        rng = np.random.default_rng(0)
        chosen = np.sort(rng.choice(live, min(DECOYS, len(live)), replace=False))
        decoys = self.search(
            shuffled(markers.batch(chosen), seed=0), open_retriever(store, threads)
        )
        self._bound = float(np.quantile(decoys.similarities[:, 0], CHANCE))
        self.least_score = float(np.quantile(decoys.scores[:, 0], CHANCE))
        self.group: Int64 = np.arange(store.rows)

    def add(self, rows: Int64, found: Candidates) -> None:
        """Link rows with their candidates: the groups they are of become one."""
        at, which = np.nonzero((found.rows >= 0) & (found.similarities >= self._bound))
        one, other = self.group[rows[at]], self.group[found.rows[at, which]]
        shape = (self.store.rows, self.store.rows)
        graph = coo_array((np.ones(len(one), np.bool_), (one, other)), shape=shape)
        self.group = np.asarray(connected_components(graph, directed=False)[1])[self.group]

    def search(self, batch: SequenceBatch, retriever: Retriever) -> Candidates:
        """Search for sequences, and align the best candidates."""
        store = self.store
        nearest = retriever.search(self.encoder.encode(batch), ALIGNED)
        found = unplaced(*nearest, batch, store, self.threads)
        return align_candidates(found, batch, store, ALIGNED, "both", self.threads)


def islands(neighbours: Neighbours) -> Islands:
    """Find the groups that neither by vectors nor by alignment are like the rest.

    Rows are linked with those of their nearest that are more similar than chance. Of each small
    group some rows are searched for in the rest: where the median of their scores is above
    chance, the group joins the rest, and the others are searched for again.

    Parameters
    ----------
    neighbours : Neighbours
        With the candidates of all live rows.
    """
    store, group = neighbours.store, neighbours.group
    live = store.live_rows
    sizes = np.bincount(group[live], minlength=group.max() + 1)
    most = max(1.0, LARGEST * len(live)) if len(live) >= LEAST else 0.0
    outside = np.flatnonzero((sizes > 0) & (sizes <= most))
    while len(outside):
        rest = live[~np.isin(group[live], outside)]
        asked = _first_of(live[np.isin(group[live], outside)], group)
        if not len(rest):
            break
        retriever = open_retriever(store, neighbours.threads, rest)
        found = neighbours.search(neighbours.markers.batch(asked), retriever)
        joins = _joining(group[asked], found.scores[:, 0], neighbours.least_score, outside)
        if not joins.any():
            break
        outside = outside[~joins]
    rows = live[np.isin(group[live], outside)]
    return Islands(rows, sizes[group[rows]])


def _first_of(rows: Int64, group: Int64) -> Int64:
    """Return the first `ASKED` rows of each group, ascending."""
    order = np.argsort(group[rows], kind="stable")
    own = group[rows[order]]
    place = np.arange(len(own)) - np.searchsorted(own, own)
    return np.sort(rows[order[place < ASKED]])


def _joining(owner: Int64, scores: Float32, least: float, outside: Int64) -> Bool:
    """(g,) bool: groups whose median score is high enough."""
    return np.array([np.median(scores[owner == one]) >= least for one in outside])
