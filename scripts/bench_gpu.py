"""Time queries on GPUs, from FASTA to Parquet: scripts/bench_gpu.py INDEX READS --queries 5000000.

Encoding and searching alone on one batch beside what the device allows, how much of the ten nearest
is found, then a whole query with every stage's time. Stages overlap: the slowest one decides.
--device torch runs the GPUs' code on the CPU, to see that it works.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from seqsearch.devices.choice import devices_of
from seqsearch.dna.reading import read_sequences
from seqsearch.errors import SeqsearchError
from seqsearch.evaluation.speed import write_distinct
from seqsearch.index.store import IndexStore
from seqsearch.jobs.device_speed import limits_of, recall_of, stages_of
from seqsearch.jobs.inspecting import describe_index, encoder_of
from seqsearch.jobs.opened import Index

SAMPLE = 1000  # queries that recall is measured with


def main() -> None:
    """Print limits, stages and whole queries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("reads", type=Path, help="of which mutated copies are made")
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--batch-size", type=int, default=32_768)
    parser.add_argument("--align", type=int, nargs="+", default=[0, 20])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="cuda", help="cuda, or torch")
    parser.add_argument("--no-recall", action="store_true", help="saves as much memory again")
    parser.add_argument("--out", type=Path, help="folder for queries and runs")
    options = parser.parse_args()
    devices = ("cpu",) if options.device == "torch" else devices_of(options.device)
    print(f"{options.index}: {describe_index(options.index)['search']}; on {', '.join(devices)}")
    began = time.perf_counter()
    store = IndexStore.open(options.index)
    index = Index(store, encoder_of(store, options.threads, devices), options.threads)
    index.load()
    print(f"opened and loaded in {time.perf_counter() - began:.1f} s")
    with tempfile.TemporaryDirectory() as temporary, index:
        folder = options.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        queries = folder / f"queries-{options.queries}.fasta"
        if not queries.exists():
            write_distinct(options.reads, options.queries, queries)
        alone(index, queries, devices, options)
        for align in options.align:
            whole(index, queries, folder / "run", align, options)


def alone(
    index: Index, queries: Path, devices: tuple[str, ...], options: argparse.Namespace
) -> None:
    """Print what the first device allows, and what encoding and searching take alone."""
    limits = limits_of(devices[0])
    print(
        f"{devices[0]}: {limits.copied / 1e9:,.1f} GB/s to it, {limits.moved / 1e9:,.0f} GB/s in "
        f"its memory, {limits.multiplied / 1e12:,.2f} Tflop/s of float16 products"
    )
    batch = next(read_sequences(queries, options.batch_size)).batch
    retriever = index.retriever()
    print("    stage alone   us a query   floor us   by         queries/s")
    for stage in stages_of(index.store, index.encoder, retriever, batch, 50):
        floor, what = stage.work.floor(limits)
        print(
            f"    {stage.name:12s}{1e6 * stage.seconds:12.2f}{1e6 * floor:11.2f}   {what:10s}"
            f"{1 / stage.seconds:10,.0f}",
            flush=True,
        )
    if not options.no_recall:
        vectors = index.encoder.encode(batch.slice(0, min(SAMPLE, len(batch))))
        found = recall_of(index.store, retriever, vectors, devices)
        print(f"    recall@10 {found:.4f} of {len(vectors):,} queries")


def whole(index: Index, queries: Path, out: Path, align: int, options: argparse.Namespace) -> None:
    """Print a query from FASTA to Parquet, stage by stage."""
    run = index.query(queries, out, overwrite=True, align=align, batch_size=options.batch_size)
    timings, count = run.state["timings"], run.state["counts"]["queries"]
    rate = count / timings["search_wall_s"]
    print(
        f"--align {align}: {count:,} queries in {timings['search_wall_s']:.1f} s, {rate:,.0f} a s"
    )
    shown = ("read", "prepare", "encode", "search", "align", "vote", "write", "finish")
    print(
        "    us a query: " + ", ".join(f"{s} {1e6 * timings[s + '_s'] / count:.2f}" for s in shown)
    )


if __name__ == "__main__":
    try:
        main()
    except SeqsearchError as error:
        sys.exit(f"Error: {error}")
