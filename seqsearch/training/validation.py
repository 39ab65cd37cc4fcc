"""1-NN percent right on the development split, as the bench's cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seqsearch.encoders.base import Encoder
from seqsearch.tables import Float32, Int32
from seqsearch.training.augmentation import Augmentation, augment
from seqsearch.training.labelled import LabelledSet
from seqsearch.training.split import Split

CELLS = (
    ("seen", "species"),
    ("seen", "genus"),
    ("unseen_species", "genus"),
    ("unseen_species", "family"),
    ("unseen_genus", "family"),
    ("unseen_family", "order"),
)
MEAN_OF = 5  # the first cells; unseen families are few
FRAGMENT = 250  # bases, as the bench's query_250


@dataclass(frozen=True)
class Cell:
    """Percent right in one cell.

    Attributes
    ----------
    marker, hidden, rank : str
        Library, set of queries, and the rank that is asked.
    queries : int
        Those whose true taxon is among the references.
    right : float
        Percent.
    """

    marker: str
    hidden: str
    rank: str
    queries: int
    right: float


def validate(
    encoder: Encoder, labelled: LabelledSet, split: Split
) -> tuple[list[Cell], list[Cell]]:
    """Name each query as its nearest reference that has a name at the rank.

    Parameters
    ----------
    encoder : Encoder
    labelled : LabelledSet
    split : Split

    Returns
    -------
    list of Cell
        Of whole queries.
    list of Cell
        Of queries cut to `FRAGMENT` bases at random places.
    """
    if not any(len(rows) for rows in split.queries.values()):
        return [], []
    references = encoder.encode(labelled.batch.take(split.references))
    whole: list[Cell] = []
    cut: list[Cell] = []
    for hidden, rows in split.queries.items():
        if not len(rows):
            continue
        batch = labelled.batch.take(rows)
        pieces = augment(batch, Augmentation(1.0, FRAGMENT, 0.0, 0.0, FRAGMENT), seed=0)
        for cells, queries in ((whole, batch), (cut, pieces)):
            similarity = encoder.encode(queries) @ references.T
            for cell, rank in CELLS:
                if cell == hidden and rank in labelled.ranks:
                    truth, names = labelled.at(rank)[rows], labelled.at(rank)[split.references]
                    cells += _cell(labelled.marker, hidden, rank, similarity, truth, names)
    return whole, cut


def _cell(
    marker: str, hidden: str, rank: str, similarity: Float32, truth: Int32, names: Int32
) -> Iterator[Cell]:
    asked = (truth >= 0) & np.isin(truth, names)
    if not asked.any():
        return
    named = np.flatnonzero(names >= 0)
    nearest = named[similarity[np.ix_(asked, named)].argmax(1)]
    right = 100 * float((names[nearest] == truth[asked]).mean())
    yield Cell(marker, hidden, rank, int(asked.sum()), right)


def mean_right(cells: list[Cell]) -> float:
    """Return the mean over markers of each one's mean over the cells below families."""
    markers = sorted({cell.marker for cell in cells})
    counted = {(hidden, rank) for hidden, rank in CELLS[:MEAN_OF]}
    means = []
    for marker in markers:
        own = [c.right for c in cells if c.marker == marker and (c.hidden, c.rank) in counted]
        if own:
            means.append(np.mean(own))
    return float(np.mean(means)) if means else float("nan")
