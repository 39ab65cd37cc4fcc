"""Measure how markers are found in long queries: scripts/bench_windows.py --indexes FOLDER.

Queries of a bench folder alone, then in flanks of bacterial and phage genomes or of random bases,
on either strand, searched in windows and (--whole) as they are. Percent right; percent that get a
species at 0.8, and of these the percent that is wrong; percent off target. Then whole genomes.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch import open_index
from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.reading import read_sequences
from seqsearch.errors import SeqsearchError
from seqsearch.evaluation.embedding import embed, random_flanks
from seqsearch.evaluation.peers import LIBRARIES, read_library
from seqsearch.evaluation.strangers import OTHERS, pieces_of, read_genomes
from seqsearch.jobs.opened import Index
from seqsearch.scoring.marks import CELLS, mark, score

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "bench"
GENOME = 100_000  # bases from which a sequence is asked for as a genome
HEADS = (
    *("mean of 5", "seen sp.", "seen gen.", "new sp. g.", "new sp. f.", "new gen. f."),
    *("named", "of it wrong", "off target", "ms a query"),
)


def main() -> None:
    """Print a block for each library."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--indexes", type=Path, required=True, help="folder of NAME/index")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--genomes", type=Path, default=DATA.parent / "genomes")
    parser.add_argument("--libraries", default=",".join(LIBRARIES))
    parser.add_argument("--lengths", default="5000,20000,50000")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--random", action="store_true", help="flanks of random bases")
    parser.add_argument("--whole", action="store_true", help="also without windows")
    parser.add_argument("--fragments", action="store_true", help="queries cut to 250 nt")
    parser.add_argument("--align", type=int, default=20)
    options = parser.parse_args()
    found = read_genomes(options.genomes)
    genomes = [] if options.random else found[OTHERS]
    for name in options.libraries.split(","):
        library = read_library(options.data, name, fragments=options.fragments)
        batch = SequenceBatch.concatenate([r.batch for r in read_sequences(str(library.reads))])
        count = min(options.queries, len(batch))
        batch = batch.take(np.linspace(0, len(batch) - 1, count).astype(np.int64))
        with open_index(options.indexes / name / "index") as index:
            index.load()
            print(f"== {name}: {len(batch):,} queries; {index.windows}\n")
            print("    percent right      " + "".join(f"{head:>12s}" for head in HEADS))
            report(index, library.truth, batch, "alone", options.align)
            for length in map(int, options.lengths.split(",")):
                room = np.maximum(length - batch.lengths, 1)
                flanks = pieces_of(genomes, room, 0) if genomes else random_flanks(room, 0)
                long, _ = embed(batch, flanks, seed=0)
                report(index, library.truth, long, f"in {length:,}", options.align)
                if options.whole:
                    kept = index.windows
                    index.windows = dataclasses.replace(kept, longest=sys.maxsize)
                    report(index, library.truth, long, f"in {length:,}, whole", options.align)
                    index.windows = kept
            print_genomes(index, [one for some in found.values() for one in some])
        print(flush=True)


def print_genomes(index: Index, genomes: list[bytes]) -> None:
    """Ask for genomes, and print how many of them are named."""
    chosen = [genome for genome in genomes if len(genome) >= GENOME]
    batch = SequenceBatch.from_clean([f"genome{i}" for i in range(len(chosen))], chosen)
    began = time.perf_counter()
    answers = index.classify(batch)
    seconds = time.perf_counter() - began
    verdicts = Counter(answers["verdict"].to_pylist())
    names = sorted(name for name in answers["taxon"].to_pylist() if name)
    print(
        f"    {len(batch)} genomes and contigs of {GENOME:,} bases and more: "
        f"{verdicts['off_target']} off target, {len(names)} named ({', '.join(names)}); "
        f"{1e6 * seconds / len(batch.bytes):.1f} s a million bases"
    )


def report(index: Index, truth: pa.Table, batch: SequenceBatch, label: str, align: int) -> None:
    """Ask, and print a line."""
    index.classify(batch.slice(0, 2), align=align)  # compiled
    began = time.perf_counter()
    answers = index.classify(batch, min_confidence=0, align=align)
    seconds = time.perf_counter() - began
    names = ["id" if name == "query_id" else name for name in answers.column_names]
    answers = answers.rename_columns(names)
    asked = truth.filter(pc.is_in(truth["id"], value_set=batch.ids))
    marks = mark(asked, {"ours": answers})
    found = score(marks, "ours")
    figures = [found.mean(), *(found.cells[cell].micro for cell in CELLS[:5])]
    sure = pc.fill_null(pc.greater_equal(answers["p_species"], 0.8), False)
    at, named = answers.column_names.index("species"), pc.if_else(sure, answers["species"], None)
    given = score(mark(asked, {"ours": answers.set_column(at, "species", named)}), "ours")
    off = 100 * pc.mean(pc.equal(answers["verdict"], "off_target")).as_py()
    figures += [100 * pc.mean(sure).as_py(), given.wrong_of_species_named, off]
    figures.append(1e3 * seconds / len(batch))
    print(f"    {label:19s}" + "".join(f"{figure:12.1f}" for figure in figures), flush=True)


if __name__ == "__main__":
    try:
        main()
    except SeqsearchError as error:
        sys.exit(f"Error: {error}")
