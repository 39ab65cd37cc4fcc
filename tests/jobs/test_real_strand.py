"""Real queries, half of them turned, are named as if they were not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.reading import read_sequences
from seqsearch.dna.strand import reverse_complement
from seqsearch.jobs.build import build_index
from seqsearch.jobs.opened import open_index


@pytest.mark.slow
@pytest.mark.parametrize("library", ["coi", "its", "16s", "28s", "12s"])
def test_turned_queries_have_the_same_names(shared: Path, tmp_path: Path, library: str) -> None:
    folder = shared / "data" / "bench" / library
    build_index(folder / "ref.fasta.gz", tmp_path / "index", taxonomy=folder / "ref.tax.tsv")
    batch = next(read_sequences(folder / "query.fasta.gz", 1000)).batch
    turned = reverse_complement(batch)
    is_turned = np.random.default_rng(0).random(len(batch)) < 0.5
    mixed = SequenceBatch.from_clean(
        batch.ids.to_pylist(),
        [
            (turned if turn else batch).sequence(i).encode()
            for i, turn in enumerate(is_turned.tolist())
        ],
    )
    with open_index(tmp_path / "index") as index:
        given = index.classify(batch, min_confidence=0)
        found = index.classify(mixed, min_confidence=0)
    assert pc.mean(pc.equal(given["taxon"], found["taxon"])).as_py() >= 0.999
    flips = np.array(given["strand"].to_pylist()) != np.array(found["strand"].to_pylist())
    assert (flips == is_turned).mean() >= 0.999
