"""Draw reliability curves of a bench: scripts/draw_reliability.py RUNS -o docs/reliability.png.

RUNS is what scripts/bench_calls.py --keep RUNS left; the runs under the bench's own mix are drawn.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench_calls import DATA, answers_of

from seqsearch.errors import SeqsearchError
from seqsearch.evaluation.calls import judge
from seqsearch.evaluation.curves import rows_of
from seqsearch.evaluation.peers import LIBRARIES, read_library
from seqsearch.plots.figures import save
from seqsearch.plots.reliability import draw


def main() -> None:
    """Draw one figure of all libraries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, metavar="RUNS")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--libraries", default=",".join(LIBRARIES))
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    judged = {}
    for name in options.libraries.split(","):
        truth = read_library(options.data, name).truth
        judged[name.upper()] = judge(truth, answers_of(options.runs / name / "mix"))
    save(draw(rows_of(judged), "Names that are right, by probability"), options.out)


if __name__ == "__main__":
    try:
        main()
    except SeqsearchError as error:
        sys.exit(f"Error: {error}")
