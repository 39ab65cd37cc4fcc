"""What every encoder offers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from seqsearch.devices.choice import Devices
from seqsearch.devices.vectors import DeviceVectors, Vectors
from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.tensors import Array, Tensors
from seqsearch.tables import Bool, Float32, Int32

# A cosine of word counts falls where lengths differ, though one sequence lies within the other: for
# random words by the root of the quotient. Chosen on held-out references (scripts/tune_vote.py).
WORD_EXPONENT = 0.2


class Encoder(Protocol):
    """Turns sequences into vectors whose inner product says how alike they are.

    Attributes
    ----------
    name : str
        Family and what tells this one from others of it.
    dim : int
        Length of a vector.
    max_length : int or None
        Bases it can take in at once; None for any.
    device : str
        Where it runs.
    leading : int
        How many of the first dimensions find relatives by themselves; `dim` where no fewer do.
    is_strand_free : bool
        A sequence and its reverse complement have the same vector (but for rounding).
    length_exponent : float
        What cosines are multiplied with for a search, to make up for what they lose where lengths
        differ: the quotient of the lengths to this power.
    content_hash : str
        SHA-256 of everything that decides its vectors.
    """

    @property
    def name(self) -> str:
        """Family and what tells it from others."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def max_length(self) -> int | None:
        """Bases taken in at once; None: any."""
        ...

    @property
    def device(self) -> str:
        """Where it runs."""
        ...

    @property
    def leading(self) -> int:
        """First dimensions that find relatives by themselves."""
        ...

    @property
    def is_strand_free(self) -> bool:
        """Whether both strands of a sequence have the same vector."""
        ...

    @property
    def length_exponent(self) -> float:
        """Power of the lengths' quotient that cosines are multiplied with."""
        ...

    @property
    def content_hash(self) -> str:
        """SHA-256 of what decides the vectors."""
        ...

    def encode(self, batch: SequenceBatch) -> Float32:
        """Return (n, dim) float32, L2-normalised; a row of zeros where nothing can be encoded."""
        ...

    def encodable(self, batch: SequenceBatch) -> Bool:
        """Return (n,) bool: whether a sequence holds anything that this encoder can see."""
        ...

    def why_not(self) -> str:
        """Say what a sequence lacks that is not encodable."""
        ...

    def save(self, folder: Path) -> None:
        """Write the folder that `load_encoder` reads."""
        ...

    def as_config(self) -> dict[str, Any]:
        """Return what `config.json` holds."""
        ...

    def as_tensors(self) -> Tensors:
        """Return what `model.safetensors` holds; none where nothing is learned."""
        ...


@dataclass(frozen=True)
class WordTable:
    """A sum over words: of each, the root of its count times a row of a table.

    Attributes
    ----------
    pattern : str
    numbers : (4^weight,) int32
        The row of each word.
    rows : (words, dim) int8
    scale : (dim,) float32
        What one of a column counts.
    """

    pattern: str
    numbers: Int32
    rows: Array
    scale: Float32


@dataclass(frozen=True)
class WordSketch:
    """A sum over words: the root of each one's count, signed, at one of `dim` places.

    Attributes
    ----------
    pattern : str
    places : (4^weight,) int32
    signs : (4^weight,) int8
        1 or -1.
    dim : int
    """

    pattern: str
    places: Int32
    signs: Array
    dim: int


@dataclass(frozen=True)
class Piece:
    """Dimensions of a vector that are made, and normalised, by themselves.

    Attributes
    ----------
    sums : tuple of WordTable, or of one WordSketch
        What is added up; none of its words in a sequence: the whole vector is zero.
    factor : float
        Length of the piece in the vector.
    """

    sums: tuple[WordTable, ...] | tuple[WordSketch]
    factor: float = 1.0


@runtime_checkable
class WordEncoder(Protocol):
    """An encoder whose vectors are sums over words, which another device can make too."""

    def pieces(self) -> tuple[Piece, ...]:
        """Return what its vectors are made of, in the order of the dimensions."""
        ...


class DeviceMaker(Protocol):
    """Makes the vectors of an encoder on one device."""

    def make(self, batch: SequenceBatch) -> Any:
        """Return (n, dim) float32, a `Handed`; does not wait until it is complete."""
        ...

    def fetch(self, made: Any) -> Float32:
        """Copy vectors to the host."""
        ...


@runtime_checkable
class PlaceableEncoder(Protocol):
    """An encoder that runs on any device by itself, as networks do."""

    def maker(self, device: str) -> DeviceMaker:
        """Return what makes its vectors on a device, as torch names it."""
        ...


@runtime_checkable
class ResidentEncoder(Protocol):
    """An encoder on GPUs, where vectors can stay."""

    devices: Devices

    def resident(self, batch: SequenceBatch) -> DeviceVectors:
        """Return what `encode` returns, left where it was made."""
        ...


def vectors_of(encoder: Encoder, batch: SequenceBatch) -> Vectors:
    """Return vectors for a search on the encoder's device, where they stay."""
    if isinstance(encoder, ResidentEncoder):
        return encoder.resident(batch)
    return encoder.encode(batch)


def devices_under(encoder: Encoder) -> Devices:
    """Return the GPUs that an encoder runs on; none: the CPU."""
    return encoder.devices if isinstance(encoder, ResidentEncoder) else ()
