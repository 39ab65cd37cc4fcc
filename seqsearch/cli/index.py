"""`seqsearch index`: build, add, remove, info, verify, list."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seqsearch.cli.options import (
    Device,
    Format,
    Json,
    Memory,
    Overwrite,
    Quiet,
    Taxonomy,
    Threads,
)
from seqsearch.cli.screen import progress, say, say_json, say_table, warn
from seqsearch.settings import DEFAULT_ENCODER

app = typer.Typer(help="Build, change and inspect indexes.", no_args_is_help=True)

SHOWN = 20  # lines of a table that may be long

Folder = Annotated[Path, typer.Argument(metavar="INDEX", help="Index folder.", show_default=False)]
Libraries = Annotated[
    list[Path],
    typer.Argument(metavar="LIBRARY...", help="FASTA, of any compression.", show_default=False),
]


@app.command()
def build(
    libraries: Libraries,
    out: Annotated[Path, typer.Option("--out", "-o", help="Index folder.", show_default=False)],
    taxonomy: Taxonomy = None,
    format: Format = "auto",
    encoder: Annotated[
        str, typer.Option("--encoder", help="Name of an encoder, or its folder.")
    ] = DEFAULT_ENCODER,
    marker: Annotated[str, typer.Option("--marker", help="What the library is of, say COI.")] = "",
    search: Annotated[
        str, typer.Option("--search", help="auto, or exact whatever the size.")
    ] = "auto",
    vectors: Annotated[
        str,
        typer.Option("--vectors", help="float16, int8, or auto: 8 bits for large libraries."),
    ] = "auto",
    windows: Annotated[
        bool,
        typer.Option(
            "--windows/--no-windows",
            help="Several vectors for references much longer than most, as genomes among barcodes.",
        ),
    ] = True,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate/--no-calibrate", help="Calibrate probabilities on this library."),
    ] = True,
    exclude: Annotated[
        Path | None,
        typer.Option(
            "--exclude",
            help="Records to leave out, as library audit lists them.",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = 0,
    memory: Memory = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Build an index of reference libraries; one that was cut off goes on where it was.

    Example: seqsearch index build refs.fasta.gz --taxonomy refs.tsv -o indexes/coi
    """
    from seqsearch.jobs.build import build_index
    from seqsearch.settings import BuildSettings

    settings = BuildSettings(encoder, search, vectors, calibrate, device, threads, memory, windows)
    with progress(quiet) as report:
        change = build_index(
            libraries,
            out,
            taxonomy=taxonomy,
            format=format,
            marker=marker,
            overwrite=overwrite,
            exclude=exclude,
            settings=settings,
            progress=report,
        )
    _say_change(change, quiet, json)


@app.command()
def calibrate(index: Folder, threads: Threads = 0, quiet: Quiet = False) -> None:
    """Measure on its own references what an index's answers are worth, and what it can tell apart.

    Example: seqsearch index calibrate indexes/coi
    """
    from seqsearch.jobs.calibrating import calibrate_anew

    manifest = calibrate_anew(index, threads)
    own = "" if manifest.calibration else "; too small for probabilities of its own"
    say(f"{index} is calibrated (state {manifest.number}){own}", quiet)


