"""A development split from references: what a vote says when a reference's own kin are hidden.

Settings are chosen here, never on the bench's queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from seqsearch.encoders.registry import load_encoder
from seqsearch.index.store import IndexStore
from seqsearch.search.rank import LENGTH_EXPONENT, correct_for_length
from seqsearch.search.retrieve import Retriever
from seqsearch.search.vote import vote
from seqsearch.tables import Bool, Float32, Int32, Int64
from seqsearch.training.augmentation import Augmentation, augment
from seqsearch.training.split import is_held_genus

DEPTH = 1000  # candidates looked at before kin are hidden
CANDIDATES = 50  # that vote afterwards


@dataclass(frozen=True)
class Outcome:
    """Answers of one way of hiding under one kernel.

    Attributes
    ----------
    hidden : str
        "itself", or the rank whose members were hidden.
    rank : str
        The rank that is asked: the lowest that stays known.
    kernel : (float, float)
    queries : int
    right : float
        Percent of the queries.
    log_loss : float
        Mean of -log share of a right name, -log(1 - share) of a wrong one; less is better.
    """

    hidden: str
    rank: str
    kernel: tuple[float, float]
    queries: int
    right: float
    log_loss: float


def try_kernels(
    store: IndexStore,
    kernels: Sequence[tuple[float, float]],
    *,
    fragment: int = 0,
    length_exponent: float = LENGTH_EXPONENT,
    sample: int = 2000,
    seed: int = 0,
) -> Iterator[Outcome]:
    """Yield outcomes for a sample of the references, for every way of hiding and kernel.

    Only references of the genera that shipped encoders never learned from are asked for: those
    learned from look nearer to their kin than new ones do.

    Parameters
    ----------
    store : IndexStore
    kernels : sequence of (float, float)
        Exponent and softening.
    fragment : int
        Bases that the queries are cut to; 0: whole.
    length_exponent : float
        How far similarities are corrected for length.
    sample, seed : int
    """
    rng = np.random.default_rng(seed)
    taxonomy, votes = store.taxonomy, store.votes
    lone = store.live_rows[np.diff(votes.start)[store.live_rows] == 1]
    lone = lone[_is_held(store, lone)]
    rows = np.sort(rng.choice(lone, min(sample, len(lone)), replace=False))
    found, similarities = _candidates(store, rows, fragment, length_exponent)
    ranks = list(taxonomy.ranks)
    for hidden, rank in (("itself", "species"), ("species", "genus"), ("genus", "family")):
        if rank not in ranks or (hidden != "itself" and hidden not in ranks):
            continue
        asked = ranks.index(rank)
        taxon = votes.taxon[votes.start[rows]]
        near, near_similarities = _without_kin(
            store, rows, found, similarities, None if hidden == "itself" else ranks.index(hidden)
        )
        known = np.flatnonzero(_has_kin(store, near, taxonomy.lineage[taxon, asked], asked))
        for kernel in kernels:
            ballots = vote(taxonomy, votes, near[known], near_similarities[known], kernel=kernel)
            is_right = ballots.taxon[:, asked] == taxonomy.lineage[taxon[known], asked]
            share = np.clip(ballots.share[:, asked].astype(np.float64), 1e-3, 1 - 1e-3)
            loss = -np.where(is_right, np.log(share), np.log(1 - share)).mean()
            yield Outcome(hidden, rank, kernel, len(known), 100 * is_right.mean(), float(loss))


def _is_held(store: IndexStore, rows: Int64) -> Bool:
    """(n,) bool: rows of the genera that are kept out of training."""
    taxonomy, votes = store.taxonomy, store.votes
    if "genus" not in taxonomy.ranks:
        return np.zeros(len(rows), np.bool_)
    genus = taxonomy.names_at(votes.taxon[votes.start[rows]], taxonomy.ranks.index("genus"))
    return np.array([name is not None and is_held_genus(name) for name in genus.to_pylist()])


def _candidates(
    store: IndexStore, rows: Int64, fragment: int, length_exponent: float
) -> tuple[Int64, Float32]:
    batch = store.sequences(rows)
    if fragment:
        batch = augment(batch, Augmentation(1.0, fragment, 0.0, 0.0, fragment), seed=0)
    vectors = load_encoder(store.encoder_folder).encode(batch)
    found, cosines = Retriever(store).search(vectors, min(DEPTH, len(store.live_rows)))
    return correct_for_length(
        found, cosines, batch.lengths, store.lengths, store.order_keys, exponent=length_exponent
    )


def _without_kin(
    store: IndexStore, rows: Int64, found: Int64, similarities: Float32, rank: int | None
) -> tuple[Int64, Float32]:
    """Take each row itself and, with a rank, its kin out of its candidates."""
    lineage, votes = store.taxonomy.lineage, store.votes
    hidden = found == rows[:, None]
    if rank is not None:
        own = lineage[votes.taxon[votes.start[rows]], rank]
        first = lineage[votes.taxon[votes.start[found]], rank]
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
