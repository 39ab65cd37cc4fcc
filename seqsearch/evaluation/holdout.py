"""A development split from references: what a vote says when a reference's own kin are hidden.

Settings are chosen here, never on the bench's queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.registry import load_encoder
from seqsearch.index.store import IndexStore
from seqsearch.search.align import Alignments
from seqsearch.search.candidates import Candidates, align_candidates
from seqsearch.search.rank import correct_for_length, order_by
from seqsearch.search.retrieve import ExactRetriever
from seqsearch.search.vote import EXPONENT, SOFTENING, vote
from seqsearch.tables import Bool, Float32, Int32, Int64
from seqsearch.training.augmentation import Augmentation, augment
from seqsearch.training.split import is_held_genus

Score = Callable[[Alignments, Float32], Float32]
DEPTH = 1000  # candidates looked at before kin are hidden
CANDIDATES = 50  # that vote afterwards


@dataclass(frozen=True)
class Outcome:
    """Answers of one way of hiding under one setting.

    Attributes
    ----------
    hidden : str
        "itself", or the rank whose members were hidden.
    rank : str
        The rank that is asked: the lowest that stays known.
    setting : (float, float) or str
        Kernel of the vote, or name of a score.
    queries : int
    right : float
        Percent of the queries.
    log_loss : float
        Mean of -log share of a right name, -log(1 - share) of a wrong one; less is better.
    """

    hidden: str
    rank: str
    setting: tuple[float, float] | str
    queries: int
    right: float
    log_loss: float


@dataclass(frozen=True)
class Asked:
    """References asked for with their kin hidden.

    Attributes
    ----------
    hidden, rank : str
        As of `Outcome`.
    batch : SequenceBatch
        n queries.
    rows, vectors, similarities : (n, c) int64, int64, float32
        Candidates that are left, best first; -1 filled.
    truth : (n,) int32
        The right taxon at the rank.
    """

    hidden: str
    rank: str
    batch: SequenceBatch
    rows: Int64
    vectors: Int64
    similarities: Float32
    truth: Int32


def ask(
    store: IndexStore,
    *,
    fragment: int = 0,
    length_exponent: float | None = None,
    sample: int = 2000,
    seed: int = 0,
) -> Iterator[Asked]:
    """Yield a sample of the references as queries, for every way of hiding.

    Only references of the genera that shipped encoders never learned from are asked for: those
    learned from look nearer to their kin than new ones do.

    Parameters
    ----------
    store : IndexStore
    fragment : int
        Bases that the queries are cut to; 0: whole.
    length_exponent : float, optional
        How far similarities are corrected for length; the encoder's if not given.
    sample, seed : int
    """
    rng = np.random.default_rng(seed)
    taxonomy, votes = store.taxonomy, store.votes
    lone = store.live_rows[np.diff(votes.start)[store.live_rows] == 1]
    lone = lone[_is_held(store, lone)]
    rows = np.sort(rng.choice(lone, min(sample, len(lone)), replace=False))
    batch = store.sequences(rows)
    if fragment:
        batch = augment(batch, Augmentation(1.0, fragment, 0.0, 0.0, fragment), seed=0)
    found, similarities = _candidates(store, batch, length_exponent)
    ranks = list(taxonomy.ranks)
    taxon = votes.taxon[votes.start[rows]]
    for hidden, rank in (("itself", "species"), ("species", "genus"), ("genus", "family")):
        if rank not in ranks or (hidden != "itself" and hidden not in ranks):
            continue
        at = None if hidden == "itself" else ranks.index(hidden)
        vectors, near_similarities = _without_kin(store, rows, found, similarities, at)
        near = store.spans.rows_of(vectors)
        truth = taxonomy.lineage[taxon, ranks.index(rank)]
        known = np.flatnonzero(_has_kin(store, near, truth, ranks.index(rank)))
        left = (near[known], vectors[known], near_similarities[known])
        yield Asked(hidden, rank, batch.take(known), *left, truth[known])


def try_kernels(
    store: IndexStore, kernels: Sequence[tuple[float, float]], **how: Any
) -> Iterator[Outcome]:
    """Yield the outcome of every kernel (exponent, softening); `how` as of `ask`."""
    for asked in ask(store, **how):
        for kernel in kernels:
            yield _outcome(store, asked, asked.rows, asked.similarities, kernel, kernel)


def try_scores(
    store: IndexStore, scores: Mapping[str, Score], count: int = 20, **how: Any
) -> Iterator[Outcome]:
    """Yield the outcome of every score by which the best `count` candidates vote.

    `how` as of `ask`. A score is made of alignments and similarities, both (n, count).
    """
    kernel = (EXPONENT, SOFTENING)
    for asked in ask(store, **how):
        strands, near = np.zeros(asked.rows.shape, np.int8), asked.similarities
        found = Candidates(asked.rows, asked.vectors, near, strands, near)
        placed = align_candidates(found, asked.batch, store, count, "both", 0)
        if placed.alignments is None:
            raise AssertionError("candidates were not aligned")
        rows, similarities = placed.rows[:, :count], placed.similarities[:, :count]
        for name, score in scores.items():
            values = np.nan_to_num(score(placed.alignments, similarities), nan=0.0)
            order = order_by(values, rows, store.order_keys)
            yield _outcome(
                store,
                asked,
                np.take_along_axis(rows, order, axis=1),
                np.take_along_axis(values, order, axis=1).astype(np.float32),
                kernel,
                name,
            )


def _outcome(
    store: IndexStore,
    asked: Asked,
    rows: Int64,
    values: Float32,
    kernel: tuple[float, float],
    setting: tuple[float, float] | str,
) -> Outcome:
    at = list(store.taxonomy.ranks).index(asked.rank)
    ballots = vote(store.taxonomy, store.votes, rows, values, kernel=kernel)
    is_right = ballots.taxon[:, at] == asked.truth
    share = np.clip(ballots.share[:, at].astype(np.float64), 1e-3, 1 - 1e-3)
    loss = -np.where(is_right, np.log(share), np.log(1 - share)).mean()
    right = 100 * float(is_right.mean())
    return Outcome(asked.hidden, asked.rank, setting, len(is_right), right, float(loss))


def _is_held(store: IndexStore, rows: Int64) -> Bool:
    """(n,) bool: rows of the genera that are kept out of training."""
    taxonomy, votes = store.taxonomy, store.votes
    if "genus" not in taxonomy.ranks:
        return np.zeros(len(rows), np.bool_)
    genus = taxonomy.names_at(votes.taxon[votes.start[rows]], taxonomy.ranks.index("genus"))
    return np.array([name is not None and is_held_genus(name) for name in genus.to_pylist()])


def _candidates(
    store: IndexStore, batch: SequenceBatch, length_exponent: float | None
) -> tuple[Int64, Float32]:
    vectors = load_encoder(store.encoder_folder).encode(batch)
    found, cosines = ExactRetriever(store).search(vectors, min(DEPTH, len(store.live_rows)))
    exponent = store.length_exponent if length_exponent is None else length_exponent
    return correct_for_length(
        found, cosines, batch.lengths, store.spans.lengths, store.vector_keys, exponent
    )


def _without_kin(
    store: IndexStore, rows: Int64, found: Int64, similarities: Float32, rank: int | None
) -> tuple[Int64, Float32]:
    """Take each row itself and, with a rank, its kin out of its candidates."""
    lineage, votes, near = store.taxonomy.lineage, store.votes, store.spans.rows_of(found)
    hidden = near == rows[:, None]
    if rank is not None:
        own = lineage[votes.taxon[votes.start[rows]], rank]
        first = lineage[votes.taxon[votes.start[near]], rank]
        hidden |= (first == own[:, None]) & (own[:, None] >= 0)
    order = np.argsort(hidden, axis=1, kind="stable")[:, :CANDIDATES]
    kept = np.where(
        np.take_along_axis(hidden, order, axis=1), -1, np.take_along_axis(found, order, 1)
    )
    return kept, np.take_along_axis(similarities, order, axis=1)


def _has_kin(store: IndexStore, near: Int64, truth: Int32, rank: int) -> np.ndarray:
    """(n,) bool: queries whose true taxon is still among the candidates' names."""
    lineage, votes = store.taxonomy.lineage, store.votes
    names = lineage[votes.taxon[votes.start[np.maximum(near, 0)]], rank]
    return (truth >= 0) & ((names == truth[:, None]) & (near >= 0)).any(axis=1)
