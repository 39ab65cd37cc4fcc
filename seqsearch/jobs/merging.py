"""Rows of an index that are written again: with labels that are added, or without some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.index.segments import live_label_blocks
from seqsearch.index.spill import LABEL_FIELDS, Spill
from seqsearch.index.store import IndexStore
from seqsearch.tables import Int64, to_numpy

BASES = 1 << 26  # spilled at once


def merge(store: IndexStore, spill: Spill) -> tuple[Int64, Int64]:
    """Spill the labels that rows of the index have already where their sequences come again.

    Returns
    -------
    (k,) int64
        The spilled rows to write: new ones, and those that gain a label. Others stay as they are.
    (r,) int64
        Rows of the index that they replace, ascending.
    """
    place = spill.find(store.digests()[store.live_rows])
    old, new = store.live_rows[place >= 0], place[place >= 0]
    known = np.zeros(store.rows, np.int64)  # labels by row
    is_old = np.isin(np.arange(store.rows), old)
    fields = (*LABEL_FIELDS, *store.manifest.ranks)
    for labels in live_label_blocks(store.segments, store.removed, fields):
        lines = labels.filter(pa.array(is_old[to_numpy(labels["row"])]))
        row, counts = np.unique(to_numpy(lines["row"]), return_counts=True)
        known[row] += counts
        spill_again(store, spill, lines)
    gains = np.ones(len(spill), np.bool_)
    gains[new] = spill.counts(new) > known[old]
    return np.flatnonzero(gains), old[gains[new]]


def labels_left(store: IndexStore, rows: Int64, ref_ids: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the labels, by row, that some rows of the index keep when some ids go."""
    is_touched = np.isin(np.arange(store.rows), rows)
    gone, fields = pa.array(ref_ids, pa.string()), (*LABEL_FIELDS, *store.manifest.ranks)
    for labels in live_label_blocks(store.segments, store.removed, fields):
        lines = labels.filter(pa.array(is_touched[to_numpy(labels["row"])]))
        yield lines.filter(pc.invert(pc.is_in(lines["ref_id"], value_set=gone)))


def spill_again(store: IndexStore, spill: Spill, labels: pa.Table) -> None:
    """Spill rows of an index with some of their labels, which are ordered by row."""
    every = to_numpy(labels["row"])
    bases = np.cumsum(store.lengths[every], dtype=np.int64)  # copied, label by label
    # A sum, so that it changes where either does.
    part = bases // BASES + np.arange(len(every)) // spill.memory.lines
    for start, stop in pairwise([*np.flatnonzero(np.diff(part, prepend=-1)), len(every)]):
        rows, place = np.unique(every[start:stop], return_inverse=True)
        batch = store.sequences(rows, named=False).take(place)
        lines = labels.slice(start, stop - start).combine_chunks()
        spill.add(batch, lines.drop_columns(["row"]))
