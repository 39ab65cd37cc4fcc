"""Counts of k-mers over their rank, both logarithmic, with Zipf's law as fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seqsearch.plots.figures import figure_class
from seqsearch.plots.maps import COLOURS
from seqsearch.tables import Float64

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (7.2, 4.6)  # inches
DPI = 130


@dataclass(frozen=True)
class Ranked:
    """A curve.

    Attributes
    ----------
    name : str
    share : (ranks,) float64
        Of all that were read, the largest first.
    fitted : (ranks,) float64 or None
        What the law expects.
    """

    name: str
    share: Float64
    fitted: Float64 | None


def draw(curves: Sequence[Ranked], title: str) -> Figure:
    """Draw rank-frequency curves, dashed what was fitted.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    figure = figure_class()(figsize=SIZE, dpi=DPI, facecolor="white", layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        rank = np.arange(1, len(curve.share) + 1)
        axes.plot(rank, curve.share, color=colour, linewidth=2.2, label=curve.name)
        if curve.fitted is not None:
            axes.plot(rank, curve.fitted, color=colour, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot([], [], color="#555555", linewidth=1, linestyle=(0, (4, 3)), label="Zipf's law")
    axes.set_xlabel("rank of the k-mer")
    axes.set_ylabel("share of all k-mers")
    axes.set_title(title, fontsize=11, loc="left")
    axes.grid(color="#E5E5E5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure
