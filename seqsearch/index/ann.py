"""Approximate search: inverted lists of codes, by the leading dimensions of the vectors.

Where an encoder's first dimensions find relatives by themselves (`Encoder.leading`), rows whose
leading dimensions are alike share a list. A query looks into the lists nearest to it, reads the
codes of all rows there (index/codes.py), and compares the best in full (search/retrieve.py). How
many lists are looked into is measured when the lists are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from seqsearch.dna.digests import UInt64
from seqsearch.errors import FolderError
from seqsearch.index.codes import Codes, Int8, codes_of, compare
from seqsearch.index.flat import load_faiss
from seqsearch.index.store import IndexStore
from seqsearch.tables import Float32, Int64, mapped_array, write_array
from seqsearch.threads import resolve_threads, spread

KIND = "ivf"
LEAST_ROWS = 10_000  # with fewer, exact search is as fast
RECALL = 0.99  # of the ten nearest, to be reached by a plan
PROBES = (4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128)
SEED = 1
TRAINED = 64  # rows a list that its centre is found from
COMPARED = 66  # rows compared in full as plans are measured: a query's 50 candidates, and some
AT_ONCE = 65_536  # vectors coded at once
FILES = ("centers.npy", "starts.npy", "rows.npy", "numbers.npy", "scales.npy", "signs.npy")


@dataclass(frozen=True)
class Plan:
    """How inverted lists are searched.

    Attributes
    ----------
    dim : int
        Leading dimensions, by which rows are in lists.
    lists, probes : int
        How many there are, and how many a query looks into.
    rows : int
        Rows of the index below this number are in the files.
    recall : float
        Share of the ten nearest found, measured on disturbed references: what is as similar as the
        exact tenth counts.
    """

    dim: int
    lists: int
    probes: int
    rows: int
    recall: float

    def as_dict(self, folder: str) -> dict[str, Any]:
        """Return what a manifest says of it."""
        return {"type": KIND, "folder": folder, **asdict(self)}

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> Plan:
        """Return the plan of a manifest."""
        return cls(**{name: entry[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Lists:
    """Rows in the order of their lists.

    Attributes
    ----------
    starts : (lists + 1,) int64
        Where each list starts in the others.
    rows : (m,) int64
        -1: taken out.
    codes : Codes
        Of m rows.
    """

    starts: Int64
    rows: Int64
    codes: Codes

    @classmethod
    def of(cls, rows: Int64, codes: Codes, leading: Float32, centers: Float32) -> Lists:
        """Put rows into the lists of the nearest centres.

        Parameters
        ----------
        rows : (m,) int64
        codes : Codes
        leading : (m, dim) float32
        centers : (lists, dim) float32
        """
        nearest = load_faiss().IndexFlatIP(centers.shape[1])
        nearest.add(centers)
        own = nearest.search(leading, 1)[1][:, 0]
        order = np.argsort(own, kind="stable")
        starts = np.searchsorted(own[order], np.arange(len(centers) + 1))
        return cls(starts, rows[order], codes[order])

    def without(self, removed: Int64) -> Lists:
        """Return the lists with rows taken out."""
        rows = np.where(np.isin(self.rows, removed), -1, self.rows) if len(removed) else self.rows
        return Lists(self.starts, rows, self.codes)


class InvertedLists:
    """Inverted lists and how they are searched.

    Parameters
    ----------
    centers : (lists, dim) float32
        Of length 1.
    parts : sequence of Lists
        By the same centres.
    probes : int
        Lists that a query looks into, in each part.
    """

    def __init__(self, centers: Float32, parts: Sequence[Lists], probes: int) -> None:
        self._centers = np.ascontiguousarray(centers.T)
        self._parts, self._probes = parts, probes

    @classmethod
    def open(cls, store: IndexStore) -> InvertedLists:
        """Open the lists of an index; rows added since they were made join them in memory.

        Raises
        ------
        FolderError
            A file is damaged.
        """
        entry = store.manifest.ann
        folder = store.folder / str(entry.get("folder"))
        centers, starts, rows, *codes = (mapped_array(folder / name) for name in FILES)
        sizes = {len(array) for array in (rows, *codes)}
        try:
            plan = Plan.from_dict(entry)
            if sizes != {int(starts[-1])} or centers.shape != (len(starts) - 1, plan.dim):
                raise ValueError("sizes differ")
        except (KeyError, ValueError, IndexError) as error:
            raise FolderError(folder, "its files are damaged", advice="build it again") from error
        parts = [Lists(starts, rows, Codes(*codes)).without(store.removed)]
        later = store.live_rows[store.live_rows >= plan.rows]
        if len(later):
            parts.append(_listed(store, later, centers))
        return cls(centers, parts, plan.probes)

    def search(self, queries: Float32, count: int, threads: int = 0) -> Int64:
        """Return (n, count) int64: about the most similar rows, in any order; -1: no more.

        Parameters
        ----------
        queries : (n, d) float32
            Of length 1.
        count : int
        threads : int
        """
        threads = resolve_threads(threads)
        found = np.full((len(queries), count), -1, np.int64)
        cosines = np.full(found.shape, -np.inf, np.float32)
        dim = len(self._centers)
        codes, trailing = codes_of(queries, dim), queries[:, dim:]
        shares = np.einsum("ij,ij->i", trailing, trailing)
        leading = np.ascontiguousarray(queries[:, :dim])
        near = np.empty((len(queries), min(self._probes, self._centers.shape[1])), np.int64)

        spread(lambda a, b: _nearest_lists(leading, self._centers, near, a, b), len(near), threads)
        # Queries that look into the same lists one after the other find them in the cache.
        order = np.argsort(near[:, 0], kind="stable")

        def task(start: int, stop: int) -> None:
            for part in self._parts:
                _scan(
                    (codes.numbers, codes.scales, codes.signs),
                    shares,
                    near,
                    (part.starts, part.rows),
                    (part.codes.numbers, part.codes.scales, part.codes.signs),
                    (found, cosines),
                    order[start:stop],
                )

        spread(task, len(found), threads)
        return found


def make_lists(
    rows: Int64, codes: Codes, leading: Float32, queries: Float32, near: list[set[int]]
) -> tuple[Float32, Lists, Plan] | None:
    """Make inverted lists, and find the cheapest way to search them that misses little.

    Parameters
    ----------
    rows : (m,) int64
        What is searched, ascending.
    codes : Codes
        Of the rows.
    leading : (m, dim) float32
        Leading dimensions, of length 1.
    queries : (q, d) float32
        Of length 1.
    near : list of set of int
        Rows that are as similar to each query as its exact tenth, by whole vectors.

    Returns
    -------
    ((lists, dim) float32, Lists, Plan), or None where exact search serves better.
    """
    faiss = load_faiss()
    count, dim = 2 ** int(np.log2(4 * np.sqrt(len(rows)))), leading.shape[1]
    clusters = faiss.Kmeans(dim, count, seed=SEED, spherical=True, niter=10)
    clusters.train(leading[:: max(1, len(leading) // (TRAINED * count))])
    lists = Lists.of(rows, codes, leading, clusters.centroids)
    for probes in (p for p in PROBES if p < count / 2):
        searched = InvertedLists(clusters.centroids, [lists], probes)
        found = searched.search(queries, COMPARED)
        shares = [
            min(10, len(wanted & set(row))) / min(10, len(wanted))
            for wanted, row in zip(near, found.tolist(), strict=True)
        ]
        recall = float(np.mean(shares))
        if recall >= RECALL:
            plan = Plan(dim, count, probes, int(rows[-1]) + 1, round(recall, 4))
            return clusters.centroids, lists, plan
    return None


def save_lists(centers: Float32, lists: Lists, folder: Path) -> None:
    """Write inverted lists to a folder of their own."""
    folder.mkdir()
    codes = lists.codes
    arrays: list[np.ndarray[Any, Any]] = [centers, lists.starts, lists.rows]
    arrays += [codes.numbers, codes.scales, codes.signs]
    for name, array in zip(FILES, arrays, strict=True):
        write_array([array], array.dtype, array.shape, folder / name)


def unit(vectors: Float32) -> Float32:
    """Return vectors of length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def _listed(store: IndexStore, rows: Int64, centers: Float32) -> Lists:
    """Put rows of an index into lists, in memory."""
    codes, leading = [], []
    for start in range(0, len(rows), AT_ONCE):
        vectors = unit(store.vectors(rows[start : start + AT_ONCE]))
        codes.append(codes_of(vectors, centers.shape[1]))
        leading.append(vectors[:, : centers.shape[1]])
    return Lists.of(rows, Codes.concatenate(codes), np.concatenate(leading), centers)


