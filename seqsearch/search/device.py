"""The nearest references of each query, found and decided on GPUs. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from seqsearch.devices import lane
from seqsearch.devices.choice import Devices
from seqsearch.devices.lane import Handed, Lane
from seqsearch.devices.vectors import Vectors, shares
from seqsearch.errors import SettingsError
from seqsearch.index.effort import FARTHER
from seqsearch.index.store import IndexStore
from seqsearch.search.compare import best_of_rows, order_by_similarity
from seqsearch.search.device_pages import Pages, Scorer, Whole
from seqsearch.search.device_rows import scales_of
from seqsearch.search.retrieve import numbers_below
from seqsearch.tables import Float32, Int64
from seqsearch.threads import resolve_threads, spread

BESIDE = 8 << 30  # bytes that encoding and searching need beside the vectors
PADDED = 1.25  # places of pages by vectors in them, where lists are short


class DeviceRetriever:
    """Searches on GPUs; see `Retriever`.

    Where all vectors fit on each GPU, every one has them and takes a share of the queries;
    otherwise every one has a share of the vectors and takes all queries.

    Parameters
    ----------
    store : IndexStore
    threads : int
        0 means every core; for what is done on the CPU with the answers.
    rows : (r,) int64, optional
        Search only these, exactly.
    devices : tuple of str
        As torch names them.

    Raises
    ------
    SettingsError
        The vectors do not fit on all GPUs together.
    """

    def __init__(
        self, store: IndexStore, threads: int, rows: Int64 | None, devices: Devices
    ) -> None:
        self.threads = resolve_threads(threads)
        by_lists = rows is None and store.manifest.ann["type"] != "exact"
        chosen = numbers_below(store, rows)
        self._keys, self._spans = store.vector_keys, store.spans
        self._rows = len(store.live_rows if rows is None else rows)
        self._has_shares = needs_shares(store, chosen, devices)
        parts = [(0, len(chosen))] * len(devices)
        if self._has_shares:
            parts = shares(len(chosen), len(devices))
        self._pool = ThreadPoolExecutor(len(devices))
        self._searchers = list(
            self._pool.map(
                lambda part, name: Searcher(store, chosen[slice(*part)], by_lists, name),
                parts,
                devices,
            )
        )

    def search(self, vectors: Vectors, count: int) -> tuple[Int64, Float32]:
        """Return the nearest of the index; see `Retriever`."""
        (numbers, cosines), farther = self._search(vectors, count, 1), 1
        wanted = min(count, self._rows)
        while wanted and not all(one.is_all(farther) for one in self._searchers):
            # Where most of what lies near was taken out, it is looked for farther away.
            short = np.flatnonzero(numbers[:, wanted - 1] < 0)
            if len(short):  # one of zeros is like nothing, however far
                short = short[self._on_host(vectors)[short].any(axis=1)]
            if not len(short):
                break
            farther *= FARTHER
            some = self._on_host(vectors)[short]
            numbers[short], cosines[short] = self._search(some, count, farther)
        return numbers, cosines

    def _search(self, vectors: Vectors, count: int, farther: int) -> tuple[Int64, Float32]:
        if self._has_shares:
            return self._merged(self._on_host(vectors), count, farther)
        parts: Sequence[Handed | Float32]
        if isinstance(vectors, np.ndarray):
            parts = [vectors[a:b] for a, b in shares(len(vectors), len(self._searchers))]
        else:
            parts = vectors.parts
        found = self._ask(parts, count, farther)
        return np.concatenate([one for one, _ in found]), np.concatenate([two for _, two in found])

    def _ask(
        self, parts: Sequence[Handed | Float32], count: int, farther: int
    ) -> list[tuple[Int64, Float32]]:
        def ask(searcher: Searcher, part: Handed | Float32) -> tuple[Int64, Float32]:
            return searcher.search(part, count, farther)

        return list(self._pool.map(ask, self._searchers, parts))

    def _on_host(self, vectors: Vectors) -> Float32:
        if isinstance(vectors, np.ndarray):
            return vectors
        return np.concatenate(list(self._pool.map(Searcher.fetch, self._searchers, vectors.parts)))

    def _merged(self, vectors: Float32, count: int, farther: int) -> tuple[Int64, Float32]:
        """Ask every GPU for the nearest it has, and put the answers in one order."""
        found = self._ask([vectors] * len(self._searchers), count, farther)
        numbers = np.concatenate([one for one, _ in found], axis=1)
        cosines = np.concatenate([two for _, two in found], axis=1).astype(np.float64)
        spread(
            lambda a, b: order_by_similarity(numbers, cosines, self._keys, a, b),
            len(numbers),
            self.threads,
        )
        if not self._spans.are_rows:  # windows of one sequence may lie on two
            best_of_rows(numbers, cosines, self._spans.rows, self.threads)
        return numbers[:, :count].copy(), cosines[:, :count].astype(np.float32)


class Searcher:
    """Searches on one device.

    Parameters
    ----------
    store : IndexStore
    chosen : (r,) int64
        Vectors that are searched.
    by_lists : bool
        In the lists near a query only.
    device : str
    """

    def __init__(self, store: IndexStore, chosen: Int64, by_lists: bool, device: str) -> None:
        self._lane = Lane(device)
        with self._lane.working():
            make = Pages if by_lists else Whole
            self._scorer: Scorer = make(store, chosen, self._lane)

    def is_all(self, farther: int) -> bool:
        """Whether a search so many times as far compares all vectors."""
        return self._scorer.is_all(farther)

    def search(
        self, vectors: Handed | Float32, count: int, farther: int = 1
    ) -> tuple[Int64, Float32]:
        """Return (n, count) int64 vectors and (n, count) float32 cosines.

        See `Retriever`, and `Scorer` for `farther`.
        """
        with self._lane.working():
            if isinstance(vectors, Handed):
                queries = self._lane.take(vectors).half()
            else:
                queries = self._lane.upload(vectors).half()
            shape = (len(queries), count)
            numbers = torch.full(shape, -1, dtype=torch.int64, device=queries.device)
            cosines = torch.zeros(shape, device=queries.device)
            for some in self._scorer.score(queries, scales_of(queries).float(), farther):
                numbers[some.queries], cosines[some.queries] = self._scorer.rows.decide(
                    queries[some.queries], some.scores, some.place_of, count
                )
            return numbers.cpu().numpy(), cosines.cpu().numpy()

    def fetch(self, vectors: Handed) -> Float32:
        """Copy vectors that are on this device to the host."""
        with self._lane.working():
            return self._lane.take(vectors).cpu().numpy()


def needs_shares(store: IndexStore, chosen: Int64, devices: Devices) -> bool:
    """Whether vectors have to be shared out among GPUs, because they do not fit on each.

    Raises
    ------
    SettingsError
        They do not fit on all together.
    """
    needed = PADDED * len(chosen) * int(store.manifest.encoder["dim"]) * 2
    free = [lane.free_bytes(device) - BESIDE for device in devices]
    if needed <= min(free):
        return False
    if needed <= len(devices) * min(free):
        return True
    raise SettingsError(
        "device",
        "cuda",
        f"GPUs with {(needed + BESIDE * len(devices)) / 2**30:.1f} GiB free in all for this index "
        f"({sum(free) / 2**30 + BESIDE * len(devices) / 2**30:.1f} GiB are), or cpu",
    )
