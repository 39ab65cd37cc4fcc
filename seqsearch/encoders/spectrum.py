"""spectrum: the words of a sequence, counted and projected at random to a vector.

The projection is a count sketch (Charikar, Chen, Farach-Colton 2002; "feature hashing",
Weinberger et al. 2009): each word adds the square root of its count, with a sign, to one
coordinate, both drawn from a hash of the word. Inner products then estimate the cosine of the
square-rooted spectra (the Hellinger affinity of word frequencies) without bias, with a standard
error near 1 / sqrt(dim), and no table is needed. Nothing is learned: this is the yardstick beside
every trained encoder.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numba import njit

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import mix64, mixed
from seqsearch.dna.words import (
    check_canonical,
    count_words,
    fixed_root,
    has_word,
    vocabulary,
    weight_of,
)
from seqsearch.encoders.base import WORD_EXPONENT, Piece, WordSketch
from seqsearch.encoders.folder import config_hash, save_encoder
from seqsearch.encoders.tensors import Tensors, check_tensors
from seqsearch.errors import SettingsError
from seqsearch.tables import Bool, Float32, Int32, Int64
from seqsearch.threads import resolve_threads, spread

EIGHT = "11111111"
ODD = 0x9E3779B97F4A7C15  # spreads seeds; 2^64 over the golden ratio


@dataclass(frozen=True)
class Spectrum:
    """Random projection of the square-rooted counts of words.

    Attributes
    ----------
    pattern : str
        Which bases make a word: "11111111" for 8-mers; words over anything but A, C, G, T are not
        counted.
    dim : int
        Length of a vector.
    seed : int
        Draws the projection.
    canonical : bool
        A word and its reverse complement are one; so are then a sequence and its own.
    threads : int
        Worker threads; 0 means every core. Vectors do not depend on it.
    """

    pattern: str = EIGHT
    dim: int = 2048
    seed: int = 0
    canonical: bool = False
    threads: int = 0

    family: ClassVar[str] = "spectrum"
    max_length: ClassVar[int | None] = None
    device: ClassVar[str] = "cpu"
    length_exponent: ClassVar[float] = WORD_EXPONENT

    def __post_init__(self) -> None:
        weight_of(self.pattern)
        if self.canonical:
            check_canonical(self.pattern)
        if self.dim < 1:
            raise SettingsError("dim", self.dim, "1 or more")

    @classmethod
    def from_saved(cls, config: dict[str, Any], tensors: Tensors, threads: int = 0) -> Spectrum:
        """Make the encoder that a configuration describes; it has no tensors."""
        check_tensors(tensors, {})
        numbers = {key: int(config[key]) for key in ("dim", "seed") if key in config}
        canonical = bool(config.get("canonical", False))
        pattern = str(config.get("pattern", EIGHT))
        return cls(pattern, **numbers, canonical=canonical, threads=threads)

    @property
    def name(self) -> str:
        """Family, bases a word, gaps if any, one strand or both, and dimensions."""
        weight = weight_of(self.pattern)
        gaps = "" if weight == len(self.pattern) else f"of{len(self.pattern)}"
        return f"spectrum-{'canonical-' * self.canonical}k{weight}{gaps}-d{self.dim}"

    @property
    def leading(self) -> int:
        """First dimensions that find relatives by themselves."""
        return self.dim

    @property
    def is_strand_free(self) -> bool:
        """Whether both strands of a sequence have the same vector."""
        return self.canonical

    @property
    def content_hash(self) -> str:
        """SHA-256 of what decides the vectors."""
        return config_hash(self.as_config())

    def encode(self, batch: SequenceBatch) -> Float32:
        """Return (n, dim) float32, L2-normalised; zeros where a sequence has no word.

        Examples
        --------
        >>> batch = SequenceBatch.from_clean(["a", "b"], [b"ACGTACGTACG", b"NNNN"])
        >>> vectors = Spectrum(dim=64).encode(batch)
        >>> [round(float(v @ v), 3) for v in vectors]
        [1.0, 0.0]
        """
        vectors = np.zeros((len(batch), self.dim), np.float32)
        weight = weight_of(self.pattern)
        numbers = vocabulary(weight, canonical=True) if self.canonical else np.empty(0, np.int32)

        def task(start: int, stop: int) -> None:
            counts = count_words(batch, self.pattern, start, stop)
            seed = np.uint64(self.seed)
            _project(counts.offsets, counts.word, counts.count, numbers, seed, vectors[start:stop])

        spread(task, len(batch), resolve_threads(self.threads))
        return vectors

    def encodable(self, batch: SequenceBatch) -> Bool:
        """Return (n,) bool: whether a sequence has a word."""
        return has_word(batch, self.pattern)

    def why_not(self) -> str:
        """Say what a sequence lacks that is not encodable."""
        return f"no stretch of {len(self.pattern)} bases without an unknown one (too short, or N)"

    def save(self, folder: Path) -> None:
        """Write `config.json`; there are no weights."""
        save_encoder(folder, self.as_config(), {})

    def pieces(self) -> tuple[Piece, ...]:
        """Return what its vectors are made of; see `WordEncoder`."""
        words = vocabulary(weight_of(self.pattern), self.canonical).astype(np.uint64)
        drawn = mixed(words + np.uint64((self.seed + 1) * ODD % 2**64))
        places = ((drawn >> np.uint64(1)) % np.uint64(self.dim)).astype(np.int32)
        signs = np.where(drawn & np.uint64(1), 1, -1).astype(np.int8)
        return (Piece((WordSketch(self.pattern, places, signs, self.dim),)),)

    def as_tensors(self) -> Tensors:
        """Return none."""
        return {}

    def as_config(self) -> dict[str, Any]:
        """Return what `config.json` holds."""
        settings = asdict(self)
        del settings["threads"]
        return {"family": self.family, "transform": "sqrt", **settings}


@njit(nogil=True, cache=True)
def _project(
    offsets: Int64,
    words: Int32,
    counts: Int32,
    numbers: Int32,
    seed: np.uint64,
    vectors: Float32,
) -> None:
    """Add the signed square roots of the counts to each sequence's vector; normalise.

    What is hashed is the word itself, or its number where `numbers` are given.
    """
    dim = vectors.shape[1]
    total = np.empty(dim, np.int64)
    for i in range(len(vectors)):
        total[:] = 0
        for at in range(offsets[i], offsets[i + 1]):
            weight = fixed_root(counts[at])
            word = numbers[words[at]] if len(numbers) else words[at]
            drawn = mix64(np.uint64(word) + (seed + np.uint64(1)) * np.uint64(ODD))
            at_dim = np.int64((drawn >> np.uint64(1)) % np.uint64(dim))
            total[at_dim] += weight if drawn & np.uint64(1) else -weight
        squares = 0.0
        for j in range(dim):
            squares += np.float64(total[j]) * np.float64(total[j])
        if squares > 0.0:
            scale = 1.0 / np.sqrt(squares)
            for j in range(dim):
                vectors[i, j] = scale * total[j]
