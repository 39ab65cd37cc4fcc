"""Which sequences meet in a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqsearch.tables import Float64, Int64
from seqsearch.training.labelled import LabelledSet

TOGETHER = 8  # lowest taxa drawn from one family


@dataclass(frozen=True)
class Groups:
    """Rows by their lowest taxon, and those by family.

    Attributes
    ----------
    rows : (r,) int64
        Sorted by group.
    start : (g + 1,) int64
        Group i is `rows[start[i]:start[i + 1]]`.
    odds : (g,) float64
        Chance of a group, rising with the root of its size, so that common species do not rule.
    members : list of (m,) int64
        Groups of each family that has several.
    family_odds : (len(members),) float64
    """

    rows: Int64
    start: Int64
    odds: Float64
    members: list[Int64]
    family_odds: Float64


def group_rows(labelled: LabelledSet, rows: Int64) -> Groups:
    """Group the rows of a set that have any name."""
    lineage = labelled.lineage[rows]
    named = (lineage >= 0).any(axis=1)
    rows, lineage = rows[named], lineage[named]
    last = lineage.shape[1] - 1 - np.argmax(lineage[:, ::-1] >= 0, axis=1)
    lowest = lineage[np.arange(len(rows)), last]
    order = np.argsort(lowest, kind="stable")
    start = np.flatnonzero(np.r_[True, np.diff(lowest[order]) != 0, True]) if len(rows) else [0]
    start = np.asarray(start, np.int64)
    family = labelled.at("family")[rows][order][start[:-1]]
    by_family = np.argsort(family, kind="stable")
    edges = np.flatnonzero(np.diff(family[by_family])) + 1
    pieces = np.split(by_family, edges)
    members = [piece for piece in pieces if len(piece) > 1 and family[piece[0]] >= 0]
    family_odds = np.sqrt([len(piece) for piece in members])
    odds = np.sqrt(np.diff(start))
    return Groups(
        rows[order], start, odds / odds.sum(), members, family_odds / max(family_odds.sum(), 1)
    )


def one_of_each(labelled: LabelledSet, rows: Int64) -> Int64:
    """Return the first of the rows of each lowest taxon, ascending; those without a name are left.

    So a library is small enough for an encoder that is slow.
    """
    groups = group_rows(labelled, rows)
    return np.sort(groups.rows[groups.start[:-1]])


def draw_batch(groups: Groups, size: int, shared: float, rng: np.random.Generator) -> Int64:
    """Return (size,) int64 rows, two from each drawn group, neighbours in the result.

    Parameters
    ----------
    groups : Groups
    size : int
        Even.
    shared : float
        Share of the groups drawn from a few families, so that near relatives meet.
    rng : numpy.random.Generator

    Notes
    -----
    A group of one row gives it twice; augmentation then makes two of it.
    """
    wanted = size // 2
    families = round(wanted * shared / TOGETHER) if groups.members else 0
    drawn = []
    for family in (
        rng.choice(len(groups.members), families, p=groups.family_odds) if families else ()
    ):
        members = groups.members[family]
        drawn.append(rng.choice(members, min(TOGETHER, len(members)), replace=False))
    near = np.concatenate(drawn)[:wanted] if drawn else np.empty(0, np.int64)
    rest = rng.choice(len(groups.odds), wanted - len(near), p=groups.odds)
    chosen = np.concatenate([near, rest])
    first, sizes = groups.start[chosen], np.diff(groups.start)[chosen]
    one = rng.integers(0, sizes)
    other = (one + 1 + rng.integers(0, np.maximum(sizes - 1, 1))) % sizes
    return groups.rows[np.stack([first + one, first + other], axis=1).ravel()]
