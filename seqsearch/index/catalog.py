"""The catalog: refs, labels, taxa and sources in DuckDB, derived from the segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from seqsearch.errors import FolderError
from seqsearch.libraries.distinct import DistinctLines
from seqsearch.libraries.repair import Repair, commonest_paths
from seqsearch.memory import Memory
from seqsearch.tables import Int32, Int64, one_array, stoppable, to_numpy, whole_file
from seqsearch.taxonomy import Taxonomy

_TABLES = {
    "refs": """row BIGINT, ref_id VARCHAR, length INTEGER, taxon INTEGER, source VARCHAR,
        accession VARCHAR, labels VARCHAR[], records BIGINT""",
    "labels": "row BIGINT, ref_id VARCHAR, taxon INTEGER, source VARCHAR, accession VARCHAR",
    "votes": "row BIGINT, taxon INTEGER, records INTEGER",
}
# What a block of label lines adds to them. Rows come in order, and so they stay.
_INSERTS = {
    "labels": "SELECT row, ref_id, taxon, source, accession FROM lines ORDER BY row, ref_id",
    "refs": """
        SELECT l.row, l.ref_id, r.length, r.taxon, l.source, l.accession, l.labels, l.records
        FROM rows r JOIN (
            SELECT row, min(ref_id) AS ref_id, min(source) AS source, min(accession) AS accession,
                   list(ref_id ORDER BY ref_id) AS labels, count(*) AS records
            FROM lines GROUP BY row) l USING (row) ORDER BY l.row""",
    "votes": """SELECT row, taxon, count(*) FROM lines WHERE taxon IS NOT NULL
        GROUP BY row, taxon ORDER BY row, taxon""",
}
LINE_FIELDS = ("ref_id", "source", "accession")
Blocks = Callable[[Sequence[str]], Iterator[pa.Table]]


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
    """What writing a catalog found out: ranks with names, counts by name, and repaired paths."""

    ranks: tuple[str, ...]
    counts: dict[str, int]
    repairs: list[Repair]
    homonyms: list[str]


def write_catalog(
    path: Path,
    blocks: Blocks,
    lengths: Int32,
    ranks: Sequence[str],
    sources: pa.Table,
    memory: Memory,
) -> CatalogSummary:
    """Derive the taxonomy from the labels of the live rows, and write the catalog.

    Labels are read twice, a block at a time: once for the lineages among them, then for the rest.

    Parameters
    ----------
    path : Path
        A DuckDB file; written whole or not at all.
    blocks : function
        Given names of columns, yields tables of `row` and those of them that there are: one line a
        live record, rows ascending, all lines of a row in one table.
    lengths : (rows,) int32
        By row; rows that are taken out included.
    ranks : sequence of str
        Those without any name are left out.
    sources : pyarrow.Table
    memory : Memory
    """
    lineages, number = _lineages(blocks, ranks)
    ranks = [name for name in ranks if name in lineages.column_names]
    columns = [one_array(lineages[rank]) for rank in ranks]
    columns, repairs = commonest_paths(ranks, columns, np.bincount(number, minlength=len(lineages)))
    taxonomy, taxa = Taxonomy.from_paths(ranks, columns, one_array(lineages["external_id"]))
    taxa = taxa[number]
    try:
        with (
            stoppable(),
            whole_file(path) as temporary,
            duckdb.connect(str(temporary), config={"memory_limit": memory.database}) as connection,
        ):
            rows = _write_rows(connection, blocks(LINE_FIELDS), taxa, taxonomy, lengths)
            tables = {"taxa": _taxon_lines(taxonomy), "sources": sources}
            for name, table in tables.items():
                connection.register("given", table)
                connection.execute(f"CREATE TABLE {name} AS FROM given")
            connection.execute("CHECKPOINT")
            connection.close()
    except duckdb.Error as error:  # a full disk, mostly
        raise FolderError(path, f"the catalog could not be written: {error}") from error
    counts = {"rows": rows, "records": len(taxa), "taxa": len(taxonomy)}
    for position, rank in enumerate(ranks):
        counts[rank] = int((taxonomy.rank == position).sum())
    return CatalogSummary(tuple(ranks), counts, repairs, _homonyms(taxonomy))


def _lineages(blocks: Blocks, ranks: Sequence[str]) -> tuple[pa.Table, Int64]:
    """Return the distinct lineages (external_id, and ranks with a name), and each line's number."""
    distinct = DistinctLines()
    numbers = [
        distinct.add(lines.drop_columns(["row"])).astype(np.int32)
        for lines in blocks(("external_id", *ranks))
    ]
    table = distinct.table()
    named = [name for name in ranks if name in table.column_names]
    named = [name for name in named if table[name].null_count < len(table)]
    return table.select(["external_id", *named]), np.concatenate(numbers)


def _write_rows(
    connection: duckdb.DuckDBPyConnection,
    blocks: Iterator[pa.Table],
    taxa: Int32,
    taxonomy: Taxonomy,
    lengths: Int32,
) -> int:
    """Fill `_TABLES` with label lines of the taxa given; returns the number of rows."""
    connection.execute("BEGIN")
    for name, columns in _TABLES.items():
        connection.execute(f"CREATE TABLE {name} ({columns})")
    rows = done = 0
    for lines in blocks:
        own = taxa[done : done + len(lines)]
        live, start = np.unique(to_numpy(lines["row"]), return_index=True)
        agreed = _agreed_taxa(own, np.append(start, len(own)), taxonomy.lineage)
        connection.register("lines", lines.append_column("taxon", pa.array(own, mask=own < 0)))
        taxon = pa.array(agreed, mask=agreed < 0)
        connection.register(
            "rows", pa.table({"row": live, "length": lengths[live], "taxon": taxon})
        )
        for name, select in _INSERTS.items():
            connection.execute(f"INSERT INTO {name} {select}")
        rows, done = rows + len(live), done + len(lines)
    connection.execute("COMMIT")
    return rows


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
        table = self._table("SELECT taxon, parent, rank, name, external_id FROM taxa")
        parent = to_numpy(table["parent"].fill_null(-1)).astype(np.int32)
        rank = to_numpy(pc.index_in(table["rank"], pa.array(self.ranks)).fill_null(-1))
        own = np.arange(len(table))
        above = np.where(parent >= 0, rank[parent], -1)
        if not ((to_numpy(table["taxon"]) == own) & (parent < own) & (above < rank)).all():
            raise FolderError(self.path, "the taxa are damaged", advice="build the index again")
        names, ids = one_array(table["name"]), one_array(table["external_id"])
        return Taxonomy.from_parents(self.ranks, parent, rank.astype(np.int32), names, ids)

    def votes(self, rows: int) -> Votes:
        """Read what each of `rows` rows votes for; rows taken out vote for nothing."""
        table = self._table("SELECT row, taxon, records FROM votes")
        start = np.searchsorted(to_numpy(table["row"]), np.arange(rows + 1))
        return Votes(
            start.astype(np.int64),
            to_numpy(table["taxon"]).astype(np.int32),
            to_numpy(table["records"]).astype(np.int32),
        )

    def agreed(self, rows: int) -> Int32:
        """Return (rows,) int32: the lowest taxon that no label of a row contradicts, -1 for none.

        Rows taken out have none.
        """
        table = self._table("SELECT row, taxon FROM refs WHERE taxon IS NOT NULL")
        taxa = np.full(rows, -1, np.int32)
        taxa[to_numpy(table["row"])] = to_numpy(table["taxon"])
        return taxa

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
