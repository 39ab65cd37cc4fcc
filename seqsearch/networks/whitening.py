"""Vectors seen from their centre, all their directions more alike in width. Imports torch."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqsearch.tables import Float32

PREFIX = "whitening."  # of its tensors, where they stand beside those of a network
# 1 would whiten, 0 only centre. Chosen on held-out references (docs/encoders.md has the table);
# others can be tried with scripts/tune_whitening.py.
POWER = 0.75
NARROWEST = 1e-3  # of the widest direction: below it there is only rounding to be widened


class Whitening(nn.Module):
    """Takes the centre from vectors, and divides each principal axis by a power of its width.

    Means over the tokens of a transformer all point nearly the same way, and differ most along a
    few axes that tell little (where a sequence begins, say), so that their cosines hardly follow
    relatedness. Taking out the mean is the first step of Mu and Viswanath 2018 ("All-but-the-top",
    arXiv:1702.01417), dividing by standard deviations that of Su et al. 2021 ("Whitening sentence
    representations", arXiv:2103.15316). Here a power of them is divided by, a little less than the
    whole way: what is narrowest in a sample is mostly chance.

    Parameters
    ----------
    centre : (dim,) float32
    axes : (dim, dim) float32
        Principal axes in columns, over the power of their widths.
    """

    centre: Tensor
    axes: Tensor

    def __init__(self, centre: Tensor, axes: Tensor) -> None:
        super().__init__()
        self.register_buffer("centre", centre)
        self.register_buffer("axes", axes)

    @classmethod
    def of(cls, vectors: Float32, power: float = POWER) -> Self:
        """Find centre and axes.

        Parameters
        ----------
        vectors : (n, dim) float32
            Of length 1. They tell the widths of n / 2 axes; all narrower ones count as the last of
            these, for a width that few vectors leave near 0 is one that others will have.
        power : float
        """
        centre = vectors.mean(0, dtype=np.float64)
        apart = vectors - centre
        variances, axes = np.linalg.eigh(apart.T @ apart / len(vectors))
        widths = np.sqrt(np.maximum(variances, 0))  # ascending
        last = widths[-min(max(len(vectors) // 2, 1), len(widths))]
        least = max(last, NARROWEST * widths[-1], np.finfo(np.float32).tiny)
        widths = np.maximum(widths, least)
        scaled = axes / widths**power
        return cls(*(torch.from_numpy(one.astype(np.float32)) for one in (centre, scaled)))

    def forward(self, vectors: Tensor) -> Tensor:
        """Return (n, dim) float32 of length 1, of vectors of length 1."""
        return functional.normalize((vectors - self.centre) @ self.axes)
