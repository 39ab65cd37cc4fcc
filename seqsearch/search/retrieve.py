"""The nearest references of each query: found by FAISS, decided by similarities of our own."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from seqsearch.devices.choice import Devices
from seqsearch.index.ann import InvertedLists
from seqsearch.index.effort import FARTHER
from seqsearch.index.flat import FlatIndex
from seqsearch.index.store import IndexStore
from seqsearch.search.compare import NO_SCALES, Comparer, UInt16, best_of_rows, widened
from seqsearch.tables import Bool, Float32, Float64, Int64
from seqsearch.threads import resolve_threads, spread

EXTRA = 16  # candidates asked for beyond those wanted
DOUBT = 1e-5  # more than FAISS's float32 sums can be off for normalised vectors
AT_ONCE = 4_000_000  # candidates compared at once: some 100 MB
MANY, SHARE = 10_000, 0.01  # chosen rows, and share of all, that lists serve; fewer fit in memory


class Retriever(Protocol):
    """Finds the nearest rows of an index by their vectors; results do not depend on its threads."""

    threads: int

    def search(self, vectors: Any, count: int) -> tuple[Int64, Float32]:
        """Return the nearest `count` rows of each query, best first, each by its best vector.

        Parameters
        ----------
        vectors : (n, d) float32, or `DeviceVectors`
            Queries, as the encoder made them; the latter where it is on the same devices.
        count : int

        Returns
        -------
        (n, count) int64
            Numbers of vectors, which `store.spans` tells the rows of; -1 where there are fewer.
            A query of zeros is like nothing, and has none.
        (n, count) float32
            Cosine similarity of the vectors as they are stored, with the query in float16; rounded
            to 1e-6, 0 where there is none.
        """
        ...


def open_retriever(
    store: IndexStore, threads: int = 0, rows: Int64 | None = None, devices: Devices = ()
) -> Retriever:
    """Return what searches an index as its manifest says.

    Some rows of it are searched exactly, unless they are many and the index has inverted lists: by
    these then, as if the other rows had been taken out.

    Parameters
    ----------
    store : IndexStore
    threads : int
        0 means every core.
    rows : (r,) int64, optional
        Search only these.
    devices : tuple of str
        GPUs to search on; none: the CPU.
    """
    if devices:
        from seqsearch.search.device import DeviceRetriever  # noqa: PLC0415  needs torch

        return DeviceRetriever(store, threads, rows, devices)
    has_lists = store.manifest.ann["type"] != "exact"
    if has_lists and (rows is None or _are_many(store, rows)):
        return ListsRetriever(store, threads, rows)
    return ExactRetriever(store, threads, rows)


class ExactRetriever:
    """Searches rows of an index exhaustively.

    FAISS is asked for more than needed, and again for more where its last one is too close to the
    last that is kept to be sure, or where too few rows are left of the vectors found.
    """

    def __init__(self, store: IndexStore, threads: int = 0, rows: Int64 | None = None) -> None:
        self.threads = resolve_threads(threads)
        self._comparer, self._spans = Comparer(store, self.threads), store.spans
        self._numbers = numbers_below(store, rows)
        dim = int(store.manifest.encoder["dim"])
        self._flat = _flat_index(self._comparer, self._numbers, dim)

    def search(self, vectors: Float32, count: int) -> tuple[Int64, Float32]:
        """Return the nearest of the index; see `Retriever`."""
        halves = _halves(vectors, self.threads)
        wide = np.empty(vectors.shape, np.float32)
        widened(halves, NO_SCALES, np.arange(len(vectors)), wide, self.threads)
        numbers = np.full((len(vectors), count), -1, np.int64)
        similarities = np.zeros((len(vectors), count), np.float32)
        todo = np.flatnonzero(wide.any(axis=1))
        asked = min(count + EXTRA, len(self._flat))
        while len(todo) and asked:
            in_doubt = np.zeros(len(todo), np.bool_)
            kept = min(count, asked)
            step = max(1, AT_ONCE // asked)
            for start in range(0, len(todo), step):
                some = todo[start : start + step]
                products, positions = self._flat.search(wide[some], asked, self.threads)
                found = self._numbers[positions]
                exact = self._comparer.order(halves[some], found)
                if not self._spans.are_rows:
                    best_of_rows(found, exact, self._spans.rows, self.threads)
                numbers[some, :kept] = found[:, :kept]
                similarities[some, :kept] = exact[:, :kept]
                is_close = products[:, -1] + DOUBT >= exact[:, kept - 1]
                in_doubt[start : start + step] = is_close | (found[:, kept - 1] < 0)
            if asked == len(self._flat):
                break
            todo = todo[in_doubt]
            asked = min(asked * FARTHER, len(self._flat))
        return numbers, similarities


class ListsRetriever:
    """Finds vectors by inverted lists, and compares the best of them in full."""

    def __init__(self, store: IndexStore, threads: int = 0, rows: Int64 | None = None) -> None:
        self.threads = resolve_threads(threads)
        self._comparer, self._spans = Comparer(store, self.threads), store.spans
        chosen = None if rows is None else numbers_below(store, rows)
        self._lists, plan = InvertedLists.open(store, self.threads, chosen)
        self._effort = plan.effort
        if chosen is not None:  # what is not below the taxon is about as far from all that is
            self._effort = plan.effort.farther(plan.lists, len(chosen))

    def search(self, vectors: Float32, count: int) -> tuple[Int64, Float32]:
        """Return the nearest of the index; see `Retriever`."""
        numbers = np.full((len(vectors), count), -1, np.int64)
        similarities = np.zeros((len(vectors), count), np.float32)
        todo, asked = np.arange(len(vectors)), count + EXTRA
        while len(todo):
            is_short = np.zeros(len(todo), np.bool_)
            step = max(1, AT_ONCE // asked)
            for start in range(0, len(todo), step):
                some, part = todo[start : start + step], slice(start, start + step)
                numbers[some], similarities[some], is_short[part] = self._best(
                    vectors[some], count, asked
                )
            todo, asked = todo[is_short], asked * FARTHER
        return numbers, similarities

    def _best(self, vectors: Float32, count: int, asked: int) -> tuple[Int64, Float64, Bool]:
        """Return the best of so many vectors, and of which queries more rows may be found."""
        found = self._lists.search(vectors, asked, self._effort, self.threads)
        exact = self._comparer.order(_halves(vectors, self.threads), found)
        is_short = np.zeros(len(found), np.bool_)
        if not self._spans.are_rows:
            is_full = found[:, -1] >= 0
            best_of_rows(found, exact, self._spans.rows, self.threads)
            is_short = is_full & (found[:, count - 1] < 0)
        return found[:, :count], exact[:, :count], is_short


def numbers_below(store: IndexStore, rows: Int64 | None) -> Int64:
    """Return the vectors of ascending rows, of all live ones where none are given."""
    return store.live_vectors if rows is None else store.spans.numbers_of(rows)


def _are_many(store: IndexStore, rows: Int64) -> bool:
    chosen = len(numbers_below(store, rows))
    return chosen >= max(MANY, SHARE * len(store.live_vectors))


def _halves(vectors: Float32, threads: int) -> UInt16:
    halves = np.empty(vectors.shape, np.float16)

    def task(start: int, stop: int) -> None:
        halves[start:stop] = vectors[start:stop]

    spread(task, len(vectors), threads)
    return halves.view(np.uint16)


def _flat_index(comparer: Comparer, chosen: Int64, dim: int) -> FlatIndex:
    """Return an index of vectors, whose numbers ascend."""
    flat = FlatIndex(len(chosen), dim)
    done = 0
    for first, numbers, scales in comparer.parts:
        own = chosen[(chosen >= first) & (chosen < first + len(numbers))] - first
        widened(numbers, scales, own, flat.vectors[done : done + len(own)], comparer.threads)
        done += len(own)
    return flat
