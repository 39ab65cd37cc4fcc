"""What calls are worth: whether probabilities mean what they say, and who is named wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.scoring.calibration_error import equal_mass
from seqsearch.scoring.marks import RANKS
from seqsearch.tables import Bool, Float64, one_array, to_numpy

SEEN, NEW_SPECIES = "seen", "unseen_species"
HIDDEN = {"unseen_species": "species", "unseen_genus": "genus", "unseen_family": "family"}
THRESHOLDS = (0.5, 0.8, 0.95)
RESAMPLES = 1000


@dataclass(frozen=True)
class Judged:
    """Calls of one library beside the truth.

    Attributes
    ----------
    sets : (n,) array of str
        What the library lacks of each query.
    taxa : (n,) array of str
        Genus of each, which is resampled whole.
    p : mapping of rank to (n,) float64
        Of the best name; NaN where there is none, or the library has one taxon.
    is_right : mapping of rank to (n,) bool
    """

    sets: np.ndarray
    taxa: np.ndarray
    p: Mapping[str, Float64]
    is_right: Mapping[str, Bool]


def judge(truth: pa.Table, answers: pa.Table) -> Judged:
    """Lay calls beside the truth.

    Parameters
    ----------
    truth : table of id, set and ranks
    answers : table of id, ranks and p_<rank>
        Named at every rank (`--min-confidence 0`).
    """
    position = pc.index_in(one_array(answers["id"]), value_set=one_array(truth["id"]))
    truth = truth.take(position)
    p, is_right = {}, {}
    for rank in (rank for rank in RANKS if f"p_{rank}" in answers.column_names):
        has_name = pc.is_valid(answers[rank])
        given = pc.if_else(has_name, answers[f"p_{rank}"], None)
        p[rank] = to_numpy(pc.fill_null(pc.cast(given, pa.float64()), float("nan")))
        is_right[rank] = to_numpy(pc.fill_null(pc.equal(answers[rank], truth[rank]), False))
    return Judged(
        np.array(truth["set"].to_pylist()), np.array(truth["genus"].to_pylist()), p, is_right
    )


def new_named_at_recall(judged: Judged, recall: float) -> tuple[float, float]:
    """Name species from the threshold at which a share of the seen queries is named right.

    Returns
    -------
    float
        The threshold; NaN where that share is never reached.
    float
        Percent of the queries of new species that are then given a species name.
    """
    p = np.nan_to_num(judged.p["species"], nan=-1.0)
    seen = judged.sets == SEEN
    right = np.sort(np.where(judged.is_right["species"][seen], p[seen], -1.0))[::-1]
    at = int(np.ceil(recall * len(right))) - 1
    threshold = right[at]
    if threshold < 0:
        return float("nan"), float("nan")
    return float(threshold), 100 * float((p[judged.sets == NEW_SPECIES] >= threshold).mean())


def seen_named_right(judged: Judged, threshold: float) -> float:
    """Return the percent of the seen queries that get their right species at a threshold."""
    seen = judged.sets == SEEN
    named = np.nan_to_num(judged.p["species"], nan=-1.0) >= threshold
    return 100 * float((named & judged.is_right["species"])[seen].mean())


def wrong_shares(judged: Judged, rank: str) -> dict[float, float]:
    """Return, by threshold, the share of wrong names among the names given; NaN without any."""
    p = np.nan_to_num(judged.p[rank], nan=-1.0)
    shares = {}
    for threshold in THRESHOLDS:
        right = judged.is_right[rank][p >= threshold]
        shares[threshold] = float(1 - right.mean()) if len(right) else float("nan")
    return shares


def calibration_error(judged: Judged, rank: str, seed: int = 0) -> tuple[float, float, float]:
    """Return the expected calibration error over bins of equal mass, with its interval.

    The 95 % interval is that of a bootstrap over genera, `RESAMPLES` times.
    """
    has = np.isfinite(judged.p[rank])
    p, right = judged.p[rank][has], judged.is_right[rank][has]
    if not len(p):
        return float("nan"), float("nan"), float("nan")
    _, group = np.unique(judged.taxa[has], return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(group.max() + 2))
    rng = np.random.default_rng(seed)
    errors = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(starts) - 1, len(starts) - 1)
        rows = np.concatenate([order[starts[g] : starts[g + 1]] for g in drawn])
        errors.append(equal_mass(p[rows], right[rows]).error)
    low, high = np.quantile(errors, (0.025, 0.975))
    return equal_mass(p, right).error, float(low), float(high)


def mix_of(truth: pa.Table) -> dict[str, float]:
    """Return the share of the queries that lack each rank in the library."""
    sets = np.array(truth["set"].to_pylist())
    return {rank: float((sets == name).mean()) for name, rank in HIDDEN.items()}


def novelty(truth: pa.Table, answers: pa.Table) -> dict[str, tuple[int, float, float]]:
    """Return, by rank, how many queries were called novel there, precision and recall in percent.

    Parameters
    ----------
    truth : table of id and set
    answers : table of id, verdict and novel_rank
    """
    position = pc.index_in(one_array(answers["id"]), value_set=one_array(truth["id"]))
    sets = np.array(truth["set"].take(position).to_pylist())
    called = np.array(answers["novel_rank"].to_pylist(), dtype=object)
    found = {}
    for name, rank in HIDDEN.items():
        is_called, is_so = called == rank, sets == name
        both = float((is_called & is_so).sum())
        count = int(is_called.sum())
        precision = 100 * both / count if count else float("nan")
        found[rank] = (count, precision, 100 * both / max(1, int(is_so.sum())))
    return found
