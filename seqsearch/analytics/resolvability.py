"""What a library can tell apart: which species share a sequence, and where a barcode gap is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqsearch.errors import FolderError
from seqsearch.tables import Bool, one_array, to_numpy
from seqsearch.taxonomy import Taxonomy

FIELDS = {
    "lineage": pa.string(),
    "name": pa.string(),
    "above": pa.string(),
    "records": pa.int64(),
    "sequences": pa.int64(),
    "identity_within": pa.float32(),
    "identity_other": pa.float32(),
    "nearest_other": pa.string(),
    "shared_with": pa.list_(pa.string()),
}


@dataclass(frozen=True)
class Resolvability:
    """How well the taxa of a library's lowest rank can be told apart.

    Attributes
    ----------
    table : pyarrow.Table
        One line a taxon of the lowest rank: lineage, name, above (the taxon right above it),
        records, sequences (unique ones), identity_within (least identity of two of its sequences,
        those that are farthest apart by their vectors; null where it has one), identity_other
        (largest with a sequence of another such taxon; null where none is near), nearest_other,
        shared_with (names of those with which it has a sequence in common, where they overlap).
    """

    table: pa.Table

    @property
    def shares(self) -> Bool:
        """(t,) bool: taxa that have a sequence in common with another one."""
        return to_numpy(pc.list_value_length(self.table["shared_with"])) > 0

    @property
    def has_gap(self) -> Bool:
        """(t,) bool: taxa of several sequences, all nearer to each other than any other's is.

        That is the barcode gap of Meyer and Paulay (2005).
        """
        within = to_numpy(pc.fill_null(self.table["identity_within"], float("nan")))
        other = to_numpy(pc.fill_null(self.table["identity_other"], 0.0))
        with np.errstate(invalid="ignore"):
            return within > other

    def shared_names(self, taxonomy: Taxonomy) -> pa.StringArray:
        """Return (taxa,) text: with what a taxon shares a sequence, null where with nothing."""
        lists = self.table["shared_with"].combine_chunks()
        texts = pc.if_else(pa.array(self.shares), pc.binary_join(lists, ", "), None)
        at = pc.index_in(taxonomy.paths(), value_set=one_array(self.table["lineage"]))
        return one_array(texts).take(at)

    def by_taxon_above(self) -> pa.Table:
        """Return one line a genus (the taxon above), those where most share a sequence first.

        Columns: above, taxa, sharing, several (taxa of several sequences), with_gap,
        identity_within (the least), identity_other (the largest).
        """
        table = pa.table(
            {
                "above": self.table["above"],
                "shares": pa.array(self.shares).cast(pa.int64()),
                "several": pc.is_valid(self.table["identity_within"]).cast(pa.int64()),
                "gap": pa.array(self.has_gap).cast(pa.int64()),
                "within": self.table["identity_within"],
                "other": self.table["identity_other"],
            }
        ).filter(pc.is_valid(self.table["above"]))
        grouped = table.group_by("above").aggregate(
            [
                ([], "count_all"),
                ("shares", "sum"),
                ("several", "sum"),
                ("gap", "sum"),
                ("within", "min"),
                ("other", "max"),
            ]
        )
        named = grouped.rename_columns(
            {
                "count_all": "taxa",
                "shares_sum": "sharing",
                "several_sum": "several",
                "gap_sum": "with_gap",
                "within_min": "identity_within",
                "other_max": "identity_other",
            }
        )
        return named.sort_by(
            [("sharing", "descending"), ("taxa", "descending"), ("above", "ascending")]
        )


def read_resolvability(path: Path) -> Resolvability:
    """Read what was measured.

    Raises
    ------
    FolderError
        The file is damaged.
    """
    try:
        return Resolvability(pq.read_table(path, columns=list(FIELDS)))
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise FolderError(
            path, "the file is damaged", advice="calibrate the index again"
        ) from error
