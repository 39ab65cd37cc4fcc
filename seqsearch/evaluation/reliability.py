"""How often a species name is right, by what stood beside it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.tables import one_array, to_numpy

EDGES = {
    "p_species": (0.0, 0.5, 0.8, 0.95, 1.0),
    "similarity": (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0),
}


@dataclass(frozen=True)
class Bin:
    """Queries whose value of a column lies in [low, high), the last bin's end included.

    Attributes
    ----------
    column : str
    low, high : float
    queries : int
        Those that were given a species name.
    right : float
        Percent of these names that are right; nan of none.
    """

    column: str
    low: float
    high: float
    queries: int
    right: float


def species_reliability(truth: pa.Table, answers: pa.Table) -> tuple[Bin, ...]:
    """Count right species names by probability and by similarity.

    Parameters
    ----------
    truth : table of id and species
    answers : table of id, species, p_species and similarity
        Columns that are not there are left out.

    Examples
    --------
    >>> truth = pa.table({"id": ["a", "b"], "species": ["x", "y"]})
    >>> answers = pa.table({"id": ["a", "b"], "species": ["x", "x"], "similarity": [0.97, 0.96]})
    >>> [(found.low, found.queries, found.right) for found in species_reliability(truth, answers)][
    ...     -1
    ... ]
    (0.95, 2, 50.0)
    """
    position = pc.index_in(one_array(answers["id"]), value_set=one_array(truth["id"]))
    true_names = one_array(truth["species"]).take(position)
    is_right = to_numpy(pc.fill_null(pc.equal(answers["species"], true_names), False))
    has_name = to_numpy(pc.is_valid(answers["species"]))
    bins = []
    for column, edges in EDGES.items():
        if column not in answers.column_names:
            continue
        values = to_numpy(pc.fill_null(answers[column], -1.0))
        for low, high in pairwise(edges):
            inside = has_name & (values >= low) & ((values < high) | (high == edges[-1]))
            count = int(inside.sum())
            right = 100.0 * float(is_right[inside].mean()) if count else float("nan")
            bins.append(Bin(column, low, high, count, right))
    return tuple(bins)
