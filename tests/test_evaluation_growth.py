"""Grown libraries: how far apart their records are, and what they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.reading import read_sequences
from seqsearch.evaluation import growth
from seqsearch.evaluation.growth import FURTHEST, grow, write_grown


def a_library() -> tuple[SequenceBatch, pa.Table]:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGT"), 500)).encode() for _ in range(6)]
    batch = SequenceBatch.from_clean([f"r{i}" for i in range(6)], texts)
    genera = ["A", "A", "B", "C", "D", None]
    names = {"id": batch.ids, "genus": genera, "species": [f"{g} one" for g in genera]}
    return batch, pa.table(names)


def test_records_descend_from_those_of_their_genus() -> None:
    batch, names = a_library()
    parts = list(grow(batch, names, 700, seed=1))
    assert sum(len(part.batch) for part in parts) == 700
    known = {i: batch.sequence(i) for i in range(6)}
    genus = names["genus"].to_pylist()
    apart, within = [], []
    for part in parts:
        lines = part.names.to_pylist()
        assert part.batch.ids.to_pylist() == [line["id"] for line in lines]
        for i, line in enumerate(lines):
            own = np.frombuffer(part.batch.sequence(i).encode(), np.uint8)
            roots = [known[r].encode() for r in known if genus[r] == line["genus"]]
            differ = [np.mean(own != np.frombuffer(root, np.uint8)) for root in roots]
            apart.append(min(differ))
            assert line["species"].startswith(f"{line['genus']} grown")
            if i and lines[i - 1]["species"] == line["species"]:
                before = np.frombuffer(part.batch.sequence(i - 1).encode(), np.uint8)
                within.append(np.mean(own != before))
    assert max(apart) < FURTHEST + 0.03
    assert 0.02 < np.mean(apart) < 0.09
    assert np.mean(within) < 0.01
    assert len({line["genus"] for part in parts for line in part.names.to_pylist()}) == 4


def test_a_seed_grows_one_library(tmp_path: Path) -> None:
    batch, names = a_library()
    for name in ("one", "two"):
        write_grown(batch, names, 50, tmp_path / f"{name}.fasta", tmp_path / f"{name}.tsv", seed=3)
    assert (tmp_path / "one.fasta").read_bytes() == (tmp_path / "two.fasta").read_bytes()
    assert (tmp_path / "one.tsv").read_text() == (tmp_path / "two.tsv").read_text()
    found = next(read_sequences(str(tmp_path / "one.fasta"))).batch
    assert len(found) == 56
    assert found.sequence(2) == batch.sequence(2)
    lines = (tmp_path / "one.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["id", "genus", "species"]
    assert [line.split("\t")[0] for line in lines[1:]] == found.ids.to_pylist()


def test_what_is_cut_off_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, names = a_library()
    written = growth._write

    def write(part: growth.Grown, *files: Any) -> None:
        written(part, *files)
        raise KeyboardInterrupt

    monkeypatch.setattr(growth, "_write", write)
    with pytest.raises(KeyboardInterrupt):
        write_grown(batch, names, 50, tmp_path / "a.fasta", tmp_path / "a.tsv")
    assert not list(tmp_path.iterdir())
