"""What is decided of each query, by probability or by a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.tables import Bool, Float32, Float64, Int64, one_array

IDENTIFIED, PARTIAL, AMBIGUOUS, NOVEL = "identified", "partial", "ambiguous", "novel"
OFF_TARGET, UNASSIGNED, INVALID = "off_target", "unassigned", "invalid"
NO_FURTHER = "the library names the nearest references no further"
LIKE_NOTHING = "nothing that was searched is more like it than shuffled sequences are"
NO_NAME, NO_REFERENCE = "no name at any rank", "no reference found"


@dataclass(frozen=True)
class Decision:
    """Names and verdicts of the n queries of a part.

    Attributes
    ----------
    best : (n,) int64
        Line of the hit that assignments show, -1 where there is none.
    verdict : (n,) pyarrow string
    last : (n,) int64
        Position of the lowest rank that was named, -1 where none was.
    names : tuple of (n,) pyarrow string
        By rank; null at gaps and below `last`.
    asked : (n,) int64
        Position of the rank in question, -1 where none is.
    alternatives, reason : (n,) pyarrow string
    """

    best: Int64
    verdict: pa.StringArray
    last: Int64
    names: tuple[pa.StringArray, ...]
    asked: Int64
    alternatives: pa.StringArray
    reason: pa.StringArray


def first_that_holds(
    cases: Sequence[tuple[Bool, str | pa.Array]], otherwise: str, count: int
) -> pa.StringArray:
    """Return (count,) pyarrow string: the text of the first condition that holds.

    >>> yes, no = np.array([True, True]), np.array([False, True])
    >>> first_that_holds([(no, "a"), (yes, "b")], "", 2).to_pylist()
    ['b', 'a']
    """
    text = pa.array([otherwise] * count, pa.string())
    for holds, case in reversed(cases):
        text = pc.if_else(pa.array(holds), case, text)
    return one_array(text)


def names_with_shares(names: pa.StringArray, shares: Float32 | Float64) -> pa.StringArray:
    """Return "name (0.25)" for each."""
    return pc.binary_join_element_wise(names, " (", fraction(shares), ")", "")


def fraction(values: Float32 | Float64) -> pa.StringArray:
    """Return numbers as text with two decimals."""
    return pa.array(np.char.mod("%.2f", values), pa.string())
