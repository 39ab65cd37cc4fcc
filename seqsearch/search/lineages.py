"""The lineages of references, as arrays: what all labels of an identical sequence say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.tables import Int32, Int64, one_array, to_numpy
from seqsearch.taxonomy import Taxonomy


@dataclass(frozen=True)
class Lineages:
    """Every lineage of the references of a run or a batch.

    Attributes
    ----------
    reference : (m,) pyarrow int64
    start : (m + 1,) int64
        The lineages of reference i are start[i] to start[i + 1].
    records : (e,) int64
        How many records of the reference say so.
    taxon : (e, ranks) int32
        -1 at gaps and below the lowest name.
    lowest : (e,) int64
        Position of the lowest rank with a name.
    taxonomy : Taxonomy
        Of these lineages alone.
    """

    reference: pa.Array
    start: Int64
    records: Int64
    taxon: Int32
    lowest: Int64
    taxonomy: Taxonomy

    @classmethod
    def of(cls, refs: pa.Table, ranks: tuple[str, ...]) -> Lineages:
        """Read them from the columns `reference` and `lineages` of references."""
        lists = one_array(refs["lineages"])
        sizes = to_numpy(pc.fill_null(pc.list_value_length(lists), 0))
        said = lists.flatten()
        names = one_array(said.field("names").flatten()).cast(pa.string())
        places = np.arange(len(said)) * len(ranks)
        columns = [names.take(pa.array(places + position)) for position in range(len(ranks))]
        taxonomy, taxa = Taxonomy.from_paths(ranks, columns)
        return cls(
            one_array(refs["reference"]),
            np.append(0, np.cumsum(sizes)),
            to_numpy(said.field("records")).astype(np.int64),
            taxonomy.lineage[taxa],
            taxonomy.rank[taxa].astype(np.int64),
            taxonomy,
        )
