"""Reliability curves: share of names that are right, over their probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seqsearch.plots.figures import figure_class
from seqsearch.tables import Float64, Int64

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's, which colour-blind readers tell apart; shapes tell them apart without colour.
STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"))
PANEL = (2.15, 2.45)  # inches
LEGEND = 1.9
DPI = 130
GREY = "#808080"
LARGEST = 150.0  # area in points squared of the marker that stands for most queries
SMALLEST = 8.0
SIZES = (30, 300, 1500)  # queries, in the legend


@dataclass(frozen=True)
class Curve:
    """Answers in b bins of probability.

    Attributes
    ----------
    p, right : (b,) float64
        Mean probability, and share right.
    low, high : (b,) float64
        Interval of the share.
    count : (b,) int64
        Answers.
    """

    p: Float64
    right: Float64
    low: Float64
    high: Float64
    count: Int64


@dataclass(frozen=True)
class Row:
    """Panels beside each other, in which curves of one name look alike.

    Attributes
    ----------
    title : str
        Above the names of the curves in the legend.
    panels : mapping of str to mapping of str to Curve
        Title of each panel, and its curves by name.
    """

    title: str
    panels: Mapping[str, Mapping[str, Curve]]


def draw(rows: Sequence[Row], title: str = "") -> Figure:
    """Draw rows of reliability curves; areas of markers are proportional to the answers in a bin.

    Parameters
    ----------
    rows : sequence of Row
        As many panels each; at most four names of curves in a row.
    title : str

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    columns = len(rows[0].panels)
    width, height = columns * PANEL[0] + LEGEND, len(rows) * PANEL[1]
    figure = figure_class()(
        figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained"
    )
    grid = figure.subplots(len(rows), columns, sharex=True, sharey=True, squeeze=False)
    largest = max(
        int(curve.count.max(initial=1))
        for row in rows
        for curves in row.panels.values()
        for curve in curves.values()
    )
    for row, panels in zip(rows, grid, strict=True):
        names = list(dict.fromkeys(name for curves in row.panels.values() for name in curves))
        styles = dict(zip(names, STYLES, strict=False))
        for axes, (name, curves) in zip(panels, row.panels.items(), strict=True):
            axes.set_title(name, fontsize=10)
            _panel(axes, {styles[label]: curve for label, curve in curves.items()}, largest)
        panels[0].set_ylabel("share of names right")
        _legend(panels[-1], row.title, styles)
    if title:
        figure.suptitle(title, fontsize=11)
    for axes in grid[-1]:
        axes.set_xlabel("probability of the name")
    _legend_of_sizes(grid[-1][-1], largest)
    return figure


def _panel(axes: Axes, curves: dict[tuple[str, str], Curve], largest: int) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    for (colour, marker), curve in curves.items():
        axes.vlines(curve.p, curve.low, curve.high, color=colour, linewidth=0.9, alpha=0.6)
        axes.plot(curve.p, curve.right, color=colour, linewidth=1, alpha=0.55, zorder=2)
        sizes = [_area(count, largest) for count in curve.count]
        axes.scatter(
            curve.p, curve.right, s=sizes, color=colour, marker=marker, alpha=0.85,
            edgecolor="white", linewidth=0.5, zorder=3,
        )  # fmt: skip
    axes.set_xlim(-0.04, 1.05)
    axes.set_ylim(-0.04, 1.05)
    axes.set_aspect("equal")
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, ["0", "", "0.5", "", "1"])
    axes.set_yticks(ticks, ["0", "", "0.5", "", "1"])
    axes.tick_params(labelsize=8)
    axes.grid(color="#E5E5E5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(axes: Axes, title: str, styles: dict[str, tuple[str, str]]) -> None:
    """Name the curves of a row, right of its last panel."""
    handles = [
        axes.plot([], [], color=colour, marker=marker, markersize=5, linewidth=1.1)[0]
        for colour, marker in styles.values()
    ]
    axes.legend(
        handles, list(styles), title=title, loc="upper left", bbox_to_anchor=(1.04, 1.03),
        frameon=False, fontsize=8, title_fontsize=8.5, alignment="left", borderaxespad=0,
    )  # fmt: skip


def _legend_of_sizes(axes: Axes, largest: int) -> None:
    """Say how many queries a marker stands for, below the last row's legend."""
    counts = [count for count in SIZES if count <= largest] or [largest]
    handles = [
        axes.scatter([], [], s=_area(count, largest), color=GREY, edgecolor="white")
        for count in counts
    ]
    first = axes.get_legend()
    axes.legend(
        handles, [f"{count:,}" for count in counts], title="queries in a bin", loc="lower left",
        bbox_to_anchor=(1.04, -0.03), frameon=False, fontsize=8, title_fontsize=8.5,
        alignment="left", borderaxespad=0,
    )  # fmt: skip
    assert first is not None
    axes.add_artist(first).set_clip_on(False)  # a second legend takes the first one's place


def _area(count: int, largest: int) -> float:
    return SMALLEST + (LARGEST - SMALLEST) * float(count) / largest
