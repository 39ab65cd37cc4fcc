"""Try scores of aligned candidates on references whose own kin are hidden.

    scripts/tune_rank.py INDEX...

Whole references and pieces of 250 bases, of genera that no shipped encoder learned from.
"""

from __future__ import annotations

import argparse

from seqsearch.evaluation.holdout import Score, try_scores
from seqsearch.index.store import IndexStore
from seqsearch.search.rank import score

SCORES: dict[str, Score] = {
    "similarity": lambda _, similarities: similarities,
    "identity": lambda aligned, _: aligned.identity,
    "compressed": lambda aligned, _: aligned.compressed_identity,
    "mean": lambda aligned, s: (aligned.identity + 0.3 * s) / 1.3,
    "mean compressed": lambda aligned, s: (aligned.compressed_identity + 0.3 * s) / 1.3,
    "geometric": lambda aligned, s: score(aligned.identity, s),
    "geometric compressed": lambda aligned, s: score(aligned.compressed_identity, s),
    "geometric supported": lambda aligned, s: score(aligned.supported_identity, s),
}


def main() -> None:
    """Print a line for each index, length of the queries, way of hiding, and score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("indexes", nargs="+", help="index folders")
    parser.add_argument("--align", type=int, default=20, help="candidates aligned (20)")
    parser.add_argument("--sample", type=int, default=1000, help="references asked for (1,000)")
    options = parser.parse_args()
    print("index\tquery\thidden\trank\tscore\tqueries\tright\tlog_loss")
    for folder in options.indexes:
        store = IndexStore.open(folder)
        for fragment in (0, 250):
            for found in try_scores(
                store, SCORES, options.align, fragment=fragment, sample=options.sample
            ):
                asked = f"{fragment or 'whole'}\t{found.hidden}\t{found.rank}\t{found.setting}"
                print(
                    f"{folder}\t{asked}\t{found.queries}\t{found.right:.1f}\t{found.log_loss:.3f}"
                )


if __name__ == "__main__":
    main()
