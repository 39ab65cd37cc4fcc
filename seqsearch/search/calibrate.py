"""Calibrated probabilities: from the evidence of a query to how likely each name is right.

Two things can be wrong with a name: the query's own taxon may not be in the library, or it is and
another one was named. So there are two small models (fitted by jobs/calibrating.py on the library
itself, kin of each query hidden), both logistic:

- of *what is hidden*: nothing, or the taxon of the lowest, second lowest ... rank and all below;
- of *what is right* at a rank, given that it is not hidden.

    p(rank) = (1 - p(hidden at the rank)) * p(right | not hidden)

The first gives probabilities under the mix of the scenarios that it was fitted on; under another
mix each is multiplied by the quotient of its shares and all are divided by their sum, which is
Bayes' rule (Saerens, Latinne, Decaestecker 2002).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seqsearch.errors import FolderError, SettingsError
from seqsearch.index.manifest import Manifest
from seqsearch.index.store import IndexStore
from seqsearch.search.evidence import LOWEST, OF_RANK, Evidence
from seqsearch.tables import Bool, Float32, Float64, Int32, Int64

LOWEST_HIDDEN = 0.2  # share of queries whose lowest taxon the library lacks, unless told otherwise
DEFAULT = Path(__file__).with_name("calibration.json")  # scripts/make_calibration.py
OFF_TARGET = 1.0  # `hidden` at every rank of a query that is of no taxon of this marker
SUREST = 1 - 1e-6  # of `hidden` of any other query
KNOTS = (0.25, 0.5, 0.75)  # quantiles at which the slope of a distance may change


@dataclass(frozen=True)
class Linear:
    """Weights of a logistic model, one row a class; the last of each is added."""

    weights: list[list[float]]


@dataclass(frozen=True)
class Model:
    """The two models for one way of searching.

    Attributes
    ----------
    knots : list of list of float
        Where the slopes of distance and dissimilarity may change.
    hidden : Linear
        Classes: nothing hidden, then the lowest rank, the second lowest ...
    shares : list of float
        Of these classes in what it was fitted on.
    off_target : float
        Score of the best candidate below which a query is not of this marker.
    right : list of Linear
        By rank, lowest first; the last serves all ranks above.
    tail : float
        Mean excess of what is of nothing over a high quantile of its scores. So much times ln(n)
        higher is the best of n of them, whose scores thin out exponentially (Coles 2001, An
        Introduction to Statistical Modeling of Extreme Values, chapters 3 and 4). 0 in calibrations
        that are older.
    """

    knots: list[list[float]]
    hidden: Linear
    shares: list[float]
    off_target: float
    right: list[Linear]
    tail: float = 0.0

    def off_target_of(self, searched: Int64) -> Float32:
        """Return (n,) float32: the bound for the best of so many windows of each query."""
        return (self.off_target + self.tail * np.log(searched)).astype(np.float32)


@dataclass(frozen=True)
class Calibration:
    """How evidence becomes probability.

    Attributes
    ----------
    aligned, vectors : Model
        For candidates that were aligned, and with `--align 0`.
    about : dict
        How it was fitted, and on what.
    ranks : tuple of str
        That it was fitted to, highest first. A library may have ranks below, at which too few
        records are named to learn of: what is missing at the lowest of these is missing there too,
        and names there are judged as at the lowest of these.
    """

    aligned: Model
    vectors: Model
    about: dict[str, Any]
    ranks: tuple[str, ...]

    @property
    def depth(self) -> int:
        """How many ranks, from the highest, of a library that it was aligned with it knows."""
        return len(self.ranks)

    def as_dict(self) -> dict[str, Any]:
        """Return what its file holds."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Make it of what its file holds."""
        aligned, vectors = (_model_from(values[name]) for name in ("aligned", "vectors"))
        return cls(aligned, vectors, dict(values["about"]), tuple(values["ranks"]))

    def aligned_with(self, ranks: tuple[str, ...]) -> Calibration | None:
        """Return it for a library of some ranks, by their names; None where it does not fit.

        The lowest rank that it knows has to be there, and right above it the same ones: those are
        what may be hidden. A rank further up that it does not know is judged as the next below.
        """
        if not self.ranks or self.ranks[-1] not in ranks:
            return None
        known = ranks[: ranks.index(self.ranks[-1]) + 1]
        if known[-LOWEST:] != self.ranks[-LOWEST:]:
            return None
        places: list[int] = []
        lowest_first = self.ranks[::-1]
        for name in known[::-1]:
            places.append(lowest_first.index(name) if name in self.ranks else places[-1])
        aligned, vectors = (
            replace(model, right=[model.right[min(n, len(model.right) - 1)] for n in places])
            for model in (self.aligned, self.vectors)
        )
        return Calibration(aligned, vectors, self.about, known)


