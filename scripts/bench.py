"""Measure seqsearch beside its peers: build, classify and score the libraries of a bench folder.

Example: python scripts/bench.py --libraries coi --out results.tsv
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from seqsearch.errors import SeqsearchError
from seqsearch.evaluation.bench import BenchSettings, pool_results, run_library
from seqsearch.evaluation.bench_table import LEGEND, text_beside, text_of, write_tsv
from seqsearch.evaluation.best_peer import beside_best
from seqsearch.evaluation.peers import LIBRARIES
from seqsearch.settings import DEFAULT_ENCODER

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "bench"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DATA, help="bench folder (%(default)s)")
    parser.add_argument(
        "--libraries",
        type=lambda names: tuple(names.split(",")),
        default=LIBRARIES,
        help=f"comma-separated ({','.join(LIBRARIES)})",
    )
    parser.add_argument("--fragments", action="store_true", help="queries cut to 250 nt")
    parser.add_argument("--align", type=int, default=0, help="candidates aligned (%(default)s)")
    parser.add_argument("--encoder", default=DEFAULT_ENCODER, help="name or path (%(default)s)")
    parser.add_argument(
        "--beside", nargs="+", default=[], help="more encoders to compare with, name or path"
    )
    parser.add_argument("--threads", type=int, default=2, help="of each command (%(default)s)")
    parser.add_argument(
        "--no-calibrate", action="store_true", help="names only; slow encoders take long otherwise"
    )
    parser.add_argument("--out", type=Path, help="write every figure to this TSV")
    parser.add_argument("--keep", type=Path, help="keep indexes and runs in this folder")
    return parser.parse_args(arguments)


def main() -> None:
    """Run, print a table for each library as it is done, and one for all of them."""
    options = parse()
    settings = BenchSettings(
        data=options.data,
        libraries=options.libraries,
        fragments=options.fragments,
        align=options.align,
        encoder=options.encoder,
        beside=tuple(options.beside),
        threads=options.threads,
        calibrate=not options.no_calibrate,
    )
    print(LEGEND, end="\n\n")
    with tempfile.TemporaryDirectory() as temporary:
        results = []
        for name in settings.libraries:
            results.append(run_library(settings, name, options.keep or Path(temporary)))
            print(text_of(results[-1]), end="\n\n", flush=True)
    beside = beside_best(results, align=settings.align)
    if len(results) > 1:
        results.append(pool_results(results))
        print(text_of(results[-1]), end="\n\n")
    print("== ours beside the best single peer of each library (highest mean of five)\n")
    print(text_beside(beside))
    if options.out:
        write_tsv(results, options.out)


if __name__ == "__main__":
    try:
        main()
    except SeqsearchError as error:
        sys.exit(f"Error: {error}")
