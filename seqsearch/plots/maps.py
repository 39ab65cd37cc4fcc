"""Pictures of a space of vectors: points coloured by taxon, as a figure of matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seqsearch.plots.figures import figure_class
from seqsearch.tables import Float64, Int32, Int64

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's without yellow and black, and a dark red: apart for colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255")
SHAPES = {"circle": "o", "triangle": "^", "square": "s"}  # of a page, and of matplotlib
STYLES = tuple((colour, shape) for shape in SHAPES for colour in COLOURS)
GREY = "#C4C4C4"
QUERY = "#000000"
SIZE = (10.5, 7.6)  # inches
LEGEND = 2.9  # of its width
DPI = 130
AREA = 13.0  # points squared of a marker, where there are FEW
FEW = 3000
NAME = 27  # letters of a name in the legend


@dataclass(frozen=True)
class Coloured:
    """The taxa of points at one rank.

    Attributes
    ----------
    names : sequence of str
        Those that get a colour first.
    taxa : (n,) int32
        Position in `names` of each point's; -1 for none.
    """

    names: Sequence[str]
    taxa: Int32

    @property
    def counts(self) -> Int64:
        """(names,) int64: points of each."""
        return np.bincount(self.taxa[self.taxa >= 0], minlength=len(self.names))


@dataclass(frozen=True)
class Picture:
    """Places of references, and of queries among them.

    Attributes
    ----------
    title : str
    notes : sequence of str
        Lines below it: what was done, and what was measured.
    method : str
        What made the places, as it is written.
    rank : str
        Drawn evenly, and scored.
    colour : str
        The rank that colours.
    ranks : dict of str to Coloured
        By rank, highest first.
    ids : sequence of str
    xy : (n, 2) float64
    score, flat : (n,) float64
        Silhouettes in the space and in the picture; NaN for none.
    rival : (n,) int32
        Position of the nearest other taxon among the names of `rank`; -1 for none.
    query_ids, query_paths : sequence of str
        The names that queries were given; "" where none are known.
    query_xy : (m, 2) float64
    """

    title: str
    notes: Sequence[str]
    method: str
    rank: str
    colour: str
    ranks: dict[str, Coloured]
    ids: Sequence[str]
    xy: Float64
    score: Float64
    flat: Float64
    rival: Int32
    query_ids: Sequence[str]
    query_paths: Sequence[str]
    query_xy: Float64


def draw(picture: Picture) -> Figure:
    """Draw a picture, with a legend of the taxa that have a colour.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    figure = figure_class()(figsize=SIZE, dpi=DPI, facecolor="white")
    height = SIZE[1]
    top = 1 - (0.45 + 0.19 * len(picture.notes)) / height
    plot = figure.add_axes((0.03, 0.045, 1 - LEGEND / SIZE[0] - 0.04, top - 0.06))
    figure.text(0.03, 1 - 0.3 / height, picture.title, fontsize=12.5)
    for line, note in enumerate(picture.notes):
        at = 1 - (0.52 + 0.19 * line) / height
        figure.text(0.03, at, note, fontsize=8.5, color="#444444")
    _points(plot, picture)
    plot.set_xticks([])
    plot.set_yticks([])
    plot.set_xlabel(f"{picture.method} 1", fontsize=8.5, color="#444444")
    plot.set_ylabel(f"{picture.method} 2", fontsize=8.5, color="#444444")
    plot.set_aspect("equal", adjustable="datalim")
    plot.spines[["top", "right"]].set_visible(False)
    plot.spines[["left", "bottom"]].set_color("#999999")
    plot.legend(
        title=f"{picture.colour} (points)", loc="upper left", bbox_to_anchor=(1.02, 1.0),
        frameon=False, fontsize=8.5, title_fontsize=9.5, alignment="left", borderaxespad=0,
        handletextpad=0.3, markerscale=1.6, labelspacing=0.55,
    )  # fmt: skip
    return figure


def _points(plot: Axes, picture: Picture) -> None:
    """Draw points: those without a colour at the bottom, queries between them and the others."""
    shown = picture.ranks[picture.colour]
    area = AREA * min(1.0, max(0.25, FEW / max(len(picture.xy), 1)))
    drawn = len(STYLES)
    for taxon, (name, count) in enumerate(zip(shown.names, shown.counts, strict=True)):
        if taxon == drawn:
            break
        colour, shape = STYLES[taxon]
        own = picture.xy[shown.taxa == taxon]
        plot.scatter(
            own[:, 0], own[:, 1], s=area, color=colour, marker=SHAPES[shape], linewidth=0,
            alpha=0.85, zorder=3, label=f"{_short(name)} ({count:,})",
        )  # fmt: skip
    for label, chosen in (
        (f"{len(shown.names) - drawn:,} others", shown.taxa >= drawn),
        ("without a name", shown.taxa < 0),
    ):
        if chosen.any():
            own = picture.xy[chosen]
            is_named = label != "without a name"
            plot.scatter(
                own[:, 0], own[:, 1], s=0.7 * area, marker="o", zorder=2, linewidth=0.6,
                facecolor=GREY if is_named else "none", edgecolor="none" if is_named else GREY,
                label=f"{label} ({int(chosen.sum()):,})",
            )  # fmt: skip
    if len(picture.query_xy):
        plot.scatter(
            picture.query_xy[:, 0], picture.query_xy[:, 1], s=1.3 * area, marker="x", color=QUERY,
            linewidth=0.6, alpha=0.7, zorder=2.5, label=f"queries ({len(picture.query_xy):,})",
        )  # fmt: skip


def _short(name: str) -> str:
    return name if len(name) <= NAME else f"{name[: NAME - 3]}..."
