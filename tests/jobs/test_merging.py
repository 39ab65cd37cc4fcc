"""Rows that are spilled again, block by block."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from seqsearch.dna.batch import SequenceBatch
from seqsearch.jobs import merging


class Recorder:
    """Keeps what it is given in the place of a spill."""

    def __init__(self, lines: int) -> None:
        self.memory = SimpleNamespace(lines=lines)
        self.blocks: list[tuple[list[bytes], list[str]]] = []

    def add(self, batch: SequenceBatch, labels: pa.Table) -> None:
        texts = [batch.sequence(i).encode() for i in range(len(batch))]
        self.blocks.append((texts, labels["ref_id"].to_pylist()))


def spilled(lengths: list[int], rows: list[int], lines: int) -> list[tuple[list[bytes], list[str]]]:
    """Spill labels of rows of a library with sequences of some lengths."""
    rng = np.random.default_rng(0)
    texts = [bytes(rng.choice(list(b"ACGT"), size).astype(np.uint8)) for size in lengths]
    batch = SequenceBatch.from_clean([""] * len(texts), texts)
    store: Any = SimpleNamespace(
        lengths=np.array(lengths, np.int32), sequences=lambda some, named: batch.take(some)
    )
    spill: Any = Recorder(lines)
    ids = [f"r{i}" for i in range(len(rows))]
    merging.spill_again(
        store,
        spill,
        pa.table({"row": np.array(rows, np.int64), "ref_id": pa.array(ids, pa.string())}),
    )
    found = [pair for block in spill.blocks for pair in zip(*block, strict=True)]
    assert found == [(texts[row], name) for row, name in zip(rows, ids, strict=True)]
    return spill.blocks


def test_blocks_keep_to_lines_and_to_bases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "BASES", 1000)
    # Long ones first: short ones that follow are counted by lines all the same.
    lengths = [900] * 6 + [10] * 40
    blocks = spilled(lengths, [0, 0, *range(46)], lines=8)
    sizes = [sum(map(len, texts)) for texts, _ in blocks]
    assert max(len(texts) for texts, _ in blocks) <= 8
    assert max(sizes) < 1000 + 900
    assert spilled(lengths, [], lines=8) == []
    assert len(spilled([10] * 5, [*range(5)], lines=8)) == 1
