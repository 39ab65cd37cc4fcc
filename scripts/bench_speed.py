"""Compare speed with megablast and VSEARCH on the same queries: scripts/bench_speed.py LIBRARY.

LIBRARY is a folder name of the bench. Start-up is told apart; ratios are behind it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from seqsearch.evaluation.peers import read_library
from seqsearch.evaluation.speed import TOOLS, Job, compare_speeds

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", nargs="?", default="coi")
    parser.add_argument("--data", type=Path, default=DATA, help="bench folder (%(default)s)")
    parser.add_argument("--fragments", action="store_true", help="queries cut to 250 nt")
    parser.add_argument("--ours", type=int, default=20_000, help="queries of seqsearch")
    parser.add_argument("--theirs", type=int, default=800, help="queries of the others")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tools", nargs="+", default=list(TOOLS), choices=list(TOOLS))
    options = parser.parse_args()
    library = read_library(options.data, options.library, fragments=options.fragments)
    first = 0.0
    print("tool\tqueries\tstart-up s\tqueries/s\tratio\tgenus right %")
    with tempfile.TemporaryDirectory() as folder:
        job = Job(library, Path(folder), options.threads)
        for speed in compare_speeds(
            job, ours=options.ours, theirs=options.theirs, tools=options.tools
        ):
            first = first or speed.queries_per_s
            print(
                f"{speed.tool}\t{speed.queries:,}\t{speed.startup_s:.1f}\t"
                f"{speed.queries_per_s:,.0f}\t{speed.queries_per_s / first:,.1f}\t"
                f"{speed.genus_right:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
