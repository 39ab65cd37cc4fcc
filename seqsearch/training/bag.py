"""The bag of words in torch: what is trained, and how it becomes an encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.words import count_words
from seqsearch.encoders.kmerbag import Shape
from seqsearch.encoders.tensors import Tensors

LARGEST = 127  # of an int8


@dataclass(frozen=True)
class Words:
    """The words of one pattern, as sparse rows.

    Attributes
    ----------
    offsets : (n,) int64
        Where each sequence's words begin.
    word : (m,) int64
        Numbers in the bag's table.
    weight : (m,) float32
        Square roots of the counts.
    """

    offsets: Tensor
    word: Tensor
    weight: Tensor

    def to(self, device: torch.device) -> Words:
        """Return them on a device."""
        return Words(self.offsets.to(device), self.word.to(device), self.weight.to(device))


@dataclass(frozen=True)
class Counted:
    """The words of some sequences, pattern by pattern."""

    parts: list[Words]

    @classmethod
    def of(cls, batch: SequenceBatch, shape: Shape) -> Counted:
        """Count the words of a batch."""
        found = []
        for pattern in shape.patterns:
            counts = count_words(batch, pattern)
            found.append(
                Words(
                    torch.from_numpy(counts.offsets[:-1].copy()),
                    torch.from_numpy(shape.numbers(pattern)[counts.word].astype(np.int64)),
                    torch.from_numpy(np.sqrt(counts.count.astype(np.float32))),
                )
            )
        return cls(found)

    def to(self, device: torch.device) -> Counted:
        """Return them on a device."""
        return Counted([some.to(device) for some in self.parts])


class BagModel(nn.Module):
    """Tables of word vectors; they start as a random projection.

    Parameters
    ----------
    shape : Shape
    dropout : float
        Share of the words left out in training.
    """

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape, self.dropout = shape, dropout
        self.tables = nn.ParameterList(
            nn.Parameter(torch.randn(shape.words(pattern), shape.dim) / math.sqrt(shape.dim))
            for pattern in shape.patterns
        )

    def forward(self, words: list[Words]) -> Tensor:
        """Return (n, dim) float32, L2-normalised."""
        total: Tensor | None = None
        for table, some in zip(self.tables, words, strict=True):
            weight = some.weight
            if self.training and self.dropout:
                weight = weight * (torch.rand_like(weight) >= self.dropout)
            part = functional.embedding_bag(
                some.word, table, some.offsets, mode="sum", per_sample_weights=weight
            )
            total = part if total is None else total + part
        assert total is not None, "a shape has a pattern"
        return functional.normalize(total)

    @torch.no_grad()
    def quantised(self) -> Tensors:
        """Return the tensors of `KmerBag`: tables in whole numbers, a scale a column."""
        tensors = {}
        for pattern, table in zip(self.shape.patterns, self.tables, strict=True):
            plain = table.detach().float().cpu()
            scale = plain.abs().amax(0).clamp_min(1e-12) / LARGEST
            tensors[f"table.{pattern}"] = (plain / scale).round().to(torch.int8).numpy()
            tensors[f"scale.{pattern}"] = scale.numpy()
        return tensors
