"""Approximate search: inverted lists over the leading dimensions of the vectors.

Where an encoder's first dimensions find relatives by themselves (`Encoder.leading`), a short list
found by them holds the nearest; the whole vectors then decide (search/retrieve.py). How many
lists are looked into, and how long the short list is, is measured when the lists are made.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from seqsearch.errors import FolderError
from seqsearch.index.flat import load_faiss
from seqsearch.index.store import IndexStore
from seqsearch.tables import Float32, Int64, whole_file
from seqsearch.threads import resolve_threads, spread

KIND = "ivf"
LEAST_ROWS = 10_000  # with fewer, exact search is as fast
RECALL = 0.99  # of the ten nearest, to be reached by a plan
PROBES = (4, 8, 16, 32, 64, 128)
SHORTLISTS = (100, 200, 400, 800)
SEED = 1


@dataclass(frozen=True)
class Plan:
    """How inverted lists are searched.

    Attributes
    ----------
    dim : int
        Leading dimensions that are in the lists.
    lists, probes : int
        How many there are, and how many a query looks into.
    shortlist : int
        Rows that are compared in full.
    rows : int
        Rows of the index below this number are in the lists.
    recall : float
        Share of the ten nearest found, measured on disturbed references: what is as similar as the
        exact tenth counts.
    """

    dim: int
    lists: int
    probes: int
    shortlist: int
    rows: int
    recall: float

    def as_dict(self, file: str) -> dict[str, Any]:
        """Return what a manifest says of it."""
        return {"type": KIND, "file": file, **asdict(self)}

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> Plan:
        """Return the plan of a manifest."""
        return cls(**{name: entry[name] for name in cls.__dataclass_fields__})


class InvertedLists:
    """Inverted lists and how they are searched.

    Parameters
    ----------
    index : faiss.IndexIVF
    plan : Plan
    removed : (r,) int64
        Rows that are not found.
    """

    def __init__(self, index: Any, plan: Plan, removed: Int64) -> None:
        self._faiss = load_faiss()
        self._index, self.plan = index, plan
        self._index.nprobe = plan.probes
        centers = index.quantizer.reconstruct_n(0, index.nlist)
        self._centers = np.ascontiguousarray(centers.T)
        if len(removed):  # from what is in memory
            index.remove_ids(removed[removed < plan.rows])

    @classmethod
    def open(cls, store: IndexStore) -> InvertedLists:
        """Open the lists of an index.

        Raises
        ------
        FolderError
            The file is damaged.
        """
        entry = store.manifest.ann
        path = store.folder / str(entry["file"])
        try:
            index = load_faiss().read_index(str(path))
            return cls(index, Plan.from_dict(entry), store.removed)
        except (RuntimeError, KeyError) as error:
            raise FolderError(
                path, "the file is damaged", advice="build the index again"
            ) from error

    def search(self, queries: Float32, count: int, threads: int) -> Int64:
        """Return (n, count) int64: rows whose leading dimensions are nearest; -1: no more.

        Which lists are looked into is decided here, by sums in a fixed order: FAISS's depend on the
        size of the batch.

        Parameters
        ----------
        queries : (n, dim) float32
        """
        near = np.empty((len(queries), self.plan.probes), np.int64)
        products = np.empty(near.shape, np.float32)
        spread(
            lambda a, b: _nearest_lists(queries, self._centers, near, products, a, b),
            len(queries),
            resolve_threads(threads),
        )
        self._faiss.omp_set_num_threads(resolve_threads(threads))
        _, rows = self._index.search_preassigned(queries, count, near, products)
        return rows


def make_lists(
    leading: Float32, rows: Int64, queries: Float32, near: list[set[int]]
) -> tuple[Any, Plan] | None:
    """Make inverted lists, and find the cheapest way to search them that misses little.

    Parameters
    ----------
    leading : (m, dim) float32
        Leading dimensions of length 1 of what is searched.
    rows : (m,) int64
        Its rows, ascending.
    queries : (q, dim) float32
    near : list of set of int
        Rows that are as similar to each query as its exact tenth, by whole vectors.

    Returns
    -------
    (faiss.IndexIVF, Plan), or None where exact search serves better.
    """
    faiss = load_faiss()
    count = 2 ** int(np.log2(4 * np.sqrt(len(rows))))
    dim = leading.shape[1]
    index = faiss.index_factory(dim, f"IVF{count},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = SEED
    index.train(leading[:: max(1, len(leading) // (256 * count))])
    index.add_with_ids(leading, rows)
    ways = sorted(((p, s) for p in PROBES for s in SHORTLISTS if p < count / 2), key=_cost)
    for probes, shortlist in ways:
        plan = Plan(dim, count, probes, shortlist, int(rows[-1]) + 1, 0.0)
        lists = InvertedLists(index, plan, np.empty(0, np.int64))
        found = lists.search(queries, shortlist, 0)
        shares = [
            min(10, len(wanted & set(row))) / min(10, len(wanted))
            for wanted, row in zip(near, found.tolist(), strict=True)
        ]
        recall = float(np.mean(shares))
        if recall >= RECALL:
            return index, Plan(dim, count, probes, shortlist, plan.rows, round(recall, 4))
    return None


def save_lists(index: Any, path: Path) -> None:
    """Write inverted lists to a file."""
    with whole_file(path) as temporary:
        load_faiss().write_index(index, str(temporary))


def _cost(way: tuple[int, int]) -> float:
    """What a search costs, in comparisons of whole vectors: a list costs about eight."""
    probes, shortlist = way
    return shortlist + 8 * probes


@njit(nogil=True, cache=True)
def _nearest_lists(
    queries: Float32, centers: Float32, near: Int64, products: Float32, start: int, stop: int
) -> None:
    """Fill in the lists whose centres, (dim, lists), are nearest to each query."""
    sums = np.empty(centers.shape[1], np.float32)
    for i in range(start, stop):
        sums[:] = 0.0
        for j in range(centers.shape[0]):
            factor = queries[i, j]
            for c in range(len(sums)):
                sums[c] += factor * centers[j, c]
        for p in range(near.shape[1]):
            best = np.argmax(sums)
            near[i, p], products[i, p] = best, sums[best]
            sums[best] = -np.inf
