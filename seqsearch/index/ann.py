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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from seqsearch.dna.digests import UInt64
from seqsearch.errors import FolderError
from seqsearch.index.centers import Centers
from seqsearch.index.codes import Codes, codes_of, compare
from seqsearch.index.flat import load_faiss
from seqsearch.index.sketch import MULTIPLE, Sketch
from seqsearch.index.store import IndexStore
from seqsearch.index.vectors import Int8, unit
from seqsearch.tables import Bool, Float32, Int64, advise, mapped_array
from seqsearch.threads import resolve_threads, spread

KIND = "ivf"
LISTS = "lists.faiss"
PROJECTION = "projection.npy"
CODES = ("numbers.npy", "scales.npy", "signs.npy")
FILES = (LISTS, PROJECTION, *CODES)
BITS = 4  # of a quantised piece of a sketch: what fast scanning takes
RESERVOIR = 13  # FAISS's number of its scan that keeps many
ITERATIONS = 8  # of k-means
SEED = 1
AT_ONCE = 4_000_000  # vectors found at once: some 50 MB
BLOCK = 8192  # vectors added at once
FARTHER = 4  # times as far a search goes on where it found too few


@dataclass(frozen=True)
class Effort:
    """How far a search goes.

    Attributes
    ----------
    probes : int
        Lists that a query looks into, at most.
    reach : float
        So much less similar to it than the nearest one's may the centre of another list be.
    compared : int
        Vectors compared by codes, a query, at most.
    margin : float
        So much less similar, by sketches, than the last one wanted may another vector be.
    """

    probes: int
    reach: float
    compared: int
    margin: float

    def farther(self, lists: int, vectors: int) -> Effort:
        """Return a greater effort; where it takes all lists or vectors, without bounds."""
        probes, compared = min(self.probes * FARTHER, lists), min(self.compared * FARTHER, vectors)
        return Effort(
            probes,
            self.reach * FARTHER if probes < lists else np.inf,
            compared,
            self.margin * FARTHER if compared < vectors else np.inf,
        )

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return self.reach == self.margin == np.inf


@dataclass(frozen=True)
class Plan:
    """How inverted lists are searched.

    Attributes
    ----------
    width : int
        Dimensions of a sketch.
    lists : int
        How many there are.
    effort : Effort
    rows : int
        Vectors of the index below this number are in the files; there mostly is one a row.
    looked_into, looked_at : float
        Lists, and vectors compared by codes, of a query on average.
    recall : float
        Share of the ten nearest found, measured on disturbed references: what is as similar as the
        exact tenth counts.
    """

    width: int
    lists: int
    effort: Effort
    rows: int
    looked_into: float
    looked_at: float
    recall: float

    def as_dict(self, folder: str) -> dict[str, Any]:
        """Return what a manifest says of it."""
        return {"type": KIND, "folder": folder, **asdict(self)}

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> Plan:
        """Return the plan of a manifest."""
        values = {name: entry[name] for name in cls.__dataclass_fields__}
        return cls(**{**values, "effort": Effort(**values["effort"])})


class Lists:
    """Vectors in lists by their sketches, quantised; FAISS's IVFPQFastScan.

    Parameters
    ----------
    index : faiss.IndexIVFPQFastScan

    Attributes
    ----------
    centers : (lists, width) float32
    """

    def __init__(self, index: Any) -> None:
        self._faiss = load_faiss()
        self.index = index
        # The same code for any number of queries, so that of equally near rows the same are kept.
        index.implem = RESERVOIR
        quantizer = self._faiss.downcast_index(index.quantizer)
        self.centers: Float32 = quantizer.reconstruct_n(0, index.nlist)
        self._filled = np.arange(index.nlist)
        self._nearest = Centers(self.centers)

    @classmethod
    def train(cls, sketches: Float32, lists: int, threads: int) -> Lists:
        """Find centres and quantiser from a sample.

        Parameters
        ----------
        sketches : (n, width) float32
        lists : int
        threads : int
        """
        faiss = load_faiss()
        faiss.omp_set_num_threads(threads)
        width = sketches.shape[1]
        clusters = faiss.Kmeans(
            width, lists, seed=SEED, spherical=True, niter=ITERATIONS,
            max_points_per_centroid=len(sketches), min_points_per_centroid=1,
        )  # fmt: skip
        clusters.train(sketches)
        centers = faiss.IndexFlatIP(width)
        centers.add(clusters.centroids)
        inner = faiss.METRIC_INNER_PRODUCT
        pieces = width // MULTIPLE
        index = faiss.IndexIVFPQFastScan(centers, width, lists, pieces, BITS, inner)
        index.by_residual = True
        index.train(sketches)
        centers.this.disown()  # the lists own it from here on
        index.own_fields = True
        return cls(index)

    @property
    def count(self) -> int:
        """How many lists there are."""
        return int(self.index.nlist)

    @property
    def width(self) -> int:
        """Dimensions of a sketch."""
        return int(self.index.d)

    def add(self, sketches: Float32, numbers: Int64, threads: int) -> None:
        """Add vectors by number."""
        self._faiss.omp_set_num_threads(threads)
        self.index.add_with_ids(sketches, numbers)

    def pass_over(self, is_gone: Bool) -> None:
        """Look no more into lists all of whose vectors are gone, by number."""
        lists = self.index.invlists
        self._filled = np.array(
            [
                number
                for number in range(self.count)
                if lists.list_size(number)
                and not is_gone[
                    self._faiss.rev_swig_ptr(lists.get_ids(number), lists.list_size(number))
                ].all()
            ],
            np.int64,
        )
        self._nearest = Centers(self.centers[self._filled])

    def near(
        self, sketches: Float32, probes: int, reach: float, threads: int
    ) -> tuple[Int64, Float32]:
        """Return the lists near to queries; see `Centers.nearest`."""
        probes = min(probes, len(self._filled))
        near, products = self._nearest.nearest(sketches, probes, threads, reach)
        return np.where(near >= 0, self._filled[near], -1), products

    def search(
        self, sketches: Float32, near: tuple[Int64, Float32], count: int, threads: int
    ) -> tuple[Int64, Float32]:
        """Find about the nearest vectors in some lists.

        Parameters
        ----------
        sketches : (n, width) float32
        near : (n, p) int64 and (n, p) float32
            As the method of that name returns them.
        count, threads : int

        Returns
        -------
        (n, count) int64
            The most similar first; -1: no more.
        (n, count) float32
            About their products with the queries.
        """
        self._faiss.omp_set_num_threads(threads)
        self.index.nprobe = near[0].shape[1]
        products, numbers = self.index.search_preassigned(sketches, count, *near)
        return numbers, products


