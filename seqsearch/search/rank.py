"""The order of candidates, and the numbers by which they vote."""

from __future__ import annotations

import numpy as np
from numba import njit

from seqsearch.dna.digests import UInt64
from seqsearch.search.compare import order_by_similarity
from seqsearch.tables import Float32, Int32, Int64
from seqsearch.threads import resolve_threads, spread

MOST_LONGER = 8  # quotients above count as this: what is far longer shares words by chance
# They keep the distances of `score` from 0, where each would hide the other. Chosen on held-out
# references, as its form is (scripts/tune_rank.py).
LEAST_ALIGNED, LEAST_DISSIMILAR = 0.01, 0.03


def correct_for_length(
    found: Int64,
    cosines: Float32,
    query_lengths: Int64,
    reference_lengths: Int32,
    keys: UInt64,
    exponent: float,
    threads: int = 0,
) -> tuple[Int64, Float32]:
    """Turn cosines into similarities, and order the candidates by them.

    A similarity is the cosine times (longer / shorter length) to the power of `exponent`, at most
    1, rounded to 1e-6; the quotient counts up to `MOST_LONGER`.

    Parameters
    ----------
    found : (n, c) int64
        Candidates, by vector, best first; -1 filled.
    cosines : (n, c) float32
    query_lengths : (n,) int64
    reference_lengths : (vectors of the index,) int32
        Of a long reference what its window has.
    keys : (vectors of the index,) uint64
        Decide between equal similarities, the smaller first.
    exponent : float
        The encoder's.
    threads : int

    Returns
    -------
    (n, c) int64, (n, c) float32
        Candidates and similarities, best first.
    """
    ordered, similarities = found.copy(), np.zeros(found.shape, np.float64)

    def task(start: int, stop: int) -> None:
        _correct(
            found, cosines, query_lengths, reference_lengths, exponent, similarities, start, stop
        )
        order_by_similarity(ordered, similarities, keys, start, stop)

    spread(task, len(found), resolve_threads(threads))
    return ordered, similarities.astype(np.float32)


@njit(nogil=True, cache=True)
def _correct(
    found: Int64,
    cosines: Float32,
    query_lengths: Int64,
    reference_lengths: Int32,
    exponent: float,
    similarities: np.ndarray,
    start: int,
    stop: int,
) -> None:
    for i in range(start, stop):
        for c in range(found.shape[1]):
            if found[i, c] < 0:
                break
            longer = max(query_lengths[i], np.int64(reference_lengths[found[i, c]]))
            shorter = min(query_lengths[i], np.int64(reference_lengths[found[i, c]]))
            quotient = min(longer / shorter, MOST_LONGER)
            corrected = np.float64(cosines[i, c]) * quotient**exponent
            similarities[i, c] = np.round(min(corrected, 1.0) * 1e6) / 1e6


def score(identity: Float32, similarities: Float32) -> Float32:
    """Return 1 less the geometric mean of two distances, rounded to 1e-6.

    The distances are 1 - identity + `LEAST_ALIGNED` and 1 - similarity + `LEAST_DISSIMILAR`: the
    identity tells near relatives apart, the similarity far ones, and a product weighs each where it
    is small. Where the identity is NaN the similarity stands for it: what could not be aligned is
    no worse for it.

    Parameters
    ----------
    identity : (...) float32
        With every run of gaps as one column, in [0, 1]: one long insertion is one event.
    similarities : (...) float32
    """
    near = np.where(np.isnan(identity), similarities, identity).astype(np.float64)
    apart = (1 - near + LEAST_ALIGNED) * (1 - similarities + LEAST_DISSIMILAR)
    return np.round(1 - np.sqrt(apart), 6).astype(np.float32)


def order_by(scores: Float32, rows: Int64, keys: UInt64) -> Int64:
    """Return (n, c) int64: positions of each query's candidates, best first, -1 rows last."""
    return np.lexsort((keys[rows], -scores, rows < 0), axis=1)
