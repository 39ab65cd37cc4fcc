"""The catalog: what each row is agreed to be, what it votes for, and how it is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqsearch.index.catalog import Catalog, CatalogSummary, write_catalog
from seqsearch.memory import Memory

RANKS = ("family", "genus", "species")
Line = tuple[int, str, tuple[str, ...]]  # row, ref_id, names

names = [st.sampled_from(["", f"{rank} 1", f"{rank} 2"]) for rank in RANKS]
lines_strategy = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from("abcd"), st.tuples(*names)),
    min_size=1,
    max_size=15,
    unique=True,
)


def catalog_of(lines: list[Line], path: Path) -> tuple[Catalog, CatalogSummary]:
    columns = {
        rank: pa.array([line[2][i] or None for line in lines]) for i, rank in enumerate(RANKS)
    }
    labels = pa.table(
        {
            "row": pa.array([line[0] for line in lines], pa.int64()),
            "ref_id": [line[1] for line in lines],
            "source": ["s"] * len(lines),
            "accession": pa.nulls(len(lines), pa.string()),
            "external_id": pa.nulls(len(lines), pa.string()),
            **{rank: column.cast(pa.string()) for rank, column in columns.items()},
        }
    )
    lengths = np.arange(100, 107, dtype=np.int32)
    labels = labels.sort_by("row")
    row = labels["row"].to_numpy()

    def blocks(fields: Sequence[str]) -> Iterator[pa.Table]:
        for low in range(0, 7, 3):  # three rows at once
            own = labels.filter(pa.array((row >= low) & (row < low + 3)))
            yield own.select(["row", *fields])

    sources = pa.table({"source": ["s"]})
    summary = write_catalog(path, blocks, lengths, RANKS, sources, Memory(1 << 30))
    return Catalog(path, summary.ranks), summary


def agreed(paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    """The lowest path that no label contradicts: taxa are their whole paths."""
    best: tuple[str, ...] = ()
    for rank in range(len(RANKS)):
        taxa = {path[: rank + 1] for path in paths if path[rank]}
        if len(taxa) > 1:
            break
        if taxa:
            best = taxa.pop()
    return best


@settings(deadline=None, max_examples=25)
@given(lines=lines_strategy)
@example(lines=[(0, "a", ("", "", ""))])  # nothing has a name
def test_rows_and_votes_are_those_of_a_loop(
    lines: list[Line], tmp_path_factory: pytest.TempPathFactory
) -> None:
    catalog, summary = catalog_of(lines, tmp_path_factory.mktemp("catalog") / "c.duckdb")
    taxonomy = catalog.taxonomy()
    written = catalog.refs(np.arange(7)).to_pylist()
    votes = catalog.votes(7)
    labels = catalog._connection.sql("SELECT row, ref_id, taxon FROM labels").fetchall()
    assert Counter((row, name) for row, name, _ in labels) == Counter(
        (row, name) for row, name, _ in lines
    )
    # Taxa as they are after the repair, which may have filled gaps.
    named = [i for i, rank in enumerate(RANKS) if any(line[2][i] for line in lines)]
    assert summary.ranks == tuple(RANKS[i] for i in named)  # others are left out
    by_rank = [pa.array([""] * len(taxonomy))] * 3
    for place, i in enumerate(named):
        by_rank[i] = taxonomy.names_at(np.arange(len(taxonomy)), place).fill_null("")
    full = list(zip(*(names.to_pylist() for names in by_rank), strict=True))
    assert [row["reference"] for row in written] == sorted({line[0] for line in lines})
    for row in written:
        own = [(name, taxon) for at, name, taxon in labels if at == row["reference"]]
        assert row["labels"] == sorted(name for name, _ in own)
        assert row["ref_id"] == row["labels"][0]
        assert row["length"] == 100 + row["reference"]
        path = agreed([full[taxon] for _, taxon in own if taxon is not None])
        assert [row.get(rank) or "" for rank in RANKS] == [*path, *[""] * (3 - len(path))]
        assert (row["lineage"] or "") == ";".join(name for name in path if name)
        every = [(one["records"], one["names"]) for one in row["lineages"] or []]
        counted = Counter(taxon for _, taxon in own if taxon is not None)
        assert every == [
            (counted[taxon], [full[taxon][i] or None for i in named]) for taxon in sorted(counted)
        ]
        start, stop = votes.start[row["reference"] : row["reference"] + 2]
        found = zip(
            votes.taxon[start:stop].tolist(), votes.records[start:stop].tolist(), strict=True
        )
        assert dict(found) == Counter(taxon for _, taxon in own if taxon is not None)
        assert list(votes.taxon[start:stop]) == sorted(votes.taxon[start:stop])
    assert summary.counts["records"] == len(lines)
    assert summary.counts["taxa"] == len(full)
    catalog.close()


BEES = [
    (0, "b", ("Apidae", "Apis", "Apis mellifera")),
    (0, "a", ("Apidae", "Apis", "Apis cerana")),
    (2, "c", ("Apidae", "", "")),
    (2, "d", ("Apidae", "Bombus", "")),
    (3, "a", ("Moraceae", "Morus", "")),
    (4, "e", ("Sulidae", "Morus", "")),
]


def test_a_small_catalog(tmp_path: Path) -> None:
    catalog, summary = catalog_of(BEES, tmp_path / "c.duckdb")
    refs = catalog.refs(np.array([4, 0, 2, 0, 99]))
    assert refs["reference"].to_pylist() == [0, 2, 4]
    assert refs["ref_id"].to_pylist() == ["a", "c", "e"]
    assert refs["labels"].to_pylist() == [["a", "b"], ["c", "d"], ["e"]]
    assert refs["lineage"].to_pylist() == ["Apidae;Apis", "Apidae;Bombus", "Sulidae;Morus"]
    assert catalog.rows_of(["a", "c", "nobody"]) == {"a": [0, 3], "c": [2]}
    assert summary.homonyms == ["genus Morus"]
    assert summary.counts == {
        "rows": 4,
        "records": 6,
        "taxa": 9,
        "family": 3,
        "genus": 4,
        "species": 2,
    }
    catalog.close()
