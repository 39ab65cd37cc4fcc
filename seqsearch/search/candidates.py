"""The candidates of a batch of queries: found on the right strand, in their final order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seqsearch.dna.batch import SequenceBatch
from seqsearch.index.store import IndexStore
from seqsearch.runs.results import EITHER, MINUS, PLUS, Int8
from seqsearch.search.orient import orient
from seqsearch.search.rank import correct_for_length
from seqsearch.search.retrieve import Retriever
from seqsearch.tables import Float32, Int64


@dataclass(frozen=True)
class Candidates:
    """References of n queries, c each, best first.

    Attributes
    ----------
    rows : (n, c) int64
        Rows of the index; -1 where there are fewer.
    similarities : (n, c) float32
    strands : (n,) int8
        `PLUS` or `MINUS`.
    """

    rows: Int64
    similarities: Float32
    strands: Int8


def find_candidates(
    batch: SequenceBatch,
    vectors: Mapping[int, Float32],
    retriever: Retriever,
    store: IndexStore,
    count: int,
    strand: str,
) -> Candidates:
    """Search for the nearest references.

    Parameters
    ----------
    batch : SequenceBatch
        n queries.
    vectors : mapping of strand to (n, d) float32
        Of each strand that is searched; `EITHER` where the encoder tells none from the other.
    retriever : Retriever
    store : IndexStore
    count : int
        c.
    strand : str
        "both", "plus" or "minus": what the user says of the reads.
    """
    found = {sign: _nearest(batch, v, retriever, store, count) for sign, v in vectors.items()}
    if EITHER in found:
        rows, similarities = found[EITHER]
        return Candidates(rows, similarities, _strands(batch, rows, store, strand, retriever))
    sign, (rows, similarities) = next(iter(found.items()))
    strands = np.full(len(rows), sign, np.int8)
    if len(found) == 2 and len(rows):  # the strand with the more similar best one; a tie is plus
        other_rows, other_similarities = found[MINUS]
        turned = other_similarities[:, 0] > similarities[:, 0]
        rows[turned], similarities[turned] = other_rows[turned], other_similarities[turned]
        strands[turned] = MINUS
    return Candidates(rows, similarities, strands)


def _nearest(
    batch: SequenceBatch, vectors: Float32, retriever: Retriever, store: IndexStore, count: int
) -> tuple[Int64, Float32]:
    rows, cosines = retriever.search(vectors, count)
    return correct_for_length(
        rows, cosines, batch.lengths, store.lengths, store.order_keys, retriever.threads
    )


def _strands(
    batch: SequenceBatch, rows: Int64, store: IndexStore, strand: str, retriever: Retriever
) -> Int8:
    """Tell on which strand each query lies to its best candidate; plus where words do not tell."""
    if strand != "both":
        return np.full(len(batch), PLUS if strand == "plus" else MINUS, np.int8)
    best = rows[:, :1]
    distinct = np.unique(best[best >= 0])
    places = np.where(best >= 0, np.searchsorted(distinct, best), -1)
    references = store.sequences(distinct)
    signs = orient(batch, references, places, retriever.threads, decisive=0)[:, 0]
    return np.where(signs == EITHER, PLUS, signs).astype(np.int8)
