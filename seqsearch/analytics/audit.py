"""What an audit of a library finds: flags, the table of them, and reading that table again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from seqsearch.errors import InputError

EXCLUDE, CHECK = "exclude", "check"
PROBLEMS = {
    "mislabelled": "the nearest references bear another name",
    "conflicting": "another record of the same sequence bears another name",
    "reversed": "stands on the other strand than its neighbours",
    "off_marker": "like no other part of the library",
    "chimera": "its halves are of different taxa",
    "stop_codons": "no open reading frame, in a library of protein-coding sequences",
}


@dataclass(frozen=True)
class Flag:
    """One thing that is wrong with a record; the columns of the audit's table.

    Attributes
    ----------
    ref_id, source : str
    problem : str
        One of `PROBLEMS`.
    rank : str
        At which names disagree; "" where it is not about names.
    name, suggested : str
        The record's own there, and the one that the evidence speaks for.
    confidence : float or None
        Calibrated probability that the suggested name is right.
    nearest : str
        ref_id of the reference that the evidence rests on.
    identity : float or None
        With it, in [0, 1].
    evidence : str
    action : str
        `EXCLUDE` or `CHECK`.
    """

    ref_id: str
    source: str
    problem: str
    rank: str = ""
    name: str = ""
    suggested: str = ""
    confidence: float | None = None
    nearest: str = ""
    identity: float | None = None
    evidence: str = ""
    action: str = CHECK


def table_of(flags: Iterable[Flag]) -> pa.Table:
    """Return flags as a table, those to exclude first, then by problem and id."""
    order = list(PROBLEMS)
    chosen = sorted(
        flags, key=lambda f: (f.action != EXCLUDE, order.index(f.problem), f.source, f.ref_id)
    )
    types = {"confidence": pa.float64(), "identity": pa.float64()}
    return pa.table(
        {
            field.name: pa.array(
                [getattr(flag, field.name) for flag in chosen], types.get(field.name, pa.string())
            )
            for field in fields(Flag)
        }
    )


def counts_of(table: pa.Table) -> dict[str, dict[str, int]]:
    """Return how many records have each problem, by action."""
    pairs = Counter(zip(table["problem"].to_pylist(), table["action"].to_pylist(), strict=True))
    return {
        problem: {action: pairs[problem, action] for action in (EXCLUDE, CHECK)}
        for problem in PROBLEMS
        if pairs[problem, EXCLUDE] + pairs[problem, CHECK]
    }


@dataclass(frozen=True)
class Excluded:
    """Records that a build leaves out.

    Attributes
    ----------
    ids : (n,) pyarrow string
        By their ids, whatever library they are of.
    pairs : (m,) pyarrow string
        By library and id, joined by a tabulator.
    """

    ids: pa.StringArray
    pairs: pa.StringArray

    def of(self, ref_ids: pa.StringArray, source: str) -> pa.BooleanArray:
        """(n,) bool: which records of a library are left out."""
        joined = pc.binary_join_element_wise(source, ref_ids, "\t")
        return pc.or_(pc.is_in(ref_ids, value_set=self.ids), pc.is_in(joined, value_set=self.pairs))


NOTHING_EXCLUDED = Excluded(pa.array([], pa.string()), pa.array([], pa.string()))


def read_excluded(path: str | Path) -> Excluded:
    """Read which records a build leaves out.

    Of a table with a column `action` those lines that say `exclude`; of one without, all.

    Raises
    ------
    InputError
        The file cannot be read, or has no column ref_id.
    """
    options = pa.csv.ConvertOptions(
        column_types={name: pa.string() for name in ("ref_id", "source", "action")},
        strings_can_be_null=False,  # an id may be NA
    )
    try:
        table = pa.csv.read_csv(
            path, parse_options=pa.csv.ParseOptions(delimiter="\t"), convert_options=options
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(str(path), f"not a table of records to exclude ({error})") from error
    if "ref_id" not in table.column_names:
        raise InputError(str(path), "has no column ref_id; expected a table as of library audit")
    if "action" in table.column_names:
        table = table.filter(pc.equal(table["action"], EXCLUDE))
    if "source" not in table.column_names:
        return Excluded(table["ref_id"].combine_chunks(), NOTHING_EXCLUDED.pairs)
    pairs = pc.binary_join_element_wise(table["source"], table["ref_id"], "\t")
    return Excluded(NOTHING_EXCLUDED.ids, pairs.combine_chunks())
