"""Measure what size costs: scripts/bench_scale.py --sizes 43000,250000,1000000.

The COI bench, then with references grown from it by random substitutions along a tree, named as
new species of the same genera: time and memory of building, start-up, queries a second, accuracy,
beside megablast and VSEARCH where they are asked (--tools).
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.reading import read_sequences
from seqsearch.encoders.registry import load_encoder
from seqsearch.errors import SeqsearchError
from seqsearch.evaluation.bench import COLUMNS, OURS, column_value, read_run
from seqsearch.evaluation.growth import write_grown
from seqsearch.evaluation.measure import measure
from seqsearch.evaluation.peers import BenchLibrary, read_library
from seqsearch.evaluation.speed import TOOLS, Job, compare_speeds
from seqsearch.index.store import IndexStore
from seqsearch.jobs.hiding import CANDIDATES
from seqsearch.jobs.inspecting import describe_index
from seqsearch.scoring.marks import mark, score
from seqsearch.search.retrieve import ExactRetriever, open_retriever

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "bench"
TEN = 10
PROGRAM = [sys.executable, "-m", "seqsearch"]


def main() -> None:
    """Print a block for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--library", default="coi")
    parser.add_argument("--sizes", default="0,250000,1000000", help="references; 0: as it is")
    parser.add_argument("--ours", type=int, default=20_000, help="queries of seqsearch")
    parser.add_argument("--theirs", type=int, default=100, help="queries of the others")
    parser.add_argument("--threads", type=int, default=2)
    ours = [tool for tool in TOOLS if tool.startswith("seqsearch")]
    parser.add_argument("--tools", nargs="+", default=ours, choices=list(TOOLS))
    parser.add_argument("--no-calibrate", action="store_true")
    parser.add_argument(
        "--recall", action="store_true", help="by an exact search, of 9 kB of memory a reference"
    )
    parser.add_argument("--keep", type=Path, help="keep libraries and indexes in this folder")
    options = parser.parse_args()
    library = read_library(options.data, options.library)
    with tempfile.TemporaryDirectory() as temporary:
        for size in map(int, options.sizes.split(",")):
            folder = (options.keep or Path(temporary)) / str(size)
            folder.mkdir(parents=True, exist_ok=True)
            report(grown(library, size, folder), folder, options)


def report(library: BenchLibrary, folder: Path, options: argparse.Namespace) -> None:
    """Build, ask and print one size."""
    index = folder / "index"
    if not (index / "manifest.json").exists():  # a build that was cut off goes on
        words = ["index", "build", library.references, "--taxonomy", library.taxonomy]
        words += ["-o", index, "--threads", options.threads, "--quiet"]
        words += ["--no-calibrate"] if options.no_calibrate else []
        built = measure([*PROGRAM, *map(str, words)])
        print(f"build {built.wall_s:,.0f} s, peak memory {built.peak_mib:,.0f} MiB")
    described = describe_index(index)
    counts = described["counts"]
    print(
        f"== {counts['rows']:,} sequences, {counts['species']:,} species, "
        f"{described['bytes'] / 1e6:,.0f} MB; {described['search']}",
        flush=True,
    )
    asked = ["query", index, library.reads, "-o", folder / "memory", "--overwrite", "--quiet"]
    asked += ["--threads", options.threads, "--min-confidence", "0"]
    peak = measure([*PROGRAM, *map(str, asked)]).peak_mib
    print(f"peak memory of a query {peak:,.0f} MiB")
    scored = score(mark(library.truth, {OURS: read_run(folder / "memory")[0]}), OURS)
    print("percent right: " + ", ".join(f"{c} {column_value(scored, c, macro=False):.1f}"
          for c in COLUMNS))  # fmt: skip
    if options.recall:
        print_recall(library, index, options.threads)
    print("    tool                 queries  start-up s  queries/s  genus right %")
    job = Job(library, folder, options.threads)
    for speed in compare_speeds(job, ours=options.ours, theirs=options.theirs, tools=options.tools):
        print(
            f"    {speed.tool:20s}{speed.queries:8,}{speed.startup_s:12.1f}"
            f"{speed.queries_per_s:11,.1f}{speed.genus_right:15.1f}",
            flush=True,
        )


def print_recall(library: BenchLibrary, index: Path, threads: int) -> None:
    """Print how much of the ten nearest of the bench's queries is found, by their sets."""
    store = IndexStore.open(index)
    reads = SequenceBatch.concatenate([one.batch for one in read_sequences(str(library.reads))])
    vectors = load_encoder(str(index / "encoder")).encode(reads)
    tenth = ExactRetriever(store, threads).search(vectors, TEN)[1][:, TEN - 1 :]
    found = open_retriever(store, threads).search(vectors, CANDIDATES)[1][:, :TEN] >= tenth - 1e-6
    asked = library.truth.take(pc.index_in(reads.ids, value_set=library.truth["id"]))
    of_set = asked["set"].to_numpy(zero_copy_only=False)
    parts = [f"{name} {100 * found[of_set == name].mean():.1f}" for name in np.unique(of_set)]
    print(f"percent of the ten nearest: {100 * found.mean():.1f} ({', '.join(parts)})", flush=True)


def grown(library: BenchLibrary, size: int, folder: Path) -> BenchLibrary:
    """Return a library of `size` references, written to files; with 0 the one that is given."""
    if not size:
        return library
    fasta, table = folder / "library.fasta", folder / "library.tsv"
    if not table.exists():
        batch = SequenceBatch.concatenate(
            [reads.batch for reads in read_sequences(str(library.references))]
        )
        text = pcsv.ConvertOptions(column_types={"id": pa.string()})
        tabs = pcsv.ParseOptions(delimiter="\t", quote_char=False)
        names = pcsv.read_csv(library.taxonomy, parse_options=tabs, convert_options=text)
        names = names.take(pc.index_in(batch.ids, value_set=names["id"].combine_chunks()))
        write_grown(batch, names, size - len(batch), fasta, table)
    return dataclasses.replace(library, references=fasta, taxonomy=table)


if __name__ == "__main__":
    try:
        main()
    except SeqsearchError as error:
        sys.exit(f"Error: {error}")