@njit(nogil=True, cache=True)
def _nearest_lists(queries: Float32, centers: Float32, near: Int64, start: int, stop: int) -> None:
    """Fill in the lists whose centres, (dim, lists), are nearest to each query."""
    sums = np.empty(centers.shape[1], np.float32)
    for i in range(start, stop):
        sums[:] = 0.0
        for j in range(0, len(centers) - 3, 4):  # four at a time: sums are read and written less
            a, b, c, d = queries[i, j], queries[i, j + 1], queries[i, j + 2], queries[i, j + 3]
            for k in range(len(sums)):
                first = a * centers[j, k] + b * centers[j + 1, k]
                sums[k] += first + (c * centers[j + 2, k] + d * centers[j + 3, k])
        for j in range(len(centers) // 4 * 4, len(centers)):
            for k in range(len(sums)):
                sums[k] += queries[i, j] * centers[j, k]
        for p in range(near.shape[1]):
            near[i, p] = np.argmax(sums)
            sums[near[i, p]] = -np.inf


@njit(nogil=True, cache=True)
def _scan(
    queries: tuple[Int8, Float32, UInt64],
    shares: Float32,
    near: Int64,
    lists: tuple[Int64, Int64],
    codes: tuple[Int8, Float32, UInt64],
    best: tuple[Int64, Float32],
    order: Int64,
) -> None:
    """Put the most similar rows of the lists near a query among its best, query by query."""
    starts, rows = lists
    found, cosines = best
    count = found.shape[1]
    most = count + near.shape[1] * np.max(np.diff(starts))
    here, values = np.empty(most, np.int64), np.empty(most, np.float32)
    for i in order:
        here[:count], values[:count] = found[i], cosines[i]
        size = count
        for one in near[i]:
            a, b = starts[one], starts[one + 1]
            here[size : size + b - a] = rows[a:b]
            compare(
                queries[0][i], queries[1][i], queries[2][i], shares[i],
                codes[0][a:b], codes[1][a:b], codes[2][a:b], values[size : size + b - a],
            )  # fmt: skip
            size += b - a
        for k in range(count, size):
            if here[k] < 0:
                values[k] = -np.inf
        least = -np.partition(-values[:size], count - 1)[count - 1]
        at = 0
        for tied in (False, True):  # of equally similar ones at the end, the first in the lists
            for k in range(size):
                chosen = values[k] == least if tied else values[k] > least
                if chosen and at < count:
                    found[i, at], cosines[i, at] = here[k], values[k]
                    at += 1
