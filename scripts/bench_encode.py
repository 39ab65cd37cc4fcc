"""Print how many sequences a second encoders turn into vectors: scripts/bench_encode.py FASTA."""

from __future__ import annotations

import argparse
import time

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.reading import read_sequences
from seqsearch.encoders.registry import encoder_names, load_encoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fasta")
    parser.add_argument("--encoders", nargs="+", default=encoder_names(), help="names or folders")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sequences", type=int, default=20_000, help="how many of the file")
    parser.add_argument("--repeats", type=int, default=3, help="the best of these counts")
    options = parser.parse_args()
    reads = next(read_sequences(options.fasta, batch_size=options.sequences))
    batch: SequenceBatch = reads.batch
    print(f"{len(batch):,} sequences, mean length {batch.lengths.mean():.0f}")
    print("encoder\tload_s\tsequences_per_s")
    for name in options.encoders:
        began = time.perf_counter()
        encoder = load_encoder(name, options.threads)
        loaded = time.perf_counter() - began
        encoder.encode(batch.slice(0, 100))  # kernels are compiled, or read from their cache
        seconds = []
        for _ in range(options.repeats):
            began = time.perf_counter()
            encoder.encode(batch)
            seconds.append(time.perf_counter() - began)
        print(f"{encoder.name}\t{loaded:.2f}\t{len(batch) / min(seconds):,.0f}")


if __name__ == "__main__":
    main()