@dataclass(frozen=True)
class Probabilities:
    """How likely each name is right, and each rank missing from the library.

    Attributes
    ----------
    right : (n, ranks) float32
        That the name called at a rank is right; 0 where none is. Never rises down the ranks.
    hidden : (n, ranks) float32
        That the query's own taxon at a rank is not in the library. Never falls down the ranks;
        `OFF_TARGET` at all of them where nothing in the library is like the query.
    """

    right: Float32
    hidden: Float32


def open_calibration(store: IndexStore) -> Calibration:
    """Read the calibration of an index, or that of other libraries where it has none.

    Where that was fitted with another encoder, nothing is off target: its bound says nothing here.

    Raises
    ------
    FolderError
        The file is damaged, or of other ranks than the index has.
    """
    manifest = store.manifest
    path = store.folder / manifest.calibration if manifest.calibration else DEFAULT
    try:
        found = _read(path, manifest)
        is_own = found.about["encoder"] == manifest.encoder["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderError(path, "not a calibration", advice="build the index again") from error
    if manifest.calibration:
        aligned = found.aligned_with(manifest.ranks)
        if aligned is None:
            advice = f"seqsearch index calibrate {store.folder}"
            raise FolderError(path, "is of other ranks than the index has", advice=advice)
        found = aligned
    else:  # by place, from the rank that it knows best, or from the lowest
        ranks = manifest.ranks
        lowest = found.ranks[-1]
        found = replace(found, ranks=ranks[: ranks.index(lowest) + 1] if lowest in ranks else ranks)
    if is_own:
        return found
    unbound = float("-inf")
    return replace(
        found,
        aligned=replace(found.aligned, off_target=unbound),
        vectors=replace(found.vectors, off_target=unbound),
    )


def still_fits(folder: Path, manifest: Manifest) -> bool:
    """Return whether the calibration that a state would have is of its ranks."""
    if not manifest.calibration:
        return True
    try:
        found = _read(folder / manifest.calibration, manifest)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return found.aligned_with(manifest.ranks) is not None


def _read(path: Path, manifest: Manifest) -> Calibration:
    values = json.loads(path.read_text())
    if "ranks" not in values:  # of before they were told: the index's own, where they are as many
        several = len(values["aligned"]["right"])
        values["ranks"] = manifest.ranks if several == len(manifest.ranks) else ()
    return Calibration.from_dict(values)


def prior_shares(prior: Mapping[str, float] | None, ranks: tuple[str, ...]) -> Float64:
    """Return (1 + hideable ranks,) float64: shares of the scenarios, nothing hidden first.

    Parameters
    ----------
    prior : mapping of str to float, optional
        Share of queries whose taxon at a rank, and none above, is not in the library;
        `LOWEST_HIDDEN` at the lowest rank unless given.
    ranks : tuple of str
        Of the library; at most the `LOWEST` lowest can be hidden.

    Raises
    ------
    SettingsError
        A rank that is not among these, a negative share, or a sum above 1.

    Examples
    --------
    >>> prior_shares({"species": 0.2, "genus": 0.1}, ("family", "genus", "species"))
    array([0.7, 0.2, 0.1, 0. ])
    """
    hideable = ranks[::-1][:LOWEST]
    prior = {ranks[-1]: LOWEST_HIDDEN} if prior is None else prior
    shares = np.zeros(1 + len(hideable))
    for rank, share in prior.items():
        if rank not in hideable or not share >= 0:
            text = ",".join(f"{name}={value:g}" for name, value in prior.items())
            expected = f"shares from 0 to 1 of {', '.join(hideable)}"
            raise SettingsError("novelty-prior", text, expected)
        shares[1 + hideable.index(rank)] = share
    shares[0] = 1 - shares.sum()
    if shares[0] < 0:
        raise SettingsError("novelty-prior", f"sum {shares[1:].sum():g}", "shares of at most 1")
    return shares


def probabilities(
    model: Model,
    evidence: Evidence,
    taxa: Int32,
    prior: Float64,
    is_single: Bool,
    depth: int | None = None,
    searched: Int64 | None = None,
) -> Probabilities:
    """Turn evidence into probabilities.

    Parameters
    ----------
    model : Model
    evidence : Evidence
    taxa : (n, ranks) int32
        Called at each rank, -1: none.
    prior : (scenarios,) float64
        See `prior_shares`.
    is_single : (ranks,) bool
        The library has one taxon there, so that no other one could be right.
    depth : int, optional
        How many of the highest ranks the calibration knows; all unless given.
    searched : (n,) int64, optional
        Windows of each query that were searched, of which the best is judged; 1 unless given.
    """
    count = taxa.shape[1]
    depth = count if depth is None else depth
    inputs = hidden_inputs(evidence.down_to(depth), model.knots)
    scenario = _softmax(inputs, model.hidden)[:, : len(prior)]
    shares = np.array(model.shares)[: len(prior)]
    scenario *= np.where(shares > 0, prior / np.maximum(shares, 1e-12), 0)
    scenario /= np.maximum(scenario.sum(axis=1, keepdims=True), 1e-300)
    hidden = np.zeros(taxa.shape)
    for below in range(1, len(prior)):  # scenario `below` hides the lowest `below` ranks it knows
        hidden[:, depth - below :] += scenario[:, below : below + 1]
    hidden = np.minimum(hidden, SUREST)
    right = np.zeros(taxa.shape)
    for rank in range(count):
        linear = model.right[min(max(depth - 1 - rank, 0), len(model.right) - 1)]
        known = np.ones(len(taxa))
        if not is_single[rank] or rank >= depth:  # one of few names there: most have none
            known = _softmax(right_inputs(evidence, rank), linear)[:, -1]
        right[:, rank] = np.where(taxa[:, rank] >= 0, known * (1 - hidden[:, rank]), 0)
    searched = np.ones(len(taxa), np.int64) if searched is None else searched
    is_off = evidence.best < model.off_target_of(searched)
    hidden[is_off], right[is_off] = OFF_TARGET, 0
    right, hidden = np.round(_falling(right, taxa), 6), np.round(hidden, 6)
    return Probabilities(right.astype(np.float32), hidden.astype(np.float32))


def hidden_inputs(evidence: Evidence, knots: list[list[float]]) -> Float64:
    """Return (n, f) float64: what the model of what is hidden sees."""
    distance, dissimilarity = evidence.query[:, 0], evidence.query[:, 1]
    columns = [*evidence.query.T]
    for values, places in zip((distance, dissimilarity), knots, strict=True):
        columns += [np.maximum(values - knot, 0) for knot in places]
    lowest = np.zeros((len(distance), LOWEST, len(OF_RANK)))
    given = evidence.rank[:, ::-1][:, :LOWEST]
    lowest[:, : given.shape[1]] = given
    for rank in range(LOWEST):
        columns += [*lowest[:, rank].T]
        margin = lowest[:, rank, OF_RANK.index("margin")]
        depth = lowest[:, rank, OF_RANK.index("depth")]
        columns += [margin * distance, margin * dissimilarity, depth * distance]
    return np.stack(columns, axis=1)


def right_inputs(evidence: Evidence, rank: int) -> Float64:
    """Return (n, f) float64: what the model of what is right at a rank sees."""
    margin = evidence.rank[:, rank, OF_RANK.index("margin")]
    distance = evidence.query[:, 0]
    columns = [*evidence.rank[:, rank].T, *evidence.query.T, margin * distance]
    return np.stack(columns, axis=1)


def _softmax(inputs: Float64, linear: Linear) -> Float64:
    """Return (n, classes): probabilities."""
    weights = np.array(linear.weights)
    # Not a matrix product: its sums depend on how many rows there are.
    scores = np.einsum("nf,cf->nc", inputs, weights[:, :-1]) + weights[:, -1]
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def _falling(right: Float64, taxa: Int32) -> Float64:
    """Let nothing rise from a rank to the one below; ranks without a name are passed over."""
    ceiling = np.minimum.accumulate(np.where(taxa >= 0, right, 1.0), axis=1)
    return np.where(taxa >= 0, ceiling, 0.0)


def _model_from(values: Mapping[str, Any]) -> Model:
    return Model(
        list(values["knots"]),
        Linear(**values["hidden"]),
        list(values["shares"]),
        float(values["off_target"]),
        [Linear(**one) for one in values["right"]],
        float(values.get("tail", 0)),
    )
