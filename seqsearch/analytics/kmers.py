"""How often the k-mers of a library occur: counts by rank, and Zipf's law."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import brentq

from seqsearch.tables import Float64, Int64

STEEPEST = 50.0  # exponent that is looked for at most


@dataclass(frozen=True)
class KmerCounts:
    """Counts of all k-mers of one length.

    Attributes
    ----------
    k : int
    counts : (4^k,) int64
        In the order of the k-mers.
    unknown : int
        k-mers with other letters than A, C, G and T, which are not among them.
    """

    k: int
    counts: Int64
    unknown: int

    @cached_property
    def order(self) -> Int64:
        """(s,) int64: the k-mers that occur, the commonest first, those as common by alphabet."""
        order = np.argsort(-self.counts, kind="stable")
        return order[: int((self.counts > 0).sum())]

    @cached_property
    def exponent(self) -> float | None:
        """The exponent of Zipf's law; see `zipf_exponent`."""
        return zipf_exponent(self.counts[self.order])

    @property
    def entropy(self) -> float | None:
        """Bits that a k-mer tells: 2k, were all as common; None where there is none."""
        share = self.counts[self.order] / max(int(self.counts.sum()), 1)
        return float(-(share * np.log2(share)).sum()) if len(share) else None

    def as_dict(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "k": self.k,
            "read": int(self.counts.sum()),
            "unknown": self.unknown,
            "seen": len(self.order),
            "of": len(self.counts),
            "entropy_bits": self.entropy,
            "exponent": self.exponent,
        }


def expected_shares(exponent: float, ranks: int) -> Float64:
    """Return (ranks,) float64: shares under Zipf's law, rank^-exponent divided by their sum."""
    logs = -exponent * np.log(np.arange(1, ranks + 1))
    shares: Float64 = np.exp(logs)
    return shares / shares.sum()


def zipf_exponent(counts: Int64) -> float | None:
    """Fit Zipf's law by maximum likelihood: share of rank r is r^-s over the sum of all ranks'.

    The law is cut at the last rank that there is, so s may be below 1. At the most likely s the
    mean logarithm of the ranks is what the law expects (an exponential family), which is solved
    for. Unlike a straight line through a log-log plot, every k-mer read weighs the same, not every
    rank.

    Parameters
    ----------
    counts : (ranks,) int64
        By rank, the largest first, none 0.

    Returns
    -------
    float or None
        None of fewer than two ranks.

    Examples
    --------
    >>> round(zipf_exponent(np.array([6000, 3000, 2000, 1500, 1200])), 6)
    1.0
    """
    if len(counts) < 2:
        return None
    logs = np.log(np.arange(1, len(counts) + 1))
    mean = float((counts * logs).sum() / counts.sum())

    def excess(exponent: float) -> float:
        return float((expected_shares(exponent, len(counts)) * logs).sum()) - mean

    if excess(0.0) <= 1e-12:  # all as common
        return 0.0
    if excess(STEEPEST) >= 0:
        return STEEPEST
    return float(brentq(excess, 0.0, STEEPEST, xtol=1e-10))
