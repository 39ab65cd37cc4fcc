"""`seqsearch convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqsearch.cli.options import Json, Overwrite, Quiet
from seqsearch.cli.screen import say, say_json


def convert(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A published checkpoint: .pt, .pth, .bin or a folder.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Encoder folder.", show_default=False)],
    name: Annotated[str, typer.Option("--name", help="What to call it.", show_default=False)] = "",
    heads: Annotated[
        int | None,
        typer.Option(
            "--heads",
            help="Attention heads, if the checkpoint does not say.",
            show_default=False,
            min=1,
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make an encoder's folder of a published checkpoint (BarcodeBERT, MetaBERTa); runs no code.

    Example: seqsearch convert checkpoint_pretraining.pt -o encoders/barcodebert
    """
    from seqsearch.jobs.converting import convert_checkpoint

    done = convert_checkpoint(checkpoint, out, name=name, heads=heads, overwrite=overwrite)
    if json:
        say_json(done.as_dict())
        return
    if done.aside:
        say(f"left out, not needed to encode: {', '.join(done.aside)}", quiet)
    say(f"{done.folder}: {done.encoder.name}, a {done.family}", quiet)
