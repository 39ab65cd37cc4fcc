"""Options that several commands share, defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Threads = Annotated[
    int,
    typer.Option("--threads", "-t", help="Worker threads; 0: every core. Answers are the same."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Device = Annotated[str, typer.Option("--device", help="auto or cpu; nothing needs a GPU yet.")]
Format = Annotated[
    str, typer.Option("--format", help="auto, or an importer: fasta-table, fasta-lineage.")
]
Taxonomy = Annotated[
    list[Path] | None,
    typer.Option(
        "--taxonomy",
        help="Side table with the names: TSV or CSV with id and rank columns, or id and lineage. "
        "Once for all libraries, or once each.",
        show_default=False,
    ),
]
MinConfidence = Annotated[
    float,
    typer.Option("--min-confidence", help="A rank is named from this on; 0 names every rank."),
]
UnassignedOut = Annotated[
    Path | None,
    typer.Option(
        "--unassigned-out", help="FASTA of the queries without a name.", show_default=False
    ),
]
