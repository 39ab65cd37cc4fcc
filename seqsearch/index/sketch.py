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
        projected = self.signs.shape[1]
        if projected:
            scaled = self.signs.astype(np.float32) * np.float32(self.scale)
            behind = vectors[:, self.kept :]
            own = result[:, self.kept : self.kept + projected]
            spread(lambda a, b: _project(behind[a:b], scaled, own[a:b]), len(vectors), threads)
        return result


@njit(nogil=True, cache=True)
def _project(vectors: Float32, signs: Float32, sums: Float32) -> None:
    """Add the signs of the dimensions that are not zero, times these; most are zero."""
    for i in range(len(vectors)):
        for j in range(vectors.shape[1]):
            value = vectors[i, j]
            if value != 0.0:
                for p in range(sums.shape[1]):
                    sums[i, p] += value * signs[j, p]
