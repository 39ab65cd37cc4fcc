"""Inverted lists of sketches, and their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seqsearch.errors import FolderError
from seqsearch.index.centers import Centers
from seqsearch.index.effort import Plan
from seqsearch.index.flat import load_faiss
from seqsearch.index.sketch import MULTIPLE, Sketch
from seqsearch.index.store import IndexStore
from seqsearch.tables import Bool, Float32, Int64, mapped_array

LISTS = "lists.faiss"
PROJECTION = "projection.npy"
CODES = ("numbers.npy", "scales.npy", "signs.npy")
FILES = (LISTS, PROJECTION, *CODES)
BITS = 4  # of a quantised piece of a sketch: what fast scanning takes
RESERVOIR = 13  # FAISS's number of its scan that keeps many
ITERATIONS = 8  # of k-means
SEED = 1


class Lists:
    """Vectors in lists by their sketches, quantised; FAISS's IVFPQFastScan.

    Parameters
    ----------
    index : faiss.IndexIVFPQFastScan
    is_gone : (numbers,) bool, optional
        Vectors, by number, that are not to be found; lists that hold no others are passed over.

    Attributes
    ----------
    centers : (lists, width) float32
    """

    def __init__(self, index: Any, is_gone: Bool | None = None) -> None:
        self._faiss = load_faiss()
        self.index = index
        # The same code for any number of queries, so that of equally near rows the same are kept.
        index.implem = RESERVOIR
        quantizer = self._faiss.downcast_index(index.quantizer)
        self.centers: Float32 = quantizer.reconstruct_n(0, index.nlist)
        self._filled, self._searched = np.arange(index.nlist), None
        if is_gone is not None:
            self._filled = np.flatnonzero([self._holds_others(n, is_gone) for n in self._filled])
            bits = np.packbits(~is_gone, bitorder="little")
            self._searched = self._faiss.IDSelectorBitmap(bits)
        self._nearest = Centers(self.centers[self._filled])

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

    def without(self, is_gone: Bool) -> Lists:
        """Return the same lists, of which some vectors, by number, are not to be found."""
        return Lists(self.index, is_gone)

    def _holds_others(self, number: int, is_gone: Bool) -> bool:
        lists = self.index.invlists
        size = lists.list_size(int(number))
        own = self._faiss.rev_swig_ptr(lists.get_ids(int(number)), size) if size else []
        return bool(size) and not is_gone[own].all()

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
        faiss, queries, probes = self._faiss, len(sketches), near[0].shape[1]
        faiss.omp_set_num_threads(threads)
        numbers = np.full((queries, count), -1, np.int64)
        products = np.full((queries, count), -np.inf, np.float32)
        # FAISS's method of Python takes no parameters, and so no selector.
        given = (*map(np.ascontiguousarray, (sketches, *near)), products, numbers)
        sketch, lists, of_lists, found_products, found = map(faiss.swig_ptr, given)
        self.index.search_preassigned_c(
            queries, sketch, count, lists, of_lists, found_products, found, False,
            faiss.SearchParametersIVF(sel=self._searched, nprobe=probes),
        )  # fmt: skip
        return numbers, products


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
    faiss, folder = load_faiss(), folder_of(store)
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
        raise damaged(folder) from error
    sketch = Sketch(int(store.manifest.encoder["dim"]) - len(signs), signs)
    if signs.ndim != 2 or (lists.count, lists.width) != (plan.lists, sketch.width):
        raise damaged(folder)
    return sketch, lists


def folder_of(store: IndexStore) -> Path:
    """Return where the files of the lists are."""
    return store.folder / str(store.manifest.ann.get("folder"))


def damaged(folder: Path) -> FolderError:
    """Return what is raised where files do not fit together."""
    return FolderError(folder, "its files are damaged", advice="build it again")


def _unreadable(folder: Path) -> FolderError:
    return FolderError(folder / LISTS, "not readable lists", advice="build the index again")
