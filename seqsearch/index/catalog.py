"""The catalog: refs, labels, taxa and sources in DuckDB, derived from the segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from seqsearch.errors import FolderError
from seqsearch.libraries.repair import Repair, commonest_paths
from seqsearch.tables import Int32, Int64, one_array, to_numpy, whole_file
from seqsearch.taxonomy import Taxonomy

_TABLES = {
    "refs": """
        SELECT l.row, r.ref_id, r.length, r.taxon, l.source, l.accession, l.labels, l.records
        FROM rows r JOIN (
            SELECT row, min(source) AS source, min(accession) AS accession,
                   list(ref_id ORDER BY ref_id) AS labels, count(*) AS records
            FROM label_lines GROUP BY row) l USING (row) ORDER BY l.row""",
    "labels": "SELECT row, ref_id, taxon, source, accession FROM label_lines ORDER BY row, ref_id",
    "taxa": "SELECT * FROM taxon_lines ORDER BY taxon",
    "sources": "SELECT * FROM source_lines",
}


@dataclass(frozen=True)
class Votes:
    """What each row votes for: `taxon[start[row]:start[row + 1]]`, with how many records say so.

    Attributes
    ----------
    start : (rows + 1,) int64
    taxon, records : (m,) int32
    """

    start: Int64
    taxon: Int32
    records: Int32


@dataclass(frozen=True)
class CatalogSummary:
    """What writing a catalog found out: counts by name, and repaired paths."""

    counts: dict[str, int]
    repairs: list[Repair]
    homonyms: list[str]


def write_catalog(
    path: Path,
    labels: pa.Table,
    lengths: Int32,
    ranks: Sequence[str],
    sources: pa.Table,
) -> CatalogSummary:
    """Derive the taxonomy from the labels of the live rows, and write the catalog.

    Parameters
    ----------
    path : Path
        A DuckDB file; written whole or not at all.
    labels : pyarrow.Table
        `row`, ref_id, source, accession, external_id and rank columns of every live record.
    lengths : (rows,) int32
        By row; rows that are taken out included.
    ranks : sequence of str
    sources : pyarrow.Table
    """
    columns, repairs = commonest_paths(ranks, [labels[rank] for rank in ranks])
    taxonomy, taxa = Taxonomy.from_paths(ranks, columns, one_array(labels["external_id"]))
    lines = pa.table(
        {
            "row": labels["row"],
            "ref_id": labels["ref_id"],
            "taxon": pa.array(taxa, mask=taxa < 0),
            "source": labels["source"],
            "accession": labels["accession"],
        }
    )
    order = np.argsort(to_numpy(labels["row"]), kind="stable")
    live, start = np.unique(to_numpy(labels["row"])[order], return_index=True)
    agreed = _agreed_taxa(taxa[order], np.append(start, len(order)), taxonomy.lineage)
    rows = pa.table(
        {
            "row": live,
            "ref_id": _first_label(lines),
            "length": lengths[live],
            "taxon": pa.array(agreed, mask=agreed < 0),
        }
    )
    given = {
        "rows": rows,
        "label_lines": lines,
        "taxon_lines": _taxon_lines(taxonomy),
        "source_lines": sources,
    }
    _write_tables(path, given)
    counts = {"rows": len(live), "records": len(lines), "taxa": len(taxonomy)}
    for position, rank in enumerate(ranks):
        counts[rank] = int((taxonomy.rank == position).sum())
    return CatalogSummary(counts, repairs, _homonyms(taxonomy))


def _first_label(lines: pa.Table) -> pa.Array:
    """Each row's alphabetically first ref_id, rows ascending."""
    grouped = lines.group_by("row").aggregate([("ref_id", "min")]).sort_by("row")
    return one_array(grouped["ref_id_min"])


@njit(nogil=True, cache=True)
def _agreed_taxa(taxa: Int32, start: Int64, lineage: Int32) -> Int32:
    """Return the lowest taxon that no label of a row contradicts, -1 where there is none."""
    agreed = np.full(len(start) - 1, -1, np.int32)
    for row in range(len(start) - 1):
        for rank in range(lineage.shape[1]):
            found = np.int32(-1)
            clashes = 0
            for i in range(start[row], start[row + 1]):
                at = lineage[taxa[i], rank] if taxa[i] >= 0 else np.int32(-1)
                if at >= 0:
                    clashes += 1 if found >= 0 and found != at else 0
                    found = at
            if clashes:
                break
            if found >= 0:
                agreed[row] = found
    return agreed


def _taxon_lines(taxonomy: Taxonomy) -> pa.Table:
    everyone = np.arange(len(taxonomy))
    names = {rank: taxonomy.names_at(everyone, i) for i, rank in enumerate(taxonomy.ranks)}
    return pa.table(
        {
            "taxon": everyone.astype(np.int32),
            "parent": pa.array(taxonomy.parent, mask=taxonomy.parent < 0),
            "rank": pa.array(taxonomy.ranks).take(pa.array(taxonomy.rank)),
            "name": taxonomy.name,
            "external_id": taxonomy.external_id,
            "lineage": taxonomy.paths(),
            **names,
        }
    )


