"""Try kernels of the vote on references whose own kin are hidden: scripts/tune_vote.py INDEX..."""

from __future__ import annotations

import sys

from seqsearch.evaluation.holdout import try_kernels
from seqsearch.index.store import IndexStore

KERNELS = [(p, e) for e in (0.003, 0.01, 0.03) for p in (4.0, 8.0, 16.0, 32.0, 64.0)]


def main() -> None:
    """Print a line for each index, way of hiding, and kernel."""
    print("index\thidden\trank\texponent\tsoftening\tqueries\tright\tlog_loss")
    for folder in sys.argv[1:]:
        for found in try_kernels(IndexStore.open(folder), KERNELS):
            exponent, softening = found.kernel
            figures = f"{found.queries}\t{found.right:.1f}\t{found.log_loss:.3f}"
            print(f"{folder}\t{found.hidden}\t{found.rank}\t{exponent:g}\t{softening:g}\t{figures}")


if __name__ == "__main__":
    main()
