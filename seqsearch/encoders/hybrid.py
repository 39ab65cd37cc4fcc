"""hybrid: several encoders side by side in one vector.

The inner product of two such vectors is the weighted mean of the parts' cosines: the spectrum tells
near relatives apart, a trained part knows far ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.base import Encoder, Piece, WordEncoder
from seqsearch.encoders.folder import config_hash, make_encoder, save_encoder
from seqsearch.encoders.tensors import Tensors
from seqsearch.errors import SettingsError
from seqsearch.tables import Bool, Float32


@dataclass(frozen=True)
class Hybrid:
    """Parts whose vectors stand one after the other.

    Attributes
    ----------
    parts : sequence of Encoder
    weights : sequence of float
        Share of each part in the similarity; positive, their sum is 1.
    label : str
        What it is called.
    """

    parts: Sequence[Encoder]
    weights: Sequence[float]
    label: str = "trained"

    family: ClassVar[str] = "hybrid"

    def __post_init__(self) -> None:
        weights = list(self.weights)
        if len(weights) != len(self.parts) or min(weights, default=0) <= 0:
            raise SettingsError("weights", weights, f"{len(self.parts)} positive numbers")
        if abs(sum(weights) - 1) > 1e-6:
            raise SettingsError("weights", weights, "numbers that sum to 1")

    @classmethod
    def from_saved(cls, config: dict[str, Any], tensors: Tensors, threads: int = 0) -> Hybrid:
        """Make the parts of a configuration; tensors are named `NUMBER.NAME` by their part."""
        parts = []
        for number, part in enumerate(config["parts"]):
            start = f"{number}."
            own = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
            parts.append(make_encoder(part, own, threads))
        return cls(parts, [float(weight) for weight in config["weights"]], str(config["label"]))

    @property
    def name(self) -> str:
        """Label and dimensions."""
        return f"{self.label}-d{self.dim}"

    @property
    def dim(self) -> int:
        """Length of a vector: that of all parts."""
        return sum(part.dim for part in self.parts)

    @property
    def max_length(self) -> int | None:
        """Bases taken in at once by every part."""
        known = [part.max_length for part in self.parts if part.max_length is not None]
        return min(known, default=None)

    @property
    def device(self) -> str:
        """Where the first part runs."""
        return self.parts[0].device

    @property
    def leading(self) -> int:
        """First dimensions that find relatives by themselves."""
        return self.parts[0].leading

    @property
    def is_strand_free(self) -> bool:
        """Whether both strands of a sequence have the same vector."""
        return all(part.is_strand_free for part in self.parts)

    @property
    def length_exponent(self) -> float:
        """That of the part whose cosines fall most where lengths differ."""
        return max(part.length_exponent for part in self.parts)

    @property
    def content_hash(self) -> str:
        """SHA-256 of what decides the vectors."""
        hashes = [part.content_hash for part in self.parts]
        settings = {"family": self.family, "label": self.label, "weights": list(self.weights)}
        return config_hash(settings | {"parts": hashes})

    def encode(self, batch: SequenceBatch) -> Float32:
        """Return (n, dim) float32, L2-normalised; zeros where any part sees nothing."""
        vectors = np.empty((len(batch), self.dim), np.float32)
        at = 0
        for part, weight in zip(self.parts, self.weights, strict=True):
            np.multiply(
                part.encode(batch), np.float32(np.sqrt(weight)), out=vectors[:, at : at + part.dim]
            )
            at += part.dim
        vectors[~self.encodable(batch)] = 0
        return vectors

    def encodable(self, batch: SequenceBatch) -> Bool:
        """Return (n,) bool: whether every part sees something in a sequence."""
        return np.logical_and.reduce([part.encodable(batch) for part in self.parts])

    def why_not(self) -> str:
        """Say what a sequence lacks that is not encodable."""
        return max((part.why_not() for part in self.parts), key=len)

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`, which hold those of all parts."""
        save_encoder(folder, self.as_config(), self.as_tensors())

    def pieces(self) -> tuple[Piece, ...]:
        """Return what its vectors are made of; see `WordEncoder`.

        Raises
        ------
        ValueError
            A part is no sum over words.
        """
        found: list[Piece] = []
        for part, weight in zip(self.parts, self.weights, strict=True):
            if not isinstance(part, WordEncoder):
                raise ValueError(f"{part.name} is no sum over words")
            length = float(np.sqrt(weight))
            found += [replace(piece, factor=piece.factor * length) for piece in part.pieces()]
        return tuple(found)

    def as_tensors(self) -> Tensors:
        """Return what `model.safetensors` holds."""
        return {
            f"{number}.{name}": tensor
            for number, part in enumerate(self.parts)
            for name, tensor in part.as_tensors().items()
        }

    def as_config(self) -> dict[str, Any]:
        """Return what `config.json` holds."""
        return {
            "family": self.family,
            "label": self.label,
            "weights": list(self.weights),
            "parts": [part.as_config() for part in self.parts],
        }
