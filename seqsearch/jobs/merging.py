"""Rows of an index that are written again: with labels that are added, or without some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.index.segments import live_label_blocks
from seqsearch.index.spill import LABEL_FIELDS, Spill
from seqsearch.index.store import IndexStore
from seqsearch.tables import Int64, to_numpy


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
        known += np.bincount(to_numpy(lines["row"]), minlength=store.rows)
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
    for start in range(0, len(labels), spill.memory.lines):
        lines = labels.slice(start, spill.memory.lines).combine_chunks()
        row = to_numpy(lines["row"])
        rows, place = np.unique(row, return_inverse=True)
        batch = store.sequences(rows, named=False).take(place)
        spill.add(batch, lines.drop_columns(["row"]))
