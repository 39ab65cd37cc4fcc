"""References whose halves are of different taxa."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seqsearch.jobs.selfsearch import AT_ONCE, SelfSearch
from seqsearch.tables import Float32, Int32, Int64

OF_HALVES = 0.9  # probability of the names of both halves from which they may be of two taxa
LEFT = 0.75  # share of the edits of the whole that its halves may need together
SHORTEST = 200  # bases of a record that is halved


@dataclass(frozen=True)
class Chimera:
    """A record that looks like two.

    Attributes
    ----------
    record : int
        Of the self-search.
    rank : int
        The highest at which the halves differ.
    taxa, rows : (int, int)
        What each half is named there, and its nearest row.
    probability : float
        That both names are right.
    identities : (float, float)
        With the nearest rows.
    spared : float
        Edits that the halves need less than the whole.
    """

    record: int
    rank: int
    taxa: tuple[int, int]
    rows: tuple[int, int]
    probability: float
    identities: tuple[float, float]
    spared: float


def find_chimeras(search: SelfSearch, lengths: Int32, edits: Float32) -> list[Chimera]:
    """Find records whose halves are of different taxa, with high probability each.

    Each half must be so much nearer to its own that together they need fewer edits than the whole.
    A half may also be near a chimera, though it is none: of two records where one is the nearest of
    the other's half, the one whose halves spare more edits is meant.

    Parameters
    ----------
    search : SelfSearch
    lengths : (n,) int32
        Bases of its records.
    edits : (n,) float32
        Of each whole record with the nearest of the others; NaN where there is none.
    """
    long = np.flatnonzero(lengths >= SHORTEST)
    found = [
        one
        for start in range(0, len(long), AT_ONCE)
        for one in _among(search, edits, long[start : start + AT_ONCE])
    ]
    spared = {int(search.rows[one.record]): one.spared for one in found}
    return [one for one in found if all(spared.get(row, 0.0) <= one.spared for row in one.rows)]


def _among(search: SelfSearch, edits: Float32, asked: Int64) -> Iterator[Chimera]:
    first, second = (search.halves(asked, is_second) for is_second in (False, True))
    sure = np.minimum(first.probable.right, second.probable.right) >= OF_HALVES
    apart = first.edits + second.edits
    differs = sure & (first.taxa != second.taxa) & (apart < LEFT * edits[asked])[:, None]
    for i in np.flatnonzero(differs.any(axis=1)).tolist():
        rank = int(differs[i].argmax())
        yield Chimera(
            int(asked[i]),
            rank,
            (int(first.taxa[i, rank]), int(second.taxa[i, rank])),
            (int(first.candidates.rows[i, 0]), int(second.candidates.rows[i, 0])),
            float(first.probable.right[i, rank] * second.probable.right[i, rank]),
            (float(first.identities[i]), float(second.identities[i])),
            float(edits[asked[i]] - apart[i]),
        )
