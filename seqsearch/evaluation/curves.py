"""Reliability curves of calls, as a figure shows them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqsearch.evaluation.calls import SEEN, Judged
from seqsearch.plots.reliability import Curve, Row
from seqsearch.scoring.calibration_error import equal_width, wilson
from seqsearch.tables import Bool

LEAST = 20  # queries in a bin that is drawn
BY_RANK = ("species", "genus", "family")
# Of each set, the lowest rank at which the library has the right name.
BY_SET = {
    SEEN: ("species", "species"),
    "unseen_species": ("genus (species is new)", "genus"),
    "unseen_genus": ("family (genus is new)", "family"),
    "unseen_family": ("order (family is new)", "order"),
}


def rows_of(judged: Mapping[str, Judged]) -> list[Row]:
    """Return the curves of libraries: by rank, and by what the library lacks.

    Parameters
    ----------
    judged : mapping of str to Judged
        Calls of each library under the bench's own mix.
    """
    ranks, sets = {}, {}
    for name, calls in judged.items():
        every = np.ones(len(calls.sets), bool)
        ranks[name] = {rank: curve(calls, rank, every) for rank in BY_RANK}
        sets[name] = {
            label: curve(calls, rank, calls.sets == own) for own, (label, rank) in BY_SET.items()
        }
    return [Row("all queries", ranks), Row("lowest rank in the library", sets)]


def curve(judged: Judged, rank: str, chosen: Bool) -> Curve:
    """Return the curve of some queries at a rank, bins of less than `LEAST` left out.

    Parameters
    ----------
    judged : Judged
    rank : str
    chosen : (n,) bool
    """
    chosen = chosen & np.isfinite(judged.p[rank])
    bins = equal_width(judged.p[rank][chosen], judged.is_right[rank][chosen])
    low, high = wilson(bins.right, bins.count)
    kept = bins.count >= LEAST
    return Curve(bins.p[kept], bins.right[kept], low[kept], high[kept], bins.count[kept])
