"""The task of telling taxa apart: which sequences of a batch belong together, at every rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.base import Encoder
from seqsearch.encoders.hybrid import Hybrid
from seqsearch.encoders.kmerbag import KmerBag
from seqsearch.encoders.network import NetworkEncoder
from seqsearch.training.bag import BagModel, Counted
from seqsearch.training.batches import Batch, Batches, Inputs
from seqsearch.training.objectives import batch_hard_triplet, hierarchical_supcon
from seqsearch.training.recipe import Contrastive
from seqsearch.training.vectors import Pieces, VectorModel, copied, pieces_of


class Body(Protocol):
    """What makes vectors of sequences, while it learns."""

    @property
    def module(self) -> nn.Module:
        """What learns."""
        ...

    def inputs(self, batch: SequenceBatch) -> Inputs:
        """Return what the module takes in."""
        ...

    def vectors(self, module: nn.Module, inputs: Any, /) -> Tensor:
        """Return (n, dim) float32, L2-normalised; `module` is its own, perhaps wrapped."""
        ...

    def encoder(self) -> Encoder:
        """Return the encoder as it is now, a copy."""
        ...


class BagBody:
    """A bag of words, and the untrained spectrum that the recipe puts beside it."""

    def __init__(self, recipe: Contrastive, label: str, threads: int) -> None:
        self.module = BagModel(recipe.bag, recipe.dropout)
        self._recipe, self._label, self._threads = recipe, label, threads

    def inputs(self, batch: SequenceBatch) -> Counted:
        """Return the words of sequences."""
        return Counted.of(batch, self._recipe.bag)

    def vectors(self, module: nn.Module, inputs: Counted) -> Tensor:
        """Return (n, dim) float32, L2-normalised."""
        vectors: Tensor = module(inputs.parts)
        return vectors

    def encoder(self) -> Encoder:
        """Return the finished encoder, its table in whole numbers."""
        recipe = self._recipe
        bag = KmerBag(recipe.bag, self.module.quantised(), self._label, self._threads)
        if not recipe.spectrum_weight:
            return bag
        weights = (1 - recipe.spectrum_weight, recipe.spectrum_weight)
        return Hybrid((bag, recipe.spectrum(self._threads)), weights, self._label)


class NetworkBody:
    """The network of an encoder.

    Parameters
    ----------
    encoder : NetworkEncoder
    label : str
    threads : int
    start_share : float
        Share of the weights as they are now in those of `encoder()`.
    """

    def __init__(
        self, encoder: NetworkEncoder, label: str, threads: int, start_share: float = 0.0
    ) -> None:
        self.module = VectorModel(encoder)
        self._label, self._threads = label, threads
        self._share = start_share
        self._start = copied(encoder, label, threads) if start_share else None

    def inputs(self, batch: SequenceBatch) -> Pieces:
        """Return the tokens of sequences."""
        return pieces_of(self.module.like, batch)

    def vectors(self, module: nn.Module, inputs: Pieces) -> Tensor:
        """Return (n, dim) float32, L2-normalised."""
        return self.module.directions(module(inputs.ids, inputs.mask, inputs.counts))

    def encoder(self) -> Encoder:
        """Return the encoder as it is now, a copy."""
        done = self.module.encoder(self._label, self._threads)
        if self._start is not None:
            start = self._start.model.state_dict()
            for name, one in done.model.state_dict().items():
                if one.is_floating_point():
                    one.lerp_(start[name], self._share)
        return done


class Contrasting:
    """Contrastive learning; see `seqsearch.training.loop.Task`.

    Parameters
    ----------
    body : Body
    batches : Batches
        Whose inputs are the body's.
    recipe : Contrastive
    right : callable
        Percent right of an encoder on what is kept out.
    """

    def __init__(
        self,
        body: Body,
        batches: Batches,
        recipe: Contrastive,
        right: Callable[[Encoder], float],
    ) -> None:
        self.model, self._body = body.module, body
        self._batches, self._recipe, self._right = batches, recipe, right

    def batch(self, number: int, process: int) -> Batch:
        """Return a batch of one marker."""
        return self._batches.at(number, process, self._body.inputs)

    def loss(self, model: nn.Module, batch: Batch, device: torch.device) -> Tensor:
        """Return the loss over the similarities of the batch."""
        recipe = self._recipe
        vectors = self._body.vectors(model, batch.inputs.to(device))
        similarity = vectors @ vectors.T
        if batch.spectra is not None:
            share, spectra = recipe.spectrum_in_loss, batch.spectra.to(device)
            similarity = (1 - share) * similarity + share * (spectra @ spectra.T)
        lineage, weights = batch.lineage.to(device), batch.weights
        if recipe.objective == "triplet":
            return batch_hard_triplet(similarity, lineage, weights, recipe.margin)
        return hierarchical_supcon(similarity, lineage, weights, recipe.temperature)

    def watch(self) -> dict[str, float]:
        """Return percent right on what is kept out."""
        return {"right": self._right(self.encoder())}

    def encoder(self) -> Encoder:
        """Return the encoder as it is now, a copy."""
        return self._body.encoder()
