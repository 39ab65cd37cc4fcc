"""Thousands of references of one vector: found in the order of their sequences' hashes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqsearch.index.store import IndexStore
from seqsearch.jobs.build import build_index
from seqsearch.jobs.inspecting import encoder_of
from seqsearch.search import retrieve
from seqsearch.search.retrieve import ExactRetriever


@pytest.mark.parametrize("at_once", [1, 4_000_000])
def test_many_ties(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(retrieve, "AT_ONCE", at_once)
    text = "ACGTACGTTTGACCATTGCAAGTC"
    records = [f">r{i} g__Apis\n{text}{'N' * i}\n" for i in range(1500)]
    (tmp_path / "ns.fasta").write_text("".join(records))
    build_index(tmp_path / "ns.fasta", tmp_path / "index")
    store = IndexStore.open(tmp_path / "index")
    vectors = encoder_of(store).encode(store.sequences(np.arange(3)))
    rows, similarities = ExactRetriever(store).search(vectors, 20)
    expected = np.argsort(store.order_keys)[:20]
    assert (similarities == 1).all()
    assert (rows == expected).all()
