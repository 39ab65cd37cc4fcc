"""The candidates of a batch of queries: found, aligned, in their final order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from seqsearch.devices.vectors import Vectors
from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.strand import reverse_complement
from seqsearch.index.store import IndexStore
from seqsearch.runs.results import EITHER, MINUS, PLUS, Hits, Int8
from seqsearch.search import overlap
from seqsearch.search.align import Alignments, align
from seqsearch.search.orient import agreed, orient
from seqsearch.search.rank import correct_for_length, order_by, score
from seqsearch.search.retrieve import Retriever
from seqsearch.search.texts import texts_of
from seqsearch.tables import Bool, Float32, Int64

ASKED = 4  # of the nearest references of each strand, whose words tell which is the query's


@dataclass(frozen=True)
class Candidates:
    """References of n queries, c each, best first.

    Attributes
    ----------
    rows, vectors : (n, c) int64
        Rows of the index, and the vector of each that was found; -1 where there are fewer.
    similarities : (n, c) float32
    strands : (n, c) int8
        `PLUS` or `MINUS`; `EITHER` where it was not asked yet.
    scores : (n, v) float32
        By which the first v were ordered, and by which they vote.
    alignments : Alignments or None
        Of the first v.
    """

    rows: Int64
    vectors: Int64
    similarities: Float32
    strands: Int8
    scores: Float32
    alignments: Alignments | None = None


def find_candidates(
    batch: SequenceBatch,
    vectors: Mapping[int, Vectors],
    retriever: Retriever,
    store: IndexStore,
    count: int,
) -> Candidates:
    """Search for the nearest references.

    Where both strands are searched, the words of the nearest references of either tell which is the
    query's; where they do not, it is that with the more similar best one. Similarities alone would
    not do: a network has never seen the wrong strand, and what it makes of it may be like anything.

    Parameters
    ----------
    batch : SequenceBatch
        n queries.
    vectors : mapping of strand to (n, d) float32, or the same on the retriever's GPUs
        Of each strand that is searched; `EITHER` where the encoder tells none from the other.
    retriever : Retriever
    store : IndexStore
    count : int
        c.
    """
    found = {}
    for sign, one in vectors.items():
        near, cosines = retriever.search(one, count)
        found[sign] = _corrected(near, cosines, batch, store, retriever.threads)
    sign, (near, similarities) = next(iter(found.items()))
    strands = np.full(near.shape, sign, np.int8)
    if len(found) == 2 and len(near):
        other, other_similarities = found[MINUS]
        asked = np.hstack([near[:, :ASKED], other[:, :ASKED]])
        own = texts_of(store, asked, batch.lengths)
        signs = agreed(orient(batch, own.batch, own.places, retriever.threads))
        more_alike = other_similarities[:, 0] > similarities[:, 0]  # a tie is plus
        turned = np.where(signs == EITHER, more_alike, signs == MINUS)
        near[turned], similarities[turned] = other[turned], other_similarities[turned]
        strands[turned] = MINUS
    return Candidates(store.spans.rows_of(near), near, similarities, strands, similarities)


def unplaced(
    near: Int64, cosines: Float32, batch: SequenceBatch, store: IndexStore, threads: int
) -> Candidates:
    """Return candidates of unknown strand.

    Parameters
    ----------
    near : (n, c) int64
        Vectors, -1 filled.
    cosines : (n, c) float32
    batch : SequenceBatch
        The queries.
    store : IndexStore
    threads : int
    """
    near, similarities = _corrected(near, cosines, batch, store, threads)
    strands = np.full(near.shape, EITHER, np.int8)
    return Candidates(store.spans.rows_of(near), near, similarities, strands, similarities)


def _corrected(
    near: Int64, cosines: Float32, batch: SequenceBatch, store: IndexStore, threads: int
) -> tuple[Int64, Float32]:
    """Return vectors and similarities, best first; of a window its own length counts."""
    return correct_for_length(
        near,
        cosines,
        batch.lengths,
        store.spans.lengths,
        store.vector_keys,
        store.length_exponent,
        threads,
    )


def with_strands(
    found: Candidates, batch: SequenceBatch, store: IndexStore, strand: str, threads: int
) -> Candidates:
    """Tell the strand of candidates that are not aligned, where the vectors did not.

    That of a query's best candidate stands for all; plus where words do not tell.
    """
    if not (found.strands == EITHER).any():
        return found
    if strand != "both":
        return replace(found, strands=np.full_like(found.strands, _SIGNS[strand]))
    own = texts_of(store, found.vectors[:, :1], batch.lengths)
    signs = orient(batch, own.batch, own.places, threads, decisive=0)
    signs[signs == EITHER] = PLUS
    return replace(found, strands=np.repeat(signs, found.rows.shape[1], axis=1))


def align_candidates(
    found: Candidates,
    batch: SequenceBatch,
    store: IndexStore,
    count: int,
    strand: str,
    threads: int,
) -> Candidates:
    """Align the best candidates and order them anew; the others stay behind them.

    Of a long reference the window that was found is looked at, and what surrounds it.

    Parameters
    ----------
    found : Candidates
    batch : SequenceBatch
        The queries, as given.
    store : IndexStore
    count : int
        How many are aligned.
    strand : str
        "both", "plus" or "minus": what the user says of the reads.
    threads : int
    """
    rows, near = found.rows[:, :count], found.vectors[:, :count]
    similarities, signs = found.similarities[:, :count], found.strands[:, :count]
    own = texts_of(store, near, batch.lengths)
    if strand != "both":
        signs = np.full_like(signs, _SIGNS[strand])
    elif (signs == EITHER).any():
        signs = orient(batch, own.batch, own.places, threads)
    # One call for both strands, so that the references are looked up once.
    ways = np.concatenate([np.where(signs != s, own.places, -1) for s in (MINUS, PLUS)])
    turned = SequenceBatch.concatenate([batch, reverse_complement(batch)])
    aligned = align(turned, own.batch, ways, threads)
    plus, minus = aligned[: len(batch)], aligned[len(batch) :]
    is_minus = minus.is_aligned & (~plus.is_aligned | _is_better(minus, plus))
    both = Alignments(
        np.where(is_minus[:, :, None], minus.found, plus.found), plus.query_lengths, own.whole
    ).on_whole(own.start)
    scores = score(both.supported_identity, similarities)
    order = order_by(scores, rows, store.order_keys)

    def reordered(values: np.ndarray, behind: np.ndarray) -> np.ndarray:
        return np.concatenate([np.take_along_axis(values, order, axis=1), behind], axis=1)

    chosen = np.where(is_minus, MINUS, PLUS).astype(np.int8)
    rest = np.where(found.strands[:, count:] == EITHER, PLUS, found.strands[:, count:])
    return Candidates(
        rows=reordered(rows, found.rows[:, count:]),
        vectors=reordered(near, found.vectors[:, count:]),
        similarities=reordered(similarities, found.similarities[:, count:]),
        strands=reordered(chosen, rest),
        scores=np.take_along_axis(scores, order, axis=1),
        alignments=both[np.arange(len(order))[:, None], order],
    )


def alignments_of(found: Candidates) -> Alignments:
    """Return the alignments of candidates that were aligned.

    Raises
    ------
    ValueError
        They were not.
    """
    if found.alignments is None:
        raise ValueError("candidates were not aligned")
    return found.alignments


def hits_of(found: Candidates, queries: Int64, count: int) -> Hits:
    """Return the best candidates as rows.

    Parameters
    ----------
    found : Candidates
    queries : (n,) int64
        Number of each query in the run.
    count : int
        Hits kept a query.
    """
    rows = found.rows[:, :count]
    at, hit = np.nonzero(rows >= 0)
    strands, aligned = found.strands[at, hit], _aligned(found, at, hit)
    return Hits(
        query=queries[at],
        hit=hit.astype(np.int32),
        reference=rows[at, hit],
        similarity=found.similarities[at, hit],
        identity=aligned.identity,
        query_coverage=aligned.query_coverage,
        reference_coverage=aligned.reference_coverage,
        strand=strands,
        alignment=aligned.aligned(strands == MINUS),
    )


def _aligned(found: Candidates, at: Int64, hit: Int64) -> Alignments:
    """Return the alignments of chosen pairs; of those that were not aligned, empty ones."""
    nothing = np.zeros(len(at), np.int64)
    fields = np.full((len(at), overlap.FIELDS), -1, np.int32)
    if found.alignments is None:
        return Alignments(fields, nothing, nothing)
    width = found.scores.shape[1]
    chosen = found.alignments[at, np.minimum(hit, width - 1)]
    chosen.found[hit >= width] = -1
    return chosen


def _is_better(one: Alignments, other: Alignments) -> Bool:
    """(n, c) bool: fewer edits, and where they are as many a higher identity."""
    is_nearer = one.compressed_identity > other.compressed_identity
    return (one.edits < other.edits) | ((one.edits == other.edits) & is_nearer)


_SIGNS = {"plus": PLUS, "minus": MINUS}
