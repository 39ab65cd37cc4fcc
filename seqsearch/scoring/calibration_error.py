"""How far probabilities lie from the share of them that comes true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqsearch.tables import Bool, Float64, Int64

BINS = 15  # of equal mass


@dataclass(frozen=True)
class Bins:
    """Predictions sorted into b bins by their probability; none is empty.

    Attributes
    ----------
    p : (b,) float64
        Mean probability.
    right : (b,) float64
        Share that came true.
    mass : (b,) float64
        Share of the whole weight.
    count : (b,) int64
        Predictions.
    """

    p: Float64
    right: Float64
    mass: Float64
    count: Int64

    @property
    def error(self) -> float:
        """The expected calibration error; nan of nothing (Naeini, Cooper, Hauskrecht 2015)."""
        if not len(self.p):
            return float("nan")
        return float((self.mass * np.abs(self.p - self.right)).sum())


def equal_mass(p: Float64, is_right: Bool, weight: Float64 | None = None, bins: int = BINS) -> Bins:
    """Sort predictions into bins of equal weight.

    Equal probabilities share the bin that their middle falls in, so the order of the predictions
    decides nothing.

    Parameters
    ----------
    p : (n,) float64
    is_right : (n,) bool
    weight : (n,) float64, optional
        1 each unless given; those of weight 0 are left out.
    bins : int

    Examples
    --------
    >>> found = equal_mass(np.array([0.1, 0.1, 0.9, 0.7]), np.array([0, 0, 1, 1], bool), bins=2)
    >>> found.p.round(2).tolist(), found.right.tolist(), round(found.error, 2)
    ([0.1, 0.8], [0.0, 1.0], 0.15)
    """
    weight = np.ones(len(p)) if weight is None else weight
    values, place = np.unique(p[weight > 0], return_inverse=True)
    is_right, weight = is_right[weight > 0], weight[weight > 0]
    mass = np.bincount(place, weight, len(values))
    middle = (np.cumsum(mass) - mass / 2) / max(mass.sum(), 1e-300)
    own = np.minimum((middle * bins).astype(np.int64), bins - 1)
    return _binned(values[place], is_right, weight, own[place], bins)


def equal_width(p: Float64, is_right: Bool, bins: int = 10) -> Bins:
    """Sort predictions into bins that are equally wide, 1 in the last.

    Examples
    --------
    >>> found = equal_width(np.array([0.0, 0.92, 1.0]), np.array([False, True, True]))
    >>> found.p.round(2).tolist(), found.right.tolist(), found.count.tolist()
    ([0.0, 0.96], [0.0, 1.0], [1, 2])
    """
    own = np.minimum((p * bins).astype(np.int64), bins - 1)
    return _binned(p, is_right, np.ones(len(p)), own, bins)


def wilson(share: Float64, count: Int64) -> tuple[Float64, Float64]:
    """Return the ends of the 95 % score interval of shares (Wilson 1927).

    Examples
    --------
    >>> low, high = wilson(np.array([0.5, 1.0]), np.array([10, 10]))
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.237, 0.722], [0.763, 1.0])
    """
    square = 1.959964**2 / count
    middle = (share + square / 2) / (1 + square)
    half = np.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    return middle - half, middle + half


def _binned(p: Float64, is_right: Bool, weight: Float64, own: Int64, bins: int) -> Bins:
    """Sum up each bin."""
    count = np.bincount(own, minlength=bins)
    mass = np.bincount(own, weight, bins)[count > 0]
    means = [np.bincount(own, weight * values, bins)[count > 0] / mass for values in (p, is_right)]
    return Bins(means[0], means[1], mass / mass.sum(), count[count > 0])
