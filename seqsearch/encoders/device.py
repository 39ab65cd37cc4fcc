"""Vectors made on GPUs: what the families do on the CPU, as operations on tensors. Imports torch.

Bytes are copied to the device once; codes, words, counts, sums and norms are made there. Sums over
words are whole numbers below 2^53, exact in float64 in any order, so that vectors are those of the
compiled loops but for the last bit of a norm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from seqsearch.devices.choice import Devices
from seqsearch.devices.lane import Handed, Lane
from seqsearch.devices.vectors import DeviceVectors, shares
from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.word_tensors import BaseTensors, WordTensors, count_words
from seqsearch.dna.words import ROOT_BITS
from seqsearch.encoders.base import (
    DeviceMaker,
    Encoder,
    Piece,
    PlaceableEncoder,
    WordEncoder,
    WordSketch,
    WordTable,
)
from seqsearch.encoders.tensors import Tensors
from seqsearch.tables import Bool, Float32, Int64

BASES = 1 << 24  # encoded at once on a device: some 2 GB


class DeviceEncoder:
    """An encoder whose vectors are made on GPUs; all else is asked of the encoder itself.

    Parameters
    ----------
    encoder : Encoder
        A `WordEncoder` or `PlaceableEncoder` too.
    devices : tuple of str
        As torch names them; each takes its share of a batch.

    Raises
    ------
    ValueError
        Its vectors are not sums over words, and it runs on no device by itself.
    """

    def __init__(self, encoder: Encoder, devices: Devices) -> None:
        self._encoder, self.devices = encoder, devices
        self._makers: list[DeviceMaker]
        if isinstance(encoder, PlaceableEncoder):
            self._makers = [encoder.maker(device) for device in devices]
        else:
            pieces = _pieces_of(encoder)
            self._makers = [Maker(pieces, encoder.dim, device) for device in devices]
        self._pool = ThreadPoolExecutor(len(devices))
        self.device = devices[0].partition(":")[0]

    @property
    def name(self) -> str:
        """Family and what tells it from others."""
        return self._encoder.name

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._encoder.dim

    @property
    def max_length(self) -> int | None:
        """Bases taken in at once; None: any."""
        return self._encoder.max_length

    @property
    def leading(self) -> int:
        """First dimensions that find relatives by themselves."""
        return self._encoder.leading

    @property
    def is_strand_free(self) -> bool:
        """Whether both strands of a sequence have the same vector."""
        return self._encoder.is_strand_free

    @property
    def length_exponent(self) -> float:
        """Power of the lengths' quotient that cosines are multiplied with."""
        return self._encoder.length_exponent

    @property
    def content_hash(self) -> str:
        """SHA-256 of what decides the vectors."""
        return self._encoder.content_hash

    def encode(self, batch: SequenceBatch) -> Float32:
        """Return (n, dim) float32, L2-normalised; see `Encoder`."""
        parts = [
            maker.fetch(part)
            for maker, part in zip(self._makers, self.resident(batch).parts, strict=True)
        ]
        return np.concatenate(parts)

    def resident(self, batch: SequenceBatch) -> DeviceVectors:
        """Return the same, left on the devices."""
        pieces = [batch.slice(start, stop) for start, stop in shares(len(batch), len(self._makers))]
        made = self._pool.map(lambda maker, piece: maker.make(piece), self._makers, pieces)
        return DeviceVectors(tuple(made))

    def pieces(self) -> tuple[Piece, ...]:
        """Return what its vectors are made of; see `WordEncoder`."""
        return _pieces_of(self._encoder)

    def encodable(self, batch: SequenceBatch) -> Bool:
        """Return (n,) bool: whether a sequence holds anything that this encoder can see."""
        return self._encoder.encodable(batch)

    def why_not(self) -> str:
        """Say what a sequence lacks that is not encodable."""
        return self._encoder.why_not()

    def save(self, folder: Path) -> None:
        """Write the folder that `load_encoder` reads."""
        self._encoder.save(folder)

    def as_config(self) -> dict[str, Any]:
        """Return what `config.json` holds."""
        return self._encoder.as_config()

    def as_tensors(self) -> Tensors:
        """Return what `model.safetensors` holds."""
        return self._encoder.as_tensors()


