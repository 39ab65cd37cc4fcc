"""`seqsearch map`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqsearch.cli.options import Json, Overwrite, Quiet, Threads
from seqsearch.cli.screen import progress, say, say_json, say_table, warn

SHOWN = 8  # references least like their taxon


def draw_map(
    index: Annotated[
        Path, typer.Argument(metavar="INDEX", help="Index folder.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.", show_default=False)],
    queries: Annotated[
        Path | None,
        typer.Option(
            "--queries", help="Run folder, FASTA or FASTQ: drawn as crosses.", show_default=False
        ),
    ] = None,
    rank: Annotated[
        str | None,
        typer.Option(
            "--rank",
            help="Drawn evenly over its taxa, and scored.",
            show_default="family, or the second lowest",
        ),
    ] = None,
    colour: Annotated[
        str | None,
        typer.Option(
            "--colour",
            help="Rank that colours.",
            show_default="the same, or one above it where colours would be few",
        ),
    ] = None,
    method: Annotated[str, typer.Option("--method", help="tsne, or umap (extra report).")] = "tsne",
    sample: Annotated[
        int, typer.Option("--sample", help="References drawn, at most; of queries half as many.")
    ] = 3000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed draws the same map.")] = 0,
    threads: Threads = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Draw the space in which an index's references lie, coloured by taxon.

    Writes map.html (zoom, names, any rank), map.png, points.tsv and .parquet, and map.json.

    Example: seqsearch map indexes/coi -o maps/coi --rank family --queries runs/asvs
    """
    from seqsearch.jobs.mapping import MapSettings, map_index

    settings = MapSettings(rank, colour, method, sample, seed, threads)
    with progress(quiet) as report:
        done = map_index(
            index, out, queries=queries, settings=settings, overwrite=overwrite, progress=report
        )
    if done.missing:
        warn(f"no map.png: {done.missing}", quiet)
    if json:
        say_json(done.about)
        return
    if quiet:
        return
    about = done.about
    of = about["rank"]
    drawn = f"{about['references']:,} of {about['of']:,} references"
    asked = f", {about['queries']:,} queries" if queries is not None else ""
    say(f"{done.folder}: {drawn}{asked}, coloured by {about['coloured_by']}")
    apart = about["silhouette"]
    if not apart["points"]:
        say(f"no silhouette: fewer than two references of one {of}, or no second {of}")
        return
    say(
        f"silhouette by {of}, of {apart['points']:,} references: {apart['vectors_cosine']:.3f} "
        f"among the vectors (cosine), {apart['picture_euclidean']:.3f} in the picture (Euclidean)"
    )
    say(f"least like their {of} (map.html lists more):")
    rows = [[one["id"], one[of], one["next"], one["silhouette"]] for one in about["lowest"]]
    say_table(["reference", of, "next", "silhouette"], rows[:SHOWN])
