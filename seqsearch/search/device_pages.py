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
from seqsearch.index.effort import Plan
from seqsearch.index.lists import open_lists
from seqsearch.index.store import IndexStore
from seqsearch.search.device_rows import GROUP, DeviceRows, blocks, products
from seqsearch.tables import Int64

PAGE = 128  # vectors; a multiple of GROUP
TILE = 64  # queries multiplied with a page at once
TILES = 512  # multiplied in one call: .5 GB
SCORES = 1 << 31  # bytes of scores kept at once
NEAR = 1 << 30  # bytes of sketches and of their products with all lists, kept at once


@dataclass(frozen=True)
class Scored:
    """Scores of some queries of a batch.

    Attributes
    ----------
    queries : (n,) int64
        Which queries.
    scores : (n, c) float32
        About the cosines; -inf where a column is no vector.
    place_of : callable
        From (k,) of the n queries and (k, a) columns to places in `DeviceRows`.
    """

    queries: Tensor
    scores: Tensor
    place_of: Callable[[Tensor, Tensor], Tensor]


class Scorer(Protocol):
    """Scores vectors of an index for queries."""

    @property
    def rows(self) -> DeviceRows:
        """What is searched."""
        ...

    def score(self, queries: Tensor, scales: Tensor, farther: int = 1) -> Iterator[Scored]:
        """Yield the scores of (n, d) float16 queries with (n,) float32 scales, some at a time.

        Where not all rows are scored, it goes so many times as far as the index says.
        """
        ...

    def is_all(self, farther: int) -> bool:
        """Whether all rows are scored."""
        ...


class Whole:
    """Scores all vectors."""

    def __init__(self, store: IndexStore, chosen: Int64, lane: Lane) -> None:
        size = -(-len(chosen) // GROUP) * GROUP
        self.rows = DeviceRows(store, chosen, np.arange(len(chosen)), size, lane)

    def is_all(self, farther: int) -> bool:  # noqa: ARG002 - see `Scorer`
        """Whether all rows are scored: always."""
        return True

    def score(
        self,
        queries: Tensor,
        scales: Tensor,
        farther: int = 1,  # noqa: ARG002
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
            own = torch.arange(start, start + len(some), device=scores.device)
            yield Scored(own, scores, lambda _, columns: columns)


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
    probes, reach
        See `index.ann.Effort`.
    """

    centers: Tensor
    kept: int
    signs: Tensor
    probes: int
    reach: float

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
        probes = min(plan.effort.probes, plan.lists)
        return cls(centers, sketch.kept, signs, probes, plan.effort.reach)

    def nearest(self, vectors: Tensor) -> Tensor:
        """Return (n,) int64: the list nearest to each of n vectors."""
        return torch.cat([self._products(some).argmax(1) for some in self._steps(vectors)])

    def _steps(self, vectors: Tensor) -> tuple[Tensor, ...]:
        """Return so many vectors at a time that what is made of them stays within bounds."""
        wide = self.count + 2 * vectors.shape[1] + len(self.centers)
        return torch.split(vectors, max(1, NEAR // (8 * wide)))

    def _products(self, vectors: Tensor) -> Tensor:
        """Return (n, lists) float64: products of vectors with the centres.

        In float64, so that the size of a batch, which changes the order of sums, changes no list.
        """
        wide = vectors.double()
        projected = wide[:, self.kept :] @ self.signs
        return torch.cat([wide[:, : self.kept], projected], dim=1) @ self.centers

    def is_all(self, farther: int) -> bool:
        """Whether all lists are near, so many times as far."""
        return farther > 1 and self.probes * farther >= self.count

    def of(self, vectors: Tensor, farther: int) -> tuple[Tensor, Tensor]:
        """Return (n, p) int64 and (n, p) bool: lists, in any order, and whether they are near."""
        count = min(self.probes * farther, self.count)
        found = [self._products(some).topk(count, sorted=False) for some in self._steps(vectors)]
        indices = torch.cat([one.indices for one in found])
        products = torch.cat([one.values for one in found])
        if self.is_all(farther) or not len(vectors):
            return indices, torch.ones_like(products, dtype=torch.bool)
        least = products.amax(1, keepdim=True) - self.reach * farther
        return indices, products >= least


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

    def is_all(self, farther: int) -> bool:
        """Whether all rows are scored."""
        return self._near.is_all(farther)

    def score(self, queries: Tensor, scales: Tensor, farther: int = 1) -> Iterator[Scored]:
        """Yield scores of the rows in the nearest lists; see `Scorer`.

        Queries that look at many come first, so that those beside each other look at about as many.
        """
        near, is_near = self._near.of(queries, farther)
        scales = scales.masked_fill(scales == 0, 1.0)  # -inf times 0, of a query of zeros, is none
        sizes = self._pages[near] * is_near
        widths, order = sizes.sum(1).sort(descending=True, stable=True)
        start, widest = 0, widths.tolist()
        while start < len(order):
            own = order[start : start + max(1, SCORES // (4 * PAGE * max(1, widest[start])))]
            visits = Visits.of(self._first[near[own]], sizes[own])
            yield Scored(own, self._scores(visits, queries[own], scales[own]), visits.place_of)
            start += len(own)

    def _lists_of(self, store: IndexStore, chosen: Int64, lane: Lane) -> Int64:
        lists = [self._near.nearest(block) for block in blocks(store, chosen, lane)]
        return torch.cat(lists).cpu().numpy()

    def _scores(self, visits: Visits, queries: Tensor, own_scales: Tensor) -> Tensor:
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
        return scores[:-1].view(len(queries), -1).mul_(own_scales[:, None])


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
    def of(cls, first: Tensor, sizes: Tensor) -> Visits:
        """Arrange visits.

        Parameters
        ----------
        first, sizes : (n, p) int64
            First page, and number of pages, of the lists that each query looks into.
        """
        device, (count, probes) = sizes.device, sizes.shape
        before = sizes.cumsum(1) - sizes
        widest = int(sizes.sum(1).max()) if count else 0
        flat = sizes.flatten()
        pair = torch.repeat_interleave(torch.arange(len(flat), device=device), flat)
        within = torch.arange(len(pair), device=device) - (flat.cumsum(0) - flat)[pair]
        page, query = first.flatten()[pair] + within, pair // probes
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
