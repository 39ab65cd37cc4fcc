"""Encoding and searching alone on a device, beside what the device allows. Imports torch.

What it allows is measured too: bytes copied to it, bytes moved in its memory, and operations of a
product of float16 matrices, a second. The work of a stage is counted from the shapes of what it
reads, writes and multiplies, each thing once; so a stage cannot be faster than its floor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from seqsearch.devices.lane import Lane
from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.base import Encoder, WordEncoder, WordTable, vectors_of
from seqsearch.index.effort import Plan
from seqsearch.index.store import IndexStore
from seqsearch.search.device_rows import EXTRA, products
from seqsearch.search.retrieve import Retriever, open_retriever
from seqsearch.tables import Float32

REPEATS = 3  # the best of these counts
SQUARE = {"cuda": 8192, "cpu": 512}  # lines of the matrices that are multiplied
COPIED = {"cuda": 1 << 28, "cpu": 1 << 24}  # bytes


@dataclass(frozen=True)
class Limits:
    """What a device does a second.

    Attributes
    ----------
    copied : float
        Bytes from the host's memory to its own.
    moved : float
        Bytes read or written in its memory.
    multiplied : float
        Operations (an addition and a multiplication are two) of a product of float16 matrices.
    """

    copied: float
    moved: float
    multiplied: float


@dataclass(frozen=True)
class Work:
    """What a stage does for a query, counted as `Limits`."""

    copied: float
    moved: float
    multiplied: float

    def floor(self, limits: Limits) -> tuple[float, str]:
        """Return seconds a query that a device cannot undercut, and what takes them."""
        needed = {name: getattr(self, name) / getattr(limits, name) for name in vars(self)}
        slowest = max(needed, key=lambda name: needed[name])
        return needed[slowest], slowest


@dataclass(frozen=True)
class Stage:
    """One stage alone on a batch.

    Attributes
    ----------
    name : str
    seconds : float
        A query.
    work : Work
    """

    name: str
    seconds: float
    work: Work


def limits_of(device: str) -> Limits:
    """Measure what a device does."""
    lane = Lane(device)
    kind = lane.device.type
    host = np.ones(COPIED[kind], np.uint8)
    pinned = torch.from_numpy(host).pin_memory() if lane.is_gpu else torch.from_numpy(host)
    there = torch.empty(len(host), dtype=torch.uint8, device=lane.device)
    other = torch.empty_like(there)
    size = SQUARE[kind]
    one = torch.ones((1, size, size), dtype=torch.float16, device=lane.device)
    return Limits(
        len(host) / _best(lane, lambda: there.copy_(pinned, non_blocking=True)),
        2 * len(host) / _best(lane, lambda: other.copy_(there)),
        2 * size**3 / _best(lane, lambda: products(one, one)),
    )


def stages_of(
    store: IndexStore, encoder: Encoder, retriever: Retriever, batch: SequenceBatch, count: int
) -> list[Stage]:
    """Encode and search a batch, each alone.

    Parameters
    ----------
    store : IndexStore
    encoder : Encoder
        On a device.
    retriever : Retriever
        On the same.
    batch : SequenceBatch
    count : int
        Nearest rows asked for.
    """
    lane = Lane(encoder.device)
    vectors = vectors_of(encoder, batch)
    encoded = _best(lane, lambda: vectors_of(encoder, batch))
    searched = _best(lane, lambda: retriever.search(vectors, count))
    return [
        Stage("encode", encoded / len(batch), encoding_of(encoder, batch)),
        Stage("search", searched / len(batch), searching_of(store, len(batch), count)),
    ]


def encoding_of(encoder: Encoder, batch: SequenceBatch) -> Work:
    """Count what encoding does for a query: a row of each table a word, and the vector."""
    bases = float(batch.lengths.mean())
    assert isinstance(encoder, WordEncoder), "what is on a device is a sum over words"
    moved = 4.0 * encoder.dim
    for piece in encoder.pieces():
        for one in piece.sums:
            own = 8 * one.rows.shape[1] if isinstance(one, WordTable) else 8 + 16
            moved += bases * (2 * 4 + own)  # sorted once, at least; counted in 8 bytes
    return Work(copied=bases + 8, moved=moved, multiplied=0.0)


def searching_of(store: IndexStore, queries: int, count: int) -> Work:
    """Count what searching does for a query of a batch: products with the vectors it looks at.

    Vectors are read once a batch, their scores written once and read once, and the best `count` and
    some more are compared in float64.
    """
    dim, all_of_them = int(store.manifest.encoder["dim"]), float(len(store.live_vectors))
    seen = all_of_them
    if store.manifest.ann["type"] != "exact":
        plan = Plan.from_dict(store.manifest.ann)
        seen = all_of_them * plan.looked_into / plan.lists
    moved = 2 * dim * all_of_them / queries + 8 * seen + (2 + 8 + 8) * dim * (count + EXTRA)
    return Work(copied=0.0, moved=moved, multiplied=2 * dim * seen)


def recall_of(
    store: IndexStore, retriever: Retriever, vectors: Float32, devices: tuple[str, ...]
) -> float:
    """Return the share of the ten nearest that a search finds: as similar as the exact tenth."""
    exact = open_retriever(store, retriever.threads, store.live_rows, devices)
    tenth = exact.search(vectors, 10)[1][:, 9:]
    return float((retriever.search(vectors, 10)[1] >= tenth - 1e-6).mean())


def _best(lane: Lane, work: Callable[[], Any]) -> float:
    """Return the least seconds that something takes on a device, once it has been done."""
    seconds = []
    for _ in range(REPEATS + 1):
        _wait(lane)
        began = time.perf_counter()
        work()
        _wait(lane)
        seconds.append(time.perf_counter() - began)
    return max(min(seconds[1:]), 1e-9)


def _wait(lane: Lane) -> None:
    if lane.is_gpu:
        torch.cuda.synchronize(lane.device)
