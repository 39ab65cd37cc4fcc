"""`seqsearch train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seqsearch.cli.options import Json, Overwrite, Quiet
from seqsearch.cli.screen import progress, say, say_json, say_table

app = typer.Typer(no_args_is_help=True, help="Train encoders.", rich_markup_mode=None)

Indexes = Annotated[
    list[Path],
    typer.Argument(metavar="INDEX...", help="Index folders, one a marker.", show_default=False),
]
Inputs = Annotated[
    list[Path],
    typer.Argument(
        metavar="INPUT...", help="FASTA or FASTQ files, index folders.", show_default=False
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Encoder folder.", show_default=False)]
Recipe = Annotated[
    str | None,
    typer.Option("--recipe", help="Name of a recipe; docs/encoders.md lists them."),
]
Start = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="Folder of the encoder to start from; none: from nothing.",
        show_default=False,
    ),
]
Name = Annotated[str, typer.Option("--name", help="What to call it.", show_default=False)]
Steps = Annotated[
    int | None, typer.Option("--steps", help="Steps of training.", show_default=False)
]
Epochs = Annotated[
    float | None,
    typer.Option("--epochs", help="In the place of --steps: times through.", show_default=False),
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", help="Sequences at once.", show_default=False)
]
Holdout = Annotated[
    str | None,
    typer.Option("--holdout", help="Kept out: development, genera or none.", show_default=False),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Draws everything.", show_default=False)]
Change = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE of a recipe's setting.", show_default=False),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Threads = Annotated[int, typer.Option("--threads", "-t", help="0: every core.")]
SHIPPED = "hybrid"  # the recipe of the encoder that ships


@app.callback()
def _root() -> None:
    pass


@app.command()
def pretrain(
    inputs: Inputs,
    out: Out,
    recipe: Recipe = "barcodebert",
    start: Start = None,
    name: Name = "",
    steps: Steps = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    holdout: Holdout = None,
    seed: Seed = None,
    change: Change = None,
    resume: Resume = False,
    device: Device = "auto",
    threads: Threads = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train a network to guess hidden parts of sequences; no names are needed.

    Example: seqsearch train pretrain coi.fasta.gz --recipe barcodebert-small -o encoders/mine
    """
    from seqsearch.jobs.pretraining import pretrain as pretrain_job
    from seqsearch.training.choosing import changed_recipe
    from seqsearch.training.recipe import Pretraining

    chosen = changed_recipe(
        recipe or "barcodebert",
        change or [],
        Pretraining,
        start,
        steps=steps,
        epochs=epochs,
        batch_size=batch_size,
        holdout=holdout,
        seed=seed,
    )
    with progress(quiet, "steps") as report:
        done = pretrain_job(
            inputs,
            out,
            chosen,
            name=name,
            start=start,
            device=device,
            threads=threads,
            resume=resume,
            overwrite=overwrite,
            progress=report,
        )
    _show(done, quiet, json)


@app.command()
def finetune(
    indexes: Indexes,
    out: Out,
    recipe: Recipe = None,
    start: Start = None,
    name: Name = "",
    steps: Steps = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    holdout: Holdout = None,
    seed: Seed = None,
    change: Change = None,
    resume: Resume = False,
    device: Device = "auto",
    threads: Threads = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train a network to name the references of indexes, at every rank at once.

    Example: seqsearch train finetune indexes/coi --from encoders/mine -o encoders/tuned
    """
    from seqsearch.jobs.finetuning import finetune as finetune_job
    from seqsearch.training.choosing import changed_recipe
    from seqsearch.training.recipe import Finetuning

    chosen = changed_recipe(
        recipe or _family(start) or "barcodebert",
        change or [],
        Finetuning,
        start,
        steps=steps,
        epochs=epochs,
        batch_size=batch_size,
        holdout=holdout,
        seed=seed,
    )
    with progress(quiet, "steps") as report:
        done = finetune_job(
            indexes,
            out,
            chosen,
            name=name,
            start=start,
            device=device,
            threads=threads,
            resume=resume,
            overwrite=overwrite,
            progress=report,
        )
    _show(done, quiet, json)


@app.command()
def contrastive(
    indexes: Indexes,
    out: Out,
    recipe: Recipe = None,
    start: Start = None,
    name: Name = "",
    steps: Steps = None,
    batch_size: BatchSize = None,
    holdout: Holdout = None,
    seed: Seed = None,
    change: Change = None,
    share: Annotated[
        list[str] | None,
        typer.Option(
            "--share",
            help="MARKER=SHARE: how often it is drawn; 1 as its size gives.",
            show_default=False,
        ),
    ] = None,
    resume: Resume = False,
    device: Device = "auto",
    threads: Threads = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train an encoder on the references of indexes, by their names.

    Example: seqsearch train contrastive indexes/coi indexes/its -o encoders/mine
    """
    from seqsearch.jobs.contrasting import train_contrastive
    from seqsearch.training.choosing import changed_recipe
    from seqsearch.training.recipe import Contrastive

    chosen = changed_recipe(
        recipe or _family(start) or SHIPPED,
        change or [],
        Contrastive,
        start,
        steps=steps,
        batch_size=batch_size,
        holdout=holdout,
        seed=seed,
    )
    with progress(quiet, "steps") as report:
        done = train_contrastive(
            indexes,
            out,
            chosen,
            shares=_shares(share or []),
            name=name,
            start=start,
            device=device,
            threads=threads,
            resume=resume,
            overwrite=overwrite,
            progress=report,
        )
    _show(done, quiet, json)


def _family(start: Path | None) -> str:
    """Return the family of the encoder to start from, which a recipe is named after."""
    from seqsearch.encoders.folder import read_config

    return "" if start is None else str(read_config(start).get("family", ""))


def _shares(given: list[str]) -> dict[str, float]:
    from seqsearch.training.choosing import pairs_of

    return {name: float(value) for name, value in pairs_of("share", given)}


def _show(done: Any, quiet: bool, json: bool) -> None:
    from seqsearch.jobs.training import is_first_process

    if not is_first_process():  # of several, one says it
        return
    if json:
        say_json(done.as_dict())
    elif not quiet:
        _say(done)


def _say(done: Any) -> None:
    from seqsearch.training.validation import mean_right

    guess = done.figures.guess
    if guess is not None:
        rows = [
            ["this network", guess.loss, guess.right],
            ["shares at the place", guess.unigram_loss, guess.unigram_right],
        ]
        say_table(["hidden tokens kept out", "cross-entropy", "% right"], rows)
    if done.figures.head_cells:
        heads = [
            [one.marker, one.hidden, one.rank, one.queries, one.right]
            for one in done.figures.head_cells
        ]
        say_table(["heads: library", "queries", "rank", "number", "% right"], heads)
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
