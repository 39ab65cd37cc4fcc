"""Try changes of a recipe: scripts/study.py INDEX... --variants FILE

Scores are those of the development split of the indexes.

FILE has one experiment a line: NAME=VALUE changes of the recipe `hybrid`, separated by spaces.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from seqsearch.jobs.study import run_variant
from seqsearch.training.validation import mean_right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("indexes", nargs="+", help="index folders, one a marker")
    parser.add_argument("--variants", type=Path, required=True, help="experiments, one a line")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("variant\tspectrum\tqueries\tmean\t" + "\t".join(Path(i).name for i in options.indexes))
    for line in options.variants.read_text().splitlines():
        if line.startswith("#"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            for found in run_variant(
                options.indexes, Path(folder) / "e", line, steps=options.steps, seed=options.seed
            ):
                markers = list(dict.fromkeys(cell.marker for cell in found.cells))
                means = [mean_right([c for c in found.cells if c.marker == m]) for m in markers]
                kind = "250 nt" if found.fragments else "whole"
                figures = "\t".join(f"{mean:.2f}" for mean in (mean_right(found.cells), *means))
                print(f"{line or 'hybrid'}\t{found.weight:g}\t{kind}\t{figures}", flush=True)


if __name__ == "__main__":
    main()
