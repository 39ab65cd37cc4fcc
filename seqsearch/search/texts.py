"""What of the references is laid beside queries: all of each, of long ones what was found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqsearch.dna.batch import SequenceBatch
from seqsearch.index.store import IndexStore
from seqsearch.tables import Int64

MULTIPLE = 256  # bases; surroundings of a window are as many of these, so that queries share them


@dataclass(frozen=True)
class Texts:
    """Texts of c references for each of n queries.

    Attributes
    ----------
    batch : SequenceBatch
        Each once.
    places : (n, c) int64
        Which of them; -1: none.
    start : (n, c) int64
        First base of each in its reference.
    whole : (n, c) int64
        Bases of the whole references.
    """

    batch: SequenceBatch
    places: Int64
    start: Int64
    whole: Int64


def texts_of(store: IndexStore, vectors: Int64, lengths: Int64) -> Texts:
    """Return the texts of the references that vectors are of.

    Of a reference with several it is the window, and on either side as much as its query is long:
    wherever in the window the query begins or ends, it has room, and a genome costs what a
    window does.

    Parameters
    ----------
    store : IndexStore
    vectors : (n, c) int64
        -1: none.
    lengths : (n,) int64
        Bases of the queries.
    """
    is_there = vectors >= 0
    if store.spans.are_rows:
        distinct = np.unique(vectors[is_there])
        places = np.where(is_there, np.searchsorted(distinct, vectors), -1)
        batch = store.sequences(distinct, named=False)
        whole = np.append(batch.lengths, 0)[places]
        return Texts(batch, places, np.zeros_like(vectors), whole)
    rows, start, end = store.spans.stretches(vectors)
    whole = np.where(is_there, store.lengths[rows], 0).astype(np.int64)
    room = -(-lengths[:, None] // MULTIPLE) * MULTIPLE
    start, end = np.maximum(start - room, 0), np.minimum(end + room, whole)
    asked = np.stack([rows[is_there], start[is_there], end[is_there]], axis=1)
    distinct, own = np.unique(asked, axis=0, return_inverse=True)
    places = np.full(vectors.shape, -1, np.int64)
    places[is_there] = own.ravel()
    return Texts(store.pieces(*distinct.T), places, np.where(is_there, start, 0), whole)
