"""Sequences named in memory are named as files are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.reading import read_sequences
from seqsearch.errors import InputError, SettingsError
from seqsearch.jobs import opened
from seqsearch.jobs.opened import open_index


@pytest.fixture(scope="module")
def queried(module_bench, records, reads) -> tuple[Path, Path, pa.Table]:
    """Index, file, and the assignments of its run."""
    index = module_bench.index(module_bench.library(records))
    file = module_bench.reads(reads)
    return index, file, module_bench.query(index, file).assignments()


@pytest.mark.parametrize("given", ["path", "text path", "dict", "list", "batch"])
def test_every_form_of_sequences(queried, reads, given: str) -> None:
    index, file, expected = queried
    if given == "list":  # numbered from 1
        numbers = pa.array([str(i + 1) for i in range(len(reads))], pa.string())
        expected = expected.set_column(1, "query_id", numbers)
    if given == "batch":  # holds clean DNA: what was left of the others
        batches = [part.batch for part in read_sequences(file)]
        named = [bool(batch.lengths[i]) for batch in batches for i in range(len(batch))]
    sequences: Any = {
        "path": file,
        "text path": str(file),
        "dict": dict(reads),
        "list": [read[1] for read in reads],
        "batch": SequenceBatch.concatenate(batches) if given == "batch" else None,
    }[given]
    with open_index(index) as opened:
        table = opened.classify(sequences)
    if given == "batch":
        is_dna = pa.array(
            [read[0] != "protein" and n for read, n in zip(reads, named, strict=True)]
        )
        table, expected = table.filter(is_dna), expected.filter(is_dna)
    assert table.schema.equals(expected.schema)
    assert table.to_pylist() == expected.to_pylist()


@pytest.mark.parametrize(
    "options",
    [
        {"min_confidence": 0.0},
        {"min_confidence": 1.0, "batch_size": 9},
        {"strand": "plus"},
        {"candidates": 12, "hits": 3},
        {"hits": 1, "candidates": 1},
        {"taxon": "Order2"},
    ],
)
def test_options_do_what_they_do_for_files(queried, module_bench, options: dict[str, Any]) -> None:
    index, file, plain = queried
    expected = module_bench.query(index, file, **options).assignments()
    with open_index(index) as opened:
        assert opened.classify(file, **options).to_pylist() == expected.to_pylist()
    assert expected.to_pylist() != plain.to_pylist()


def test_an_open_index_answers_again_and_again(queried) -> None:
    index, file, expected = queried
    with open_index(index, threads=1) as opened:
        for options in ({}, {"taxon": "Order2"}, {}):
            table = opened.classify(file, **options)
            assert (table.to_pylist() == expected.to_pylist()) == (not options)


@pytest.mark.parametrize("nothing", [[], {}])
def test_nothing_is_answered_with_no_rows(queried, nothing: Any) -> None:
    index, _, expected = queried
    with open_index(index) as opened:
        table = opened.classify(nothing)
    assert table.num_rows == 0
    assert table.schema.equals(expected.schema)


def test_what_is_wrong_is_told(queried, tmp_path: Path) -> None:
    index, file, _ = queried
    with open_index(index) as opened:
        with pytest.raises(SettingsError, match=r"min-confidence is 2: expected a number in"):
            opened.classify(file, min_confidence=2)
        with pytest.raises(SettingsError, match=r"candidates is 5: expected hits \(10\) or more"):
            opened.classify(file, candidates=5)
        with pytest.raises(SettingsError, match="taxon is 'Nobody': expected the name of a taxon"):
            opened.classify(file, taxon="Nobody")
        with pytest.raises(InputError, match="no such file"):
            opened.classify(tmp_path / "nothing.fasta")


def test_sequences_in_memory_travel_in_batches_of_bases_too(
    tiny_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["ACGTACGTTTGACCA" * n for n in (1, 1, 9, 1, 2, 30, 1)]
    with open_index(tiny_index) as index:
        expected = index.classify(texts)
        monkeypatch.setattr(opened, "BATCH_BASES", 150)
        batches = [(first, len(reads)) for first, reads in opened._reads_of(texts, 3)]
        assert batches == [(0, 3), (3, 3), (6, 1)]
        assert [first for first, _ in opened._reads_of(texts, 4096)] == [0, 3, 6]
        assert index.classify(texts).equals(expected)
        assert [len(reads) for _, reads in opened._reads_of([], 3)] == [0]
