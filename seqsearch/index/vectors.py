"""Vectors as they are stored: float16, or 8 bits a number where a library is large."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from seqsearch.errors import FolderError
from seqsearch.tables import ArrayWriter, Float32, Int64, advise, mapped_array

KINDS = ("float16", "int8")
PART = 256  # numbers that share a scale, of 8-bit vectors
NUMBERS = {"float16": "vectors.f16.npy", "int8": "vectors.i8.npy"}
SCALES = "scales.f32.npy"
FILES = (*NUMBERS.values(), SCALES)
LARGE = 2 << 30  # bytes of float16 from which 8 bits are chosen
BLOCK = 4096  # sequences, or windows of them, encoded at once
Int8 = np.ndarray[Any, np.dtype[np.int8]]
Numbers = np.ndarray[Any, Any]


def kind_for(count: int, dim: int) -> str:
    """Return how vectors are stored where nobody chose: 8 bits from 2 GiB of float16 on."""
    return "int8" if count * dim * 2 >= LARGE else "float16"


def unit(vectors: Float32) -> Float32:
    """Return vectors of length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def quantised(vectors: Float32) -> tuple[Int8, Float32]:
    """Return vectors as 8-bit numbers, with a scale for each `PART` of them.

    Parameters
    ----------
    vectors : (n, d) float32

    Returns
    -------
    (n, d) int8
    (n, ceil(d / PART)) float32
        What one of a number counts.

    Examples
    --------
    >>> numbers, scales = quantised(np.array([[0.5, -0.25, 0.0]], np.float32))
    >>> numbers, round(float(scales[0, 0]), 6)
    (array([[127, -64,   0]], dtype=int8), 0.003937)
    """
    numbers = np.empty(vectors.shape, np.int8)
    scales = np.empty((len(vectors), -(-vectors.shape[1] // PART)), np.float32)
    for part in range(scales.shape[1]):
        own = vectors[:, part * PART : (part + 1) * PART]
        scale = np.abs(own).max(axis=1, initial=0) / np.float32(127)
        divisor = np.where(scale > 0, scale, np.float32(1))
        numbers[:, part * PART : (part + 1) * PART] = np.rint(own / divisor[:, None])
        scales[:, part] = scale
    return numbers, scales


class VectorWriter:
    """Writes the vectors of a segment block by block; use as a context manager.

    Parameters
    ----------
    folder : Path
    kind : str
        One of `KINDS`.
    shape : (int, int)
        Vectors and dimensions.
    done : int
        Go on after so many vectors.

    Raises
    ------
    FolderError
        There are fewer than are said to be done.
    """

    def __init__(self, folder: Path, kind: str, shape: tuple[int, int], done: int = 0) -> None:
        self._writers = [ArrayWriter(folder / NUMBERS[kind], np.dtype(kind), shape, done)]
        if kind == "int8":
            parts = (shape[0], -(-shape[1] // PART))
            try:
                scales = ArrayWriter(folder / SCALES, np.dtype(np.float32), parts, done)
            except BaseException:
                self.close()
                raise
            self._writers.append(scales)

    def __enter__(self) -> VectorWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, vectors: Float32) -> None:
        """Write the next vectors."""
        if len(self._writers) == 1:
            self._writers[0].append(vectors.astype(np.float16))
            return
        numbers, scales = quantised(vectors)
        self._writers[0].append(numbers)
        self._writers[1].append(scales)

    def flush(self) -> None:
        """Bring all to disk."""
        for writer in self._writers:
            writer.flush()

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers:
            writer.close()


@dataclass(frozen=True)
class Vectors:
    """Stored vectors.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    numbers : (n, d) float16 or int8
    scales : (n, ceil(d / PART)) float32
        Of 8-bit numbers; (n, 0) otherwise.
    """

    kind: str
    numbers: Numbers
    scales: Float32

    @classmethod
    def open(cls, folder: Path, count: int) -> Vectors:
        """Open the vectors of a segment, memory-mapped.

        Raises
        ------
        FolderError
            A file is damaged, or of another number of vectors.
        """
        kind = next((k for k in KINDS if (folder / NUMBERS[k]).exists()), KINDS[0])
        numbers: Numbers = mapped_array(folder / NUMBERS[kind])
        scales: Float32 = np.empty((count, 0), np.float32)
        if kind == "int8":
            scales = mapped_array(folder / SCALES)
        if not len(numbers) == len(scales) == count:
            raise FolderError(
                folder, f"holds not the {count:,} vectors of its rows", advice="build it again"
            )
        return cls(kind, numbers, scales)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of its files."""
        return (NUMBERS[self.kind], *([SCALES] if self.kind == "int8" else []))

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.numbers.shape[1])

    def take(self, places: Int64) -> Float32:
        """Return (p, d) float32: some vectors, as they are stored (of about length 1)."""
        if self.kind == "int8":
            wide = np.empty((len(places), self.dim), np.float32)
            _widen(self.numbers, self.scales, places, wide)
            return wide
        return self.numbers[places].astype(np.float32)

    def release(self) -> None:
        """Give back the memory that reading through all of it took; what is needed is read again.

        Pages of a mapped file count as a process's own while it holds them.
        """
        for array in (self.numbers, self.scales):
            advise(array, mmap.MADV_DONTNEED)


@njit(nogil=True, cache=True)
def _widen(numbers: Int8, scales: Float32, places: Int64, wide: Float32) -> None:
    """Write 8-bit vectors at some places as float32, in one pass over both."""
    for i in range(len(places)):
        place = places[i]
        for part in range(scales.shape[1]):
            scale = scales[place, part]
            for j in range(part * PART, min((part + 1) * PART, numbers.shape[1])):
                wide[i, j] = numbers[place, j] * scale
