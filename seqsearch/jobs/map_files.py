"""The folder of a map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from seqsearch.errors import FolderError, MissingExtraError
from seqsearch.jobs.assigning import tsv_lines
from seqsearch.plots.figures import figure_class, save
from seqsearch.plots.maps import Picture, draw
from seqsearch.plots.page import write_page
from seqsearch.tables import foreign_files, whole_file, write_json, write_parquet

ABOUT, PAGE, FIGURE, POINTS = "map.json", "map.html", "map.png", "points"
_OWN = (r"map\.(json|html|png)", r"points\.(tsv|parquet)")


def check_target(folder: Path, overwrite: bool) -> None:
    """Raise `FolderError` unless a map may be written here."""
    if folder.exists() and not folder.is_dir():
        raise FolderError(folder, "there is a file of this name", advice="choose another output")
    if not folder.is_dir():
        return
    foreign = foreign_files(folder, _OWN)
    if foreign:
        problem = f"has files that are no map's ({foreign[0]})"
        raise FolderError(folder, problem, advice="choose another output")
    if (folder / ABOUT).exists() and not overwrite:
        raise FolderError(folder, "a map is here", advice="give --overwrite to replace it")


def write_map(folder: Path, picture: Picture, table: pa.Table, about: dict[str, Any]) -> str:
    """Write a map's files, map.json last; returns why there is no figure."""
    missing = ""
    (folder / ABOUT).unlink(missing_ok=True)
    try:
        figure_class()
    except MissingExtraError as error:
        missing = str(error)
        (folder / FIGURE).unlink(missing_ok=True)
    else:
        save(draw(picture), folder / FIGURE)
    write_page(picture, folder / PAGE)
    write_parquet(table, folder / f"{POINTS}.parquet")
    header = "\t".join(table.column_names) + "\n"
    with whole_file(folder / f"{POINTS}.tsv") as temporary:
        temporary.write_bytes(header.encode() + tsv_lines(table))
    write_json(about, folder / ABOUT)
    return missing
