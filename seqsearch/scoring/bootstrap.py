"""How far one method is above or below others on the same queries, with an interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from seqsearch.scoring.marks import RANKS, Cell, Marks, ScoringError
from seqsearch.tables import Float64, Int64

RESAMPLES = 10_000
SEED = 20_240_229
LEVEL = 0.95
BLOCK_VALUES = 2_000_000  # weights drawn at a time: 16 MB of float64


@dataclass(frozen=True)
class Difference:
    """Ours minus a peer's percent right, in percentage points; nan where nothing was scored.

    Attributes
    ----------
    value : float
        The difference on the queries as they are.
    low, high : float
        The 95 % interval.
    p : float
        Two-sided: how surprising the difference would be if there were none.
    """

    value: float
    low: float
    high: float
    p: float

    @property
    def below(self) -> bool:
        """Whether ours is significantly worse: the whole interval lies under zero."""
        return self.high < 0

    @property
    def above(self) -> bool:
        """Whether ours is significantly better: the whole interval lies over zero."""
        return self.low > 0


@dataclass(frozen=True)
class _Sums:
    """One cell, summed over the queries of each taxon that is resampled as a whole.

    right : (taxa, peers) float64, weight where ours is right less weight where the peer is
    weight : (taxa,) float64
    """

    unit: str
    right: Float64
    weight: Float64


def differences(
    marks: Marks,
    ours: str,
    cells: Sequence[Cell],
    *,
    macro: bool = False,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Difference]:
    """Compare one method with every other, on the mean over `cells` of percent right.

    A paired cluster bootstrap: the queries of one taxon (of the cell's `unit`) are drawn
    together, with both methods' answers to them, because they are not independent [1]_. Cells
    that share a unit share the draws. The interval is the percentile interval [2]_ and
    p = 2 (1 + k) / (1 + resamples), k the resamples on the far side of zero [3]_. The same
    arguments give the same numbers. With few taxa (ten families, say) such intervals are too
    short: read a difference on them as a hint.

    Parameters
    ----------
    marks : Marks
        All methods' answers; of one library, or pooled over several.
    ours : str
        The method that the others are compared with.
    cells : sequence of Cell
        One for a figure of its own, several for their mean.
    macro : bool
        Every true genus counts the same, instead of every query.
    resamples : int
        Bootstrap samples.
    seed : int
        Of the draws.

    Returns
    -------
    dict of str to Difference
        One entry for each method other than `ours`; all nan if one of the cells is empty.

    Raises
    ------
    ScoringError
        If `ours` did not answer.

    References
    ----------
    .. [1] Field and Welsh (2007), Bootstrapping clustered data, J. R. Statist. Soc. B 69:369.
    .. [2] Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    .. [3] Davison and Hinkley (1997), Bootstrap Methods and their Application, equation 4.11.

    Examples
    --------
    >>> right = {"ours": np.ones((4, 4), bool), "peer": np.zeros((4, 4), bool)}
    >>> marks = Marks(np.array(["seen"] * 4), np.arange(16).reshape(4, 4), right, right)
    >>> found = differences(marks, "ours", [Cell("seen", "genus", "genus")])["peer"]
    >>> found.value, found.low, found.high, found.above
    (100.0, 100.0, 100.0, True)
    """
    if ours not in marks.right:
        raise ScoringError(ours, f"has no answers; there are {', '.join(marks.methods)}")
    peers = [method for method in marks.methods if method != ours]
    if any(not len(marks.rows(cell)) for cell in cells):
        return dict.fromkeys(peers, Difference(*[float("nan")] * 4))
    sums = _sums_of(marks, ours, peers, cells, macro)
    taxa = {each.unit: len(each.weight) for each in sums}
    value = _mean_difference(sums, {unit: np.ones((1, n)) for unit, n in taxa.items()})[0]
    drawn = np.concatenate(
        [_mean_difference(sums, counts) for counts in _draws(taxa, resamples, seed)]
    )
    drawn = drawn[~np.isnan(drawn).any(axis=1)]  # a draw may leave one of several cells empty
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    far = np.minimum((drawn <= 0).sum(axis=0), (drawn >= 0).sum(axis=0))
    p = np.minimum(1.0, 2.0 * (1 + far) / (1 + len(drawn)))
    columns = zip(value, low, high, p, strict=True)
    return {
        peer: Difference(*map(float, column)) for peer, column in zip(peers, columns, strict=True)
    }


def _sums_of(
    marks: Marks, ours: str, peers: Sequence[str], cells: Sequence[Cell], macro: bool
) -> list[_Sums]:
    """Sum every cell per taxon; cells of one unit use one numbering of its taxa."""
    taxa = {}
    for unit in {cell.unit for cell in cells}:
        rows = [marks.rows(cell) for cell in cells if cell.unit == unit]
        # Queries without a name at the unit stay together as taxon -1: nothing says they are apart.
        taxa[unit] = np.unique(marks.taxa[np.concatenate(rows), RANKS.index(unit)])
    return [_sum_cell(marks, ours, peers, cell, macro, taxa[cell.unit]) for cell in cells]


def _sum_cell(
    marks: Marks, ours: str, peers: Sequence[str], cell: Cell, macro: bool, taxa: Int64
) -> _Sums:
    own = np.searchsorted(taxa, marks.taxa[marks.rows(cell), RANKS.index(cell.unit)])
    weights = marks.weights(cell, macro)
    right = np.empty((len(taxa), len(peers)))
    for column, peer in enumerate(peers):
        gain = marks.right_at(ours, cell).astype(float) - marks.right_at(peer, cell)
        right[:, column] = np.bincount(own, weights * gain, minlength=len(taxa))
    weight = np.bincount(own, weights, minlength=len(taxa)).astype(np.float64)
    return _Sums(cell.unit, right, weight)


def _mean_difference(sums: Sequence[_Sums], counts: dict[str, Float64]) -> Float64:
    """Return (draws, peers) percentage points; `counts[unit]` (draws, taxa): times drawn."""
    total = np.zeros((len(counts[sums[0].unit]), sums[0].right.shape[1]))
    for each in sums:
        weight = counts[each.unit] @ each.weight
        with np.errstate(invalid="ignore"):
            total += 100.0 * (counts[each.unit] @ each.right) / weight[:, np.newaxis]
    # Sums of thirds miss zero by an ulp, and a tie must be a tie on either side of zero.
    return np.round(total / len(sums), 9)


def _draws(taxa: dict[str, int], resamples: int, seed: int) -> Iterator[dict[str, Float64]]:
    """Yield, in blocks, how often each taxon is drawn when as many are drawn as there are."""
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK_VALUES // max(taxa.values()))
    for start in range(0, resamples, block):
        draws = min(block, resamples - start)
        yield {unit: _draw(generator, draws, taxa[unit]) for unit in sorted(taxa)}


def _draw(generator: np.random.Generator, draws: int, taxa: int) -> Float64:
    drawn = generator.integers(taxa, size=(draws, taxa))
    drawn += taxa * np.arange(draws)[:, np.newaxis]
    counts = np.bincount(drawn.ravel(), minlength=draws * taxa)
    return counts.reshape(draws, taxa).astype(np.float64)
