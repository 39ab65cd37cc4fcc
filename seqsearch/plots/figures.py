"""Figures of matplotlib, drawn without a display and written as PNG."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsearch.errors import MissingExtraError
from seqsearch.tables import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = 128  # a palette takes a third of the room


def figure_class() -> Any:
    """Return matplotlib's figure, which needs no display.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  matplotlib is an extra
    except ImportError as error:
        raise MissingExtraError("matplotlib", "report") from error
    return Figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    from PIL import Image  # noqa: PLC0415  comes with matplotlib

    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    with Image.open(drawn) as image, whole_file(Path(path)) as temporary:
        few = image.convert("RGB").quantize(
            COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
        few.save(temporary, format="PNG", optimize=True)
