"""The stream of batches: step n is the same whenever, and however often, it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from seqsearch.dna.batch import SequenceBatch
from seqsearch.errors import SettingsError
from seqsearch.tables import Float64, Int64
from seqsearch.training.augmentation import augment
from seqsearch.training.labelled import LabelledSet
from seqsearch.training.recipe import Contrastive
from seqsearch.training.sampling import Groups, draw_batch, group_rows


class Inputs(Protocol):
    """What a model takes in of some sequences."""

    def to(self, device: torch.device) -> Any:
        """Return it on a device."""
        ...


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes
    ----------
    inputs : Inputs
        Of n sequences of one marker.
    lineage : (n, r) int64
        Taxa at the ranks that count in the loss; -1 unknown.
    weights : (r,) float32
        Of these ranks.
    spectra : (n, d) float32 or None
        Untrained vectors of the same sequences, where the loss sees them.
    """

    inputs: Inputs
    lineage: Tensor
    weights: Tensor
    spectra: Tensor | None


@dataclass(frozen=True)
class Source:
    """One marker, prepared."""

    labelled: LabelledSet
    groups: Groups
    lineage: Int64
    weights: Tensor


class Batches:
    """Draws batches of labelled sets.

    Parameters
    ----------
    sets : sequence of LabelledSet
    rows : sequence of (t,) int64
        Rows of each set to learn from.
    shares : sequence of float
        How often each set is drawn, relative to what its size alone would give.
    recipe : Contrastive

    Raises
    ------
    SettingsError
        No set has two taxa at a rank that counts: there is nothing to tell apart.
    """

    def __init__(
        self,
        sets: Sequence[LabelledSet],
        rows: Sequence[Int64],
        shares: Sequence[float],
        recipe: Contrastive,
    ) -> None:
        self.recipe = recipe
        self._spectrum = recipe.spectrum(threads=1)
        prepared = [_prepare(one, some, recipe) for one, some in zip(sets, rows, strict=True)]
        self.sources = [source for source in prepared if source is not None]
        if not self.sources:
            raise SettingsError(
                "libraries", [one.marker for one in sets], "two taxa or more at a rank that counts"
            )
        kept = [share for share, one in zip(shares, prepared, strict=True) if one is not None]
        odds = np.array(kept) * np.sqrt([len(s.groups.odds) for s in self.sources])
        self._odds: Float64 = odds / odds.sum()

    def at(self, step: int, process: int, inputs: Callable[[SequenceBatch], Inputs]) -> Batch:
        """Return a batch; each process draws its own.

        Parameters
        ----------
        step, process : int
        inputs : callable
            Makes of sequences what the model takes in.
        """
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, step, process])
        # One draw a step for all processes, so that all work on the same marker.
        marker = np.random.default_rng([recipe.seed, step]).choice(len(self._odds), p=self._odds)
        source = self.sources[marker]
        rows = draw_batch(source.groups, recipe.batch_size, recipe.shared, rng)
        whole = source.labelled.batch.take(rows)
        changed = augment(whole, recipe.augmentation, int(rng.integers(2**62)))
        spectra = self._spectrum.encode(changed) if recipe.spectrum_in_loss else None
        return Batch(
            inputs(changed),
            torch.from_numpy(source.lineage[rows]),
            source.weights,
            None if spectra is None else torch.from_numpy(spectra),
        )


def _prepare(labelled: LabelledSet, rows: Int64, recipe: Contrastive) -> Source | None:
    """Return a set ready to be drawn from; None where nothing could be told apart."""
    counting = [
        rank
        for rank in labelled.ranks
        if recipe.rank_weights.get(rank, 0) > 0 and len(np.unique(labelled.at(rank)[rows])) > 1
    ]
    if not counting:
        return None
    lineage = np.stack([labelled.at(rank) for rank in counting], axis=1).astype(np.int64)
    weights = torch.tensor([recipe.rank_weights[rank] for rank in counting])
    return Source(labelled, group_rows(labelled, rows), lineage, weights)
