"""Networks of encoders in training: what they are made of, what they take in, and their vectors."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import get_annotations
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.windows import pieces
from seqsearch.encoders.base import Encoder, family_class
from seqsearch.encoders.network import NetworkEncoder
from seqsearch.errors import SettingsError
from seqsearch.tables import Int64


@dataclass(frozen=True)
class Pieces:
    """Tokens of some sequences, of which each may be cut into several pieces.

    Attributes
    ----------
    ids : (p, width) int32
    mask : (p, width) bool
        What is no padding.
    counts : (n,) int64
        Pieces of each sequence, which stand behind each other.
    """

    ids: Tensor
    mask: Tensor
    counts: Tensor

    def to(self, device: torch.device) -> Pieces:
        """Return them on a device."""
        return Pieces(self.ids.to(device), self.mask.to(device), self.counts.to(device))


def pieces_of(encoder: NetworkEncoder, batch: SequenceBatch) -> Pieces:
    """Return what a network takes in of sequences."""
    cut, owner = encoder.cut(batch)
    tokens = encoder.tokens(cut)
    # Attention over nothing but padding is not a number in bf16: pieces without a token are left
    # out, and the sum of such a sequence is zero.
    kept = np.flatnonzero(tokens.lengths > 0)
    return Pieces(
        torch.from_numpy(tokens.ids[kept]),
        torch.from_numpy(tokens.mask[kept]),
        torch.from_numpy(np.bincount(owner[kept], minlength=len(batch))),
    )


def in_any_frame(
    encoder: NetworkEncoder, batch: SequenceBatch, rng: np.random.Generator
) -> SequenceBatch:
    """Leave out so many first bases that each reading frame of the tokens comes up as often."""
    if encoder.frames == 1:
        return batch
    starts: Int64 = rng.integers(0, encoder.frames, len(batch))
    starts = np.minimum(starts, batch.lengths)
    return pieces(batch, np.arange(len(batch)), starts, batch.lengths)


class VectorModel(nn.Module):
    """The network of an encoder, and the sums that its vectors are made of.

    Parameters
    ----------
    encoder : NetworkEncoder
        Its network is what learns. What no vector depends on (a last layer that is not looked at)
        does not.
    """

    def __init__(self, encoder: NetworkEncoder) -> None:
        super().__init__()
        self.network = encoder.model
        self.like = encoder
        self._rest()

    def forward(self, ids: Tensor, mask: Tensor, counts: Tensor) -> Tensor:
        """Return (n, dim) float32: sums over the tokens of all pieces of each sequence."""
        sums = self.like.summed(self.network, ids, mask).float()
        return torch.segment_reduce(sums, "sum", lengths=counts)

    def encoder(self, label: str, threads: int) -> Encoder:
        """Return the encoder as it is now, a copy."""
        return copied(self.like, label, threads)

    def _rest(self) -> None:
        self.network.train(False)
        self.requires_grad_(True)
        seen = pieces_of(self.like, SequenceBatch.from_clean(["a"], [b"ACGT" * 20]))
        self(seen.ids, seen.mask, seen.counts).sum().backward()
        for one in self.parameters():
            one.requires_grad_(one.grad is not None)
            one.grad = None


def copied(encoder: NetworkEncoder, label: str, threads: int) -> Encoder:
    """Return an encoder with the tensors as they are now, on the CPU."""
    tensors = {
        name: one.detach().cpu().numpy().copy() for name, one in encoder.model.state_dict().items()
    }
    config = encoder.as_config() | {"label": label}
    return cast(Encoder, type(encoder).from_saved(config, tensors, threads))


def fresh(family: str, settings: dict[str, Any], label: str) -> NetworkEncoder:
    """Return an encoder whose network has learned nothing; torch's generator draws it.

    Raises
    ------
    SettingsError
        Settings contradict each other.
    """
    cls: type[NetworkEncoder] = family_class(family)
    try:
        config = cls.config_class(**cls.completed(settings))
        cls.check(config)
        model = cls.model_class(config)
    except (ValueError, TypeError, RuntimeError) as error:
        raise SettingsError("network", settings, f"one of family {family} ({error})") from error
    return cls(model, label)


def settings_of(encoder: NetworkEncoder) -> dict[str, Any]:
    """Return the settings of an encoder's network."""
    return {name: encoder.as_config()[name] for name in get_annotations(encoder.config_class)}
