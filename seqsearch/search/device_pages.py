"""Which vectors score how much for a query: all of an index, or those in the lists near it.

Those of a list fill pages of equal size. All queries that look into a page are multiplied with it
at once, some tens a tile, so that a batch reads every page about once, whole vectors and not codes.
Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from seqsearch.devices.lane import Lane
from seqsearch.index.ann import Plan, open_lists
from seqsearch.index.store import IndexStore
from seqsearch.search.device_rows import GROUP, DeviceRows, blocks, products
from seqsearch.tables import Int64

PAGE = 128  # vectors; a multiple of GROUP
TILE = 64  # queries multiplied with a page at once
TILES = 512  # multiplied in one call: .5 GB
SCORES = 1 << 31  # bytes of scores kept at once


@dataclass(frozen=True)
class Scored:
    """Scores of some queries of a batch.

    Attributes
    ----------
    start, stop : int
        Which queries.
    scores : (stop - start, c) float32
        About the cosines; -inf where a column is no vector.
    place_of : callable
        From (k,) queries, counted from `start`, and (k, a) columns to places in `DeviceRows`.
    """

    start: int
    stop: int
    scores: Tensor
    place_of: Callable[[Tensor, Tensor], Tensor]


class Scorer(Protocol):
    """Scores vectors of an index for queries."""

    @property
    def rows(self) -> DeviceRows:
        """What is searched."""
        ...

    def score(self, queries: Tensor, scales: Tensor, reach: int = 1) -> Iterator[Scored]:
        """Yield the scores of (n, d) float16 queries with (n,) float32 scales, some at a time.

        Where not all rows are scored, `reach` times as many as usual are, or about so.
        """
        ...

    def is_all(self, reach: int) -> bool:
        """Whether all rows are scored."""
        ...


class Whole:
    """Scores all vectors."""

    def __init__(self, store: IndexStore, chosen: Int64, lane: Lane) -> None:
        size = -(-len(chosen) // GROUP) * GROUP
        self.rows = DeviceRows(store, chosen, np.arange(len(chosen)), size, lane)

    def is_all(self, reach: int) -> bool:  # noqa: ARG002 - see `Scorer`
        """Whether all rows are scored: always."""
        return True

    def score(
        self,
        queries: Tensor,
        scales: Tensor,
        reach: int = 1,  # noqa: ARG002
    ) -> Iterator[Scored]:
        """Yield scores; see `Scorer`."""
        size = len(self.rows.numbers)
        step = max(1, SCORES // (4 * max(1, size)))
        for start in range(0, len(queries), step):
            some = queries[start : start + step]
            scores = products(some[None], self.rows.vectors[None])[0]
            scores *= scales[start : start + step, None]
            scores *= self.rows.scales.float()
            scores.masked_fill_(self.rows.numbers < 0, -torch.inf)
            yield Scored(start, start + len(some), scores, lambda _, columns: columns)


@dataclass(frozen=True)
class NearLists:
    """The lists of an index, and which of them are near.

    Attributes
    ----------
    centers : (width, lists) float64
    kept : int
        Leading dimensions that sketches keep as they are.
    signs : (d - kept, width - kept) float64
        The projection of the others.
    probes : int
        Lists that a query looks into.
    """

    centers: Tensor
    kept: int
    signs: Tensor
    probes: int

    @property
    def count(self) -> int:
        """How many lists there are."""
        return self.centers.shape[1]

    @classmethod
    def open(cls, store: IndexStore, lane: Lane) -> NearLists:
        """Open the lists that the manifest of an index names."""
        sketch, lists = open_lists(store)
        plan, width = Plan.from_dict(store.manifest.ann), sketch.kept + sketch.signs.shape[1]
        centers = lane.upload(lists.centers[:, :width]).double().T.contiguous()
        signs = lane.upload(sketch.signs).double() * sketch.scale
        return cls(centers, sketch.kept, signs, min(plan.probes, plan.lists))

    def products(self, vectors: Tensor) -> Tensor:
        """Return (n, lists) float64: products of vectors with the centres.

        In float64, so that the size of a batch, which changes the order of sums, changes no list.
        """
        wide = vectors.double()
        projected = wide[:, self.kept :] @ self.signs
        return torch.cat([wide[:, : self.kept], projected], dim=1) @ self.centers

    def of(self, vectors: Tensor, probes: int) -> Tensor:
        """Return (n, probes) int64: the lists nearest to vectors, in any order."""
        return self.products(vectors).topk(probes, sorted=False).indices


class Pages:
    """Scores the vectors in the lists nearest to each query, as the plan of the index says.

    Lists are those that `index.ann` made and measured: by the nearest centre of their
    sketches. That whole vectors are compared instead of codes can only raise the recall.
    """

    def __init__(self, store: IndexStore, chosen: Int64, lane: Lane) -> None:
        self._near = NearLists.open(store, lane)
        lists = self._lists_of(store, chosen, lane)
        sizes = np.bincount(lists, minlength=self._near.count)
        pages = -(-sizes // PAGE)
        first = np.cumsum(pages) - pages
        order = np.argsort(lists, kind="stable")
        within = np.arange(len(chosen)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        places = np.empty(len(chosen), np.int64)
        places[order] = first[lists[order]] * PAGE + within
        self._first, self._pages = lane.upload(first), lane.upload(pages)
        self.rows = DeviceRows(store, chosen, places, int(pages.sum()) * PAGE, lane)

    def is_all(self, reach: int) -> bool:
        """Whether all rows are scored."""
        return self._near.probes * reach >= self._near.count

    def score(self, queries: Tensor, scales: Tensor, reach: int = 1) -> Iterator[Scored]:
        """Yield scores of the rows in the nearest lists; see `Scorer`."""
        near = self._near.of(queries, min(self._near.probes * reach, self._near.count))
        scales = scales.masked_fill(scales == 0, 1.0)  # -inf times 0, of a query of zeros, is none
        widest = int(self._pages[near].sum(1).max()) if len(near) else 0
        step = max(1, SCORES // (4 * PAGE * max(1, widest)))
        for start in range(0, len(queries), step):
            stop = min(start + step, len(queries))
            visits = Visits.of(self._first, self._pages, near[start:stop])
            scores = self._scores(visits, queries[start:stop]) * scales[start:stop, None]
            yield Scored(start, stop, scores, visits.place_of)

    def _lists_of(self, store: IndexStore, chosen: Int64, lane: Lane) -> Int64:
        lists = [self._near.products(block).argmax(1) for block in blocks(store, chosen, lane)]
        return torch.cat(lists).cpu().numpy()

    def _scores(self, visits: Visits, queries: Tensor) -> Tensor:
        """(n, widest * PAGE) float32: scores in the order of each query's pages."""
        rows = self.rows
        vectors = rows.vectors.view(-1, PAGE, rows.vectors.shape[1])
        scales, is_no_row = (
            rows.scales.float().view(-1, 1, PAGE),
            rows.numbers.view(-1, 1, PAGE) < 0,
        )
        padded = torch.cat([queries, torch.zeros_like(queries[:1])])  # for tiles that are not full
        scores = torch.full((visits.size + 1, PAGE), -torch.inf, device=queries.device)
        for start in range(0, len(visits.page), TILES):
            page, asking = visits.page[start : start + TILES], visits.query[start : start + TILES]
            found = products(padded[asking], vectors[page]) * scales[page]
            found.masked_fill_(is_no_row[page], -torch.inf)
            scores[visits.slot[start : start + TILES].flatten()] = found.flatten(0, 1)
        return scores[:-1].view(len(queries), -1)


