"""Vectors on the devices where they were made, for a search there. No torch needed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from seqsearch.tables import Float32


@dataclass(frozen=True)
class DeviceVectors:
    """The vectors of a batch, left where they were made.

    Attributes
    ----------
    parts : tuple of `lane.Handed`
        One a device, in the order of the batch: (n_i, d) float32, L2-normalised.
    """

    parts: tuple[Any, ...]


Vectors = Float32 | DeviceVectors  # (n, d), as the encoder made them


def shares(count: int, devices: int) -> list[tuple[int, int]]:
    """Return where the share of each device begins and ends.

    >>> shares(5, 2)
    [(0, 2), (2, 5)]
    """
    edges = [count * i // devices for i in range(devices + 1)]
    return list(pairwise(edges))
