"""Print where the time of a query goes: scripts/profile_query.py INDEX READS.

Microseconds a query, each stage alone, all threads at it; in a run the stages overlap.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from seqsearch.dna.reading import read_sequences
from seqsearch.jobs.judging import Judge
from seqsearch.jobs.opened import open_index
from seqsearch.jobs.pipeline import encode, prepare
from seqsearch.jobs.repeats import Seen
from seqsearch.search.calls import calls_of
from seqsearch.search.candidates import align_candidates, find_candidates, with_strands
from seqsearch.search.retrieve import open_retriever
from seqsearch.search.vote import vote
from seqsearch.settings import QuerySettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index")
    parser.add_argument("reads")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--queries", type=int, default=4096, help="of one batch")
    options = parser.parse_args()
    settings = QuerySettings(threads=options.threads)
    with open_index(options.index, threads=options.threads) as index:
        store = index.store
        retriever = open_retriever(store, options.threads)
        reads = next(read_sequences(options.reads, options.queries))
        count = len(reads)

        def timed(stage: str, work: Callable[[], Any]) -> Any:
            work()  # compiled, and in the caches
            began = time.perf_counter()
            result = work()
            seconds = time.perf_counter() - began
            print(f"{stage:24s}{1e6 * seconds / count:8.0f}")
            return result

        print(f"{count:,} queries, {options.threads} threads: microseconds a query")
        timed("read", lambda: next(read_sequences(options.reads, options.queries)))
        encoder, windows = index.encoder, index.windows
        ready = timed(
            "prepare", lambda: prepare(0, reads, encoder, Seen(), settings, False, windows)
        )
        found = timed("encode", lambda: encode(ready, encoder, "both", windows))
        batch = found.batch
        near = timed("search", lambda: find_candidates(batch, found.vectors, retriever, store, 50))
        timed("strand (--align 0)", lambda: with_strands(near, batch, store, "both", 0))
        placed = timed("align", lambda: align_candidates(near, batch, store, 20, "both", 0))
        rows = placed.rows[:, :20]
        ballots = timed("vote", lambda: vote(store.taxonomy, store.votes, rows, placed.scores, 0))
        judge, lengths = Judge(store), batch.lengths
        probable = timed(
            "probability", lambda: judge.probabilities(placed, ballots, lengths, settings)
        )
        timed(
            "calls",
            lambda: calls_of(ballots, probable, store.taxonomy, judge.shared, found.numbers),
        )


if __name__ == "__main__":
    main()
