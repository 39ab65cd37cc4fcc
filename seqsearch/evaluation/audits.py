"""Mistakes planted in a library, and how many of them an audit finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.strand import reverse_complement
from seqsearch.tables import Int64, one_array

LEAST_OF_GENUS = 3  # references of the genera that names are swapped between


@dataclass(frozen=True)
class Planted:
    """A library with mistakes.

    Attributes
    ----------
    batch : SequenceBatch
    names : table of id and ranks
    ids : dict of str to set of str
        Records that are wrong, by problem.
    """

    batch: SequenceBatch
    names: pa.Table
    ids: dict[str, set[str]]


@dataclass(frozen=True)
class Score:
    """How well an audit does on planted mistakes.

    Attributes
    ----------
    planted : int
    flagged : int
        Records that it flags now and did not before.
    recall, precision : float
        Of the planted the share flagged; of those flagged now the share planted.
    """

    planted: int
    flagged: int
    recall: float
    precision: float


def swap_names(batch: SequenceBatch, names: pa.Table, pairs: int, seed: int) -> Planted:
    """Swap the names of pairs of records of different genera, `LEAST_OF_GENUS` records each.

    Parameters
    ----------
    batch : SequenceBatch
        n records.
    names : table of id and ranks
        One line a record, in the same order.
    pairs : int
    seed : int
    """
    rng = np.random.default_rng(seed)
    genus = np.array(one_array(names["genus"]).fill_null("").to_pylist())
    _, inverse, counts = np.unique(genus, return_inverse=True, return_counts=True)
    able = rng.permutation(np.flatnonzero((genus != "") & (counts[inverse] >= LEAST_OF_GENUS)))
    one, other = able[0::2][: len(able) // 2], able[1::2]
    chosen = np.flatnonzero(genus[one] != genus[other])[:pairs]
    one, other = one[chosen], other[chosen]
    line = np.arange(len(names))
    line[one], line[other] = other, one
    swapped = names.take(pa.array(line)).set_column(0, "id", names["id"])
    return Planted(batch, swapped, {"mislabelled": _ids(batch, np.append(one, other))})


def spoil_sequences(
    batch: SequenceBatch, names: pa.Table, foreign: SequenceBatch, count: int, seed: int
) -> Planted:
    """Turn `count` records around, give as many a half of another family's, and a foreign one's.

    Parameters
    ----------
    batch : SequenceBatch
    names : table of id and ranks
    foreign : SequenceBatch
        At least `count` sequences of another marker.
    count : int
        Of each kind.
    seed : int
    """
    rng = np.random.default_rng(seed)
    family = np.array(one_array(names["family"]).fill_null("").to_pylist())
    able = rng.permutation(np.flatnonzero(family != ""))
    turned, mixed, strange, givers = able[: 4 * count].reshape(4, count)
    differs = family[mixed] != family[givers]
    mixed, givers = mixed[differs], givers[differs]
    texts = [batch.sequence(i).encode() for i in range(len(batch))]
    opposite = reverse_complement(batch.take(turned))
    for place, record in enumerate(turned):
        texts[record] = opposite.sequence(place).encode()
    for record, giver in zip(mixed, givers, strict=True):
        own, other = texts[record], texts[giver]
        texts[record] = own[: len(own) // 2] + other[len(other) // 2 :]
    for place, record in enumerate(strange):
        texts[record] = foreign.sequence(place).encode()
    ids = {
        "reversed": _ids(batch, turned),
        "chimera": _ids(batch, mixed),
        "off_marker": _ids(batch, strange),
    }
    return Planted(SequenceBatch.from_clean(batch.ids.to_pylist(), texts), names, ids)


def score(problem: str, planted: Planted, before: pa.Table, after: pa.Table) -> Score:
    """Compare the flags of a problem with what was planted.

    Parameters
    ----------
    problem : str
    planted : Planted
    before, after : pyarrow.Table
        Flags of the library as it is, and with the mistakes.
    """
    was, now = (
        {
            ref_id
            for ref_id, kind in zip(
                table["ref_id"].to_pylist(), table["problem"].to_pylist(), strict=True
            )
            if kind == problem
        }
        for table in (before, after)
    )
    wrong, new = planted.ids[problem], now - was
    both = len(new & wrong)
    return Score(
        len(wrong),
        len(new),
        len(now & wrong) / len(wrong) if wrong else float("nan"),
        both / len(new) if new else float("nan"),
    )


def _ids(batch: SequenceBatch, places: Int64) -> set[str]:
    return set(batch.ids.take(pa.array(places)).to_pylist())
