"""Answers marked against the truth, and percent right per set of queries and rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.errors import SeqsearchError
from seqsearch.tables import Bool, Float64, Int64, one_array, to_numpy

RANKS = ("order", "family", "genus", "species")
SPECIES = RANKS.index("species")


class ScoringError(SeqsearchError, ValueError):
    """A table cannot be scored.

    Attributes
    ----------
    table : str
        "truth", or the method whose answers are meant.
    """

    def __init__(self, table: str, problem: str) -> None:
        self.table, self.problem = table, problem
        super().__init__(f"{table}: {problem}")


@dataclass(frozen=True)
class Cell:
    """One figure of a bench: a set of queries at a rank.

    Attributes
    ----------
    subset : str
        Value of the truth's column `set`.
    rank : str
        The rank whose name is compared, one of `RANKS`.
    unit : str
        The rank whose taxa are resampled as a whole. Queries of one taxon succeed and fail
        together, the wider the further the library is from them: genera where the genus is in
        the library, families where it is not.
    """

    subset: str
    rank: str
    unit: str

    @property
    def name(self) -> str:
        """The figure's column in a table of peers.

        >>> Cell("seen", "species", "genus").name
        'seen/species'
        """
        return f"{self.subset}/{self.rank}"


CELLS = (
    Cell("seen", "species", "genus"),
    Cell("seen", "genus", "genus"),
    Cell("unseen_species", "genus", "genus"),
    Cell("unseen_species", "family", "genus"),
    Cell("unseen_genus", "family", "family"),
    Cell("unseen_family", "order", "family"),
)
FIVE_CELLS = CELLS[:5]  # those that a library of any size fills; their mean is the headline


@dataclass(frozen=True)
class Marks:
    """The answers of several methods to the same n queries, marked.

    Attributes
    ----------
    subset : (n,) str
        The set that each query belongs to.
    taxa : (n, len(RANKS)) int64
        Number of the true name at each rank; -1 where the truth has none.
    right : mapping of method to (n, len(RANKS)) bool
        The method gave the true name. False where the truth has none.
    named : mapping of method to (n, len(RANKS)) bool
        The method gave any name.
    """

    subset: np.ndarray[Any, np.dtype[np.str_]]
    taxa: Int64
    right: Mapping[str, Bool]
    named: Mapping[str, Bool]

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that answered, in the order given."""
        return tuple(self.right)

    def rows(self, cell: Cell) -> Int64:
        """Return the queries that a cell scores: in its set, with a true name at its rank."""
        return np.flatnonzero(
            (self.subset == cell.subset) & (self.taxa[:, RANKS.index(cell.rank)] >= 0)
        )

    def right_at(self, method: str, cell: Cell) -> Bool:
        """Return whether a method is right on each of `rows(cell)`."""
        right: Bool = self.right[method][self.rows(cell), RANKS.index(cell.rank)]
        return right

    def weights(self, cell: Cell, macro: bool) -> Float64:
        """Return the weight of each of `rows(cell)` in the cell's mean.

        Micro: 1 a query. Macro: 1 a genus, shared by its queries, so that the weighted mean is
        the mean over true genera of the share right; queries without a genus count as one.
        """
        rows = self.rows(cell)
        if not macro:
            return np.ones(len(rows))
        genus = self.taxa[rows, RANKS.index("genus")] + 1
        return 1.0 / np.bincount(genus)[genus] if len(rows) else np.ones(0)


@dataclass(frozen=True)
class CellScore:
    """Percent right of one method in one cell; nan where the cell has no query.

    Attributes
    ----------
    queries : int
        Queries scored.
    micro, macro : float
        Percent right of the queries, and the mean of that over true genera.
    """

    queries: int
    micro: float
    macro: float


@dataclass(frozen=True)
class Score:
    """Every figure of one method on one set of queries; nan where there is nothing to count.

    Attributes
    ----------
    cells : mapping of Cell to CellScore
        In the order asked for.
    wrong_of_species_named : float
        Percent of the species names given, over all sets, that are wrong. Counted where the
        truth has a species.
    unseen_species_named : float
        Percent of the set `unseen_species` that is given a species name, which must be wrong.
    """

    cells: Mapping[Cell, CellScore]
    wrong_of_species_named: float
    unseen_species_named: float

    def mean(self, cells: Sequence[Cell] = FIVE_CELLS, *, macro: bool = False) -> float:
        """Return the plain mean over some cells, in percent; nan if one of them is empty."""
        scores = [self.cells[cell] for cell in cells]
        return float(np.mean([score.macro if macro else score.micro for score in scores]))


