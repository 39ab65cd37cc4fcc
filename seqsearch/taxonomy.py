"""The taxonomy: a taxon is its whole path, held as int32 arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.tables import Int32, Int64, one_array


@dataclass(frozen=True)
class Taxonomy:
    """Taxa numbered from 0, parents before children, the same for any order of the records.

    Attributes
    ----------
    ranks : tuple of str
        Names of the ranks, highest first.
    parent : (n,) int32
        Nearest named taxon above; -1 at the top.
    rank : (n,) int32
        Position in `ranks`.
    name : (n,) pyarrow string
        The taxon's own name; the same name may stand in several lineages.
    external_id : (n,) pyarrow string
        An identifier elsewhere (an NCBI taxid, say), or null.
    lineage : (n, len(ranks)) int32
        The taxon at every rank, itself included; -1 at gaps and below its own rank.
    """

    ranks: tuple[str, ...]
    parent: Int32
    rank: Int32
    name: pa.StringArray
    external_id: pa.StringArray
    lineage: Int32

    def __len__(self) -> int:
        return len(self.parent)

    @classmethod
    def from_paths(
        cls,
        ranks: Sequence[str],
        columns: Sequence[pa.Array],
        external_ids: pa.Array | None = None,
    ) -> tuple[Taxonomy, Int32]:
        """Number the taxa of many paths.

        Parameters
        ----------
        ranks : sequence of str
            Highest first.
        columns : sequence of (m,) pyarrow string
            One column a rank; null or "" where the path has no name there (a gap is legal).
        external_ids : (m,) pyarrow string, optional
            Identifier of each path's lowest taxon.

        Returns
        -------
        Taxonomy
        (m,) int32
            The lowest taxon of each path, -1 where it has no name at all.

        Examples
        --------
        >>> import pyarrow as pa
        >>> taxonomy, taxa = Taxonomy.from_paths(
        ...     ["family", "genus"], [pa.array(["Apidae", "Apidae"]), pa.array(["Apis", ""])]
        ... )
        >>> taxonomy.name.to_pylist(), taxa.tolist(), taxonomy.parent.tolist()
        (['Apidae', 'Apis'], [1, 0], [-1, 0])
        """
        records = next((len(one) for one in (*columns, external_ids) if one is not None), 0)
        current = np.full(records, -1, np.int32)
        parents, names, taxon_ranks = [], [], []
        total = 0
        for position, column in enumerate(columns):
            codes, words = sorted_codes(column)
            has_name = codes >= 0
            # Sorting by (parent, word) numbers the taxa by what they are, not by who came first.
            keys = (current[has_name].astype(np.int64) + 1) * max(len(words), 1) + codes[has_name]
            unique, inverse = np.unique(keys, return_inverse=True)
            parents.append((unique // max(len(words), 1) - 1).astype(np.int32))
            names.append(words.take(pa.array(unique % max(len(words), 1))))
            taxon_ranks.append(np.full(len(unique), position, np.int32))
            current[has_name] = total + inverse.astype(np.int32)
            total += len(unique)
        parent = np.concatenate(parents) if parents else np.empty(0, np.int32)
        rank = np.concatenate(taxon_ranks) if parents else np.empty(0, np.int32)
        name = one_array(pa.chunked_array(names, pa.string()))
        ids = _external(external_ids, current, total)
        return cls.from_parents(ranks, parent, rank, name, ids), current

    @classmethod
    def from_parents(
        cls,
        ranks: Sequence[str],
        parent: Int32,
        rank: Int32,
        name: pa.StringArray,
        external_id: pa.StringArray,
    ) -> Taxonomy:
        """Return a taxonomy that is numbered already; see the attributes."""
        lineage = _lineages(parent, rank, len(ranks))
        return cls(tuple(ranks), parent, rank, name, external_id, lineage)

    def names_at(self, taxa: Int32 | Int64, rank: int) -> pa.StringArray:
        """Return the name at one rank for each taxon, null at gaps, below, and for taxon -1."""
        at = (
            np.where(taxa >= 0, self.lineage[taxa, rank], -1)
            if len(self)
            else np.full(len(taxa), -1)
        )
        return self.names_of(at)

    def names_of(self, taxa: Int32 | Int64) -> pa.StringArray:
        """Return the own name of each taxon, null for taxon -1."""
        return self.name.take(pa.array(taxa, mask=taxa < 0))

    def paths(self) -> pa.StringArray:
        """Return every taxon's path as text, names joined by ";", gaps left out."""
        columns = [self.names_at(np.arange(len(self)), r) for r in range(len(self.ranks))]
        if not columns:
            return pa.array([], pa.string())
        return pc.binary_join_element_wise(*columns, ";", null_handling="skip")


def sorted_codes(column: pa.Array) -> tuple[Int64, pa.StringArray]:
    """Return each value's place among the sorted distinct words; -1 for null and ""."""
    encoded = one_array(pc.dictionary_encode(column))
    words = encoded.dictionary.cast(pa.string())
    order = pc.sort_indices(words).to_numpy()
    place = np.empty(len(order) + 1, np.int64)
    place[order] = np.arange(len(order))
    place[-1] = -1
    is_empty = pc.equal(words, "").to_numpy(zero_copy_only=False).astype(bool)
    place[:-1][is_empty] = -1
    codes = place[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return codes, words.take(pa.array(order))


def _lineages(parent: Int32, rank: Int32, ranks: int) -> Int32:
    lineage = np.full((len(parent), ranks), -1, np.int32)
    for position in range(ranks):  # parents stand before their children
        own = np.flatnonzero(rank == position)
        inherited = parent[own] >= 0
        lineage[own[inherited]] = lineage[parent[own[inherited]]]
        lineage[own, position] = own
    return lineage


def _external(external_ids: pa.Array | None, taxa: Int32, total: int) -> pa.StringArray:
    if external_ids is None or external_ids.null_count == len(external_ids):
        return pa.nulls(total, pa.string())
    table = pa.table({"taxon": taxa, "id": external_ids}).filter(pc.is_valid(pc.field("id")))
    first = table.group_by("taxon").aggregate([("id", "min")])  # min: the same for any order
    values = np.full(total, -1, np.int64)
    known = first["taxon"].to_numpy()
    values[known[known >= 0]] = np.flatnonzero(known >= 0)
    return one_array(first["id_min"]).take(pa.array(values, mask=values < 0))
