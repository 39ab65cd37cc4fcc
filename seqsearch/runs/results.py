"""`Hits` and `Calls`: what a search found, as columns of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from seqsearch.tables import Float32, Int32, Int64

Int8 = np.ndarray[Any, np.dtype[np.int8]]
# Columns that are mismatches or gaps, and in how many runs the gaps stand; where the alignment lies
# on query and reference as they were given, counted from 0, ends excluded.
ALIGNED = (
    *("mismatches", "gaps", "gap_opens"),
    *("query_start", "query_end", "reference_start", "reference_end"),
)
PLUS, MINUS, EITHER = 1, -1, 0  # strands; of the last, nothing is known

ALTERNATIVE = pa.struct([("name", pa.string()), ("share", pa.float32())])


@dataclass(frozen=True)
class Hits:
    """References found for queries, best first within a query; m in all.

    Attributes
    ----------
    query : (m,) int64
        Number of the query in the run.
    hit : (m,) int32
        0 for the best hit of its query.
    reference : (m,) int64
        Row of the index.
    similarity : (m,) float32
        Cosine of the vectors, rounded to 1e-6.
    identity, query_coverage, reference_coverage : (m,) float32
        Fractions; NaN where nothing was aligned.
    strand : (m,) int8
        1 where the query lies as it is, -1 where its reverse complement does.
    alignment : (m, len(ALIGNED)) int32
        What `ALIGNED` names; -1 where nothing was aligned.
    """

    query: Int64
    hit: Int32
    reference: Int64
    similarity: Float32
    identity: Float32
    query_coverage: Float32
    reference_coverage: Float32
    strand: Int8
    alignment: Int32

    @classmethod
    def concatenate(cls, parts: Sequence[Hits]) -> Hits:
        """Return the hits of all parts, in order."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def take(self, rows: Int64, query: Int64) -> Hits:
        """Return (m,) rows of these, as hits of other queries, (m,) int64."""
        taken = {field.name: getattr(self, field.name)[rows] for field in fields(self)}
        return Hits(**{**taken, "query": query})

    def table(self) -> pa.Table:
        """Return the columns as an Arrow table; NaN becomes null, the strand "+" or "-"."""
        signs = pa.array(["-", "+"]).take(pa.array((self.strand > 0).astype(np.int8)))
        return pa.table(
            {
                "query": self.query,
                "hit": self.hit,
                "reference": self.reference,
                "similarity": self.similarity,
                "identity": _without_nan(self.identity),
                "query_coverage": _without_nan(self.query_coverage),
                "reference_coverage": _without_nan(self.reference_coverage),
                "strand": signs,
                **{name: _without_minus(self.alignment[:, i]) for i, name in enumerate(ALIGNED)},
            }
        )


@dataclass(frozen=True)
class Calls:
    """The best name of every rank for queries, one row per query and rank; m in all.

    Attributes
    ----------
    query : (m,) int64
    rank : (m,) int32
        Position among the library's ranks, ascending within a query.
    taxon : (m,) int32
    name : (m,) pyarrow string
    probability : (m,) float32
        That this name is right; never rises from a rank to the one below.
    hidden : (m,) float32
        That the query's own taxon at this rank is not in the library; never falls.
    share : (m,) float32
        Of the votes.
    tied : (m,) int32
        How many names share the best place; 1 where it is alone.
    alternatives : (m,) pyarrow list of struct
        The next names at this rank, best first, with their shares.
    shared_with : (m,) pyarrow string
        Names with which this one shares a sequence in the library; null where with none.
    """

    query: Int64
    rank: Int32
    taxon: Int32
    name: pa.StringArray
    probability: Float32
    hidden: Float32
    share: Float32
    tied: Int32
    alternatives: pa.ListArray
    shared_with: pa.StringArray

    @classmethod
    def concatenate(cls, parts: Sequence[Calls]) -> Calls:
        """Return the calls of all parts, in order."""
        names = [field.name for field in fields(cls)]
        return cls(*(_joined([getattr(part, name) for part in parts]) for name in names))

    def take(self, rows: Int64, query: Int64) -> Calls:
        """Return (m,) rows of these, as calls of other queries, (m,) int64."""
        chosen: dict[str, Any] = {}
        for field in fields(self):
            column = getattr(self, field.name)
            is_array = isinstance(column, np.ndarray)
            chosen[field.name] = column[rows] if is_array else column.take(pa.array(rows))
        return Calls(**{**chosen, "query": query})

    def table(self, ranks: tuple[str, ...]) -> pa.Table:
        """Return the columns as an Arrow table, ranks by name."""
        return pa.table(
            {
                "query": self.query,
                "rank": pa.array(ranks, pa.string()).take(pa.array(self.rank)),
                "taxon": self.taxon,
                "name": self.name,
                "probability": self.probability,
                "hidden": self.hidden,
                "share": self.share,
                "tied": self.tied,
                "alternatives": self.alternatives,
                "shared_with": self.shared_with,
            }
        )


def _joined(columns: Sequence[Any]) -> Any:
    if isinstance(columns[0], np.ndarray):
        return np.concatenate(columns)
    return pa.concat_arrays(columns)


def _without_nan(values: Float32) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def _without_minus(values: Int32) -> pa.Array:
    return pa.array(values, mask=values < 0)
