"""Sketches: vectors made short enough to be put into lists and looked through.

The leading dimensions, which find relatives by themselves, stay as they are. What lies behind them
is projected at random to fewer (Achlioptas 2003: signs instead of normal numbers), which keeps
inner products but for noise: enough to tell which rows are worth a closer look.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from seqsearch.index.vectors import Int8
from seqsearch.tables import Float32
from seqsearch.threads import spread

KEPT = 768  # more leading dimensions than these are projected too
PROJECTED = 512  # dimensions for what lies behind the leading ones
ALONE = 768  # the same where nothing is kept as it is
MULTIPLE = 2  # the quantiser takes so many dimensions at once
SEED = 7


@dataclass(frozen=True)
class Sketch:
    """How sketches are made.

    Attributes
    ----------
    kept : int
        Leading dimensions that stay as they are.
    signs : (d - kept, p) int8
        1 or -1.
    """

    kept: int
    signs: Int8

    @classmethod
    def draw(cls, dim: int, leading: int) -> Sketch:
        """Draw a projection for vectors of `dim` dimensions, `leading` of them leading."""
        kept = leading if leading <= KEPT else 0
        projected = 0 if kept == dim else PROJECTED if kept else ALONE
        drawn = np.random.default_rng(SEED).integers(0, 2, (dim - kept, projected))
        return cls(kept, (2 * drawn - 1).astype(np.int8))

    @property
    def scale(self) -> float:
        """What a sign counts: 1 / the root of how many dimensions are projected to."""
        return 1 / float(np.sqrt(max(1, self.signs.shape[1])))

    @property
    def width(self) -> int:
        """Dimensions of a sketch."""
        return -(-(self.kept + self.signs.shape[1]) // MULTIPLE) * MULTIPLE

    def of(self, vectors: Float32, threads: int = 1) -> Float32:
        """Return (n, width) float32: the sketches of (n, d) vectors.

        Each is summed in one fixed order, so that it does not depend on what is beside it.

        Examples
        --------
        >>> sketch = Sketch(2, np.array([[1], [-1]], np.int8))
        >>> sketch.of(np.array([[0.5, 0.25, 1.0, 2.0]], np.float32))
        array([[ 0.5 ,  0.25, -1.  ,  0.  ]], dtype=float32)
        """
        result = np.zeros((len(vectors), self.width), np.float32)
        result[:, : self.kept] = vectors[:, : self.kept]
        whole, scale = np.ascontiguousarray(vectors), np.float32(self.scale)

        def task(start: int, stop: int) -> None:
            _project(whole[start:stop], self.kept, self.signs, scale, result[start:stop])

        if self.signs.size:
            spread(task, len(vectors), threads)
        return result


@njit(nogil=True, cache=True)
def _project(vectors: Float32, kept: int, signs: Int8, scale: np.float32, result: Float32) -> None:
    """Add up the signs of the dimensions that are not zero, times these; most are zero."""
    dim, projected = vectors.shape[1], signs.shape[1]
    at = np.empty(dim, np.int64)
    sums = np.empty(projected, np.float32)
    for i in range(len(vectors)):
        filled = 0
        for j in range(kept, dim):
            at[filled] = j - kept
            filled += vectors[i, j] != 0.0
        sums[:] = 0.0
        for t in range(0, filled - 3, 4):  # four at a time: sums are read and written less
            j, k, n, m = at[t], at[t + 1], at[t + 2], at[t + 3]
            a, b = vectors[i, kept + j], vectors[i, kept + k]
            c, d = vectors[i, kept + n], vectors[i, kept + m]
            for p in range(projected):
                first = a * signs[j, p] + b * signs[k, p]
                sums[p] += first + (c * signs[n, p] + d * signs[m, p])
        for t in range(filled // 4 * 4, filled):
            value = vectors[i, kept + at[t]]
            for p in range(projected):
                sums[p] += value * signs[at[t], p]
        for p in range(projected):
            result[i, kept + p] = scale * sums[p]
