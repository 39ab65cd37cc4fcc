"""What every encoder offers, and the folder it is saved as."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Protocol

from seqsearch.dna.batch import SequenceBatch
from seqsearch.errors import FolderError
from seqsearch.tables import Bool, Float32, write_json

CONFIG = "config.json"


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


def config_hash(config: dict[str, Any]) -> str:
    """Return the SHA-256 of a configuration, the same whatever the order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def save_config(folder: Path, config: dict[str, Any]) -> None:
    """Write `config.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(config, folder / CONFIG)


def read_config(folder: Path) -> dict[str, Any]:
    """Read `config.json`.

    Raises
    ------
    FolderError
        It is not there or not JSON.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise FolderError(folder, "not an encoder folder (no config.json)") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise FolderError(path, "not valid JSON") from error
    if not isinstance(config, dict):
        raise FolderError(path, "not an encoder's configuration")
    return config
