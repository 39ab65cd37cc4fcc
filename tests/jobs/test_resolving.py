"""Resolvability, against every pair compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqsearch.analytics.resolvability import read_resolvability
from seqsearch.dna.simulation import simulate_library
from seqsearch.index.store import IndexStore
from seqsearch.jobs.build import build_index
from seqsearch.jobs.demo import write_library
from seqsearch.jobs.inspecting import encoder_of
from seqsearch.jobs.markers import Markers
from seqsearch.jobs.opened import open_index
from seqsearch.jobs.resolving import _identities
from seqsearch.search.retrieve import open_retriever
from seqsearch.settings import BuildSettings


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    write_library(folder, simulate_library(families=6, seed=3))
    fasta, table = folder / "references.fasta", folder / "references.tsv"
    lines = table.read_text().splitlines()
    records = fasta.read_text().split(">")[1:]
    # The first record's sequence again, shorter and whole, under two other species' names.
    sequence = "".join(records[0].split("\n")[1:])
    fasta.write_text(
        "".join(f">{r}" for r in records) + f">copy1\n{sequence[50:]}\n>copy2\n{sequence}\n"
    )
    names = [lines[-1].split("\t"), lines[-30].split("\t")]
    copies = ["\t".join([f"copy{i + 1}", *names[i][1:]]) for i in range(2)]
    table.write_text("\n".join([*lines, *copies]) + "\n")
    settings = BuildSettings(encoder="spectrum")
    build_index(fasta, folder / "index", taxonomy=table, settings=settings)
    return folder / "index"


def test_identities_are_those_of_all_pairs(index: Path) -> None:
    store = IndexStore.open(index)
    found = read_resolvability(index / store.manifest.resolvability)
    votes, lowest = store.votes, store.taxonomy.lineage[:, -1]
    rows = np.repeat(np.arange(store.rows), np.diff(votes.start))
    species = lowest[votes.taxon]
    names = store.taxonomy.name.to_pylist()
    one, other = np.triu_indices(len(rows), 1)
    identity = np.ones(len(one))
    apart = rows[one] != rows[other]
    markers = Markers(store, encoder_of(store), open_retriever(store))
    identity[apart] = _identities(markers, rows[one][apart], rows[other][apart], 0)
    for line in found.table.to_pylist():
        (taxon,) = {int(s) for s in species if names[s] == line["name"]}
        a, b = species[one] == taxon, species[other] == taxon
        assert line["sequences"] == len(set(rows[species == taxon]))
        between = identity[a ^ b]
        # A sequence has only so many candidates, so that the second most alike may be missed.
        assert line["identity_other"] == pytest.approx(between.max(), abs=1e-6)
        shared = {
            names[species[other[i]] if a[i] else species[one[i]]]
            for i in np.flatnonzero((a ^ b) & (identity >= 1 - 1e-6))
        }
        assert set(line["shared_with"]) == shared
        inside = identity[a & b & apart]
        assert (line["identity_within"] is None) == (not len(inside))
        if len(inside):
            assert line["identity_within"] >= inside.min() - 1e-6
            assert line["identity_within"] <= np.median(inside) + 1e-6
    assert found.shares.sum() >= 3


def test_calls_of_species_that_share_a_sequence_say_so(index: Path) -> None:
    store = IndexStore.open(index)
    found = read_resolvability(index / store.manifest.resolvability)
    shared = {line["name"]: line["shared_with"] for line in found.table.to_pylist()}
    with open_index(index) as opened:
        rows = opened.classify(store.sequences(store.live_rows)).to_pylist()
    told = 0
    for row in rows:
        if row["verdict"] == "identified":
            expected = ", ".join(shared[row["species"]])
            assert ("shares a sequence with" in row["reason"]) == bool(expected)
            assert expected in row["reason"]
            told += bool(expected)
    assert told


def test_genera_with_most_shared_sequences_come_first(index: Path) -> None:
    store = IndexStore.open(index)
    found = read_resolvability(index / store.manifest.resolvability)
    lines = found.by_taxon_above().to_pylist()
    assert [line["sharing"] for line in lines] == sorted(
        (line["sharing"] for line in lines), reverse=True
    )
    assert sum(line["taxa"] for line in lines) == len(found.table)
    assert sum(line["sharing"] for line in lines) == found.shares.sum()
    assert sum(line["with_gap"] for line in lines) == found.has_gap.sum()
