"""kmerbag: a learned vector for every word, summed over the sequence.

The sum runs over the square roots of the words' counts, so the tables are a learned projection of
the same spectra that `spectrum` projects at random. Everything is summed in one fixed order a
sequence, so a vector depends on neither batch nor threads. No torch: numpy and numba only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numba import njit

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.words import (
    ROOT_BITS,
    check_canonical,
    count_words,
    fixed_root,
    has_word,
    vocabulary,
    weight_of,
)
from seqsearch.encoders.base import WORD_EXPONENT, Piece, WordTable
from seqsearch.encoders.folder import config_hash, save_encoder
from seqsearch.encoders.tensors import Shapes, Tensors, check_tensors, tensors_hash
from seqsearch.errors import SettingsError
from seqsearch.tables import Bool, Float32, Int32, Int64
from seqsearch.threads import resolve_threads, spread

AT_ONCE = 512  # sequences whose words are counted at once, a thread
BLOCK = 256  # so many int8 fit into an int16, whatever they are (256 x 127 < 2^15)
Int8 = np.ndarray[Any, np.dtype[np.int8]]


@dataclass(frozen=True)
class Shape:
    """What a bag is made of.

    Attributes
    ----------
    patterns : tuple of str
        Which bases make a word: "11111111" for 8-mers; each pattern has a table of its own.
    canonical : bool
        A word and its reverse complement share a vector.
    dim : int
        Length of a vector.
    """

    patterns: tuple[str, ...] = ("11111111",)
    canonical: bool = False
    dim: int = 256

    def __post_init__(self) -> None:
        if not self.patterns:
            raise SettingsError("patterns", self.patterns, "one or more")
        for pattern in self.patterns:
            weight_of(pattern)
            if self.canonical:
                check_canonical(pattern)
        if self.dim < 1:
            raise SettingsError("dim", self.dim, "1 or more")

    def numbers(self, pattern: str) -> Int32:
        """Return the number of each word of a pattern."""
        return vocabulary(weight_of(pattern), self.canonical)

    def words(self, pattern: str) -> int:
        """Return how many words of a pattern have a vector."""
        return int(self.numbers(pattern).max()) + 1

    def tensors(self) -> Shapes:
        """Return name to (dtype, shape) of the tensors."""
        found: dict[str, tuple[str, tuple[int, ...]]] = {}
        for pattern in self.patterns:
            found[f"table.{pattern}"] = ("int8", (self.words(pattern), self.dim))
            found[f"scale.{pattern}"] = ("float32", (self.dim,))
        return found


@dataclass(frozen=True)
class KmerBag:
    """A trained bag of words.

    Attributes
    ----------
    shape : Shape
    tensors : dict
        As `shape.tensors()`: tables in whole numbers, each column with its scale.
    label : str
        What it is called.
    threads : int
        Worker threads; 0 means every core. Vectors do not depend on it.

    Raises
    ------
    ValueError
        Tensors do not fit the shape.
    """

    shape: Shape
    tensors: Tensors = field(repr=False, compare=False)
    label: str = "trained"
    threads: int = 0

    family: ClassVar[str] = "kmerbag"
    max_length: ClassVar[int | None] = None
    device: ClassVar[str] = "cpu"
    length_exponent: ClassVar[float] = WORD_EXPONENT

    def __post_init__(self) -> None:
        check_tensors(self.tensors, self.shape.tensors())

    @classmethod
    def from_saved(cls, config: dict[str, Any], tensors: Tensors, threads: int = 0) -> KmerBag:
        """Make the bag of a configuration and its tensors; raises as `make_encoder`."""
        patterns = tuple(str(pattern) for pattern in config["patterns"])
        shape = Shape(patterns, bool(config["canonical"]), int(config["dim"]))
        return cls(shape, tensors, str(config["label"]), threads)

    @property
    def name(self) -> str:
        """Label and dimensions."""
        return f"{self.label}-d{self.dim}"

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.shape.dim

    @property
    def leading(self) -> int:
        """First dimensions that find relatives by themselves."""
        return self.dim

    @property
    def is_strand_free(self) -> bool:
        """Whether both strands of a sequence have the same vector."""
        return self.shape.canonical

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of what decides the vectors."""
        return config_hash(self.as_config() | {"tensors": tensors_hash(self.tensors)})

    def encode(self, batch: SequenceBatch) -> Float32:
        """Return (n, dim) float32, L2-normalised; zeros where a sequence has no word."""
        vectors = np.zeros((len(batch), self.dim), np.float32)

        def task(start: int, stop: int) -> None:
            for first in range(start, stop, AT_ONCE):
                last = min(first + AT_ONCE, stop)
                for pattern in self.shape.patterns:
                    counts = count_words(batch, pattern, first, last)
                    _add(
                        counts.offsets,
                        counts.word,
                        counts.count,
                        self.shape.numbers(pattern),
                        self.tensors[f"table.{pattern}"],
                        self.tensors[f"scale.{pattern}"],
                        vectors[first:last],
                    )
                _normalise(vectors[first:last])

        spread(task, len(batch), resolve_threads(self.threads))
        return vectors

    def encodable(self, batch: SequenceBatch) -> Bool:
        """Return (n,) bool: whether a sequence has a word of the shortest pattern."""
        return has_word(batch, min(self.shape.patterns, key=len))

    def why_not(self) -> str:
        """Say what a sequence lacks that is not encodable."""
        shortest = min(len(pattern) for pattern in self.shape.patterns)
        return f"no stretch of {shortest} bases without an unknown one (too short, or N)"

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`."""
        save_encoder(folder, self.as_config(), self.tensors)

    def pieces(self) -> tuple[Piece, ...]:
        """Return what its vectors are made of; see `WordEncoder`."""
        tables = (
            WordTable(
                pattern,
                self.shape.numbers(pattern),
                self.tensors[f"table.{pattern}"],
                self.tensors[f"scale.{pattern}"],
            )
            for pattern in self.shape.patterns
        )
        return (Piece(tuple(tables)),)

    def as_tensors(self) -> Tensors:
        """Return what `model.safetensors` holds."""
        return dict(self.tensors)

    def as_config(self) -> dict[str, Any]:
        """Return what `config.json` holds."""
        settings = {"family": self.family, "transform": "sqrt", "label": self.label}
        return settings | asdict(self.shape) | {"patterns": list(self.shape.patterns)}


@njit(nogil=True, cache=True)
def _add(
    offsets: Int64,
    words: Int32,
    counts: Int32,
    numbers: Int32,
    table: Int8,
    scale: Float32,
    vectors: Float32,
) -> None:
    """Add each sequence's sum over one table to its vector.

    Most words stand once: their int8 rows are summed as int16, `BLOCK` at a time, which the
    compiler turns into code three times as fast as sums of floats.
    """
    dim = table.shape[1]
    total = np.empty(dim, np.int64)
    short = np.empty(dim, np.int16)
    for i in range(len(vectors)):
        total[:] = 0
        for first in range(offsets[i], offsets[i + 1], BLOCK):
            last = min(first + BLOCK, offsets[i + 1])
            short[:] = 0
            for at in range(first, last):
                if counts[at] == 1:
                    number = numbers[words[at]]
                    for j in range(dim):
                        short[j] = np.int16(short[j] + table[number, j])
            for j in range(dim):
                total[j] += np.int64(short[j]) << ROOT_BITS
        for at in range(offsets[i], offsets[i + 1]):
            if counts[at] > 1:
                root = fixed_root(counts[at])
                number = numbers[words[at]]
                for j in range(dim):
                    total[j] += root * np.int64(table[number, j])
        for j in range(dim):
            vectors[i, j] += scale[j] * np.float32(total[j]) / np.float32(1 << ROOT_BITS)


@njit(nogil=True, cache=True)
def _normalise(vectors: Float32) -> None:
    for i in range(len(vectors)):
        squares = 0.0
        for j in range(vectors.shape[1]):
            squares += np.float64(vectors[i, j]) * np.float64(vectors[i, j])
        if squares > 0.0:
            scale = np.float32(1.0 / np.sqrt(squares))
            for j in range(vectors.shape[1]):
                vectors[i, j] *= scale
