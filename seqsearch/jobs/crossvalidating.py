"""Reliability: what probabilities turn out to be worth on taxa that they were not fitted on.

The models are fitted on two thirds of the genera (taxa of the second rank from below) and asked for
the rest. What comes of it stands in the calibration's file; nothing is computed from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqsearch.jobs.hiding import DECOY, Answers, Asked
from seqsearch.scoring.calibration_error import BINS, Bins, equal_mass
from seqsearch.search.calibrate import Model, prior_shares, probabilities
from seqsearch.search.evidence import Evidence
from seqsearch.settings import QuerySettings
from seqsearch.tables import Bool, Float32, Float64, Int32, Int64
from seqsearch.taxonomy import Taxonomy
from seqsearch.training.split import draw

FOLDS = 3
NAMED_AT = QuerySettings().min_confidence
DEFAULT_MIX, EVEN_MIX, NONE_HIDDEN = "default", "even", "nothing hidden"


@dataclass(frozen=True)
class Predicted:
    """Probabilities of m queries by models that their genera had no part in.

    Attributes
    ----------
    hidden : (m,) int64
        How many of the lowest ranks the library lacks of each.
    is_right : (m, ranks) bool
    counts : (m, ranks) bool
        Both the query and its answer have a name at the rank, and the library several.
    default, even : (m, ranks) float32
        Under the default prior, and with every scenario as likely.
    """

    hidden: Int64
    is_right: Bool
    counts: Bool
    default: Float32
    even: Float32


def folds_of(truth: Int32, taxonomy: Taxonomy) -> Int64:
    """Return (n,) int64: the fold of each query, by the name of its genus.

    Parameters
    ----------
    truth : (n, ranks) int32
        Its own taxa. Without a name at the second rank from below, the next one above decides,
        and without any the lowest.
    taxonomy : Taxonomy
    """
    second = max(truth.shape[1] - 2, 0)
    deciding = truth[:, second]
    for rank in (*range(second - 1, -1, -1), truth.shape[1] - 1):
        deciding = np.where(deciding < 0, truth[:, rank], deciding)
    taxa, place = np.unique(deciding, return_inverse=True)
    names = taxonomy.name.take(taxa).to_pylist()
    return np.array([int(FOLDS * draw("fold", name)) for name in names], np.int64)[place]


def cross_validate(
    parts: Answers, ranks: tuple[str, ...], fit: Callable[[list[Asked]], Model]
) -> dict[str, Any] | None:
    """Measure how reliable probabilities are on genera held out.

    Parameters
    ----------
    parts : list of (Asked, Asked)
        With alignment, and without.
    ranks : tuple of str
        Of the library, highest first.
    fit : callable
        Fits the models.

    Returns
    -------
    dict
        `folds`, `bins`, `named_at`, and `aligned` and `vectors`: for each mix of queries, and for
        queries of each scenario, by rank: `queries`, `ece`, `named` (share with `named_at` and
        more), `right` (share of these) and `bins` (columns p, right, queries; not where no name can
        be right). `default` is the mix and the prior that queries have by default; in `even` all
        scenarios are as frequent, in the prior of the single scenarios too.
        None where some fold leaves too little to fit.
    """
    found: dict[str, Any] = {"folds": FOLDS, "bins": BINS, "named_at": NAMED_AT}
    for way, answers in (
        ("aligned", [one for one, _ in parts]),
        ("vectors", [one for _, one in parts]),
    ):
        predicted = _predict(answers, ranks, fit)
        if predicted is None:
            return None
        found[way] = _tables(predicted, ranks)
    return found


def _predict(
    answers: list[Asked], ranks: tuple[str, ...], fit: Callable[[list[Asked]], Model]
) -> Predicted | None:
    """Fit on all folds but one, ask that one; None where some fit has too little."""
    own = [part for part in answers if (part.hidden != DECOY).all()]
    default = prior_shares(None, ranks)
    even = _even(np.concatenate([part.hidden for part in own]), len(default))
    found: list[Predicted] = []
    for fold in range(FOLDS):
        asked = [_take(part, part.fold == fold) for part in own]
        if not any(len(part.hidden) for part in asked):
            continue
        known = [_take(part, part.fold != fold) for part in answers]
        if not _is_enough(known):
            return None
        model = fit([part for part in known if len(part.hidden)])
        for part in asked:
            has = (part.taxa >= 0) & (part.truth >= 0) & ~part.is_single
            p = [
                probabilities(model, part.evidence, part.taxa, prior, part.is_single).right
                for prior in (default, even)
            ]
            found.append(Predicted(part.hidden, part.taxa == part.truth, has, *p))
    return Predicted(
        np.concatenate([one.hidden for one in found]),
        np.concatenate([one.is_right for one in found]),
        np.concatenate([one.counts for one in found]),
        np.concatenate([one.default for one in found]),
        np.concatenate([one.even for one in found]),
    )


def _take(part: Asked, chosen: Bool) -> Asked:
    evidence = part.evidence
    return Asked(
        part.hidden[chosen],
        part.truth[chosen],
        Evidence(evidence.query[chosen], evidence.rank[chosen], evidence.best[chosen]),
        part.taxa[chosen],
        part.fold[chosen],
        part.is_single,
    )


def _is_enough(answers: list[Asked]) -> bool:
    """Whether all models can be fitted: decoys, and queries of which nothing or little is hidden.

    These are the scenarios that every prior has shares of; some names must reach the lowest rank.
    """
    kinds = {int(kind) for part in answers for kind in np.unique(part.hidden)}
    is_named = any(((part.hidden == 0) & (part.taxa[:, -1] >= 0)).any() for part in answers)
    return is_named and {DECOY, 0, 1} <= kinds


def _even(hidden: Int64, scenarios: int) -> Float64:
    """Return (scenarios,) float64: equal shares of the scenarios that occur."""
    counts = np.bincount(hidden, minlength=scenarios)
    return (counts > 0) / np.count_nonzero(counts)


def _tables(predicted: Predicted, ranks: tuple[str, ...]) -> dict[str, Any]:
    """Return the tables of each mix and each scenario."""
    default = prior_shares(None, ranks)
    counts = np.bincount(predicted.hidden, minlength=len(default))
    even = _even(predicted.hidden, len(default))
    found = {
        DEFAULT_MIX: (predicted.default, (default / np.maximum(counts, 1))[predicted.hidden]),
        EVEN_MIX: (predicted.even, (even / np.maximum(counts, 1))[predicted.hidden]),
    }
    for hidden in range(len(default)):
        name = f"{ranks[-hidden]} hidden" if hidden else NONE_HIDDEN
        if counts[hidden]:
            found[name] = (predicted.even, (predicted.hidden == hidden).astype(np.float64))
    tables = {}
    for name, (p, weight) in found.items():
        tables[name] = {
            rank: _table(p[has, at].astype(np.float64), predicted.is_right[has, at], weight[has])
            for at, rank in enumerate(ranks)
            if (has := predicted.counts[:, at] & (weight > 0)).any()
        }
    return tables


def _table(p: Float64, is_right: Bool, weight: Float64) -> dict[str, Any]:
    """Return the table of one rank."""
    found = equal_mass(p, is_right, weight)
    is_named = p >= NAMED_AT
    named = float(weight[is_named].sum())
    right = float(weight[is_named & is_right].sum()) / named if named else None
    return {
        "queries": len(p),
        "ece": round(found.error, 4),
        "named": round(named / float(weight.sum()), 4),
        "right": None if right is None else round(right, 4),
        **({"bins": _columns(found)} if is_right.any() else {}),
    }


def _columns(bins: Bins) -> dict[str, list[float]]:
    return {
        "p": bins.p.round(4).tolist(),
        "right": bins.right.round(4).tolist(),
        "queries": bins.count.tolist(),
    }
