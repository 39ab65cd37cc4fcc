"""Print how many MB of bases a second one core turns into tokens: scripts/bench_tokens.py FASTA."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.reading import read_sequences
from seqsearch.dna.tokens import (
    Tokens,
    barcode_vocabulary,
    metaberta_vocabulary,
    nucleotide_vocabulary,
    overlapping,
    side_by_side,
)

LONG = 1 << 20  # bases: all of a sequence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fasta")
    parser.add_argument("--sequences", type=int, default=20_000, help="how many of the file")
    parser.add_argument("--repeats", type=int, default=5, help="the best of these counts")
    options = parser.parse_args()
    batch = next(read_sequences(options.fasta, batch_size=options.sequences)).batch
    print(f"{len(batch):,} sequences, {len(batch.bytes) / 1e6:.1f} MB")
    print("tokens\tMB_per_s")
    for name, make in tokenizers().items():
        make(batch.slice(0, 10))  # kernels are compiled, or read from their cache
        seconds = []
        for _ in range(options.repeats):
            began = time.perf_counter()
            make(batch)
            seconds.append(time.perf_counter() - began)
        print(f"{name}\t{len(batch.bytes) / min(seconds) / 1e6:,.0f}")


def tokenizers() -> dict[str, Callable[[SequenceBatch], Tokens]]:
    made: dict[str, Callable[[SequenceBatch], Tokens]] = {}
    for k in range(4, 9):
        for has_n in (False, True):
            name = f"side by side, k {k}{', N counted' * has_n}"
            vocabulary = barcode_vocabulary(k, has_n=has_n)
            made[name] = lambda batch, v=vocabulary: side_by_side(batch, v, LONG)
    for k in range(3, 7):
        own = metaberta_vocabulary(k)
        made[f"overlapping, k {k}"] = lambda batch, v=own: overlapping(batch, v, LONG)
    made["nucleotides"] = lambda batch: side_by_side(batch, nucleotide_vocabulary(), LONG)
    return made


if __name__ == "__main__":
    main()
