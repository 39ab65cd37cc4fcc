"""`seqsearch train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seqsearch.cli.options import Json, Overwrite, Quiet
from seqsearch.cli.screen import progress, say, say_json, say_table

app = typer.Typer(no_args_is_help=True, help="Train encoders.", rich_markup_mode=None)


@app.callback()
def _root() -> None:
    pass


@app.command()
def contrastive(
    indexes: Annotated[
        list[Path],
        typer.Argument(metavar="INDEX...", help="Index folders, one a marker.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Encoder folder.", show_default=False)],
    recipe: Annotated[str, typer.Option("--recipe", help="kmerbag or hybrid.")] = "hybrid",
    name: Annotated[str, typer.Option("--name", help="What to call it.", show_default=False)] = "",
    steps: Annotated[
        int | None, typer.Option("--steps", help="Steps of training.", show_default=False)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Sequences a step.", show_default=False)
    ] = None,
    holdout: Annotated[
        str | None,
        typer.Option(
            "--holdout", help="Kept out: development, genera or none.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Draws everything.", show_default=False)
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE of a recipe's setting.", show_default=False),
    ] = None,
    share: Annotated[
        list[str] | None,
        typer.Option(
            "--share",
            help="MARKER=SHARE: how often it is drawn; 1 as its size gives.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option("--threads", "-t", help="0: every core.")] = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train an encoder on the references of indexes, by their names.

    Example: seqsearch train contrastive indexes/coi indexes/its -o encoders/mine
    """
    from seqsearch.jobs.training import train_contrastive
    from seqsearch.training.recipe import changed_recipe

    with progress(quiet, "steps") as report:
        done = train_contrastive(
            indexes,
            out,
            changed_recipe(
                recipe,
                change or [],
                steps=steps,
                batch_size=batch_size,
                holdout=holdout,
                seed=seed,
            ),
            name=name,
            shares=_shares(share or []),
            device=device,
            threads=threads,
            resume=resume,
            overwrite=overwrite,
            progress=report,
        )
    if json:
        say_json(done.as_dict())
    elif not quiet:
        _say(done)


def _shares(given: list[str]) -> dict[str, float]:
    from seqsearch.training.recipe import pairs_of

    return {name: float(value) for name, value in pairs_of("share", given)}


def _say(done: Any) -> None:
    from seqsearch.training.validation import mean_right

    if done.cells:
        rows = [
            [whole.marker, whole.hidden, whole.rank, whole.queries, whole.right, piece.right]
            for whole, piece in zip(done.cells, done.fragment_cells, strict=True)
        ]
        say_table(["library", "queries", "rank", "number", "% right", "% of fragments"], rows)
        say(
            f"mean over libraries: {mean_right(done.cells):.2f} % right, "
            f"fragments {mean_right(done.fragment_cells):.2f}"
        )
    say(f"{done.folder}: {done.encoder.name}, {done.seconds / 60:.1f} minutes of training")