@app.command()
def add(
    index: Folder,
    libraries: Libraries,
    taxonomy: Taxonomy = None,
    format: Format = "auto",
    threads: Threads = 0,
    memory: Memory = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Add libraries to an index.

    Example: seqsearch index add indexes/coi more.fasta --taxonomy more.tsv
    """
    from seqsearch.jobs.build import add_to_index

    with progress(quiet) as report:
        change = add_to_index(
            index,
            libraries,
            taxonomy=taxonomy,
            format=format,
            threads=threads,
            memory=memory,
            progress=report,
        )
    _say_change(change, quiet, json)


@app.command()
def remove(
    index: Folder,
    ref_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[REF_ID]...", show_default=False)
    ] = None,
    ids_file: Annotated[
        Path | None, typer.Option("--ids-file", help="Ids, one a line.", show_default=False)
    ] = None,
    threads: Threads = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Take references out of an index, by id.

    Example: seqsearch index remove indexes/coi GBMIN1234-12 GBMIN1235-12
    """
    from seqsearch.jobs.build import remove_from_index

    ids = list(ref_ids or [])
    if ids_file is not None:
        lines = ids_file.read_text(errors="replace").splitlines()
        ids += [line.strip() for line in lines if line.strip()]
    with progress(quiet) as report:
        change = remove_from_index(index, ids, threads=threads, progress=report)
    _say_change(change, quiet, json)


@app.command()
def info(
    index: Folder,
    resolvability: Annotated[
        bool, typer.Option("--resolvability", help="Which species it cannot tell apart.")
    ] = False,
    reliability: Annotated[
        bool, typer.Option("--reliability", help="Every bin of the probabilities' reliability.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what an index is made of, how reliable its probabilities are, what it can tell apart.

    Example: seqsearch index info indexes/coi --resolvability
    """
    from seqsearch.cli.reliability import long_lines, short_lines
    from seqsearch.jobs.inspecting import describe_index, reliability_of

    if resolvability:
        _say_resolvability(index, json)
        return
    described, measured = describe_index(index), reliability_of(index)
    if json:
        say_json({**described, "reliability": measured})
        return
    if reliability:
        for line in long_lines(measured):
            say(line)
        return
    counts = described.pop("counts")
    sources, notes = described.pop("sources"), described.pop("notes")
    described["size"] = f"{described.pop('bytes') / 1e6:,.1f} MB"
    described["ranks"] = ", ".join(f"{rank} {counts[rank]:,}" for rank in described["ranks"])
    described["rows"] = (
        f"{counts['rows']:,} unique sequences of {counts['records']:,} records, "
        f"{counts['removed']:,} rows taken out"
    )
    for name, value in described.items():
        say(f"{name:11} {value}")
    for line in short_lines(measured):
        say(line)
    _say_sources(sources)
    _say_notes(notes)


@app.command()
def verify(index: Folder, threads: Threads = 0, quiet: Quiet = False) -> None:
    """Check the hashes of all files, and that references find themselves.

    Example: seqsearch index verify indexes/coi
    """
    from seqsearch.jobs.inspecting import verify_index

    done = verify_index(index, threads=threads)
    say(
        f"{index}: sound ({done.files} files as written, "
        f"{done.sampled} sampled references find themselves)",
        quiet,
    )


@app.command("list")
def list_(
    folder: Annotated[Path, typer.Argument(help="Folder of index folders.")] = Path("indexes"),
    json: Json = False,
) -> None:
    """List the indexes in a folder.

    Example: seqsearch index list indexes
    """
    from seqsearch.jobs.inspecting import list_indexes

    found = list_indexes(folder)
    if json:
        say_json(found)
    elif not found:
        say(f"no index in {folder}")
    else:
        columns = ["index", "marker", "references", "records", "species", "encoder", "made"]
        for one in found:
            if "error" in one:
                warn(one["error"])
        rows: list[list[Any]] = [
            [
                one["index"],
                one["marker"],
                one["counts"]["rows"],
                one["counts"]["records"],
                one["counts"].get("species"),
                one["encoder"],
                one["made"],
            ]
            for one in found
            if "error" not in one
        ]
        say_table(columns, rows)


def _say_resolvability(index: Path, json: bool) -> None:
    from seqsearch.jobs.inspecting import describe_resolvability

    described = describe_resolvability(index)
    if json:
        say_json(described)
        return
    counts = described["counts"]
    say(
        f"{counts['taxa']:,} {described['rank']}: {counts['sharing']:,} share a sequence with "
        f"another one; of {counts['several']:,} with several sequences {counts['with_gap']:,} have "
        "a barcode gap (all nearer to each other than any other's)"
    )
    shown = [list(one.values()) for one in described["above"] if one["sharing"]][:SHOWN]
    if shown:
        columns = ["above", "taxa", "sharing", "several", "with gap", "within %", "other %"]
        say_table(columns, [[*one[:5], *map(_percent, one[5:])] for one in shown])
        say(f"all of them: seqsearch sql {index} 'SELECT * FROM resolvability'")


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, 1)


def _say_change(change: Any, quiet: bool, json: bool) -> None:
    from seqsearch.index.manifest import BORROWED

    manifest = change.manifest
    if json:
        from seqsearch.jobs.inspecting import describe_index

        say_json(describe_index(change.folder))
        return
    if quiet:
        return
    if change.resumed:
        say(f"went on with a build that was cut off ({change.resumed})")
    _say_sources(change.sources)
    _say_notes(manifest.notes)
    if BORROWED in manifest.notes:
        say(f"calibration: {BORROWED}")
    counts = manifest.counts
    say(
        f"{change.folder}: {counts['rows']:,} unique sequences of {counts['records']:,} records, "
        + ", ".join(f"{counts[rank]:,} {rank}" for rank in manifest.ranks if counts[rank])
        + f" (state {manifest.number})"
    )


def _say_sources(sources: Any) -> None:
    from seqsearch.libraries.ledger import Ledger

    for source in sources:
        lines = Ledger(**source["ledger"]).lines()
        say(f"{source['source']} ({source['format']}): {lines[0]}")
        for line in lines[1:]:
            say(f"  {line}")


def _say_notes(notes: Any) -> None:
    from seqsearch.index.manifest import BORROWED

    paths = [note for note in notes if note != BORROWED]  # calibration has a line of its own
    if paths:
        say(f"taxonomy: {len(paths):,} paths repaired or noted (all of them: index info --json)")
        for note in paths[:3]:
            say(f"  {note}")
