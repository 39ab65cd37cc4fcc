"""Print how many pairs of queries and their candidates are aligned a second.

    scripts/bench_align.py INDEX READS

Distinct pairs, in full: no early stop, and every path is walked back.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from seqsearch.dna.digests import digests
from seqsearch.dna.reading import read_sequences
from seqsearch.encoders.registry import load_encoder
from seqsearch.index.store import IndexStore
from seqsearch.search.align import align
from seqsearch.search.retrieve import open_retriever


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index")
    parser.add_argument("reads")
    parser.add_argument("--align", type=int, default=20, help="candidates a query")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--queries", type=int, default=20_000, help="how many of the file")
    parser.add_argument("--repeats", type=int, default=3, help="the best of these counts")
    options = parser.parse_args()
    store = IndexStore.open(options.index)
    batch = next(read_sequences(options.reads, batch_size=options.queries)).batch
    batch = batch.take(np.unique(digests(batch)[:, 0], return_index=True)[1])
    encoder = load_encoder(store.encoder_folder, options.threads)
    batch = batch.take(np.flatnonzero(encoder.encodable(batch)))
    rows, _ = open_retriever(store, options.threads).search(encoder.encode(batch), options.align)
    distinct = np.unique(rows)
    references, places = store.sequences(distinct, named=False), np.searchsorted(distinct, rows)
    align(batch.slice(0, 8), references, places[:8], 1)  # compiled, or read from the cache
    seconds = []
    for _ in range(options.repeats):
        began = time.perf_counter()
        found = align(batch, references, places, options.threads)
        seconds.append(time.perf_counter() - began)
    lengths = f"mean length {batch.lengths.mean():.0f} and {references.lengths.mean():.0f}"
    print(f"{found.is_aligned.sum():,} distinct pairs, {lengths}, {options.threads} threads")
    print(f"{found.is_aligned.sum() / min(seconds):,.0f} pairs a second")


if __name__ == "__main__":
    main()
