"""Try kernels of the vote on references whose own kin are hidden: scripts/tune_vote.py INDEX...

Whole references and pieces of 250 bases, of genera that no shipped encoder learned from.
"""

from __future__ import annotations

import sys

from seqsearch.evaluation.holdout import try_kernels
from seqsearch.index.store import IndexStore

KERNELS = [(p, e) for e in (0.003, 0.01, 0.03) for p in (8.0, 16.0, 32.0, 64.0, 128.0)]


def main() -> None:
    """Print a line for each index, length of the queries, way of hiding, and kernel."""
    print("index\tlength\thidden\trank\texponent\tsoftening\tqueries\tright\tlog_loss")
    for folder in sys.argv[1:]:
        store = IndexStore.open(folder)
        for fragment in (0, 250):
            for found in try_kernels(store, KERNELS, fragment=fragment):
                exponent, softening = found.kernel
                asked = f"{fragment or 'whole'}\t{found.hidden}\t{found.rank}"
                figures = f"{found.queries}\t{found.right:.1f}\t{found.log_loss:.3f}"
                print(f"{folder}\t{asked}\t{exponent:g}\t{softening:g}\t{figures}")


if __name__ == "__main__":
    main()
