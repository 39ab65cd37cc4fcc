"""The task of naming sequences: a head for each rank, on a network or on vectors that stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.base import Encoder
from seqsearch.encoders.network import NetworkEncoder, groups
from seqsearch.errors import SettingsError
from seqsearch.tables import Float32, Int64
from seqsearch.training.augmentation import augment
from seqsearch.training.labelled import LabelledSet
from seqsearch.training.order import Order
from seqsearch.training.recipe import UNCHANGED, Finetuning
from seqsearch.training.split import Split
from seqsearch.training.validation import CELLS, Cell, mean_right
from seqsearch.training.vectors import (
    Pieces,
    VectorModel,
    copied,
    in_any_frame,
    pieces_of,
    vectors_on,
    whitened,
)

AT_ONCE = 1 << 17  # bases named at once after the training
UNKNOWN = -1


@dataclass(frozen=True)
class Classes:
    """What the heads tell apart: at every rank the taxa that are learned from.

    Taxa are told by their whole path, so those of several libraries are one where it is the same.

    Attributes
    ----------
    ranks : tuple of str
        Those with two classes or more and a weight in the loss.
    sizes : tuple of int
        Classes of each.
    numbers : list of (n, ranks) int64
        Class of every sequence of each set; -1 where it has none.
    """

    ranks: tuple[str, ...]
    sizes: tuple[int, ...]
    numbers: list[Int64]

    @classmethod
    def of(cls, sets: Sequence[LabelledSet], rows: Sequence[Int64], recipe: Finetuning) -> Classes:
        """Number the taxa of the rows that are learned from.

        Raises
        ------
        SettingsError
            No rank has two.
        """
        found: dict[str, tuple[int, list[Int64]]] = {}
        for rank in dict.fromkeys(rank for one in sets for rank in one.ranks):
            if recipe.rank_weights.get(rank, 0) <= 0:
                continue
            paths = [np.append(one.taxonomy.paths().to_pylist(), "") for one in sets]
            taxa = [one.at(rank) for one in sets]
            learned = [
                np.unique(path[taxon[some]][taxon[some] >= 0])
                for path, taxon, some in zip(paths, taxa, rows, strict=True)
            ]
            names = np.unique(np.concatenate(learned))
            if len(names) > 1:
                numbers = [
                    _numbers(path, taxon, names) for path, taxon in zip(paths, taxa, strict=True)
                ]
                found[rank] = len(names), numbers
        if not found:
            raise SettingsError(
                "libraries", [one.marker for one in sets], "two taxa or more at a rank that counts"
            )
        stacked = [
            np.stack([numbers[i] for _, numbers in found.values()], axis=1)
            for i in range(len(sets))
        ]
        return cls(tuple(found), tuple(size for size, _ in found.values()), stacked)


def _numbers(paths: np.ndarray, taxa: np.ndarray, names: np.ndarray) -> Int64:
    """(n,) int64: places among the names; -1 where there is none, or it is not among them."""
    at = np.searchsorted(names, paths)
    at[at == len(names)] = 0
    number = np.where(names[at] == paths, at, UNKNOWN)
    return np.where(taxa >= 0, number[taxa], UNKNOWN).astype(np.int64)


class Heads(nn.Module):
    """One layer for every rank."""

    def __init__(self, dim: int, sizes: Sequence[int], is_squashed: bool) -> None:
        super().__init__()
        self.is_squashed = is_squashed
        self.layers = nn.ModuleList(nn.Linear(dim, size) for size in sizes)

    def forward(self, vectors: Tensor) -> list[Tensor]:
        """Return (n, classes) float of each rank."""
        seen = vectors.tanh() if self.is_squashed else vectors
        return [layer(seen) for layer in self.layers]


def summed_loss(guesses: Sequence[Tensor], classes: Tensor, weights: Sequence[float]) -> Tensor:
    """Return () float: the sum over ranks of weight times mean cross-entropy of those with a name.

    Parameters
    ----------
    guesses : list of (n, classes) float
    classes : (n, ranks) int64
        -1 where a sequence has no name: it does not count at this rank.
    weights : list of float
    """
    total = guesses[0].new_zeros((), dtype=torch.float32)
    for column, (guess, weight) in enumerate(zip(guesses, weights, strict=True)):
        asked = classes[:, column]
        losses = functional.cross_entropy(
            guess.float(), asked, ignore_index=UNKNOWN, reduction="sum"
        )
        total = total + weight * losses / (asked != UNKNOWN).sum().clamp_min(1)
    return total


class Namer(nn.Module):
    """A network and the heads on the means over its tokens."""

    def __init__(self, vectors: VectorModel, heads: Heads) -> None:
        super().__init__()
        self.vectors, self.heads = vectors, heads

    def forward(self, ids: Tensor, mask: Tensor, counts: Tensor) -> list[Tensor]:
        """Return (n, classes) float of each rank."""
        sums = self.vectors(ids, mask, counts)
        if self.vectors.like.is_sum:
            tokens = torch.segment_reduce(mask.sum(1).float(), "sum", lengths=counts)
            sums = sums / tokens.clamp_min(1)[:, None]
        return cast("list[Tensor]", self.heads(sums))


@dataclass(frozen=True)
class Named:
    """A batch with what it is called.

    Attributes
    ----------
    inputs : Pieces or (n, dim) float32
    classes : (n, ranks) int64
    """

    inputs: Pieces | Tensor
    classes: Tensor


class Naming:
    """Supervised fine-tuning; see `seqsearch.training.loop.Task`.

    Parameters
    ----------
    encoder : NetworkEncoder
        Its network learns with the heads; not so where the recipe freezes it (a linear probe).
    sets, splits : list
    classes : Classes
    recipe : Finetuning
    label : str
    threads : int
    processes : int
    device : torch.device
        Where it learns.
    """

    def __init__(
        self,
        encoder: NetworkEncoder,
        sets: Sequence[LabelledSet],
        splits: Sequence[Split],
        classes: Classes,
        recipe: Finetuning,
        label: str,
        threads: int,
        processes: int,
        device: torch.device,
    ) -> None:
        self._like, self._recipe, self._processes = encoder, recipe, processes
        self._label, self._threads, self._sets, self._splits = label, threads, sets, splits
        self._classes = classes
        rows = [named_rows(split, classes, i) for i, split in enumerate(splits)]
        parts = [one.batch.take(some) for one, some in zip(sets, rows, strict=True)]
        self._batch = SequenceBatch.concatenate(parts)
        numbers = [classes.numbers[i][some] for i, some in enumerate(rows)]
        self._numbers = np.concatenate(numbers)
        self._weights = [recipe.rank_weights[rank] for rank in classes.ranks]
        self._order = Order(len(self._batch), recipe.batch_size, recipe.seed)
        heads = Heads(encoder.dim, classes.sizes, recipe.is_squashed)
        self._frozen = _Frozen.of(encoder, self._batch, device) if recipe.is_frozen else None
        self.model: nn.Module = heads if self._frozen else Namer(VectorModel(encoder), heads)

    def batch(self, number: int, process: int) -> Named:
        """Return sequences, or their vectors where these stay, and their classes."""
        recipe, number = self._recipe, number * self._processes + process
        rows = self._order.rows(number)
        classes = torch.from_numpy(self._numbers[rows])
        if self._frozen is not None:
            return Named(torch.from_numpy(self._frozen.vectors[rows]), classes)
        rng = np.random.default_rng([recipe.seed, number])
        taken = self._batch.take(rows)
        if recipe.augmentation != UNCHANGED:
            taken = augment(taken, recipe.augmentation, int(rng.integers(2**62)))
        return Named(pieces_of(self._like, in_any_frame(self._like, taken, rng)), classes)

    def loss(self, model: nn.Module, batch: Named, device: torch.device) -> Tensor:
        """Return the loss summed over the ranks."""
        guesses = _guesses(model, batch.inputs, device)
        return summed_loss(guesses, batch.classes.to(device), self._weights)

    def watch(self) -> dict[str, float]:
        """Return percent right of the heads on what is kept out."""
        cells = self.cells()
        return {"heads_right": mean_right(cells)} if cells else {}

    def encoder(self) -> Encoder:
        """Return the encoder as it is now, a copy."""
        done = copied(self._like, self._label, self._threads)
        if self._frozen is not None:
            return done
        device = next(self.model.parameters()).device
        return whitened(done, self._batch, self._recipe.seed, device)

    @torch.no_grad()
    def cells(self) -> list[Cell]:
        """Return percent right of the likeliest class, where the true one was learned from."""
        self.model.train(False)
        found = []
        for number, (one, split) in enumerate(zip(self._sets, self._splits, strict=True)):
            for hidden, rows in split.queries.items():
                asked = [rank for name, rank in CELLS if name == hidden]
                columns = [self._classes.ranks.index(r) for r in asked if r in self._classes.ranks]
                if not len(rows) or not columns:
                    continue
                named = self._named(one.batch.take(rows))
                for column in columns:
                    truth = self._classes.numbers[number][rows, column]
                    known = truth != UNKNOWN
                    if known.any():
                        right = 100 * float((named[known, column] == truth[known]).mean())
                        rank = self._classes.ranks[column]
                        found.append(Cell(one.marker, hidden, rank, int(known.sum()), right))
        return found

    def _named(self, batch: SequenceBatch) -> Int64:
        """Return (n, ranks) int64: the likeliest class at every rank."""
        device = next(self.model.parameters()).device
        named = np.empty((len(batch), len(self._classes.ranks)), np.int64)
        order = np.argsort(batch.lengths, kind="stable")
        for start, stop in groups(batch.lengths[order], AT_ONCE):
            rows = order[start:stop]
            some = batch.take(rows)
            inputs = (
                pieces_of(self._like, some)
                if self._frozen is None
                else torch.from_numpy(self._frozen.scaled(vectors_on(self._like, some, device)))
            )
            guesses = _guesses(self.model, inputs, device)
            named[rows] = torch.stack([guess.argmax(1) for guess in guesses], 1).cpu().numpy()
        return named


def named_rows(split: Split, classes: Classes, number: int) -> Int64:
    """Return the rows of a set that are learned from and have a class at any rank."""
    named = (classes.numbers[number][split.train] != UNKNOWN).any(axis=1)
    return split.train[named]


def _guesses(model: nn.Module, inputs: Pieces | Tensor, device: torch.device) -> list[Tensor]:
    here = inputs.to(device)
    guesses: list[Tensor] = (
        model(here) if isinstance(here, Tensor) else model(here.ids, here.mask, here.counts)
    )
    return guesses


@dataclass(frozen=True)
class _Frozen:
    """Vectors that stay, less their mean, over their deviation: one number each for all.

    So BarcodeBERT's linear probe has it (baselines/linear_probing.py).
    """

    vectors: Float32
    mean: float
    deviation: float

    @classmethod
    def of(cls, encoder: NetworkEncoder, batch: SequenceBatch, device: torch.device) -> _Frozen:
        vectors = vectors_on(encoder, batch, device)
        mean, deviation = float(vectors.mean()), float(vectors.std())
        return cls(_scaled(vectors, mean, deviation), mean, deviation)

    def scaled(self, vectors: Float32) -> Float32:
        return _scaled(vectors, self.mean, self.deviation)


def _scaled(vectors: Float32, mean: float, deviation: float) -> Float32:
    return ((vectors - mean) / max(deviation, 1e-12)).astype(np.float32)