def mark(truth: pa.Table, answers: Mapping[str, pa.Table]) -> Marks:
    """Mark the answers of several methods against the truth, name by name at each rank.

    Null and "" both mean "no name". A query that a method does not answer is unnamed at every
    rank; answers to other queries are left out. Names are compared within their rank, not as
    paths: two sources that spell the ranks above a genus differently agree on the genus.

    Parameters
    ----------
    truth : (n,) table of `id`, `set` and `RANKS`
        One row a query.
    answers : mapping of method to table of `id` and any of `RANKS`
        At most one row a query; a rank without a column is named nowhere.

    Raises
    ------
    ScoringError
        If a column is missing, an id stands twice, or a method answers none of the queries.

    Examples
    --------
    >>> truth = pa.table(
    ...     {
    ...         "id": ["a", "b"],
    ...         "set": ["seen", "seen"],
    ...         "order": ["", ""],
    ...         "family": ["", ""],
    ...         "genus": ["Apis", "Apis"],
    ...         "species": ["Apis mellifera", "Apis cerana"],
    ...     }
    ... )
    >>> calls = pa.table(
    ...     {
    ...         "id": ["b", "a"],
    ...         "genus": ["Apis", "Apis"],
    ...         "species": ["Apis mellifera", "Apis mellifera"],
    ...     }
    ... )
    >>> mark(truth, {"ours": calls}).right["ours"].tolist()
    [[False, False, True, True], [False, False, True, False]]
    """
    _require(truth, "truth", ("id", "set", *RANKS))
    identifiers = _identifiers(truth, "truth")
    true_names = [_names(truth, rank) for rank in RANKS]
    right, named = {}, {}
    for method, table in answers.items():
        _require(table, method, ("id",))
        position = pc.index_in(identifiers, value_set=_identifiers(table, method))
        if len(truth) and position.null_count == len(truth):
            raise ScoringError(method, f"answers none of the {len(truth)} queries")
        given = [_names(table, rank).take(position) for rank in RANKS]
        pairs = zip(given, true_names, strict=True)
        right[method] = _columns([pc.equal(name, true).fill_null(False) for name, true in pairs])
        named[method] = _columns([name.is_valid() for name in given])
    return Marks(
        subset=np.array(truth["set"].to_pylist(), dtype=np.str_),
        taxa=_columns([_numbers(name) for name in true_names]),
        right=right,
        named=named,
    )


def pool(marks: Sequence[Marks]) -> Marks:
    """Put the queries of several libraries one after the other.

    Taxa stay apart: the same name in two libraries is two taxa, to the macro mean and to the
    bootstrap alike. Methods that did not answer everywhere are left out.

    Examples
    --------
    >>> one = Marks(
    ...     np.array(["seen"]),
    ...     np.array([[0, 0, 0, 0]]),
    ...     {"ours": np.ones((1, 4), bool)},
    ...     {"ours": np.ones((1, 4), bool)},
    ... )
    >>> pool([one, one]).taxa.tolist()
    [[0, 0, 0, 0], [1, 1, 1, 1]]
    """
    methods = [m for m in marks[0].methods if all(m in other.right for other in marks)]
    taxa, used = [], 0
    for each in marks:
        taxa.append(np.where(each.taxa >= 0, each.taxa + used, -1))
        used += int(each.taxa.max(initial=-1)) + 1
    return Marks(
        subset=np.concatenate([each.subset for each in marks]),
        taxa=np.concatenate(taxa),
        right={m: np.concatenate([each.right[m] for each in marks]) for m in methods},
        named={m: np.concatenate([each.named[m] for each in marks]) for m in methods},
    )


def score(marks: Marks, method: str, cells: Sequence[Cell] = CELLS) -> Score:
    """Count every figure of one method.

    Examples
    --------
    >>> marks = Marks(
    ...     np.array(["seen"] * 3),
    ...     np.array([[0, 0, g, s] for g, s in [(0, 0), (0, 1), (1, 2)]]),
    ...     {"ours": np.eye(3, 4, 1, dtype=bool)},
    ...     {"ours": np.ones((3, 4), bool)},
    ... )
    >>> cell = Cell("seen", "species", "genus")
    >>> result = score(marks, "ours", [cell])
    >>> round(result.cells[cell].micro, 1), result.cells[cell].macro
    (33.3, 50.0)
    >>> round(result.wrong_of_species_named, 1)
    66.7
    """
    right, named = marks.right[method][:, SPECIES], marks.named[method][:, SPECIES]
    scored = named & (marks.taxa[:, SPECIES] >= 0)
    unseen = marks.subset == "unseen_species"
    return Score(
        cells={cell: _score_cell(marks, method, cell) for cell in cells},
        wrong_of_species_named=percent(int((scored & ~right).sum()), int(scored.sum())),
        unseen_species_named=percent(int((unseen & named).sum()), int(unseen.sum())),
    )


def percent(part: float, whole: float) -> float:
    """Return `part` of `whole` in percent, nan of nothing.

    >>> percent(1, 8), percent(0, 0)
    (12.5, nan)
    """
    return 100.0 * part / whole if whole else float("nan")


def _score_cell(marks: Marks, method: str, cell: Cell) -> CellScore:
    right, weights = marks.right_at(method, cell), marks.weights(cell, macro=True)
    return CellScore(
        queries=len(right),
        micro=percent(int(right.sum()), len(right)),
        macro=percent(float(weights @ right), float(weights.sum())),
    )


def _require(table: pa.Table, name: str, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise ScoringError(name, f"no column {', '.join(missing)}; has {table.column_names}")


def _identifiers(table: pa.Table, name: str) -> pa.Array:
    identifiers = one_array(table["id"]).cast(pa.string())
    counts = identifiers.value_counts()
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        raise ScoringError(
            name, f"{len(repeated)} ids stand more than once, {repeated[0]['values']} first"
        )
    return identifiers


def _names(table: pa.Table, rank: str) -> pa.Array:
    """Return the names at a rank, null where there is none."""
    if rank not in table.column_names:
        return pa.nulls(len(table), pa.string())
    names = one_array(table[rank]).cast(pa.string())
    return pc.if_else(pc.equal(names, ""), pa.scalar(None, pa.string()), names)


def _numbers(names: pa.Array) -> Int64:
    return to_numpy(names.dictionary_encode().indices.fill_null(-1)).astype(np.int64)


def _columns(arrays: Sequence[Any]) -> np.ndarray[Any, Any]:
    return np.stack([np.asarray(array) for array in arrays], axis=1)
