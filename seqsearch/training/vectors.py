"""Networks of encoders in training: what they are made of, what they take in, and their vectors."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import get_annotations
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.windows import pieces
from seqsearch.encoders.folder import family_class
from seqsearch.encoders.network import NetworkEncoder, directions, groups
from seqsearch.errors import SettingsError
from seqsearch.networks.whitening import POWER, Whitening
from seqsearch.tables import Float32, Int64

# Looked at at once by a thread, padding with them: what fits a CPU's caches is faster.
THREAD_TOKENS = 1 << 11
SAMPLE = 2000  # sequences that tell how vectors are whitened


@dataclass(frozen=True)
class Pieces:
    """Tokens of some sequences, of which each may be several pieces, or read in several frames.

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
    """Return what a network takes in of sequences, for vectors of them."""
    averaged, owner = encoder.averaged(batch)
    tokens = encoder.tokens(averaged)
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
    """Leave out so many first bases that each reading frame of the tokens comes up as often.

    Of short sequences fewer, so that a token is left.
    """
    k = encoder.frames
    if k == 1:
        return batch
    starts: Int64 = rng.integers(0, k, len(batch))
    starts = np.minimum(starts, np.maximum(batch.lengths - k, 0))
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
        self.network, self.whitening = encoder.model, encoder.whitening
        self.like = encoder
        self._rest()

    def forward(self, ids: Tensor, mask: Tensor, counts: Tensor) -> Tensor:
        """Return (n, dim) float32: sums over the tokens of all pieces of each sequence."""
        return torch.segment_reduce(self._sums(ids, mask), "sum", lengths=counts)

    def directions(self, sums: Tensor) -> Tensor:
        """Return (n, dim) float32: the encoder's vectors of these sums."""
        return directions(sums, self.whitening)

    def encoder(self, label: str, threads: int) -> NetworkEncoder:
        """Return the encoder as it is now, a copy."""
        return copied(self.like, label, threads)

    def _sums(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(p, dim) float32; a CPU takes few pieces at once, of about one width."""
        if ids.device.type != "cpu" or not self.like.is_sum or not len(ids):
            return self.like.summed(self.network, ids, mask).float()
        widths = mask.sum(1)
        order = widths.argsort(stable=True)
        parts = []
        most = THREAD_TOKENS * torch.get_num_threads()
        for start, stop in groups(widths[order].numpy(), most):
            rows = order[start:stop]
            width = int(widths[rows[-1]])
            parts.append(self.like.summed(self.network, ids[rows, :width], mask[rows, :width]))
        return torch.cat(parts)[order.argsort()].float()

    def _rest(self) -> None:
        self.network.train(False)
        self.requires_grad_(True)
        seen = pieces_of(self.like, SequenceBatch.from_clean(["a"], [b"ACGT" * 20]))
        self(seen.ids, seen.mask, seen.counts).sum().backward()
        for one in self.parameters():
            one.requires_grad_(one.grad is not None)
            one.grad = None


def copied(encoder: NetworkEncoder, label: str, threads: int) -> NetworkEncoder:
    """Return an encoder with the tensors as they are now, on the CPU."""
    tensors = {name: one.copy() for name, one in encoder.as_tensors().items()}
    config = encoder.as_config() | {"label": label}
    return type(encoder).from_saved(config, tensors, threads)


def whitened(
    encoder: NetworkEncoder,
    batch: SequenceBatch,
    seed: int,
    device: torch.device,
    power: float = POWER,
) -> NetworkEncoder:
    """Return an encoder with the whitening of what its network makes of sequences.

    Parameters
    ----------
    encoder : NetworkEncoder
    batch : SequenceBatch
        Of these at most `SAMPLE` are looked at, or twice as many as there are dimensions.
    seed : int
        Draws them.
    device : torch.device
        Where their vectors are made.
    power : float
        As `Whitening` has it.
    """
    cls, about = type(encoder), (encoder.model, encoder.label, encoder.threads)
    vectors = vectors_on(cls(*about), sampled(encoder, batch, seed), device)
    return cls(*about, Whitening.of(vectors, power))


def vectors_on(encoder: NetworkEncoder, batch: SequenceBatch, device: torch.device) -> Float32:
    """Return (n, dim) float32: what `encode` returns, made on a device."""
    maker = encoder.maker(str(device))
    return maker.fetch(maker.make(batch))


def sampled(encoder: NetworkEncoder, batch: SequenceBatch, seed: int) -> SequenceBatch:
    """Return the sequences that tell how vectors are whitened; see `whitened`."""
    most = max(SAMPLE, 2 * encoder.dim)
    rows = np.random.default_rng(seed).permutation(len(batch))[:most]
    sample = batch.take(np.sort(rows))
    return sample.take(np.flatnonzero(encoder.encodable(sample)))


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