class InvertedLists:
    """Inverted lists and how they are searched.

    Parameters
    ----------
    sketch : Sketch
    lists : Lists
    codes : sequence of (int, Codes)
        With the number of the first vector of each.
    is_gone : (vectors,) bool
        Vectors in the lists that are not to be found.
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
        self.sketch, self.lists, self._codes, self._is_gone = sketch, lists, codes, is_gone
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
        plan, folder = Plan.from_dict(store.manifest.ann), _folder(store)
        arrays = [mapped_array(folder / name) for name in CODES]
        if {len(array) for array in arrays} != {plan.rows} or arrays[1].ndim != 2:
            raise _damaged(folder)
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
        if chosen is not None:
            lists.pass_over(is_gone)
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
            # Where most of what lies near was taken out, it is looked for farther away.
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
        codes, trailing = codes_of(queries, leading), queries[:, leading:]
        shares = np.einsum("ij,ij->i", trailing, trailing)
        best = np.full((len(queries), count), -1, np.int64)
        cosines = np.full(near.shape, -np.inf, np.float32)

        def task(start: int, stop: int) -> None:
            some = slice(start, stop)
            own = (codes.numbers[some], codes.scales[some], codes.signs[some])
            move_up(near[some], products[some], self._is_gone)
            leave_out(near[some], products[some], count, effort.margin)
            for first, part in self._codes:
                others = (part.numbers, part.scales, part.signs)
                _compare(own, shares[some], near[some], first, others, cosines[some])
            _keep(near[some], cosines[some], best[some])

        spread(task, len(near), threads)
        return best


def save_lists(lists: Lists, sketch: Sketch, folder: Path) -> None:
    """Write lists and the projection of their sketches; codes are written as they are made."""
    load_faiss().write_index(lists.index, str(folder / LISTS))
    np.save(folder / PROJECTION, sketch.signs)


def open_lists(store: IndexStore) -> tuple[Sketch, Lists]:
    """Open the lists of an index, and how the sketches in them are made.

    Raises
    ------
    FolderError
        A file is damaged.
    """
    faiss, folder = load_faiss(), _folder(store)
    try:
        index = faiss.read_index(str(folder / LISTS))
    except RuntimeError as error:
        raise _unreadable(folder) from error
    if not isinstance(index, faiss.IndexIVFPQFastScan):
        raise _unreadable(folder)
    signs, lists = np.array(mapped_array(folder / PROJECTION)), Lists(index)
    try:
        plan = Plan.from_dict(store.manifest.ann)
    except KeyError as error:
        raise _damaged(folder) from error
    sketch = Sketch(int(store.manifest.encoder["dim"]) - len(signs), signs)
    if signs.ndim != 2 or (lists.count, lists.width) != (plan.lists, sketch.width):
        raise _damaged(folder)
    return sketch, lists


def _folder(store: IndexStore) -> Path:
    return store.folder / str(store.manifest.ann.get("folder"))


def _damaged(folder: Path) -> FolderError:
    return FolderError(folder, "its files are damaged", advice="build it again")


def _unreadable(folder: Path) -> FolderError:
    return FolderError(folder / LISTS, "not readable lists", advice="build the index again")


@njit(nogil=True, cache=True)
def move_up(near: Int64, products: Float32, is_gone: Bool) -> None:
    """Let what is not gone take the places of what is; -1 and -inf where there is no more."""
    for i in range(len(near)):
        at = 0
        for k in range(near.shape[1]):
            if near[i, k] >= 0 and not is_gone[near[i, k]]:
                near[i, at], products[i, at] = near[i, k], products[i, k]
                at += 1
        near[i, at:], products[i, at:] = -1, -np.inf


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
