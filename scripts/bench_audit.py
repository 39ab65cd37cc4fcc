"""Measure what an audit finds: scripts/bench_audit.py --libraries coi.

Plants 200 swaps of names between genera of a bench library, and 100 records each that are turned
around, half of another family, or of another marker; flags that the library as it is gets count
neither for nor against.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.reading import read_sequences
from seqsearch.errors import SeqsearchError
from seqsearch.evaluation.audits import Planted, score, spoil_sequences, swap_names
from seqsearch.evaluation.peers import LIBRARIES, BenchLibrary, read_library
from seqsearch.jobs.auditing import audit_library

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "bench"
SWAPS, SPOILT = 200, 100
FOREIGN = {"coi": "28s", "its": "coi", "16s": "its", "28s": "16s", "12s": "its"}


def main() -> None:
    """Print a block for each library."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--libraries", default=",".join(LIBRARIES))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name in options.libraries.split(","):
        library = read_library(options.data, name)
        batch, names = read_all(library.references), names_of(library)
        foreign = read_all(read_library(options.data, FOREIGN[name]).references)
        before = audited(Planted(batch, names, {}))
        counts = pc.value_counts(before["problem"]).to_pylist()
        print(f"== {name}: {len(batch):,} records; flags as it is:", end=" ")
        print(", ".join(f"{entry['values']} {entry['counts']:,}" for entry in counts))
        print("    planted            records   flags since  recall  precision")
        for planted in (
            swap_names(batch, names, SWAPS, options.seed),
            spoil_sequences(batch, names, foreign, SPOILT, options.seed),
        ):
            after = audited(planted)
            for problem in planted.ids:
                found = score(problem, planted, before, after)
                print(
                    f"    {problem:16s}{found.planted:10,}{found.flagged:14,}"
                    f"{found.recall:8.3f}{found.precision:11.3f}",
                    flush=True,
                )


def audited(planted: Planted) -> pa.Table:
    """Write a library to files, and audit them."""
    with tempfile.TemporaryDirectory() as temporary:
        fasta, table = Path(temporary) / "library.fasta", Path(temporary) / "library.tsv"
        with fasta.open("w") as file:
            for place, ref_id in enumerate(planted.batch.ids.to_pylist()):
                file.write(f">{ref_id}\n{planted.batch.sequence(place)}\n")
        pcsv.write_csv(planted.names, table, pcsv.WriteOptions(delimiter="\t"))
        return audit_library(fasta, taxonomy=table)


def read_all(path: Path) -> SequenceBatch:
    """Read a FASTA whole."""
    return SequenceBatch.concatenate([reads.batch for reads in read_sequences(str(path))])


def names_of(library: BenchLibrary) -> pa.Table:
    """Read the names of a library's records, in the order of the sequences."""
    text = pcsv.ConvertOptions(column_types={"id": pa.string()})
    parse = pcsv.ParseOptions(delimiter="\t", quote_char=False)
    table = pcsv.read_csv(library.taxonomy, parse_options=parse, convert_options=text)
    ids = read_all(library.references).ids
    return table.take(pc.index_in(ids, value_set=table["id"].combine_chunks()))


if __name__ == "__main__":
    try:
        main()
    except SeqsearchError as error:
        sys.exit(f"Error: {error}")
