"""kmerbag: the k-mer spectrum of a sequence, projected to a vector.

Untrained, the projection is a count sketch (Charikar, Chen, Farach-Colton 2002; "feature hashing",
Weinberger et al. 2009): each k-mer adds the square root of its count, with a sign, to one
coordinate, both drawn from a hash of the k-mer. Inner products then estimate the cosine of the
square-rooted spectra (the Hellinger affinity of k-mer frequencies) without bias, with a standard
error near 1 / sqrt(dim), and no table is needed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numba import njit

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import mix64
from seqsearch.encoders.base import config_hash, save_config
from seqsearch.errors import SettingsError
from seqsearch.tables import Bool, Float32, Int64, UInt8
from seqsearch.threads import resolve_threads, spread


@dataclass(frozen=True)
class KmerBag:
    """Random projection of the square-rooted k-mer spectrum.

    Attributes
    ----------
    k : int
        Length of the words, 2 to 12; words with anything but A, C, G, T are not counted.
    dim : int
        Length of a vector.
    seed : int
        Draws the projection.
    threads : int
        Worker threads; 0 means every core. Vectors do not depend on it.
    """

    k: int = 8
    dim: int = 2048
    seed: int = 0
    threads: int = 0

    family: ClassVar[str] = "kmerbag"
    max_length: ClassVar[int | None] = None
    device: ClassVar[str] = "cpu"

    def __post_init__(self) -> None:
        if not 2 <= self.k <= 12:  # counts are kept for all 4^k words
            raise SettingsError("k", self.k, "2 to 12")
        if self.dim < 1:
            raise SettingsError("dim", self.dim, "1 or more")

    @classmethod
    def from_config(cls, config: dict[str, Any], threads: int = 0) -> KmerBag:
        """Make the encoder that a saved configuration describes."""
        known = {key: int(config[key]) for key in ("k", "dim", "seed") if key in config}
        return cls(**known, threads=threads)

    @property
    def name(self) -> str:
        """Family, k and dimensions."""
        return f"kmerbag-k{self.k}-d{self.dim}-untrained"

    @property
    def content_hash(self) -> str:
        """SHA-256 of what decides the vectors."""
        return config_hash(self._config())

    def encode(self, batch: SequenceBatch) -> Float32:
        """Return (n, dim) float32, L2-normalised; zeros where a sequence has no valid k-mer.

        Examples
        --------
        >>> batch = SequenceBatch.from_clean(["a", "b"], [b"ACGTACGTACG", b"NNNN"])
        >>> vectors = KmerBag(dim=64).encode(batch)
        >>> [round(float(v @ v), 3) for v in vectors]
        [1.0, 0.0]
        """
        vectors = np.zeros((len(batch), self.dim), np.float32)

        def task(start: int, stop: int) -> None:
            _project(
                batch.bytes,
                batch.offsets,
                BASE_CODES,
                self.k,
                np.uint64(self.seed),
                vectors,
                start,
                stop,
            )

        spread(task, len(batch), resolve_threads(self.threads))
        return vectors

    def encodable(self, batch: SequenceBatch) -> Bool:
        """Return (n,) bool: whether a sequence has a valid k-mer."""
        result = np.zeros(len(batch), np.bool_)
        _has_kmer(batch.bytes, batch.offsets, BASE_CODES, self.k, result)
        return result

    def why_not(self) -> str:
        """Say what a sequence lacks that is not encodable."""
        return f"no stretch of {self.k} bases without an unknown one (too short, or N)"

    def save(self, folder: Path) -> None:
        """Write `config.json`; an untrained bag has no weights."""
        save_config(folder, self._config())

    def _config(self) -> dict[str, Any]:
        settings = asdict(self)
        del settings["threads"]
        return {"family": self.family, "weights": None, "transform": "sqrt", **settings}


def _code_table() -> UInt8:
    table = np.full(256, 4, np.uint8)
    for code, letter in enumerate(b"ACGT"):
        table[letter] = code
    return table


BASE_CODES = _code_table()


@njit(nogil=True, cache=True)
def _has_kmer(bases: UInt8, offsets: Int64, codes: UInt8, k: int, result: Bool) -> None:
    for i in range(len(offsets) - 1):
        run = 0
        for at in range(offsets[i], offsets[i + 1]):
            run = run + 1 if codes[bases[at]] < 4 else 0
            if run == k:
                result[i] = True
                break


@njit(nogil=True, cache=True)
def _project(
    bases: UInt8,
    offsets: Int64,
    codes: UInt8,
    k: int,
    seed: np.uint64,
    vectors: Float32,
    start: int,
    stop: int,
) -> None:
    """Add the signed square roots of the k-mer counts of sequences start to stop; normalise."""
    words = 1 << (2 * k)
    counts = np.zeros(words, np.int32)
    seen = np.empty(words, np.int32)  # the words of this sequence, in order of appearance
    dim = vectors.shape[1]
    for i in range(start, stop):
        word, run, distinct = 0, 0, 0
        for at in range(offsets[i], offsets[i + 1]):
            code = codes[bases[at]]
            if code > 3:
                run = 0
                continue
            word = ((word << 2) | code) & (words - 1)
            run += 1
            if run >= k:
                if counts[word] == 0:
                    seen[distinct] = word
                    distinct += 1
                counts[word] += 1
        for j in range(distinct):
            weight = np.sqrt(np.float32(counts[seen[j]]))
            counts[seen[j]] = 0
            drawn = mix64(
                np.uint64(seen[j]) + (seed + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
            )
            at_dim = np.int64((drawn >> np.uint64(1)) % np.uint64(dim))
            vectors[i, at_dim] += weight if drawn & np.uint64(1) else -weight
        squares = 0.0
        for j in range(dim):
            squares += np.float64(vectors[i, j]) * np.float64(vectors[i, j])
        if squares > 0.0:
            scale = np.float32(1.0 / np.sqrt(squares))
            for j in range(dim):
                vectors[i, j] *= scale
