"""Calibration: a library asks itself for its own references, and learns what its answers are worth.

A sample of the references is asked for, whole and cut, with nothing hidden but the record itself,
then also its species, genus, family and order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import mixed
from seqsearch.dna.simulation import shuffled
from seqsearch.encoders.base import Encoder
from seqsearch.index.manifest import Manifest, read_manifest
from seqsearch.index.store import IndexStore
from seqsearch.index.vectors import unit
from seqsearch.index.writer import IndexWriter, Learned
from seqsearch.jobs.crossvalidating import cross_validate, folds_of
from seqsearch.jobs.hiding import ALIGNED, CANDIDATES, DECOY, Answers, Asked, Hiding
from seqsearch.jobs.inspecting import encoder_of
from seqsearch.jobs.markers import Markers
from seqsearch.jobs.resolving import resolve
from seqsearch.search.calibrate import (
    KNOTS,
    Calibration,
    Linear,
    Model,
    hidden_inputs,
    right_inputs,
)
from seqsearch.search.candidates import align_candidates, unplaced
from seqsearch.search.evidence import LOWEST, Evidence, Sampling
from seqsearch.search.retrieve import Retriever, open_retriever
from seqsearch.tables import Bool, Float32, Float64, Int64, locked
from seqsearch.threads import resolve_threads
from seqsearch.training.augmentation import Augmentation, augment

ASKED = 2000  # records
LEAST = 500  # with fewer, nothing can be fitted
FEW = 0.1  # share of the records: a rank at which fewer are named is not what a library is of
MANY = 0.5  # and one at which as many are is, however few these are
LEAST_ASKED = 100  # in each of the first two scenarios, which every prior has shares of
FALSE_ALARMS = 0.005  # share of true queries below the bound, and of decoys above
HIGH = 0.95  # quantile of the decoys' scores above which their tail is measured
ODD = 0x9E3779B97F4A7C15
SHORTEST, LONGEST = 100, 400  # of fragments


@dataclass(frozen=True)
class Sample:
    """Records asked for.

    Attributes
    ----------
    rows, entries : (n,) int64
        Row of each, and its line in `Votes`.
    depth : int
        How many of the ranks are calibrated: all down to the lowest at which enough is named.
    """

    rows: Int64
    entries: Int64
    depth: int


def calibrate(store: IndexStore, encoder: Encoder, threads: int = 0) -> Calibration | None:
    """Fit a calibration on an index; None where it has too little for that.

    Parameters
    ----------
    store : IndexStore
    encoder : Encoder
    threads : int
    """
    asked = ask_itself(store, encoder, threads)
    return None if asked is None else calibration_of(*asked)


def ask_itself(
    store: IndexStore, encoder: Encoder, threads: int = 0
) -> tuple[Answers, dict[str, Any], tuple[str, ...]] | None:
    """Ask a library for a sample of its records in every scenario; None where it has too little.

    Returns
    -------
    list of (Asked, Asked)
        With alignment, and without; of the ranks that are calibrated.
    dict
        What was asked.
    tuple of str
        These ranks, highest first.
    """
    sample = _sample(store)
    if len(sample.rows) < LEAST:
        return None
    hiding = Hiding(store, sample.rows, sample.entries, sample.depth)
    parts: Answers = []
    distinct, place = np.unique(sample.rows, return_inverse=True)
    retriever = open_retriever(store, threads)
    markers = Markers(store, encoder, retriever, threads)
    batches = list(_lengths_of(markers.batch(distinct).take(place)))
    vectors = [encoder.encode(batch) for batch in batches]
    every = np.tile(np.arange(len(sample.rows)), len(batches))
    found, cosines = hiding.nearest(unit(np.concatenate(vectors)), every, resolve_threads(threads))
    for number, (batch, encoded) in enumerate(zip(batches, vectors, strict=True)):
        some = slice(number * len(batch), (number + 1) * len(batch))
        near = [(own[some], best[some]) for own, best in zip(found, cosines, strict=True)]
        is_encoded: Bool = (encoded != 0).any(axis=1)
        parts += _ask(store, hiding, batch, is_encoded, near, threads)
        decoys = shuffled(batch, seed=0)
        parts.append(_ask_decoys(store, retriever, hiding, decoys, encoder.encode(decoys), threads))
    counts = np.bincount(np.concatenate([one.hidden for one, _ in parts]) - DECOY, minlength=3)[1:]
    if counts[:2].min() < LEAST_ASKED:
        return None
    about = {
        "records": len(sample.rows),
        "queries": int(counts.sum()),
        "encoder": encoder.content_hash,
    }
    return parts, about, store.taxonomy.ranks[: sample.depth]


def calibration_of(parts: Answers, about: dict[str, Any], ranks: tuple[str, ...]) -> Calibration:
    """Fit a calibration to answers with alignment and without, and measure what it is worth."""
    about = {**about, "reliability": cross_validate(parts, ranks, fit)}
    aligned, vectors = (fit([pair[way] for pair in parts]) for way in (0, 1))
    return Calibration(aligned, vectors, about, ranks)


def calibrate_anew(index: str | Path, threads: int = 0) -> Manifest:
    """Calibrate an index that is there.

    Raises
    ------
    FolderError
        No index.
    """
    folder = Path(index)
    read_manifest(folder)
    with locked(folder, "index"), closing(IndexStore.open(folder)) as store:
        encoder = encoder_of(store, threads)
        with IndexWriter(folder, store) as writer:
            return writer.commit_learned(learn(store, encoder, threads))


def learn(store: IndexStore, encoder: Encoder, threads: int = 0) -> Learned:
    """Let an index say what its answers are worth, and what it can tell apart.

    Parameters
    ----------
    store : IndexStore
    encoder : Encoder
    threads : int
    """
    calibration = calibrate(store, encoder, threads)
    values = None if calibration is None else calibration.as_dict()
    return Learned(values, resolve(store, encoder, threads).table)


def fit(answers: list[Asked]) -> Model:
    """Fit the two models; every scenario counts the same."""
    parts = [part for part in answers if (part.hidden != DECOY).all()]
    hidden = np.concatenate([part.hidden for part in parts])
    truth = np.concatenate([part.truth for part in parts])
    taxa = np.concatenate([part.taxa for part in parts])
    evidence = Evidence(
        np.concatenate([part.evidence.query for part in parts]),
        np.concatenate([part.evidence.rank for part in parts]),
        np.concatenate([part.evidence.best for part in parts]),
    )
    counts = np.bincount(hidden)
    weight = (1 / np.maximum(counts, 1))[hidden] * len(hidden) / np.count_nonzero(counts)
    knots = [[float(k) for k in np.quantile(evidence.query[:, i], KNOTS)] for i in (0, 1)]
    classes = 1 + LOWEST
    scenario = _logistic(hidden_inputs(evidence, knots), hidden, weight, classes)
    shares = (counts > 0) / np.count_nonzero(counts)
    right: list[Linear] = []
    for rank in reversed(range(truth.shape[1])):
        chosen = (hidden < truth.shape[1] - rank) & (truth[:, rank] >= 0) & (taxa[:, rank] >= 0)
        if not chosen.any():  # no record asked for has a name there
            right.append(right[-1])
            continue
        is_right = (taxa == truth)[chosen, rank].astype(np.int64)
        inputs = right_inputs(evidence, rank)[chosen]
        right.append(_logistic(inputs, is_right, weight[chosen], 2))
    padded = [0.0] * (classes - len(shares))
    decoys = np.concatenate(
        [part.evidence.best for part in answers if (part.hidden == DECOY).all()]
    )
    padded = [*map(float, shares), *padded]
    return Model(knots, scenario, padded, _bound(answers, decoys), right, tail_of(decoys))


def tail_of(scores: Float32) -> float:
    """Return how fast the highest scores thin out: their mean excess over a high quantile."""
    high = np.quantile(scores, HIGH)
    return float((scores[scores >= high] - high).mean())


def _bound(answers: list[Asked], decoys: Float32) -> float:
    """Return the score between what decoys reach and what is of the marker.

    Queries whose order the library lacks count as neither.
    """
    own = [part.evidence.best for part in answers if (part.hidden != DECOY).all()]
    hidden = np.concatenate([part.hidden for part in answers if (part.hidden != DECOY).all()])
    least = float(np.quantile(np.concatenate(own)[hidden < LOWEST], FALSE_ALARMS))
    most = float(np.quantile(decoys, 1 - FALSE_ALARMS))
    return min(least, (least + most) / 2)


def _logistic(inputs: Float64, classes: Int64, weight: Float64, count: int) -> Linear:
    """Fit a logistic model.

    A class that does not occur gets no weight at all; where there is one class only, another one's
    odds are those of a first that comes next (Laplace's rule).
    """
    mean, scale = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-6)
    present = np.unique(classes)
    weights = np.zeros((count, inputs.shape[1] + 1))
    weights[:, -1] = -1e3
    if len(present) == 1:
        weights[present[0], -1] = 0
        if count == 2:
            weights[1 - present[0], -1] = -np.log(len(classes) + 1)
    else:
        model = LogisticRegression(C=1.0, max_iter=2000)
        with threadpool_limits(1):  # threads cost more than they give here, and change the sums
            model.fit((inputs - mean) / scale, classes, sample_weight=weight)
        found, start = model.coef_ / scale, model.intercept_
        start = start - found @ mean
        if len(present) == 2:
            found, start = np.stack([0 * found[0], found[0]]), np.array([0.0, start[0]])
        weights[present, :-1], weights[present, -1] = found, start
    return Linear(weights.tolist())


def _sample(store: IndexStore) -> Sample:
    """Draw records that are named to the lowest rank that is calibrated, its taxa equally often."""
    taxonomy, votes = store.taxonomy, store.votes
    row = np.repeat(np.arange(store.rows), np.diff(votes.start))
    is_live = np.isin(row, store.live_rows)
    depth = _depth((taxonomy.lineage[votes.taxon[is_live]] >= 0).sum(axis=0))
    lowest = taxonomy.lineage[votes.taxon, depth - 1]
    entries = np.flatnonzero((lowest >= 0) & is_live)
    weight = votes.records[entries] / Sampling.of(taxonomy, votes).records[lowest[entries]]
    # Drawn by hashes, so that the order of the references decides nothing: the records with the
    # smallest -log(u) / weight are a weighted sample (Efraimidis, Spirakis 2006).
    spread_out = (votes.taxon[entries].astype(np.uint64) + np.uint64(1)) * np.uint64(ODD)
    hashed = mixed(store.order_keys[row[entries]] ^ spread_out)
    keys = -np.log((hashed >> np.uint64(11)) * 2.0**-53 + 2.0**-54) / weight
    chosen = entries[np.argsort(keys, kind="stable")[:ASKED]]
    return Sample(row[chosen], chosen, depth)


def _depth(named: Int64) -> int:
    """Return how many ranks are calibrated: down to the lowest at which enough records are named.

    A column that few records have a name in (the subspecies of a table of barcodes) says little of
    the library, and what is asked for only there says nothing of the rest.

    Parameters
    ----------
    named : (ranks,) int64
        Records with a name at each rank, highest first.

    Examples
    --------
    >>> _depth(np.array([9000, 8000, 300])), _depth(np.array([9000, 8000, 1200]))
    (2, 3)
    """
    most = named.max(initial=0)
    is_enough = (named >= max(LEAST, FEW * most)) | (named >= MANY * most)
    return int(np.flatnonzero(is_enough)[-1]) + 1


def _lengths_of(batch: SequenceBatch) -> Iterator[SequenceBatch]:
    """Yield the sequences whole, then cut."""
    yield batch
    yield augment(batch, Augmentation(1.0, SHORTEST, 0.0, 0.0, LONGEST), seed=0)


def _ask_decoys(
    store: IndexStore,
    retriever: Retriever,
    hiding: Hiding,
    batch: SequenceBatch,
    vectors: Float32,
    threads: int,
) -> tuple[Asked, Asked]:
    """Return what is found for sequences that are of nothing: with alignment, and without."""
    near = retriever.search(vectors, CANDIDATES)
    return _answer(store, hiding, batch, np.arange(len(batch)), near, DECOY, threads)


def _ask(
    store: IndexStore,
    hiding: Hiding,
    batch: SequenceBatch,
    is_encoded: Bool,
    near: list[tuple[Int64, Float32]],
    threads: int,
) -> Iterator[tuple[Asked, Asked]]:
    """Yield what is found in every scenario: with alignment, and without."""
    for hidden, (found, cosines) in enumerate(near):
        asked = np.flatnonzero(hiding.is_possible(hidden) & is_encoded)
        if not len(asked):  # no species has a second record, say
            continue
        own = found[asked], cosines[asked]
        yield _answer(store, hiding, batch.take(asked), asked, own, hidden, threads)


def _answer(
    store: IndexStore,
    hiding: Hiding,
    batch: SequenceBatch,
    asked: Int64,
    near: tuple[Int64, Float32],
    hidden: int,
    threads: int,
) -> tuple[Asked, Asked]:
    """Align, vote and gather in one scenario: with alignment, and without."""
    plain = unplaced(*near, batch, store, threads)
    placed = align_candidates(plain, batch, store, ALIGNED, "both", threads)
    depth, pair = hiding.depth, []
    lack, truth = np.full(len(batch), hidden), hiding.truth[asked, :depth]
    fold, is_single = folds_of(truth, store.taxonomy), hiding.is_single[:depth]
    for one in (placed, plain):
        judged = hiding.judge(max(hidden, 0), asked, one, batch.lengths, threads)
        taxa, evidence = judged.ballots.taxon[:, :depth], judged.evidence.down_to(depth)
        pair.append(Asked(lack, truth, evidence, taxa, fold, is_single))
    return pair[0], pair[1]
