"""Codes: vectors made small enough to be read through, near enough to say which rows are worth it.

The leading dimensions become 8-bit numbers. Of each dimension behind them two bits say whether it
is above, below or at zero: most numbers of a sketch of words are zero and the others nearly of one
size, so that this keeps what ranks. A row of 4.6 kB of float16 shrinks to .8 kB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from seqsearch.dna.digests import UInt64
from seqsearch.index.vectors import Int8
from seqsearch.tables import Float32, Int64

WORD = 64


@dataclass(frozen=True)
class Codes:
    """Codes of n vectors.

    Attributes
    ----------
    numbers : (n, leading) int8
    scales : (n, 2) float32
        What one of a number counts, and what a sign does: 1 / the root of how many there are.
    signs : (n, 2, w) uint64
        Bits of the trailing dimensions that are not zero, and of those that are negative; w is
        their number / 64, rounded up.
    """

    numbers: Int8
    scales: Float32
    signs: UInt64

    def __len__(self) -> int:
        return len(self.scales)

    @property
    def bytes_each(self) -> int:
        """Bytes that one vector's take."""
        return int(self.numbers.shape[1] + 8 + 8 * self.signs[0].size)

    @classmethod
    def concatenate(cls, parts: Sequence[Codes]) -> Codes:
        """Return the codes of all parts, in order."""
        fields = ("numbers", "scales", "signs")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


def codes_of(vectors: Float32, leading: int) -> Codes:
    """Return the codes of vectors.

    Parameters
    ----------
    vectors : (n, d) float32
    leading : int
        Dimensions kept as 8-bit numbers.

    Examples
    --------
    >>> found = codes_of(np.array([[0.5, -0.25, 0.0, 0.1, -0.1]], np.float32), 2)
    >>> found.numbers
    array([[127, -64]], dtype=int8)
    >>> found.signs
    array([[[6],
            [4]]], dtype=uint64)
    """
    ahead, trailing = vectors[:, :leading], vectors[:, leading:]
    steps = np.maximum(np.abs(ahead).max(axis=1, initial=0), 1e-9) / np.float32(127)
    words = -(-trailing.shape[1] // WORD)
    bits = np.zeros((len(vectors), 2, words * WORD), np.bool_)
    bits[:, 0, : trailing.shape[1]] = trailing != 0
    bits[:, 1, : trailing.shape[1]] = trailing < 0
    filled = bits[:, 0].sum(axis=1)
    scales = np.stack([steps, np.where(filled, 1 / np.sqrt(np.maximum(filled, 1)), 0)], axis=1)
    signs = np.packbits(bits, axis=2, bitorder="little").view(np.uint64)
    return Codes(
        np.rint(ahead / steps[:, None]).astype(np.int8),
        scales.astype(np.float32),
        signs.reshape(len(vectors), 2, words),
    )


@intrinsic
def _count_ones(_: Any, word: types.Type) -> Any:  # noqa: ARG001  numba looks at its arguments

    def codegen(_: Any, builder: ir.IRBuilder, __: Any, args: Sequence[ir.Value]) -> ir.Value:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


@njit(nogil=True, cache=True, inline="always")
def ones(word: int) -> int:
    """Count the bits of a word that are set."""
    return _count_ones(word)  # type: ignore[call-arg]


@njit(nogil=True, cache=True)
def compare(
    number: Int8,
    scale: Float32,
    sign: UInt64,
    share: float,
    numbers: Int8,
    scales: Float32,
    signs: UInt64,
    found: Int64,
    first: int,
    cosines: Float32,
) -> None:
    """Fill in about the cosines of one vector with others, from the codes of all.

    Parameters
    ----------
    number, scale, sign
        Codes of the one.
    share : float
        Of its squared length in the trailing dimensions; taken to be that of the others too.
    numbers, scales, signs
        Codes of m others.
    found : (c,) int64
        Which of them, counted from `first`; what is not among them is left alone.
    first : int
    cosines : (c,) float32
    """
    for at in range(len(found)):
        i = found[at] - first
        if i < 0 or i >= len(scales):
            continue
        product = np.int32(0)
        for j in range(len(number)):
            # Numba would go on in 64 bits, for which processors have no such multiplication.
            both_numbers = np.int32(np.int32(number[j]) * np.int32(numbers[i, j]))
            product = np.int32(product + both_numbers)
        both, opposite = np.uint64(0), np.uint64(0)
        for w in range(sign.shape[1]):
            shared = sign[0, w] & signs[i, 0, w]
            both += ones(shared)
            opposite += ones(shared & (sign[1, w] ^ signs[i, 1, w]))
        agreement = np.float64(both) - 2 * np.float64(opposite)
        ahead = np.float64(scale[0]) * np.float64(scales[i, 0]) * product
        behind = share * np.float64(scale[1]) * np.float64(scales[i, 1]) * agreement
        cosines[at] = np.float32(ahead + behind)
