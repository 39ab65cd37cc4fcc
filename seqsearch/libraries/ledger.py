"""The ledger: every record of a library is either kept or dropped for a stated reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.libraries.records import LibraryRecords
from seqsearch.tables import Int64

EXAMPLES = 5


@dataclass
class Ledger:
    """Counts of one library.

    Attributes
    ----------
    read, kept : int
        Records.
    dropped : dict of str to int
        Records by reason.
    examples : dict of str to list of str
        The first ids by reason.
    notes : list of str
        What happened to records that were kept.
    """

    read: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def admit(self, records: LibraryRecords) -> Int64:
        """Count a batch; returns the positions of the records to keep."""
        usable = pc.is_null(records.problem).to_numpy(zero_copy_only=False)
        kept = np.flatnonzero(usable)
        self.read += len(records)
        self.kept += len(kept)
        bad = np.flatnonzero(~usable)
        if len(bad):
            self._drop(records.problem.take(pa.array(bad)), records.batch.ids.take(pa.array(bad)))
        return kept

    def _drop(self, reasons: pa.StringArray, ids: pa.StringArray) -> None:
        for entry in pc.value_counts(reasons).to_pylist():
            reason, count = entry["values"], entry["counts"]
            self.dropped[reason] = self.dropped.get(reason, 0) + count
            shown = self.examples.setdefault(reason, [])
            if len(shown) < EXAMPLES:
                own = ids.filter(pc.equal(reasons, reason))
                shown.extend(own[: EXAMPLES - len(shown)].to_pylist())

    def to_json(self) -> dict[str, Any]:
        """Return the counts for the manifest."""
        return {
            "read": self.read,
            "kept": self.kept,
            "dropped": dict(self.dropped),
            "examples": {reason: list(ids) for reason, ids in self.examples.items()},
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """Return the ledger as lines to read.

        >>> Ledger(
        ...     read=3, kept=2, dropped={"empty sequence": 1}, examples={"empty sequence": ["x"]}
        ... ).lines()
        ['3 records read, 2 kept', '1 dropped: empty sequence (x)']
        """
        lines = [f"{self.read:,} records read, {self.kept:,} kept"]
        for reason, count in sorted(self.dropped.items(), key=lambda item: -item[1]):
            shown = ", ".join(name or "(no id)" for name in self.examples[reason])
            more = ", ..." if count > len(self.examples[reason]) else ""
            lines.append(f"{count:,} dropped: {reason} ({shown}{more})")
        return lines + self.notes
