"""How far a search by inverted lists goes, as measured when they were made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

KIND = "ivf"
FARTHER = 4  # times as far a search goes on where it found too few


@dataclass(frozen=True)
class Effort:
    """How far a search goes.

    Attributes
    ----------
    probes : int
        Lists that a query looks into, at most.
    reach : float
        So much less similar to it than the nearest one's may the centre of another list be.
    compared : int
        Vectors compared by codes, a query, at most.
    margin : float
        So much less similar, by sketches, than the last one wanted may another vector be.
    """

    probes: int
    reach: float
    compared: int
    margin: float

    def farther(self, lists: int, vectors: int) -> Effort:
        """Return a greater effort; where it takes all lists or vectors, without bounds."""
        probes, compared = min(self.probes * FARTHER, lists), min(self.compared * FARTHER, vectors)
        return Effort(
            probes,
            self.reach * FARTHER if probes < lists else np.inf,
            compared,
            self.margin * FARTHER if compared < vectors else np.inf,
        )

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return self.reach == self.margin == np.inf


@dataclass(frozen=True)
class Plan:
    """How inverted lists are searched.

    Attributes
    ----------
    width : int
        Dimensions of a sketch.
    lists : int
        How many there are.
    effort : Effort
    rows : int
        Vectors of the index below this number are in the files; there mostly is one a row.
    looked_into, looked_at : float
        Lists, and vectors compared by codes, of a query on average.
    recall : float
        Share of the twenty nearest found, measured on disturbed references: what is as similar as
        the exact twentieth counts.
    """

    width: int
    lists: int
    effort: Effort
    rows: int
    looked_into: float
    looked_at: float
    recall: float

    def as_dict(self, folder: str) -> dict[str, Any]:
        """Return what a manifest says of it."""
        return {"type": KIND, "folder": folder, **asdict(self)}

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> Plan:
        """Return the plan of a manifest."""
        values = {name: entry[name] for name in cls.__dataclass_fields__}
        return cls(**{**values, "effort": Effort(**values["effort"])})
