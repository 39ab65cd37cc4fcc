"""A picture as a page: one file that needs no network, to be looked at in a browser."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from seqsearch.plots.maps import COLOURS, GREY, QUERY, SHAPES, Picture
from seqsearch.tables import Float64, whole_file

PAGE = "map.html"
PLACE = "/*DATA*/"
DIGITS = 3


def write_page(picture: Picture, path: Path) -> None:
    """Write a picture as HTML, whole or not at all.

    Points show their names where the mouse is; the wheel zooms, dragging moves, a click on the
    legend hides; colours can be those of any rank.
    """
    template = files("seqsearch.plots").joinpath(PAGE).read_text("utf-8")
    text = json.dumps(_data(picture), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":  # nothing that ends a script
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    with whole_file(path) as temporary:
        temporary.write_text(template.replace(PLACE, text), "utf-8")


def _data(picture: Picture) -> dict[str, Any]:
    return {
        "title": picture.title,
        "notes": list(picture.notes),
        "method": picture.method,
        "rank": picture.rank,
        "colour": picture.colour,
        "ranks": list(picture.ranks),
        "names": [list(own.names) for own in picture.ranks.values()],
        "taxa": [own.taxa.tolist() for own in picture.ranks.values()],
        "ids": list(picture.ids),
        "x": _numbers(picture.xy[:, 0]),
        "y": _numbers(picture.xy[:, 1]),
        "score": _numbers(picture.score),
        "flat": _numbers(picture.flat),
        "rival": picture.rival.tolist(),
        "queries": {
            "ids": list(picture.query_ids),
            "paths": list(picture.query_paths),
            "x": _numbers(picture.query_xy[:, 0]),
            "y": _numbers(picture.query_xy[:, 1]),
        },
        "colours": list(COLOURS),
        "shapes": list(SHAPES),
        "grey": GREY,
        "black": QUERY,
    }


def _numbers(values: Float64) -> list[float | None]:
    """Return rounded numbers, None for NaN."""
    return [None if np.isnan(one) else round(float(one), DIGITS) for one in values]
