"""Measure how markers are found in long references: scripts/bench_references.py --libraries coi.

Some references of a bench library are put between random bases; pieces of 250 nt of the markers in
them are searched for among these and ordinary ones. Then, in the whole library as it is, pieces of
random places of the references that are long already. Once with one vector a reference, once with
windows: percent whose best hit is the reference that they are of (others may be the same there),
percent that have it among ten, and percent of those with a species that get it, with alignment and
without.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from seqsearch import build_index, open_index
from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.reading import read_sequences
from seqsearch.dna.windows import Windows, pieces
from seqsearch.errors import SeqsearchError
from seqsearch.evaluation.embedding import embed, random_flanks
from seqsearch.evaluation.peers import read_library
from seqsearch.jobs.inspecting import describe_index
from seqsearch.settings import BuildSettings
from seqsearch.tables import Int64

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "bench"
PIECE = 250  # bases
HEADS = ("best hit", "among 10", "species", "ms a query")


def main() -> None:
    """Print two blocks for each library."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--libraries", default="coi,12s")
    parser.add_argument("--references", type=int, default=8000)
    parser.add_argument("--embedded", type=int, default=300)
    parser.add_argument("--length", type=int, default=16_000)
    parser.add_argument("--pieces", type=int, default=4, help="of each reference that is long")
    options = parser.parse_args()
    print("    percent" + " " * 34 + "".join(f"{head:>12s}" for head in HEADS))
    for name in options.libraries.split(","):
        library = read_library(options.data, name)
        parts = [reads.batch for reads in read_sequences(str(library.references))]
        everything = SequenceBatch.concatenate(parts)
        some = everything.take(_evenly(len(everything), options.references))
        chosen = _evenly(len(some), options.embedded)
        markers = some.take(chosen)
        room = np.maximum(options.length - markers.lengths, 1)
        long, _ = embed(markers, random_flanks(room, 0), seed=0)
        order = np.arange(len(some))
        order[chosen] = len(some) + np.arange(len(chosen))
        mixed = SequenceBatch.concatenate([some, long]).take(order)
        label = f"{name}: {len(chosen)} of {len(some):,} in {options.length:,}"
        report(label, mixed, library.taxonomy, _cut(markers, np.arange(len(markers)), 1))
        are_long = Windows.of(everything.lengths).are_long(everything.lengths)
        owner = np.repeat(np.flatnonzero(are_long), options.pieces)
        if len(owner):
            label = f"{name}: {are_long.sum()} long of {len(everything):,}"
            report(label, everything, library.taxonomy, _cut(everything, owner, 2))


def report(label: str, references: SequenceBatch, taxonomy: Path, queries: SequenceBatch) -> None:
    """Build with and without windows, ask, and print a line each."""
    print(f"{label}; {len(queries):,} pieces")
    text = pcsv.ConvertOptions(column_types={"id": pa.string(), "species": pa.string()})
    tabs = pcsv.ParseOptions(delimiter="\t", quote_char=False)
    names = pcsv.read_csv(taxonomy, parse_options=tabs, convert_options=text)
    truth = names["species"].take(pc.index_in(queries.ids, names["id"].combine_chunks()))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _write(folder / "references.fasta", references)
        for windows in (False, True):
            index = folder / f"index{windows:d}"
            settings = BuildSettings(windows=windows, calibrate=False)
            files = {"taxonomy": taxonomy, "settings": settings}
            began = time.perf_counter()
            build_index(folder / "references.fasta", index, **files)
            built = time.perf_counter() - began
            vectors = describe_index(index)["counts"]["vectors"]
            for align in (20, 0):
                found = asked(index, queries, truth, align)
                figures = "".join(f"{figure:12.1f}" for figure in found)
                how = f"{vectors:,} vectors, built in {built:.0f} s"
                print(f"    {how:32s}--align {align:2d}{figures}", flush=True)


def asked(index: Path, queries: SequenceBatch, truth: pa.ChunkedArray, align: int) -> list[float]:
    """Ask for pieces named as what they are of; return the figures of a line."""
    reads, folder = index.parent / "reads.fasta", index.parent / "run"
    _write(reads, queries)
    with open_index(index) as opened:
        opened.classify(queries.slice(0, 2), align=align)  # compiled
        began = time.perf_counter()
        run = opened.query(reads, folder, align=align, min_confidence=0, overwrite=True)
        seconds = time.perf_counter() - began
    hits, refs, answers = run.hits(), run.refs(), run.assignments()
    at = pc.index_in(hits["reference"], refs["reference"].combine_chunks())
    is_own = pc.equal(refs["ref_id"].take(at), queries.ids.take(hits["query"]))
    among = pc.count_distinct(hits["query"].filter(is_own)).as_py()
    best = pc.sum(pc.equal(answers["best_ref"], queries.ids)).as_py()
    is_right = pc.equal(answers["species"], truth).drop_null()
    shares = (best / len(queries), among / len(queries), pc.mean(is_right).as_py())
    return [*(100 * share for share in shares), 1e3 * seconds / len(queries)]


def _write(path: Path, batch: SequenceBatch) -> None:
    texts = zip(batch.ids.to_pylist(), batch.strings().to_pylist(), strict=True)
    path.write_text("".join(f">{name}\n{text}\n" for name, text in texts))


def _evenly(count: int, wanted: int) -> Int64:
    return np.linspace(0, count - 1, min(wanted, count)).astype(np.int64)


def _cut(batch: SequenceBatch, owner: Int64, seed: int) -> SequenceBatch:
    """Return a piece of a random place of sequences, named as they are."""
    room = np.maximum(batch.lengths[owner] - PIECE, 0)
    start = np.random.default_rng(seed).integers(0, room + 1)
    end = np.minimum(start + PIECE, batch.lengths[owner])
    cut = pieces(batch, owner, start, end)
    return SequenceBatch(batch.ids.take(pa.array(owner)), cut.bytes, cut.offsets)


if __name__ == "__main__":
    try:
        main()
    except SeqsearchError as error:
        sys.exit(f"Error: {error}")
