"""What an importer yields: records with lineage columns, and the reason where one is unusable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.cleaning import DEFECTS
from seqsearch.dna.reading import Reads
from seqsearch.tables import UInt8


@dataclass(frozen=True)
class LibraryRecords:
    """A batch of records of one library.

    Attributes
    ----------
    batch : SequenceBatch
        Ids are the library's own.
    lineage : dict of str to (n,) pyarrow string
        Names by rank, highest first; null where unknown.
    external_id : (n,) pyarrow string
        Identifier of the lowest taxon elsewhere, or null.
    problem : (n,) pyarrow string
        Why the record cannot be used; null where it can.
    """

    batch: SequenceBatch
    lineage: dict[str, pa.StringArray]
    external_id: pa.StringArray
    problem: pa.StringArray

    def __len__(self) -> int:
        return len(self.batch)


class Importer(Protocol):
    """One library format: says whether a file is of it, and yields its records."""

    name: str
    description: str

    def recognises(self, header: str, has_table: bool) -> bool:
        """Tell from the first header line, and whether a side table is given."""
        ...

    def read(self, path: Path, table: Path | None) -> Library:
        """Open a library; bad files raise `InputError`, bad records get a problem."""
        ...


@dataclass(frozen=True)
class Library:
    """An opened library.

    Attributes
    ----------
    path : Path
    format : str
        Name of the importer.
    ranks : tuple of str
        Highest first.
    records : iterator of LibraryRecords
    files : tuple of Path
        Every file it is read from.
    notes : list of str
        What the user should know beside the records; complete once the records are read.
    """

    path: Path
    format: str
    ranks: tuple[str, ...]
    records: Iterator[LibraryRecords]
    files: tuple[Path, ...]
    notes: list[str]


def first_problem(*problems: pa.StringArray) -> pa.StringArray:
    """Return the first problem that each record has."""
    return pc.coalesce(*problems)


def defect_problems(reads: Reads) -> pa.StringArray:
    """Return the defects that reading found, as problems."""
    return problems_where(reads.defects != 0, pa.array(DEFECTS).take(pa.array(reads.defects)))


def problems_where(mask: np.ndarray | UInt8, problem: str | pa.StringArray) -> pa.StringArray:
    """Return a problem where the mask holds, null elsewhere."""
    text = pa.scalar(problem, pa.string()) if isinstance(problem, str) else problem
    return pc.if_else(pa.array(mask, pa.bool_()), text, pa.scalar(None, pa.string()))


def nameless(lineage: dict[str, pa.StringArray], count: int) -> np.ndarray:
    """(count,) bool: records without a name at any rank."""
    empty = np.ones(count, np.bool_)
    for names in lineage.values():
        empty &= pc.is_null(names).to_numpy(zero_copy_only=False)
    return empty
