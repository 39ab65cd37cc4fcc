"""An open run: its tables, SQL over them, and assignments drawn again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from seqsearch.analytics.views import run_sql
from seqsearch.jobs.assigning import redraw
from seqsearch.jobs.exporting import export_run
from seqsearch.runs.folder import ASSIGNMENTS, REFS, RunFolder
from seqsearch.settings import MIN_CONFIDENCE, WITHIN


class Run:
    """A run folder.

    Attributes
    ----------
    folder : RunFolder
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @property
    def state(self) -> dict[str, Any]:
        """What run.json holds: index, inputs, settings, counts, timings, warnings."""
        return self.folder.state

    def assignments(self) -> pa.Table:
        """Return one row per query, as drawn last."""
        return self.folder.read_file(f"{ASSIGNMENTS}.parquet")

    def refs(self) -> pa.Table:
        """Return the references that were hit, with lineage."""
        return self.folder.read_file(REFS)

    def hits(self) -> pa.Table:
        """Return all hits."""
        return self.folder.dataset("hits").to_table()

    def calls(self) -> pa.Table:
        """Return the best name of every query and rank."""
        return self.folder.dataset("calls").to_table()

    def sql(self, statement: str) -> pa.Table:
        """Run a SELECT over the run's views; see docs/sql.md.

        Examples
        --------
        >>> run = open_run(getfixture("tiny_run"))
        >>> run.sql("SELECT count(*) AS n FROM assignments").to_pylist()
        [{'n': 2}]
        """
        return run_sql([self.path], statement)

    def call(
        self,
        min_confidence: float = MIN_CONFIDENCE,
        unassigned_out: str | Path | None = None,
        overwrite: bool = False,
        *,
        rule: str | None = None,
        within: float = WITHIN,
    ) -> pa.Table:
        """Draw the assignments again, without searching; returns them.

        Parameters
        ----------
        min_confidence : float
            Another threshold.
        unassigned_out : path, optional
            FASTA of the queries that were given no name.
        overwrite : bool
            Replace that file.
        rule, within
            Name by identity instead, as in `QuerySettings`; without `rule`, by probability.
        """
        self.folder = redraw(self.path, min_confidence, unassigned_out, overwrite, rule, within)
        return self.assignments()

    def export(self, out: str | Path, format: str = "auto", overwrite: bool = False) -> int:
        """Write the aligned hits for other tools; returns how many lines.

        Parameters
        ----------
        out : path
        format : str
            "blast6" (as VSEARCH writes it), "sam" (with the path of each alignment, worked out
            here), or "auto": SAM if `out` ends in .sam.
        overwrite : bool
        """
        return export_run(self.path, out, format, overwrite)


def open_run(path: str | Path) -> Run:
    """Open a run folder.

    Raises
    ------
    FolderError
        Not a run.
    """
    return Run(RunFolder.open(path))
