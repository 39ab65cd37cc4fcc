"""Pictures of the space that an encoder puts sequences in: what is drawn, where, how well apart."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_samples
from threadpoolctl import threadpool_limits

from seqsearch.errors import MissingExtraError, SettingsError
from seqsearch.tables import Float32, Float64, Int64

METHODS = ("tsne", "umap")
FEWEST = 10  # points of a picture
PERPLEXITY = 30.0  # t-SNE: how many neighbours a point weighs (van der Maaten and Hinton 2008)
NEIGHBOURS = 15  # UMAP: the same (McInnes et al. 2018); both are their libraries' defaults
AT_ONCE = 1024  # points compared with all others


def even_sample(groups: Int64, size: int, seed: int) -> Int64:
    """Draw as many members of every group as there are to be had, up to a size in all.

    Parameters
    ----------
    groups : (n,) int64
        The group of each member; any numbers.
    size : int
    seed : int

    Returns
    -------
    (min(n, size),) int64
        Positions, ascending.

    Examples
    --------
    >>> groups = np.array([7, 7, 7, 7, 7, 7, 8, 9])
    >>> groups[even_sample(groups, 5, seed=0)].tolist()
    [7, 7, 7, 8, 9]
    """
    if len(groups) <= size:
        return np.arange(len(groups))
    rng = np.random.default_rng(seed)
    number, counts = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    shuffled = np.lexsort((rng.random(len(groups)), number))
    place = np.arange(len(groups)) - np.repeat(np.cumsum(counts) - counts, counts)
    lowest, highest = 0, size  # members that every group may send
    while lowest < highest:
        middle = (lowest + highest + 1) // 2
        if np.minimum(counts, middle).sum() <= size:
            lowest = middle
        else:
            highest = middle - 1
    quota = np.minimum(counts, lowest)
    larger = rng.permutation(np.flatnonzero(counts > lowest))
    quota[larger[: size - quota.sum()]] += 1
    return np.sort(shuffled[place < np.repeat(quota, counts)])


@dataclass(frozen=True)
class Silhouettes:
    """How much nearer points are to their own taxon than to the nearest other one.

    Rousseeuw's (1987): (b - a) / max(a, b), with a the mean distance to the others of the own
    taxon and b the least mean distance to another taxon.

    Attributes
    ----------
    score : (n,) float64
        In [-1, 1]; NaN for points without a name, or alone under theirs.
    rival : (n,) int64
        The nearest other taxon; -1 where there is none.
    """

    score: Float64
    rival: Int64

    @property
    def mean(self) -> float | None:
        """Mean over the points that have one."""
        known = self.score[~np.isnan(self.score)]
        return float(known.mean()) if len(known) else None


def cosine_silhouettes(vectors: Float32, taxa: Int64) -> Silhouettes:
    """Return silhouettes by cosine distance, in the space of the vectors.

    The mean distance of a vector of length 1 to a taxon is 1 less its product with the taxon's mean
    vector, so that no pair of points is compared.

    Parameters
    ----------
    vectors : (n, d) float32
        Of length 1.
    taxa : (n,) int64
        -1 for points without a name, which take no part.

    Examples
    --------
    >>> vectors = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2]]
    >>> found = cosine_silhouettes(vectors, np.array([5, 5, 6, 5, 6]))
    >>> found.score.round(2).tolist(), found.rival.tolist()
    ([0.5, 0.5, -0.33, -0.5, 0.0], [6, 6, 5, 6, 5])
    """
    score, rival = np.full(len(taxa), np.nan), np.full(len(taxa), -1, np.int64)
    named = np.flatnonzero(taxa >= 0)
    known, number = np.unique(taxa[named], return_inverse=True)
    if len(known) < 2:
        return Silhouettes(score, rival)
    counts = np.bincount(number)
    order = np.argsort(number, kind="stable")
    first = np.cumsum(counts) - counts
    sums = np.add.reduceat(vectors[named[order]].astype(np.float64), first)
    for start in range(0, len(named), AT_ONCE):
        rows = named[start : start + AT_ONCE]
        own = number[start : start + AT_ONCE]
        wide, place = vectors[rows].astype(np.float64), np.arange(len(rows))
        mean = 1 - wide @ (sums / counts[:, None]).T
        size = counts[own]
        itself = 1 - (wide * wide).sum(axis=1)  # not quite 0: stored vectors are rounded
        inside = (mean[place, own] * size - itself) / np.maximum(size - 1, 1)
        mean[place, own] = np.inf
        nearest = mean.argmin(axis=1)
        outside = mean[place, nearest]
        widest = np.maximum(np.maximum(inside, outside), np.finfo(np.float64).tiny)
        score[rows] = np.where(size > 1, (outside - inside) / widest, np.nan)
        rival[rows] = known[nearest]
    return Silhouettes(score, rival)


def flat_silhouettes(xy: Float64, taxa: Int64) -> Float64:
    """Return (n,) float64: silhouettes in a picture, by Euclidean distance; see `Silhouettes`."""
    score = np.full(len(taxa), np.nan)
    named = np.flatnonzero(taxa >= 0)
    counts = np.unique(taxa[named], return_inverse=True, return_counts=True)
    size = counts[2][counts[1]]
    if 2 <= len(counts[0]) < len(named):
        score[named] = np.where(size > 1, silhouette_samples(xy[named], taxa[named]), np.nan)
    return score


def check_method(method: str) -> None:
    """Raise unless a method is known and its library is there.

    Raises
    ------
    SettingsError
        There is no such method.
    MissingExtraError
        umap-learn is not installed.
    """
    if method not in METHODS:
        raise SettingsError("method", method, " or ".join(METHODS))
    if method == "umap":
        _umap()


def projected(vectors: Float32, method: str, seed: int) -> Float64:
    """Return (n, 2) float64: places of vectors in a picture, near ones beside each other.

    Runs in one thread: sums in another order would make another picture of the same seed.

    Parameters
    ----------
    vectors : (n, d) float32
        At least `FEWEST`, compared by cosine.
    method : str
        One of `METHODS`.
    seed : int
    """
    with threadpool_limits(1):
        if method == "umap":
            return _umap()(
                n_neighbors=min(NEIGHBOURS, len(vectors) - 1),
                metric="cosine",
                random_state=seed,
                n_jobs=1,
            ).fit_transform(vectors)
        return TSNE(
            perplexity=min(PERPLEXITY, (len(vectors) - 1) / 3),
            init="pca",
            metric="cosine",
            random_state=seed,
        ).fit_transform(vectors)


def _umap() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImportWarning)  # of what it has with Tensorflow
            from umap import UMAP  # noqa: PLC0415  umap-learn is an extra
    except ImportError as error:
        raise MissingExtraError("umap-learn", "report") from error
    return UMAP
