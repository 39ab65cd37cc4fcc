"""An index that was added to and taken from answers as one that was built so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqsearch.dna.simulation import RANKS
from seqsearch.errors import SettingsError
from seqsearch.index.manifest import read_manifest
from seqsearch.index.store import IndexStore
from seqsearch.jobs.build import add_to_index, remove_from_index
from seqsearch.jobs.inspecting import verify_index


@pytest.fixture(scope="module")
def file(module_bench, reads) -> Path:
    return module_bench.reads(reads)


def content(index: Path) -> tuple[Any, ...]:
    """Everything an index says of its references, without row numbers."""
    store = IndexStore.open(index)
    batch = store.sequences(store.live_rows)
    refs = store.catalog.refs(store.live_rows).drop_columns(["reference"]).to_pylist()
    vectors = store.vectors(np.arange(store.rows))
    result = sorted(
        (batch.sequence(i), str(refs[i]), vectors[row].tobytes())
        for i, row in enumerate(store.live_rows)
    )
    taxa = store.taxonomy.paths().to_pylist()
    counts = {k: v for k, v in store.manifest.counts.items() if k != "removed"}
    ranks, number = store.manifest.ranks, store.rows - len(store.removed)
    store.close()
    assert counts["rows"] == number
    return ranks, counts, taxa, result


def same(bench, one: Path, other: Path, file: Path) -> None:
    assert content(one) == content(other)
    assert bench.findings(bench.query(one, file)) == bench.findings(bench.query(other, file))
    verify_index(one, sample=50)


def split(records: list[Any]) -> tuple[list[Any], list[Any]]:
    return records[: len(records) * 2 // 3], records[len(records) * 2 // 3 :]


def test_adding_new_sequences(module_bench, records, file) -> None:
    one, two = map(module_bench.library, split(records))
    index = module_bench.index(one)
    add_to_index(index, two[0], taxonomy=two[1])
    same(module_bench, index, module_bench.index(one, two), file)


def test_adding_in_many_steps(module_bench, records, file) -> None:
    parts = [module_bench.library(records[i::5], f"part{i}") for i in range(5)]
    index = module_bench.index(parts[0])
    for fasta, table in parts[1:]:
        add_to_index(index, fasta, taxonomy=table)
    same(module_bench, index, module_bench.index(*parts), file)
    assert read_manifest(index).number == 5


def test_adding_known_sequences_with_new_labels_and_new_ranks(module_bench, records, file) -> None:
    first, second = split(records)
    known = [  # known sequences: as they were, with another name, with ranks of their own
        *first[:20],
        *(replace(r, name=f"new-{r.name}") for r in first[20:40]),
        *(
            replace(r, name=f"x{r.name}", lineage={"kingdom": "K", **r.lineage, "subspecies": "x"})
            for r in first[30:60]
        ),
        *(replace(r, lineage=first[0].lineage) for r in first[60:70]),  # same id, other name
    ]
    one, two = module_bench.library(first, "one"), module_bench.library([*known, *second], "two")
    index = module_bench.index(one)
    add_to_index(index, two[0], taxonomy=two[1])
    fresh = module_bench.index(one, two)
    assert read_manifest(fresh).ranks[0] == "kingdom"
    assert read_manifest(fresh).ranks[-1] == "subspecies"
    same(module_bench, index, fresh, file)
    assert len(read_manifest(index).segments) == 2
    assert read_manifest(index).counts["removed"] > 0


def test_adding_what_is_there_changes_no_row(module_bench, records, file) -> None:
    library = module_bench.library(records)
    index = module_bench.index(library)
    before = read_manifest(index)
    add_to_index(index, library[0], taxonomy=library[1])
    after = read_manifest(index)
    assert (after.segments, after.counts) == (before.segments, before.counts)
    assert (after.number, after.action, len(after.sources)) == (2, "add", 2)
    same(module_bench, index, module_bench.index(library), file)


def removable(records: list[Any]) -> list[str]:
    """Ids of every fourth record, and of one of several labels of a row (no two of one row)."""
    return [r.name for i, r in enumerate(records) if i % 4 == 1]


def test_removing_references(module_bench, records, file) -> None:
    gone = set(removable(records))
    index = module_bench.index(module_bench.library(records))
    remove_from_index(index, sorted(gone))
    left = [record for record in records if record.name not in gone]
    assert {record.sequence for record in left} & {r.sequence for r in records if r.name in gone}
    same(module_bench, index, module_bench.index(module_bench.library(left)), file)


def test_removing_labels_of_a_row_one_by_one(module_bench, records, file) -> None:
    shared = next(r.name.removesuffix("-again") for r in records if r.name.endswith("-again"))
    index = module_bench.index(module_bench.library(records))
    rows = read_manifest(index).counts["rows"]
    for i, name in enumerate((shared, f"{shared}-again")):
        remove_from_index(index, [name])
        assert read_manifest(index).counts["rows"] == rows - i
        records = [record for record in records if record.name != name]
        same(module_bench, index, module_bench.index(module_bench.library(records)), file)


def test_removing_what_was_added_brings_the_index_back(module_bench, records, file) -> None:
    first, second = split(records)
    ranked = [replace(r, lineage={"kingdom": "K", **r.lineage, "strain": "x"}) for r in second]
    added = [*ranked, *(replace(r, name=f"new-{r.name}") for r in first[:50])]
    one, two = module_bench.library(first), module_bench.library(added, "two")
    index = module_bench.index(one)
    add_to_index(index, two[0], taxonomy=two[1])
    assert read_manifest(index).ranks[:: len(RANKS) + 1] == ("kingdom", "strain")
    remove_from_index(index, [record.name for record in added])
    assert read_manifest(index).ranks == RANKS
    same(module_bench, index, module_bench.index(one), file)


def test_adding_what_was_removed_brings_the_index_back(module_bench, records, file) -> None:
    gone = set(removable(records))
    library = module_bench.library(records)
    again = module_bench.library([record for record in records if record.name in gone])
    index = module_bench.index(library)
    remove_from_index(index, sorted(gone))
    add_to_index(index, again[0], taxonomy=again[1])
    same(module_bench, index, module_bench.index(library), file)


def test_repair_sees_the_whole_library(module_bench, records, file) -> None:
    # A family stands in two orders; which is commoner turns with the addition, and back.
    family = records[3].lineage["family"]
    own = [
        replace(r, lineage={**r.lineage, "family": "Apidae"})
        for r in records
        if r.lineage.get("family") == family
    ]
    others = [r for r in records if r.lineage.get("family") != family]
    moved = [
        replace(r, name=f"moved-{r.name}", lineage={**r.lineage, "order": "Movedales"})
        for r in (*own, *own)
    ]
    moved = [replace(r, name=f"{r.name}-{i}") for i, r in enumerate(moved)]
    one = module_bench.library([*others, *own, *moved[:2]])
    two = module_bench.library(moved[2:], "two")
    index = module_bench.index(one)
    assert any("Movedales to " in note for note in read_manifest(index).notes)
    add_to_index(index, two[0], taxonomy=two[1])
    assert not any("Movedales to " in note for note in read_manifest(index).notes)
    assert any(note.endswith("Movedales") for note in read_manifest(index).notes)
    same(module_bench, index, module_bench.index(one, two), file)
    remove_from_index(index, [record.name for record in moved[2:]])
    same(module_bench, index, module_bench.index(one), file)


def test_what_cannot_be_removed_changes_nothing(module_bench, records) -> None:
    index = module_bench.index(module_bench.library(records[:20]))
    before = read_manifest(index)
    with pytest.raises(SettingsError, match=r"nobody, .*none removed"):
        remove_from_index(index, [records[0].name, "nobody", "no-one"])
    with pytest.raises(SettingsError, match="to leave at least one reference"):
        remove_from_index(index, [record.name for record in records[:20]])
    with pytest.raises(SettingsError, match="none removed"):
        remove_from_index(index, [])
    assert read_manifest(index) == before
