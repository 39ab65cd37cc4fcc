"""`seqsearch library`: audit, kmers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqsearch.cli.options import Format, Json, Overwrite, Quiet, Taxonomy, Threads
from seqsearch.cli.screen import progress, say, say_json, say_table

app = typer.Typer(help="Look after reference libraries.", no_args_is_help=True)


@app.command()
def audit(
    libraries: Annotated[
        list[Path],
        typer.Argument(
            metavar="LIBRARY...", help="FASTA, of any compression; or an index.", show_default=False
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Table to write, TSV.", show_default=False)
    ],
    taxonomy: Taxonomy = None,
    format: Format = "auto",
    threads: Threads = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """List records that are probably not what they say, with the evidence.

    Lines whose action is exclude are left out by index build --exclude; edit it as you see fit.

    Example: seqsearch library audit refs.fasta.gz --taxonomy refs.tsv -o audit.tsv
    """
    from seqsearch.analytics.audit import PROBLEMS, counts_of
    from seqsearch.errors import FolderError
    from seqsearch.jobs.auditing import audit_library, write_audit

    if out.exists() and not overwrite:
        raise FolderError(out, "this file exists", advice="give --overwrite to replace it")
    with progress(quiet) as report:
        table = audit_library(
            libraries, taxonomy=taxonomy, format=format, threads=threads, progress=report
        )
    write_audit(table, out)
    counts = counts_of(table)
    if json:
        say_json({"flags": len(table), "problems": counts, "table": str(out)})
    elif not quiet:
        rows = [[name, *counts[name].values(), PROBLEMS[name]] for name in counts]
        if rows:
            say_table(["problem", "exclude", "check", "meaning"], rows)
        say(f"{out}: {len(table):,} flags")


@app.command()
def kmers(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="FASTA or FASTQ, of any compression; or an index.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Table to write, TSV.", show_default=False)
    ],
    k: Annotated[
        list[int] | None,
        typer.Option("-k", help="Bases of a k-mer, 1 to 8; may be repeated.", show_default="6"),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Figure to write, PNG (extra report).", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Count overlapping k-mers by rank, and fit Zipf's law to the counts.

    Example: seqsearch library kmers refs.fasta.gz -k 4 -k 6 -o kmers.tsv --plot kmers.png
    """
    from seqsearch.jobs.counting import count_kmers

    with progress(quiet) as report:
        counted = count_kmers(files, out, k or [6], plot=plot, overwrite=overwrite, progress=report)
    if json:
        say_json([one.as_dict() for one in counted])
    elif not quiet:
        rows = [list(one.as_dict().values()) for one in counted]
        say_table(list(counted[0].as_dict()), rows)
        say("exponent of Zipf's law: maximum likelihood over all k-mers seen")
