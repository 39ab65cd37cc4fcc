"""`seqsearch demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqsearch.cli.options import Overwrite, Quiet, Threads
from seqsearch.cli.screen import progress, say, say_table


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything.")] = Path("demo"),
    families: Annotated[int, typer.Option("--families", min=1, help="Size of the library.")] = 40,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws the library.")] = 1,
    threads: Threads = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Simulate a barcode library and queries, build, query, and score the answers.

    Example: seqsearch demo -o demo
    """
    from seqsearch.jobs.demo import run_demo

    with progress(quiet) as report:
        result = run_demo(
            out, families=families, seed=seed, threads=threads, overwrite=overwrite, progress=report
        )
    if quiet:
        return
    say("A library of simulated sequences (grown along a random tree; no real organism is in it).")
    say(
        f"{result.references:,} references, {result.queries:,} queries, "
        "named with --min-confidence 0:"
    )
    say_table(["queries", "rank", "n", "percent right"], [list(row) for row in result.accuracy])
    say("seen: the species has references; unseen_species, unseen_genus: hidden from the library.")
    say(f"At --min-confidence 0.8: {result.verdicts}")
    for what, path in result.files.items():
        say(f"{what:12} {path}")
    say(f"Next: seqsearch sql {result.files['run']} --name composition")
