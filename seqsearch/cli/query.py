"""`seqsearch query` and `seqsearch call`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seqsearch.cli.options import (
    Device,
    Json,
    MinConfidence,
    Overwrite,
    Quiet,
    Rule,
    Threads,
    UnassignedOut,
    Within,
    naming,
)
from seqsearch.cli.screen import progress, say, say_json, warn


def query(
    index: Annotated[
        Path, typer.Argument(metavar="INDEX", help="Index folder.", show_default=False)
    ],
    reads: Annotated[
        list[str],
        typer.Argument(
            metavar="READS...",
            help="FASTA or FASTQ, plain, gz, bz2, xz or zst; - for standard input.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder.", show_default=False)],
    min_confidence: MinConfidence = None,
    rule: Rule = None,
    within: Within = None,
    hits: Annotated[int, typer.Option("--hits", help="Hits kept a query.")] = 10,
    candidates: Annotated[int, typer.Option("--candidates", help="Nearest looked at.")] = 50,
    align: Annotated[int, typer.Option("--align", help="Best aligned, 0 for none.")] = 20,
    strand: Annotated[str, typer.Option("--strand", help="both, plus or minus.")] = "both",
    taxon: Annotated[
        str | None,
        typer.Option(
            "--taxon",
            help="Search only below this name, for queries that are known to belong there.",
            show_default=False,
        ),
    ] = None,
    novelty_prior: Annotated[
        str | None,
        typer.Option(
            "--novelty-prior",
            help="Shares not in the library, as species=0.3,genus=0.1.",
            show_default="a fifth at the lowest rank",
        ),
    ] = None,
    unassigned_out: UnassignedOut = None,
    sequences: Annotated[
        bool, typer.Option("--sequences/--no-sequences", help="Keep sequences in the run.")
    ] = True,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Sequences a part.")] = 4096,
    device: Device = "auto",
    threads: Threads = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Name sequences; goes on with an unfinished run of the same files, index and settings.

    Example: seqsearch query indexes/coi asvs.fasta -o runs/asvs
    """
    from seqsearch.jobs.opened import open_index

    with (
        open_index(index, threads=threads, device=device) as opened,
        progress(quiet) as report,
    ):
        run = opened.query(
            reads,
            out,
            overwrite=overwrite,
            unassigned_out=unassigned_out,
            progress=report,
            **naming(min_confidence, rule, within),
            hits=hits,
            candidates=candidates,
            align=align,
            strand=strand,
            taxon=taxon,
            novelty_prior=novelty_prior,
            keep_sequences=sequences,
            batch_size=batch_size,
        )
    _say_run(run, quiet, json)


def call(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.", show_default=False)],
    min_confidence: MinConfidence = None,
    rule: Rule = None,
    within: Within = None,
    unassigned_out: UnassignedOut = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Draw the assignments of a run again, without searching.

    Example: seqsearch call runs/asvs --min-confidence 0.95
    """
    from seqsearch.jobs.opened_run import open_run

    drawn = naming(min_confidence, rule, within)
    run = open_run(folder)
    run.call(unassigned_out=unassigned_out, overwrite=overwrite, **drawn)
    _say_run(run, quiet, json)


def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="File.", show_default=False)],
    format: Annotated[
        str, typer.Option("--format", help="blast6 or sam; auto: by the file's ending.")
    ] = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write the aligned hits of a run for other tools.

    Example: seqsearch export runs/asvs -o hits.sam
    """
    from seqsearch.jobs.opened_run import open_run

    count = open_run(folder).export(out, format, overwrite)
    say(f"{count:,} lines in {out}", quiet)


def _say_run(run: Any, quiet: bool, json: bool) -> None:
    state = run.state
    if json:
        say_json(state)
        return
    for warning in state["warnings"]:
        warn(warning, quiet)
    counts, timings = state["counts"], state["timings"]
    searched = counts["queries"] - state.get("resumed_at", 0)
    rate = searched / timings["search_wall_s"] if timings["search_wall_s"] else 0
    say(
        f"{counts['queries']:,} queries against {state['index']['path']}; "
        f"searched {searched:,} in {timings['search_wall_s']:.1f} s ({rate:,.0f} a second), "
        f"start-up {timings['startup_s']:.1f} s",
        quiet,
    )
    for title, key in (("verdicts", "verdicts"), ("named to", "named_to")):
        shown = sorted(counts[key].items(), key=lambda item: -item[1])
        say(f"{title}: " + (", ".join(f"{n:,} {name}" for name, n in shown) or "none"), quiet)
    settings = state["settings"]
    how = f"from {settings['min_confidence']:g} on"
    if settings.get("rule") is not None:
        how = f"by {settings['rule']}"
    say(f"{run.path}/assignments.tsv (named {how})", quiet)
