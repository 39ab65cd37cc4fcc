"""Try settings of the vote on references whose own kin are hidden: scripts/tune_vote.py INDEX...

Whole references and pieces of 250 bases, of genera that no shipped encoder learned from: kernels of
the vote, and with --lengths how far similarities are corrected for length.
"""

from __future__ import annotations

import argparse

from seqsearch.evaluation.holdout import try_kernels
from seqsearch.index.store import IndexStore
from seqsearch.search.vote import EXPONENT, SOFTENING

KERNELS = [(p, e) for e in (0.01, 0.03, 0.06) for p in (8.0, 16.0, 32.0, 64.0)]
LENGTHS = (0.0, 0.1, 0.15, 0.2, 0.25, 0.5)


def main() -> None:
    """Print a line for each index, length of the queries, way of hiding, and setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("indexes", nargs="+", help="index folders")
    parser.add_argument("--lengths", action="store_true", help="try corrections for length instead")
    options = parser.parse_args()
    kernels = [(EXPONENT, SOFTENING)] if options.lengths else KERNELS
    print("index\tquery\thidden\trank\tlength\texponent\tsoftening\tqueries\tright\tlog_loss")
    for folder in options.indexes:
        store = IndexStore.open(folder)
        for fragment in (0, 250):
            for length in LENGTHS if options.lengths else (store.length_exponent,):
                for found in try_kernels(store, kernels, fragment=fragment, length_exponent=length):
                    exponent, softening = found.setting
                    asked = f"{fragment or 'whole'}\t{found.hidden}\t{found.rank}\t{length:g}"
                    figures = f"{found.queries}\t{found.right:.1f}\t{found.log_loss:.3f}"
                    print(f"{folder}\t{asked}\t{exponent:g}\t{softening:g}\t{figures}")


if __name__ == "__main__":
    main()