def _homonyms(taxonomy: Taxonomy) -> list[str]:
    """Return "rank name" of every name that stands in several lineages."""
    table = pa.table({"rank": taxonomy.rank, "name": taxonomy.name})
    grouped = table.group_by(["rank", "name"]).aggregate([([], "count_all")])
    several = grouped.filter(pc.greater(grouped["count_all"], 1)).sort_by("name").to_pylist()
    return [f"{taxonomy.ranks[entry['rank']]} {entry['name']}" for entry in several]


def _write_tables(path: Path, given: dict[str, pa.Table]) -> None:
    try:
        with whole_file(path) as temporary, duckdb.connect(str(temporary)) as connection:
            for name, table in given.items():
                connection.register(name, table)
            for name, select in _TABLES.items():
                connection.execute(f"CREATE TABLE {name} AS {select}")
            connection.execute("CHECKPOINT")
            connection.close()
    except duckdb.Error as error:  # a full disk, mostly
        raise FolderError(path, f"the catalog could not be written: {error}") from error


class Catalog:
    """A catalog opened for reading."""

    def __init__(self, path: Path, ranks: Sequence[str]) -> None:
        self.path, self.ranks = path, tuple(ranks)
        try:
            self._connection = duckdb.connect(str(path), read_only=True)
        except duckdb.Error as error:
            raise FolderError(
                path, "the catalog is damaged", advice="build the index again"
            ) from error

    def taxonomy(self) -> Taxonomy:
        """Read the taxonomy."""
        table = self._table("FROM taxa ORDER BY taxon")
        columns = [one_array(table[rank]) for rank in self.ranks]
        taxonomy, taxa = Taxonomy.from_paths(self.ranks, columns, one_array(table["external_id"]))
        if not np.array_equal(taxa, to_numpy(table["taxon"])):
            raise FolderError(self.path, "the taxa are damaged", advice="build the index again")
        return taxonomy

    def votes(self, rows: int) -> Votes:
        """Read what each of `rows` rows votes for; rows taken out vote for nothing."""
        table = self._table(
            "SELECT row, taxon, count(*)::INTEGER AS records FROM labels WHERE taxon IS NOT NULL "
            "GROUP BY row, taxon ORDER BY row, taxon"
        )
        start = np.searchsorted(to_numpy(table["row"]), np.arange(rows + 1))
        return Votes(
            start.astype(np.int64),
            to_numpy(table["taxon"]).astype(np.int32),
            to_numpy(table["records"]).astype(np.int32),
        )

    def labels(self) -> pa.Table:
        """Return `row`, ref_id, taxon and source of every live record, by row and ref_id."""
        return self._table("SELECT row, ref_id, taxon, source FROM labels ORDER BY row, ref_id")

    def refs(self, rows: Int64) -> pa.Table:
        """Return `reference`, ref_id, length, taxon, source, accession, labels, lineages of rows.

        `lineage` and the rank columns hold what no label of a row contradicts; `lineages` holds
        every lineage among its labels: how many records say so, and names from the highest rank
        down, null at gaps.
        """
        self._connection.register("wanted", pa.table({"row": np.unique(rows)}))
        names = "".join(f', t."{rank}"' for rank in self.ranks)
        path = ", ".join(f't."{rank}"' for rank in self.ranks)
        table = self._table(
            "WITH said AS (SELECT row, taxon, count(*)::INTEGER AS records FROM labels "
            "JOIN wanted USING (row) WHERE taxon IS NOT NULL GROUP BY ALL), every AS ("
            f"SELECT row, list({{'records': records, 'names': [{path}]}} ORDER BY taxon) AS "
            "lineages FROM said JOIN taxa t USING (taxon) GROUP BY row) "
            "SELECT r.row AS reference, r.ref_id, r.length, r.taxon, r.source, r.accession, "
            f"r.labels, t.lineage{names}, every.lineages FROM refs r JOIN wanted USING (row) "
            "LEFT JOIN taxa t ON t.taxon = r.taxon LEFT JOIN every USING (row) ORDER BY r.row"
        )
        self._connection.unregister("wanted")
        return table

    def rows_of(self, ref_ids: Sequence[str]) -> dict[str, list[int]]:
        """Return the rows that carry each label; labels that are not there are left out."""
        self._connection.register("wanted", pa.table({"ref_id": pa.array(ref_ids, pa.string())}))
        found = self._table(
            "SELECT ref_id, list(DISTINCT row) AS rows FROM labels JOIN wanted USING (ref_id) "
            "GROUP BY ref_id"
        )
        self._connection.unregister("wanted")
        return dict(zip(found["ref_id"].to_pylist(), found["rows"].to_pylist(), strict=True))

    def _table(self, statement: str) -> pa.Table:
        try:
            return self._connection.sql(statement).to_arrow_table()
        except duckdb.Error as error:
            raise FolderError(
                self.path, "the catalog is damaged", advice="build the index again"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