@dataclass(frozen=True)
class Visits:
    """Which queries look into which pages, in tiles: one page, and `TILE` of its queries.

    Attributes
    ----------
    page : (t,) int64
    query : (t, TILE) int64
        n: none.
    slot : (t, TILE) int64
        Where the scores go: the query's number times `widest`, plus the page's place among the
        query's; `size`: nowhere.
    of_slot : (n, widest) int64
        Page at each place of a query; 0 behind its last one.
    """

    page: Tensor
    query: Tensor
    slot: Tensor
    of_slot: Tensor

    @property
    def size(self) -> int:
        """How many slots there are."""
        return self.of_slot.numel()

    @classmethod
    def of(cls, first: Tensor, pages: Tensor, near: Tensor) -> Visits:
        """Arrange visits.

        Parameters
        ----------
        first, pages : (lists,) int64
            First page of each list, and how many it has.
        near : (n, probes) int64
            Lists that each query looks into.
        """
        device, (count, probes) = near.device, near.shape
        sizes = pages[near]
        before = sizes.cumsum(1) - sizes
        widest = int(sizes.sum(1).max()) if count else 0
        flat = sizes.flatten()
        pair = torch.repeat_interleave(torch.arange(len(flat), device=device), flat)
        within = torch.arange(len(pair), device=device) - (flat.cumsum(0) - flat)[pair]
        page, query = first[near].flatten()[pair] + within, pair // probes
        slot = query * widest + before.flatten()[pair] + within
        of_slot = torch.zeros(count * widest, dtype=torch.int64, device=device)
        of_slot[slot] = page
        page, order = page.sort(stable=True)
        visited, asked = torch.unique_consecutive(page, return_counts=True)
        tiles = (asked + TILE - 1) // TILE
        place = torch.arange(len(page), device=device)
        place += ((tiles.cumsum(0) - tiles) * TILE - (asked.cumsum(0) - asked)).repeat_interleave(
            asked
        )
        total = int(tiles.sum())
        tiled = torch.full((2, total * TILE), count, dtype=torch.int64, device=device)
        tiled[1] = count * widest
        tiled[0, place], tiled[1, place] = query[order], slot[order]
        return cls(
            visited.repeat_interleave(tiles),
            tiled[0].view(-1, TILE),
            tiled[1].view(-1, TILE),
            of_slot.view(count, widest),
        )

    def place_of(self, queries: Tensor, columns: Tensor) -> Tensor:
        """Return the places in `DeviceRows` of columns of queries."""
        page = self.of_slot[queries].gather(1, columns // PAGE)
        return page * PAGE + columns % PAGE
