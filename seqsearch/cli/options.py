"""Options that several commands share, defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seqsearch.errors import SettingsError
from seqsearch.settings import MIN_CONFIDENCE, NO_RULE, NO_THRESHOLD, WITHIN

Threads = Annotated[
    int,
    typer.Option("--threads", "-t", help="Worker threads; 0: every core. Answers are the same."),
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        help="What buffers and sorting may take, as 8G, 500M or bytes.",
        show_default="half of what is free",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Device = Annotated[
    str, typer.Option("--device", help="auto, cpu or cuda; auto: GPUs, where they work.")
]
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
    float | None,
    typer.Option(
        "--min-confidence",
        help="A rank is named from this on; 0 names every rank.",
        show_default=str(MIN_CONFIDENCE),
    ),
]
Rule = Annotated[
    str | None,
    typer.Option(
        "--rule",
        help="Name by percent identity instead, as 'species>=97,genus>=95,coverage>=80'.",
        show_default=False,
    ),
]
Within = Annotated[
    float | None,
    typer.Option(
        "--within",
        help="With --rule: references within so many percent of the best one must agree.",
        show_default=str(WITHIN),
    ),
]
UnassignedOut = Annotated[
    Path | None,
    typer.Option(
        "--unassigned-out", help="FASTA of the queries without a name.", show_default=False
    ),
]


def naming(min_confidence: float | None, rule: str | None, within: float | None) -> dict[str, Any]:
    """Return how names are drawn, as arguments of `Run.call` and fields of `QuerySettings`."""
    if rule is not None and min_confidence is not None:
        raise SettingsError("min-confidence", min_confidence, NO_THRESHOLD)
    if rule is None and within is not None:
        raise SettingsError("within", within, NO_RULE)
    return {
        "min_confidence": MIN_CONFIDENCE if min_confidence is None else min_confidence,
        "rule": rule,
        "within": WITHIN if within is None else within,
    }
