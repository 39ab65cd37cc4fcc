"""Sequences as reads would show them: cropped, with substitutions and indels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import UInt64, mix64
from seqsearch.errors import SettingsError
from seqsearch.tables import Int64, UInt8

SLACK = 8  # a record gains at most an eighth of its length by insertions


@dataclass(frozen=True)
class Augmentation:
    """How sequences are changed before they are learned from.

    Attributes
    ----------
    crop : float
        Share of the sequences cut to a random piece.
    shortest : int
        Bases of the shortest piece; lengths are uniform from there to the longest.
    substitutions, indels : float
        Largest rate a base; each sequence draws its own, uniform from 0.
    longest : int
        Bases of the longest piece; 0: the whole.
    """

    crop: float = 0.5
    shortest: int = 150
    substitutions: float = 0.02
    indels: float = 0.002
    longest: int = 0

    def __post_init__(self) -> None:
        for name in ("crop", "substitutions", "indels"):
            rate = getattr(self, name)
            if not 0 <= rate <= 1:
                raise SettingsError(name, rate, "a number in [0, 1]")
        if self.shortest < 1:
            raise SettingsError("shortest", self.shortest, "1 or more")
        if self.longest and self.longest < self.shortest:
            raise SettingsError("longest", self.longest, f"{self.shortest} (shortest) or more")


def augment(batch: SequenceBatch, augmentation: Augmentation, seed: int) -> SequenceBatch:
    """Return every sequence changed at random; the same seed gives the same sequences.

    >>> batch = SequenceBatch.from_clean(["a"], [b"ACGT" * 100])
    >>> whole = augment(batch, Augmentation(crop=0, substitutions=0, indels=0), seed=1)
    >>> whole.sequence(0) == batch.sequence(0)
    True
    """
    lengths = batch.lengths
    changed = np.empty((lengths + lengths // SLACK + 1).sum(), np.uint8)
    offsets = np.zeros(len(batch) + 1, np.int64)
    lots = np.random.default_rng(seed).integers(0, 2**63, len(batch)).astype(np.uint64)
    _change(
        batch.bytes,
        batch.offsets,
        lots,
        augmentation.crop,
        augmentation.shortest,
        augmentation.substitutions,
        augmentation.indels,
        augmentation.longest or np.iinfo(np.int64).max,
        changed,
        offsets,
    )
    return SequenceBatch(batch.ids, changed[: offsets[-1]], offsets)


@njit(nogil=True, cache=True)
def _uniform(state: np.uint64) -> float:
    return np.float64(state >> np.uint64(11)) / 9007199254740992.0


@njit(nogil=True, cache=True)
def _change(
    bases: UInt8,
    offsets: Int64,
    lots: UInt64,
    crop: float,
    shortest: int,
    substitutions: float,
    indels: float,
    longest: int,
    changed: UInt8,
    ends: Int64,
) -> None:
    letters = np.array([65, 67, 71, 84], np.uint8)
    step = np.uint64(0x9E3779B97F4A7C15)
    end = 0
    for i in range(len(offsets) - 1):
        state = lots[i]
        first, length = offsets[i], offsets[i + 1] - offsets[i]
        state += step
        is_cut = _uniform(mix64(state)) < crop and length > shortest
        if is_cut:
            state += step
            most = min(length, longest)
            size = shortest + np.int64(_uniform(mix64(state)) * (most - shortest + 1))
            state += step
            first += np.int64(_uniform(mix64(state)) * (length - size + 1))
            length = size
        state += step
        substituted = substitutions * _uniform(mix64(state))
        state += step
        inserted = substituted + indels * _uniform(mix64(state)) / 2
        deleted = 2 * inserted - substituted
        room = end + length + length // SLACK
        for at in range(first, first + length):
            state += step
            drawn = mix64(state)
            lot = _uniform(drawn)
            other = letters[np.int64(drawn & np.uint64(3))]
            if lot >= deleted:
                if end < room:
                    changed[end] = bases[at]
                    end += 1
            elif lot < inserted:
                if end < room:
                    changed[end] = other  # one in four substitutes the same base
                    end += 1
                if lot >= substituted and end < room:
                    changed[end] = bases[at]
                    end += 1
        ends[i + 1] = end
