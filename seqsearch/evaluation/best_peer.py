"""Ours beside the best single peer of each library, and both over all libraries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seqsearch.evaluation.bench import COLUMNS, MEAN, OURS, BenchResult, summarise
from seqsearch.scoring.marks import FIVE_CELLS, pool

BEST = "best single peer"


@dataclass(frozen=True)
class Beside:
    """Ours and the best single peer.

    Attributes
    ----------
    libraries : dict of str to (str, BenchResult)
        Library to its best peer's name, and the comparison with it alone.
    pooled : BenchResult
        All queries as one set, each library's peer its own best.
    """

    libraries: dict[str, tuple[str, BenchResult]]
    pooled: BenchResult

    def mean_difference(self) -> float:
        """Return ours less the peer's, percentage points: the mean over cells and libraries."""
        found = [result.micro[MEAN][BEST].value for _, result in self.libraries.values()]
        return sum(found) / len(found)

    def below(self) -> list[str]:
        """Return the cells in which ours is significantly below: `library column`."""
        return [
            f"{name} {column}"
            for name, (_, result) in self.libraries.items()
            for column in COLUMNS
            if column in [cell.name for cell in FIVE_CELLS] and result.micro[column][BEST].below
        ]


def best_peer(result: BenchResult, *, only: str = "") -> str:
    """Return the peer with the highest mean over the five cells.

    Parameters
    ----------
    result : BenchResult
    only : str
        Look at peers with this word in their name.
    """
    peers = [n for n in result.scores if not n.startswith(OURS) and only in n]
    return max(peers, key=lambda name: result.scores[name].mean(FIVE_CELLS, macro=False))


def beside_best(results: Sequence[BenchResult], *, align: int) -> Beside:
    """Compare with the best peer of each library.

    Without alignment, 12S is compared with k-mer cosines: partial overlaps there need alignment.
    """
    libraries, all_marks = {}, []
    for result in results:
        peer = best_peer(result, only="cosine" if result.name == "12s" and not align else "")
        marks = replace(
            result.marks,
            right={OURS: result.marks.right[OURS], BEST: result.marks.right[peer]},
            named={OURS: result.marks.named[OURS], BEST: result.marks.named[peer]},
        )
        all_marks.append(marks)
        libraries[result.name] = (peer, summarise(result.name, marks, None, {}))
    name = "+".join(result.name for result in results)
    return Beside(libraries, summarise(name, pool(all_marks), None, {}))
