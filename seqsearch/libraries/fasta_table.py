"""FASTA with a side table: `id` and one column a rank, or `id` and one column of lineages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from seqsearch.dna.reading import read_sequences
from seqsearch.errors import InputError, SettingsError
from seqsearch.libraries.records import (
    Library,
    LibraryRecords,
    defect_problems,
    first_problem,
    nameless,
    problems_where,
)
from seqsearch.libraries.side_table import SideTable, read_side_table
from seqsearch.tables import Bool

BATCH_SIZE = 65536


class FastaTable:
    """Importer of FASTA with a taxonomy table (TSV or CSV)."""

    name = "fasta-table"
    description = "FASTA with a side table (TSV, CSV): id and rank columns, or id and lineage"

    def recognises(self, header: str, has_table: bool) -> bool:  # noqa: ARG002
        """Any FASTA with a table."""
        return has_table

    def read(self, path: Path, table: Path | None) -> Library:
        """Read the table, open the FASTA."""
        if table is None:
            raise SettingsError("taxonomy", None, f"a table with --format {self.name}")
        side = read_side_table(table)
        notes = list(side.notes)
        records = _records(path, table, side, notes)
        return Library(path, self.name, side.ranks, records, (path, table), notes)


def _records(
    path: Path, table: Path, side: SideTable, notes: list[str]
) -> Iterator[LibraryRecords]:
    used = np.zeros(len(side), np.bool_)
    example = ""
    for reads in read_sequences(path, BATCH_SIZE):
        ids = reads.batch.ids
        example = example or str(ids[0].as_py())
        number = side.find(ids)
        used[number[number >= 0]] = True
        lineage, external_id, own_problem = side.look_up(number)
        has_no_id = pc.equal(ids, "").to_numpy(zero_copy_only=False)
        problem = first_problem(
            defect_problems(reads),
            problems_where(has_no_id, "no id in the header"),
            problems_where(number < 0, "the id is not in the taxonomy table"),
            own_problem,
            problems_where(nameless(lineage, len(ids)), "no name at any rank"),
        )
        yield LibraryRecords(reads.batch, lineage, external_id, problem)
    _note_unused(path, table, side, used, example, notes)


def _note_unused(
    path: Path, table: Path, side: SideTable, used: Bool, example: str, notes: list[str]
) -> None:
    unused = len(used) - int(used.sum())
    if unused == len(used) and unused:
        raise InputError(
            table,
            f"none of its ids is in {path}: the table has {side.first_id!r}, "
            f"the FASTA has {example!r}",
            advice="ids must be the first word of the FASTA headers",
        )
    if unused:
        notes.append(f"{unused:,} ids of the table have no sequence")
