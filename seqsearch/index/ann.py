"""Approximate search: inverted lists that are looked through in three steps.

A query looks into the lists whose centres are nearest to it. All vectors there are compared by
half a byte for every two dimensions of their sketch (index/sketch.py; product quantisation, Jégou
et al. 2011, scanned as in André et al. 2017: FAISS's IVFPQFastScan); the best of these, some
hundreds, by codes (index/codes.py); the best of those in full (search/retrieve.py). How many lists
are looked into and how many are compared by codes is measured when the lists are made, and is
each query's own: most have all that is near in a few lists, some in hundreds.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import numpy as np
from numba import njit

from seqsearch.dna.digests import UInt64
from seqsearch.index.codes import Codes, codes_of, compare
from seqsearch.index.effort import Effort, Plan
from seqsearch.index.lists import CODES, Lists, damaged, folder_of, open_lists
from seqsearch.index.sketch import Sketch
from seqsearch.index.store import IndexStore
from seqsearch.index.vectors import Int8, unit
from seqsearch.tables import Bool, Float32, Int64, advise, mapped_array
from seqsearch.threads import resolve_threads, spread

AT_ONCE = 4_000_000  # vectors found at once: some 50 MB
BLOCK = 8192  # vectors added at once


class InvertedLists:
    """Inverted lists and how they are searched.

    Parameters
    ----------
    sketch : Sketch
    lists : Lists
    codes : sequence of (int, Codes)
        With the number of the first vector of each.
    is_gone : (vectors,) bool
        Vectors, in the lists or not, that are not to be found.
    later : (l,) int64, optional
        Numbers in the index of the last l vectors; those before have their own.
    """

    def __init__(
        self,
        sketch: Sketch,
        lists: Lists,
        codes: Sequence[tuple[int, Codes]],
        is_gone: Bool,
        later: Int64 | None = None,
    ) -> None:
        self.sketch, self._codes, self._is_gone = sketch, codes, is_gone
        self.lists = lists.without(is_gone) if is_gone.any() else lists
        self._later = np.empty(0, np.int64) if later is None else later

    @classmethod
    def open(
        cls, store: IndexStore, threads: int, chosen: Int64 | None = None
    ) -> tuple[InvertedLists, Plan]:
        """Open the lists of an index; what was added since they were made joins them in memory.

        Parameters
        ----------
        store : IndexStore
        threads : int
        chosen : (c,) int64, optional
            Ascending numbers of the vectors that are searched; all live ones unless given.

        Raises
        ------
        FolderError
            A file is damaged.
        """
        sketch, lists = open_lists(store)
        plan, folder = Plan.from_dict(store.manifest.ann), folder_of(store)
        arrays = [mapped_array(folder / name) for name in CODES]
        if {len(array) for array in arrays} != {plan.rows} or arrays[1].ndim != 2:
            raise damaged(folder)
        for array in arrays:
            advise(array, mmap.MADV_WILLNEED)  # hundreds are read for each query
        codes = [(0, Codes(*arrays))]
        leading = codes[0][1].numbers.shape[1]
        searched = store.live_vectors if chosen is None else chosen
        listed = searched[searched < plan.rows]
        later = searched[len(listed) :]  # what was added and taken out again joins nothing
        for start in range(0, len(later), BLOCK):
            vectors = unit(store.vectors(later[start : start + BLOCK]))
            first = plan.rows + start
            numbers = np.arange(first, first + len(vectors))
            lists.add(sketch.of(vectors, threads), numbers, threads)
            codes.append((first, codes_of(vectors, leading)))
        if len(codes) > 2:
            codes[1:] = [(plan.rows, Codes.concatenate([part for _, part in codes[1:]]))]
        is_gone = np.ones(plan.rows + len(later), np.bool_)
        is_gone[listed] = is_gone[plan.rows :] = False
        return cls(sketch, lists, codes, is_gone, later), plan

    def search(self, queries: Float32, count: int, effort: Effort, threads: int = 0) -> Int64:
        """Return (n, count) int64: about the most similar vectors, in any order; -1: no more.

        None is similar to a query of zeros.

        Parameters
        ----------
        queries : (n, d) float32
            Of length 1.
        count : int
        effort : Effort
        threads : int
        """
        threads = resolve_threads(threads)
        found = np.full((len(queries), count), -1, np.int64)
        size = len(self._is_gone)
        wanted = min(count, size - int(np.count_nonzero(self._is_gone)))
        todo = np.flatnonzero(queries.any(axis=1))
        while len(todo):
            step = max(1, AT_ONCE // effort.compared)
            for start in range(0, len(todo), step):
                some = todo[start : start + step]
                found[some] = self._search(queries[some], count, effort, threads)
            if effort.is_whole:
                break
            # Where too little lies near, as of a taxon may, it is looked for farther away.
            todo = todo[np.count_nonzero(found[todo] >= 0, axis=1) < wanted]
            effort = effort.farther(self.lists.count, size)
        is_later = found >= size - len(self._later)
        found[is_later] = self._later[found[is_later] - (size - len(self._later))]
        return found

    def scan(
        self, queries: Float32, probes: int, reach: float, count: int, threads: int
    ) -> tuple[Int64, Float32]:
        """Find about the nearest vectors by sketches alone; see `Lists.search`."""
        sketches = self.sketch.of(queries, threads)
        near = self.lists.near(sketches, probes, reach, threads)
        return self.lists.search(sketches, near, count, threads)

    def _search(self, queries: Float32, count: int, effort: Effort, threads: int) -> Int64:
        compared = max(effort.compared, count)
        near, products = self.scan(queries, effort.probes, effort.reach, compared, threads)
        leading = self._codes[0][1].numbers.shape[1]
        best = np.full((len(queries), count), -1, np.int64)

        def task(start: int, stop: int) -> None:
            some = slice(start, stop)
            codes, trailing = codes_of(queries[some], leading), queries[some, leading:]
            own = (codes.numbers, codes.scales, codes.signs)
            shares = np.einsum("ij,ij->i", trailing, trailing)
            cosines = np.full(near[some].shape, -np.inf, np.float32)
            leave_out(near[some], products[some], count, effort.margin)
            for first, part in self._codes:
                others = (part.numbers, part.scales, part.signs)
                _compare(own, shares, near[some], first, others, cosines)
            _keep(near[some], cosines, best[some])

        spread(task, len(near), threads)
        return best


@njit(nogil=True, cache=True)
def leave_out(near: Int64, products: Float32, count: int, margin: float) -> None:
    """Put -1 in the place of vectors that are too far behind the last one wanted.

    Parameters
    ----------
    near : (n, c) int64
        The most similar first; changed.
    products : (n, c) float32
    count : int
        How many are wanted.
    margin : float
        See `Effort`.
    """
    last = min(count, near.shape[1]) - 1
    for i in range(len(near)):
        least = products[i, last] - margin
        for k in range(last + 1, near.shape[1]):
            if products[i, k] < least:
                near[i, k:] = -1
                break


@njit(nogil=True, cache=True)
def _compare(
    queries: tuple[Int8, Float32, UInt64],
    shares: Float32,
    near: Int64,
    first: int,
    codes: tuple[Int8, Float32, UInt64],
    cosines: Float32,
) -> None:
    for i in range(len(near)):
        compare(
            queries[0][i], queries[1][i], queries[2][i], shares[i],
            codes[0], codes[1], codes[2], near[i], first, cosines[i],
        )  # fmt: skip


@njit(nogil=True, cache=True)
def _keep(near: Int64, cosines: Float32, best: Int64) -> None:
    """Keep what has the largest cosines, query by query; of equal ones the first found."""
    count = best.shape[1]
    for i in range(len(near)):
        live = 0
        for k in range(near.shape[1]):
            if near[i, k] < 0:
                cosines[i, k] = -np.inf
            else:
                live += 1
        kept = min(count, live)
        if not kept:
            continue
        least = -np.partition(-cosines[i], kept - 1)[kept - 1]
        at = 0
        for tied in (False, True):
            for k in range(near.shape[1]):
                chosen = cosines[i, k] == least if tied else cosines[i, k] > least
                if chosen and at < kept:
                    best[i, at] = near[i, k]
                    at += 1