class Maker:
    """Makes vectors on one device.

    Parameters
    ----------
    pieces : sequence of Piece
    dim : int
    device : str
    """

    def __init__(self, pieces: Sequence[Piece], dim: int, device: str) -> None:
        self._lane, self._dim = Lane(device), dim
        with self._lane.working():
            self._pieces = [DevicePiece(piece, self._lane) for piece in pieces]

    def make(self, batch: SequenceBatch) -> Handed:
        """Return (n, dim) float32 for another lane; does not wait until it is complete."""
        with self._lane.working():
            vectors = torch.zeros((len(batch), self._dim), device=self._lane.device)
            for start, stop in _runs(batch.offsets, BASES):
                self._fill(batch.slice(start, stop), vectors[start:stop])
            return self._lane.hand_over(vectors)

    def fetch(self, made: Handed) -> Float32:
        """Copy vectors to the host."""
        with self._lane.working():
            return self._lane.take(made).cpu().numpy()

    def _fill(self, batch: SequenceBatch, vectors: Tensor) -> None:
        bases = BaseTensors.of(batch, self._lane)
        counted: dict[str, WordTensors] = {}  # two pieces may count the same words
        seen = torch.ones(len(batch), dtype=torch.bool, device=vectors.device)
        at = 0
        for piece in self._pieces:
            for pattern in piece.patterns:
                if pattern not in counted:
                    counted[pattern] = count_words(bases, pattern)
            own = vectors[:, at : at + piece.dim]
            own.copy_(piece.vectors([counted[pattern] for pattern in piece.patterns]))
            ends = [counted[pattern].offsets for pattern in piece.patterns]
            seen &= torch.stack([end[1:] > end[:-1] for end in ends]).any(0)
            at += piece.dim
        vectors *= seen[:, None]


class DevicePiece:
    """The tables of a piece on a device, and the sums over them."""

    def __init__(self, piece: Piece, lane: Lane) -> None:
        self.patterns = [one.pattern for one in piece.sums]
        self.dim = _dim(piece.sums[0])
        self._factor = np.float32(piece.factor).item()
        self._sums: list[_Table | _Sketch] = [
            _Table(one, lane) if isinstance(one, WordTable) else _Sketch(one, lane)
            for one in piece.sums
        ]

    def vectors(self, words: Sequence[WordTensors]) -> Tensor:
        """Return (n, dim) float32 of the piece's length; zeros where a sequence has no word."""
        total = self._sums[0].of(words[0])
        for one, own in zip(self._sums[1:], words[1:], strict=True):
            total = total + one.of(own)
        scale = total.double().square().sum(1, keepdim=True).sqrt().reciprocal()
        scale = torch.where(torch.isinf(scale), 0.0, scale)  # no word
        if total.dtype == torch.float32:  # the compiled loops round a bag's scale too
            scale = scale.float()
        return (total * scale).float() * self._factor


class _Table:
    """A `WordTable` on a device."""

    def __init__(self, table: WordTable, lane: Lane) -> None:
        self._numbers = lane.upload(table.numbers)
        self._rows = lane.upload(table.rows).double()
        self._scale = lane.upload(table.scale)

    def of(self, words: WordTensors) -> Tensor:
        """Return (n, dim) float32: the sum, each step rounded as the compiled loops round it."""
        total = functional.embedding_bag(
            self._numbers[words.word].long(),
            self._rows,
            words.offsets,
            mode="sum",
            per_sample_weights=words.root.double(),
            include_last_offset=True,
        )
        return self._scale * total.float() / float(1 << ROOT_BITS)


class _Sketch:
    """A `WordSketch` on a device."""

    def __init__(self, sketch: WordSketch, lane: Lane) -> None:
        self._places, self._signs = lane.upload(sketch.places), lane.upload(sketch.signs)
        self._dim = sketch.dim

    def of(self, words: WordTensors) -> Tensor:
        """Return (n, dim) float64: the sum, in whole numbers."""
        total = torch.zeros(
            (len(words.offsets) - 1) * self._dim, dtype=torch.int64, device=words.word.device
        )
        places = words.sequence * self._dim + self._places[words.word]
        total.scatter_add_(0, places, words.root * self._signs[words.word])
        return total.view(-1, self._dim).double()


def _pieces_of(encoder: Encoder) -> tuple[Piece, ...]:
    if not isinstance(encoder, WordEncoder):
        raise ValueError(f"{encoder.name} is no sum over words")
    return encoder.pieces()


def _dim(sums: WordTable | WordSketch) -> int:
    return sums.dim if isinstance(sums, WordSketch) else int(sums.rows.shape[1])


def _runs(offsets: Int64, most: int) -> Iterator[tuple[int, int]]:
    """Yield from where to where sequences have at most so many bases; a longer one goes alone."""
    start = 0
    while start < len(offsets) - 1:
        stop = int(np.searchsorted(offsets, offsets[start] + most, side="right")) - 1
        stop = max(stop, start + 1)
        yield start, stop
        start = stop
