"""Libraries grown from a real one, to measure what size costs. The species added are not real."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from seqsearch.dna.batch import SequenceBatch
from seqsearch.tables import Float64, Int64, UInt8, one_array, to_numpy, whole_file

INDIVIDUALS = (1, 8)  # records of a new species, evenly
APART = (0.02, 0.06)  # substitutions a site between a species and the one it descends from
WITHIN = 0.002  # the same between a species and its records
FURTHEST = 0.12  # from the reference that the first of a line descends from
FROM_GROWN = 0.5  # chance that a species descends from a grown one
AT_ONCE = 20_000  # species
Rng = np.random.Generator
_BASES = np.frombuffer(b"ACGT", np.uint8)


@dataclass(frozen=True)
class Grown:
    """References to add to a library.

    Attributes
    ----------
    batch : SequenceBatch
    names : table of id and ranks
    """

    batch: SequenceBatch
    names: pa.Table


def grow(batch: SequenceBatch, names: pa.Table, count: int, seed: int) -> Iterator[Grown]:
    """Yield `count` references, descendants of those of a library by random substitutions.

    Each new species descends from a random reference with a genus, or from a species that was grown
    in the same batch, 2 to 6 % away and never more than 12 % from the reference; it stands in
    the same genus under a name of its own.

    Parameters
    ----------
    batch : SequenceBatch
    names : table of id and ranks
        One line a record, in the same order.
    count : int
    seed : int
    """
    rng = np.random.default_rng(seed)
    able = np.flatnonzero(to_numpy(pc.not_equal(pc.fill_null(names["genus"], ""), "")))
    made = species = 0
    while made < count:
        sizes = rng.integers(INDIVIDUALS[0], INDIVIDUALS[1] + 1, AT_ONCE)
        sizes = sizes[: np.searchsorted(np.cumsum(sizes), count - made) + 1]
        sizes[-1] -= max(0, int(sizes.sum()) - (count - made))
        parent, root, distance = _tree(able, len(sizes), rng)
        ancestors = _species(batch, parent, root, distance, rng)
        owner = np.repeat(np.arange(len(sizes)), sizes)
        records = _mutated(ancestors.take(owner), np.full(len(owner), WITHIN), rng)
        ids = pa.array([f"grown{made + i}" for i in range(len(owner))])
        yield Grown(
            SequenceBatch(ids, records.bytes, records.offsets),
            _named(names, root[owner], owner + species, ids),
        )
        made += len(owner)
        species += len(sizes)


def write_grown(
    batch: SequenceBatch, names: pa.Table, count: int, fasta: Path, table: Path, seed: int = 0
) -> None:
    """Write a library and `count` references grown from it, as FASTA and table.

    Both whole or not at all, the table last: where it is, the FASTA is.
    """
    ranks = names.column_names
    with (
        whole_file(table) as table_now,
        whole_file(fasta) as fasta_now,
        fasta_now.open("wb") as sequences,
        table_now.open("w") as lines,
    ):
        lines.write("\t".join(ranks) + "\n")
        _write(Grown(batch, names), sequences, lines)
        for part in grow(batch, names, count, seed):
            _write(part, sequences, lines)


def _write(part: Grown, sequences: BinaryIO, lines: TextIO) -> None:
    ids, texts = (t.cast(pa.large_string()) for t in (part.batch.ids, part.batch.strings()))
    words = (">", ids, "\n", texts, "\n", "")
    parts = [pa.scalar(w, pa.large_string()) if isinstance(w, str) else w for w in words]
    records = pc.binary_join_element_wise(*parts)
    sequences.write("".join(records.to_pylist()).encode())
    columns = [pc.fill_null(one_array(part.names[name]), "") for name in part.names.column_names]
    rows = pc.binary_join_element_wise(pc.binary_join_element_wise(*columns, "\t"), "\n", "")
    lines.write("".join(rows.to_pylist()))


def _tree(able: Int64, count: int, rng: Rng) -> tuple[Int64, Int64, Float64]:
    """Return the species that each descends from (-1: a reference), its reference, the distance."""
    parent = np.where(rng.random(count) < FROM_GROWN, (rng.random(count) * np.arange(count)), -1)
    parent = parent.astype(np.int64)
    parent[0] = -1
    root, step = rng.choice(able, count), rng.uniform(*APART, count)
    depth = np.zeros(count)
    for i in range(count):
        if parent[i] >= 0 and depth[parent[i]] + step[i] <= FURTHEST:
            root[i], depth[i] = root[parent[i]], depth[parent[i]] + step[i]
        else:
            parent[i], depth[i] = -1, step[i]
    return parent, root, step


def _species(
    batch: SequenceBatch, parent: Int64, root: Int64, distance: Float64, rng: Rng
) -> SequenceBatch:
    """Return the sequence of each species; parents come before their children."""
    found = batch.take(root)
    _descend(found.bytes, found.offsets, parent, distance, _BASES, rng)
    return found


def _mutated(batch: SequenceBatch, distance: Float64, rng: Rng) -> SequenceBatch:
    alone = np.full(len(batch), -1, np.int64)
    _descend(batch.bytes, batch.offsets, alone, distance, _BASES, rng)
    return batch


def _named(names: pa.Table, root: Int64, species: Int64, ids: pa.Array) -> pa.Table:
    taken = names.take(pa.array(root)).set_column(0, "id", ids)
    new = pc.binary_join_element_wise(
        taken["genus"], " grown", pa.array(species).cast(pa.string()), ""
    )
    return taken.set_column(taken.column_names.index("species"), "species", new)


@njit(nogil=True, cache=True)
def _descend(
    bases: UInt8, offsets: Int64, parent: Int64, distance: Float64, letters: UInt8, rng: Rng
) -> None:
    """Copy each sequence from its parent's, where it has one, and substitute bases in place."""
    for i in range(len(parent)):
        start, length = offsets[i], offsets[i + 1] - offsets[i]
        if parent[i] >= 0:
            first = offsets[parent[i]]
            bases[start : start + length] = bases[first : first + length]
        for _ in range(rng.poisson(distance[i] * length)):
            bases[start + rng.integers(0, length)] = letters[rng.integers(0, 4)]
