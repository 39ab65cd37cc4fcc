"""Measure what calls are worth: scripts/bench_calls.py --libraries coi,its.

Builds each library of a bench folder, asks its queries under the default novelty prior and under
the bench's own mix, and compares with cuts of VSEARCH's identity.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqsearch import open_index
from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.reading import read_sequences
from seqsearch.errors import SeqsearchError
from seqsearch.evaluation import calls
from seqsearch.evaluation.measure import measure
from seqsearch.evaluation.peers import LIBRARIES, BenchLibrary, read_library
from seqsearch.evaluation.strangers import pieces_of, read_genomes

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "bench"
CUTS = ("97", "98.5")
OTHERS = 1000  # first queries of each library asked for whether they are off target


def main() -> None:
    """Print a block for each library."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--libraries", default=",".join(LIBRARIES))
    parser.add_argument("--genomes", type=Path, default=DATA.parent / "genomes")
    parser.add_argument("--fragments", action="store_true", help="queries cut to 250 nt")
    parser.add_argument("--align", default="20")
    parser.add_argument("--keep", type=Path, help="keep indexes and runs in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.libraries.split(","):
            library = read_library(options.data, name, fragments=options.fragments)
            folder = (options.keep or Path(temporary)) / name
            report(library, folder, options.align)
            print_off_target(library, folder / "index", options)


def report(library: BenchLibrary, folder: Path, align: str) -> None:
    """Build, ask and print one library."""
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index"
    if not index.exists():
        run_command(
            "index", "build", library.references, "--taxonomy", library.taxonomy, "-o", index
        )
    mix = calls.mix_of(library.truth)
    declared = ",".join(f"{rank}={share:.4f}" for rank, share in mix.items())
    asked = ["query", index, library.reads, "--align", align, "--overwrite", "--min-confidence"]
    run_command(*asked, "0", "-o", folder / "default")
    run_command(*asked, "0", "-o", folder / "mix", "--novelty-prior", declared)
    run_command(*asked, "0.8", "-o", folder / "called", "--novelty-prior", declared)
    default = calls.judge(library.truth, answers_of(folder / "default"))
    mixed = calls.judge(library.truth, answers_of(folder / "mix"))
    print(f"== {library.name}: {len(default.sets):,} queries; the bench's mix: {declared}\n")
    print_names(library, default)
    print_probabilities(mixed)
    print("\n    called novel under the mix     calls  precision %  recall %")
    for rank, (count, precision, recall) in calls.novelty(
        library.truth, answers_of(folder / "called")
    ).items():
        print(f"    {rank:28s}{count:8,}{precision:13.1f}{recall:10.1f}")
    print(flush=True)


def print_off_target(library: BenchLibrary, index: Path, options: argparse.Namespace) -> None:
    """Print how many queries of each library, and pieces of genomes, are called off target."""
    asked = {
        name: first_of(read_library(options.data, name, fragments=options.fragments).reads)
        for name in LIBRARIES
    }
    lengths = asked[library.name].lengths
    for kind, genomes in read_genomes(options.genomes).items():
        asked[kind] = pieces_of(genomes, lengths, seed=0)
    print("    queries of            off target %  named below phylum %")
    with open_index(index) as opened:
        for name, batch in asked.items():
            table = opened.classify(batch, align=int(options.align))
            off = pc.mean(pc.equal(table["verdict"], "off_target")).as_py()
            high = pc.is_in(table["rank"], value_set=pa.array(["kingdom", "domain", "phylum"]))
            low = pc.mean(pc.and_(pc.is_valid(table["rank"]), pc.invert(high))).as_py()
            note = "" if name != library.name else "  (its own)"
            print(f"    {name:17s}{100 * off:14.2f}{100 * low:17.2f}{note}")
    print(flush=True)


def first_of(reads: Path) -> SequenceBatch:
    """Read the first queries of a library."""
    return next(read_sequences(str(reads), OTHERS)).batch


def print_names(library: BenchLibrary, default: calls.Judged) -> None:
    """Print how many of the new species are named, beside cuts of identity."""
    print(f"    right species of seen queries at 0.8: {calls.seen_named_right(default, 0.8):.1f} %")
    threshold, named = calls.new_named_at_recall(default, 0.9)
    print(f"    at 90 % right (p >= {threshold:.3f}): {named:.1f} % of new species named")
    for cut in CUTS:
        peer = calls.judge(library.truth, with_p(library, cut))
        recall = calls.seen_named_right(peer, 0.5)
        theirs = 100 * float((peer.p["species"][peer.sets == calls.NEW_SPECIES] >= 0.5).mean())
        _, ours = calls.new_named_at_recall(default, recall / 100)
        print(
            f"    VSEARCH cut at {cut} %: {recall:.1f} % right, {theirs:.1f} % of new species "
            f"named; ours at as many right: {ours:.1f} %"
        )


def print_probabilities(judged: calls.Judged) -> None:
    """Print calibration errors, and shares of wrong names at thresholds."""
    heads = "  ".join(f"wrong at {t:g} %" for t in calls.THRESHOLDS)
    print(f"\n    rank        ECE (95 % interval)       {heads}")
    for rank in judged.p:
        if not np.isfinite(judged.p[rank]).any():
            continue
        error, low, high = calls.calibration_error(judged, rank)
        wrong = "".join(f"{100 * w:15.1f}" for w in calls.wrong_shares(judged, rank).values())
        print(f"    {rank:10s}  {error:.3f} ({low:.3f} to {high:.3f})  {wrong}")


def with_p(library: BenchLibrary, cut: str) -> pa.Table:
    """Return a peer's answers as calls that are certain."""
    answers = library.peers[f"vsearch best hit, species at >= {cut} % identity"]
    named = [1.0 if name else 0.0 for name in answers["species"].to_pylist()]
    return answers.append_column("p_species", pa.array(named))


def answers_of(run: Path) -> pa.Table:
    """Read a run's assignments."""
    table = pq.read_table(run / "assignments.parquet")
    names = ["id" if name == "query_id" else name for name in table.column_names]
    return table.rename_columns(names)


def run_command(*words: object) -> None:
    """Run seqsearch quietly."""
    measure([sys.executable, "-m", "seqsearch", *map(str, words), "--quiet"])


if __name__ == "__main__":
    try:
        main()
    except SeqsearchError as error:
        sys.exit(f"Error: {error}")
