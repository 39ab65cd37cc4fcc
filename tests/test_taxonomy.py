"""The taxonomy's arrays against a plain dictionary of paths."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.taxonomy import Taxonomy

RANKS = ("family", "genus", "species")
Path = tuple[str | None, ...]

names = st.sampled_from([None, "", "A", "B", "Clostridium sensu stricto 2", "é", "Z"])
paths_strategy = st.lists(st.tuples(names, names, names), max_size=20)


def columns_of(paths: list[Path]) -> list[pa.Array]:
    return [pa.array([path[i] for path in paths], pa.string()) for i in range(len(RANKS))]


def slow_taxonomy(paths: list[Path]) -> dict[Path, int]:
    """Number of each taxon by its path, which ends with its own name; gaps are ""."""
    number: dict[Path, int] = {}
    filled = [tuple(name or "" for name in path) for path in paths]
    for rank in range(len(RANKS)):
        ends = {path[: rank + 1] for path in filled if path[rank]}
        # By the number of the parent, then by name.
        for path in sorted(ends, key=lambda path: (number.get(above(path), -1), path[-1])):
            number[path] = len(number)
    return number


def above(path: Path) -> Path:
    """The path of the nearest named taxon above."""
    path = path[:-1]
    while path and not path[-1]:
        path = path[:-1]
    return path


@settings(deadline=None, max_examples=200)
@given(paths=paths_strategy, data=st.data())
def test_arrays_are_those_of_a_dictionary(paths: list[Path], data: st.DataObject) -> None:
    taxonomy, taxa = Taxonomy.from_paths(RANKS, columns_of(paths))
    number = slow_taxonomy(paths)
    assert len(taxonomy) == len(number)
    for path, taxon in number.items():
        assert taxonomy.name[taxon].as_py() == path[-1]
        assert taxonomy.rank[taxon] == len(path) - 1
        assert taxonomy.parent[taxon] == number.get(above(path), -1)
        assert taxonomy.parent[taxon] < taxon
        at_ranks = [number[path[: i + 1]] if path[i] else -1 for i in range(len(path))]
        assert taxonomy.lineage[taxon].tolist() == at_ranks + [-1] * (3 - len(path))
        assert taxonomy.paths()[taxon].as_py() == ";".join(name for name in path if name)
    lowest = []
    for path in paths:
        filled = tuple(name or "" for name in path)
        while filled and not filled[-1]:
            filled = filled[:-1]
        lowest.append(number.get(filled, -1))
    assert taxa.tolist() == lowest
    for rank in range(3):
        assert taxonomy.names_at(taxa, rank).to_pylist() == [path[rank] or None for path in paths]
    # The same taxa for any order of the records, and for records that stand several times.
    order = data.draw(st.lists(st.sampled_from(range(len(paths))))) if paths else []
    order += list(range(len(paths)))[::-1]
    again, again_taxa = Taxonomy.from_paths(RANKS, columns_of([paths[i] for i in order]))
    assert again.name.equals(taxonomy.name)
    assert np.array_equal(again.lineage, taxonomy.lineage)
    assert again_taxa.tolist() == [lowest[i] for i in order]


def test_a_taxon_is_its_path_not_its_name() -> None:
    paths = [("Syrphidae", "Morus", "Morus x"), ("Moraceae", "Morus", "Morus x"), ("", "Morus", "")]
    taxonomy, taxa = Taxonomy.from_paths(RANKS, columns_of(paths))
    assert taxonomy.name.to_pylist().count("Morus") == 3
    assert len(set(taxa.tolist())) == 3
    assert taxonomy.paths().to_pylist()[taxa[0]] == "Syrphidae;Morus;Morus x"


def test_external_ids_belong_to_the_lowest_taxon() -> None:
    paths = [("A", "B", ""), ("A", "B", ""), ("A", "C", ""), ("A", "", ""), ("", "", "")]
    given_ids = pa.array(["9", "10", None, "3", "7"])
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0]):
        taxonomy, _ = Taxonomy.from_paths(
            RANKS, columns_of([paths[i] for i in order]), given_ids.take(pa.array(order))
        )
        assert taxonomy.name.to_pylist() == ["A", "B", "C"]
        assert taxonomy.external_id.to_pylist() == ["3", "10", None]


def test_nothing_is_a_taxonomy_too() -> None:
    for paths in ([], [("", None, "")]):
        taxonomy, taxa = Taxonomy.from_paths(RANKS, columns_of(paths))
        assert len(taxonomy) == 0
        assert taxa.tolist() == [-1] * len(paths)
        assert taxonomy.names_at(taxa, 0).to_pylist() == [None] * len(paths)
        assert taxonomy.paths().to_pylist() == []
