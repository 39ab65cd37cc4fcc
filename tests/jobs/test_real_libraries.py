"""The promises of the other files, on real libraries with their gaps, homonyms and lengths."""

from __future__ import annotations

import csv
import gzip
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from seqsearch.index.manifest import read_manifest
from seqsearch.jobs.build import add_to_index, remove_from_index
from seqsearch.jobs.opened import open_index

pytestmark = pytest.mark.slow
RECORDS, QUERIES = 5_000, 300


def fasta_records(path: Path) -> list[tuple[str, str]]:
    with gzip.open(path, "rt") as handle:
        parts = handle.read().split(">")[1:]
    return [(part.split()[0], "".join(part.split("\n")[1:])) for part in parts]


@pytest.fixture(scope="module", params=["12s", "16s", "28s", "coi", "its"])
def real(request, shared, module_bench) -> tuple[list[Any], Path, Path, dict[str, Any]]:
    """References, a file of queries, their index and the findings, of one bench library."""
    folder = shared / "data" / "bench" / request.param
    with (folder / "ref.tax.tsv").open(newline="") as handle:
        rows = csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        lineage = {row.pop("id"): row for row in rows}
    everything = [
        SimpleNamespace(name=name, sequence=text, lineage=lineage[name])
        for name, text in fasta_records(folder / "ref.fasta.gz")
    ]
    chosen = random.Random(1).sample(everything, min(RECORDS, len(everything)))
    queries = random.Random(2).sample(fasta_records(folder / "query.fasta.gz"), QUERIES)
    file = module_bench.reads(queries)
    index = module_bench.index(module_bench.library(chosen))
    return chosen, file, index, module_bench.findings(module_bench.query(index, file))


def test_no_order_batch_or_thread_changes_an_answer(real, module_bench) -> None:
    records, file, index, expected = real
    shuffled = module_bench.index(
        module_bench.library(random.Random(3).sample(records, len(records)))
    )
    assert module_bench.findings(module_bench.query(shuffled, file, 1, batch_size=37)) == expected
    assert module_bench.findings(module_bench.query(index, file, 4, batch_size=90)) == expected


def test_added_and_removed_is_built(real, module_bench) -> None:
    records, file, _, expected = real
    cut = len(records) // 3
    one, two = module_bench.library(records[:-cut]), module_bench.library(records[-cut:])
    index = module_bench.index(one)
    before = module_bench.findings(module_bench.query(index, file))
    add_to_index(index, two[0], taxonomy=two[1])
    assert module_bench.findings(module_bench.query(index, file)) == expected
    remove_from_index(index, [record.name for record in records[-cut:]])
    assert module_bench.findings(module_bench.query(index, file)) == before
    assert read_manifest(index).number == 3


def test_calls_are_paths_with_falling_shares(real) -> None:
    _, file, index, _ = real
    with open_index(index) as opened:
        table = opened.classify(file, min_confidence=0)
        ranks, taxonomy = opened.ranks, opened.store.taxonomy
    known = set(taxonomy.paths().to_pylist())
    for row in table.to_pylist():
        assert ";".join(row[rank] for rank in ranks if row[rank]) in known
        shares = [row[f"p_{rank}"] for rank in ranks if row[f"p_{rank}"] is not None]
        assert np.all(np.diff(shares) <= 0)
