"""`seqsearch doctor`."""

from __future__ import annotations

import typer

from seqsearch.cli.options import Json
from seqsearch.cli.screen import say, say_json


def doctor(json: Json = False) -> None:
    """Tell what this machine can do, and what is missing.

    Example: seqsearch doctor
    """
    from seqsearch.jobs.doctor import examine

    findings = examine()
    if json:
        say_json([vars(finding) for finding in findings])
    else:
        for finding in findings:
            mark = {True: "ok", False: "MISSING", None: "-"}[finding.works]
            say(f"{mark:8} {finding.what:22} {finding.detail}")
    if any(finding.works is False for finding in findings):
        raise typer.Exit(1)
