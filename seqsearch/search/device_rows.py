"""Vectors of an index on a device: their products with queries, and the decision among them.

A product of float16 vectors in float32 says which may be among the nearest. Those are compared
again in float64, as on the CPU (search/compare.py): a cosine of the stored float16 vectors, rounded
to 1e-6, equal ones ordered by a hash of the sequence, and of the windows of one the best. Vectors
stored in 8 bits become float16, so their cosines are the CPU's within what that rounds. Imports
torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from seqsearch.devices.lane import Lane
from seqsearch.index.store import IndexStore
from seqsearch.tables import Int64

GROUP = 32  # columns whose largest score stands for all, to look through fewer
BLOCK = 32_768  # vectors copied to a device at once
EXTRA = 16  # candidates compared beyond those wanted
DOUBT = 5e-5  # more than a product of normalised vectors is off, summed in float32 on a GPU
COMPARED = 1 << 28  # bytes of candidates compared at once
DECIDED = 1 << 25  # candidates ordered at once: 1 GB


class DeviceRows:
    """Vectors of an index on a device.

    Parameters
    ----------
    store : IndexStore
    chosen : (r,) int64
        Numbers of vectors, ascending.
    places : (r,) int64
        Where each is put.
    size : int
        m: places there are, a multiple of `GROUP`.
    lane : Lane

    Attributes
    ----------
    vectors : (m, d) float16
    numbers : (m,) int64
        Of the vector at each place; -1: none.
    scales : (m,) float64
        1 / length of each vector; 0 of a vector of zeros.
    """

    def __init__(
        self, store: IndexStore, chosen: Int64, places: Int64, size: int, lane: Lane
    ) -> None:
        self.lane = lane
        dim, device = int(store.manifest.encoder["dim"]), lane.device
        numbers, ranks = np.full(size, -1, np.int64), np.zeros(size, np.int64)
        numbers[places], ranks[places] = chosen, _ranks(store.vector_keys)[chosen]
        self.numbers, self._ranks = lane.upload(numbers), lane.upload(ranks)
        self._most = len(store.spans) + 1  # above every rank
        self._rows = None if store.spans.are_rows else lane.upload(store.spans.rows)
        self.vectors = torch.zeros((size, dim), dtype=torch.float16, device=device)
        self.scales = torch.zeros(size, dtype=torch.float64, device=device)
        done = 0
        for block in blocks(store, chosen, lane):
            at = lane.upload(places[done : done + len(block)])
            self.vectors[at] = block
            self.scales[at] = scales_of(block)
            done += len(block)

    def decide(
        self,
        queries: Tensor,
        scores: Tensor,
        place_of: Callable[[Tensor, Tensor], Tensor],
        count: int,
    ) -> tuple[Tensor, Tensor]:
        """Return the nearest rows of each query among the columns of its scores.

        Where the last column that is compared is too close to the last that is kept to be sure,
        or too few rows are left of the vectors compared, more are. A query of zeros has none.

        Parameters
        ----------
        queries : (n, d) float16
        scores : (n, c) float32
            About the cosines; -inf where a column is no vector. c is a multiple of `GROUP`.
        place_of : callable
            From (k,) queries and (k, a) columns of theirs to places.
        count : int

        Returns
        -------
        (n, count) int64
            Vectors, each of another row, best first; -1 where there are fewer.
        (n, count) float32
            Cosines, rounded to 1e-6; 0 where there is none.
        """
        device = queries.device
        numbers = torch.full((len(queries), count), -1, dtype=torch.int64, device=device)
        cosines = torch.zeros((len(queries), count), device=device)
        todo = torch.nonzero(queries.any(1))[:, 0]
        asked = min(count + EXTRA, scores.shape[1])
        while len(todo) and asked:
            kept, in_doubt = min(count, asked), []
            for some in torch.split(todo, max(1, DECIDED // asked)):
                own = scores if len(some) == len(scores) else scores[some]
                found, exact, is_open = self._best(queries[some], own, some, place_of, asked, kept)
                numbers[some, :kept], cosines[some, :kept] = found, exact.float()
                in_doubt.append(is_open)
            if asked == scores.shape[1]:
                break
            todo = todo[torch.cat(in_doubt)]
            asked = min(asked * 4, scores.shape[1])
        return numbers, cosines

    def _best(
        self,
        queries: Tensor,
        scores: Tensor,
        some: Tensor,
        place_of: Callable[[Tensor, Tensor], Tensor],
        asked: int,
        kept: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the `kept` best of the `asked` columns with the best scores, for some queries.

        And whether others could be among them.
        """
        values, columns = largest(scores, asked)
        places, is_there = place_of(some, columns), torch.isfinite(values)
        exact = self._compare(queries, places)
        order = self._order(exact, places, is_there)
        found = torch.where(is_there, self.numbers[places], -1).gather(1, order)
        exact = torch.where(is_there, exact, 0.0).gather(1, order)
        if self._rows is not None:
            found, exact = best_of_rows(found, exact, self._rows)
        found, exact = found[:, :kept], exact[:, :kept]
        is_close = values[:, -1] + DOUBT >= exact[:, -1]
        return found, exact, is_close | ((found[:, -1] < 0) & is_there[:, -1])

    def _compare(self, queries: Tensor, places: Tensor) -> Tensor:
        """Return (n, a) float64: cosines of queries with the vectors at places, rounded."""
        wide, own = queries.double(), scales_of(queries)
        result = torch.empty(places.shape, dtype=torch.float64, device=queries.device)
        width = max(1, min(places.shape[1], COMPARED // (8 * queries.shape[1])))
        height = max(1, COMPARED // (8 * queries.shape[1] * width))
        for top in range(0, len(queries), height):
            for left in range(0, places.shape[1], width):
                part = (slice(top, top + height), slice(left, left + width))
                some = self._wide(places[part])
                result[part] = torch.bmm(some, wide[part[0], :, None])[:, :, 0]
        cosines = result * own[:, None] * self.scales[places]
        return ((cosines * 1e6).round() / 1e6).float().double()

    def _wide(self, places: Tensor) -> Tensor:
        """(..., d) float64: vectors as they are stored."""
        return self.vectors[places].double()

    def _order(self, cosines: Tensor, places: Tensor, is_there: Tensor) -> Tensor:
        """(n, a) int64: the most similar first, then by key; columns without a vector last."""
        falling = 1_000_000 - (cosines * 1e6).round().long()
        keys = falling * self._most + self._ranks[places]
        return torch.where(is_there, keys, torch.iinfo(torch.int64).max).argsort(dim=1)


def best_of_rows(found: Tensor, cosines: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Leave out all vectors of a row but its best; what is behind moves up.

    Parameters
    ----------
    found : (n, a) int64
        Vectors, best first; -1: none.
    cosines : (n, a) float64
    rows : (v,) int64
        Of all vectors.

    Returns
    -------
    (n, a) int64, (n, a) float64
        -1 and 0 where they became fewer.
    """
    row = torch.where(found >= 0, rows[found], -1)
    by_row, order = row.sort(dim=1, stable=True)
    is_other = torch.ones_like(by_row, dtype=torch.bool)
    is_other[:, 1:] = by_row[:, 1:] != by_row[:, :-1]
    is_kept = torch.empty_like(is_other).scatter_(1, order, is_other) & (found >= 0)
    order = (~is_kept).long().argsort(dim=1, stable=True)
    found, cosines = torch.where(is_kept, found, -1), torch.where(is_kept, cosines, 0.0)
    return found.gather(1, order), cosines.gather(1, order)


def products(one: Tensor, other: Tensor) -> Tensor:
    """Return (b, n, m) float32: inner products of (b, n, d) with (b, m, d), both float16.

    On a GPU factors stay float16 and sums are float32, which its matrix units do in one.
    """
    turned = other.transpose(1, 2)
    if one.is_cuda:
        return torch.bmm(one, turned, out_dtype=torch.float32)
    return torch.bmm(one.float(), turned.float())


def largest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the largest scores of each line, falling, and their columns.

    The `count` largest lie in the `count` groups of columns with the largest maxima, so that only
    those are sorted through.

    Parameters
    ----------
    scores : (n, c) float32
        c is a multiple of `GROUP`.
    count : int
        At most c.

    Returns
    -------
    (n, count) float32, (n, count) int64
    """
    groups = scores.view(len(scores), -1, GROUP)
    best = groups.amax(2).topk(min(count, groups.shape[1]), sorted=False).indices
    some = groups.gather(1, best[:, :, None].expand(-1, -1, GROUP)).flatten(1)
    values, at = some.topk(count)
    return values, best.gather(1, at // GROUP) * GROUP + at % GROUP


def scales_of(vectors: Tensor) -> Tensor:
    """Return (n,) float64: 1 / length of float16 vectors, 0 of one of zeros."""
    squares = vectors.double().square().sum(1)
    return torch.where(squares > 0, squares.sqrt().reciprocal(), 0.0)


def blocks(store: IndexStore, chosen: Int64, lane: Lane) -> Iterator[Tensor]:
    """Yield vectors by ascending numbers, block by block, as float16 on a device."""
    for segment in store.segments:
        first = segment.first_vector
        own = chosen[(chosen >= first) & (chosen < first + len(segment.vectors))]
        for start in range(0, len(own), BLOCK):
            block = segment.vectors.take(own[start : start + BLOCK] - first)
            yield lane.upload(block.astype(np.float16))
        segment.vectors.release()  # what was read through is on the device now


def _ranks(keys: np.ndarray) -> Int64:
    """(rows,) int64: the place of each key among all, sorted."""
    ranks = np.empty(len(keys), np.int64)
    ranks[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    return ranks
