"""What every encoder offers, and the folder it is saved as."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_of
from safetensors.numpy import save as bytes_of

from seqsearch.devices.choice import Devices
from seqsearch.devices.vectors import DeviceVectors, Vectors
from seqsearch.dna.batch import SequenceBatch
from seqsearch.errors import FolderError, MissingExtraError
from seqsearch.tables import Bool, Float32, Int32, whole_file, write_json

FAMILIES = {
    "spectrum": "seqsearch.encoders.spectrum:Spectrum",
    "kmerbag": "seqsearch.encoders.kmerbag:KmerBag",
    "hybrid": "seqsearch.encoders.hybrid:Hybrid",
    "barcodebert": "seqsearch.encoders.barcodebert:BarcodeBert",
    "metaberta": "seqsearch.encoders.metaberta:MetaBerta",
    "cnn": "seqsearch.encoders.cnn:Cnn",
    "hf": "seqsearch.encoders.hf:HubEncoder",
}
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
COMPANIONS = ("card.md", "trained_on.safetensors")  # that go where an encoder goes
TOKENIZER = ("tokenizer_config.json", "tokenizer.json")  # for transformers
# A cosine of word counts falls where lengths differ, though one sequence lies within the other: for
# random words by the root of the quotient. Chosen on held-out references (scripts/tune_vote.py).
WORD_EXPONENT = 0.2
REMOTE_CODE = ("auto_map", "custom_pipelines", "trust_remote_code")  # keys of a configuration
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
Array = np.ndarray[Any, Any]
Tensors = dict[str, Array]
Shapes = Mapping[str, tuple[str, tuple[int, ...]]]  # name to dtype and shape


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


def config_hash(config: dict[str, Any]) -> str:
    """Return the SHA-256 of a configuration, the same whatever the order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def tensors_hash(tensors: Mapping[str, Array]) -> str:
    """Return the SHA-256 of tensors: their names, types, shapes and numbers."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.asarray(tensors[name], order="C")
        found.update(f"{name} {tensor.dtype} {tensor.shape};".encode())
        found.update(tensor.data)
    return found.hexdigest()


def family_class(family: str) -> Any:
    """Return the class of a family, importing it now.

    Raises
    ------
    MissingExtraError
        It needs torch or transformers, which is not installed.
    """
    module, _, name = FAMILIES[family].partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == "seqsearch":
            raise
        raise MissingExtraError(
            f"{error.name}, which encoders of family {family} need,", "models"
        ) from error


def make_encoder(config: dict[str, Any], tensors: Tensors, threads: int) -> Encoder:
    """Make the encoder that a saved configuration and its tensors describe.

    Raises
    ------
    ValueError
        The configuration is of no family known here, odd, asks for code of its own, or the tensors
        are not its own.
    MissingExtraError
        The family needs a library that is not installed.
    """
    check_no_code(config)
    family = str(config.get("family"))
    if "family" not in config and "model_type" in config:
        raise ValueError("its config.json is of transformers, not of an encoder; give hf:FOLDER")
    if family not in FAMILIES:
        raise ValueError(
            f"encoder family {config.get('family')!r} is not known to this version; "
            f"it knows {', '.join(FAMILIES)}"
        )
    cls = family_class(family)
    try:
        encoder: Encoder = cls.from_saved(config, tensors, threads)
    except KeyError as error:
        raise ValueError(f"the configuration of this {family} lacks {error}") from error
    except TypeError as error:
        raise ValueError(f"not the configuration of a {family} ({error})") from error
    return encoder


def check_no_code(config: Mapping[str, Any]) -> None:
    """Raise `ValueError` where a configuration asks for code from a hub, which is never run."""
    asked = [name for name in REMOTE_CODE if config.get(name)]
    if asked:
        raise ValueError(f"it asks for code of its own ({', '.join(asked)}), which is never run")


def save_encoder(folder: Path, config: dict[str, Any], tensors: Mapping[str, Array]) -> None:
    """Write `config.json`, and `model.safetensors` where there are tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    if tensors:
        save_tensors(tensors, folder / WEIGHTS)
    write_json(config, folder / CONFIG)


def clear_encoder(folder: Path) -> None:
    """Delete what makes a folder an encoder, and what is said of it; `config.json` first."""
    for name in (CONFIG, WEIGHTS, *COMPANIONS, *TOKENIZER):
        (folder / name).unlink(missing_ok=True)


def save_tensors(tensors: Mapping[str, Array], path: Path) -> None:
    """Write a safetensors file whole or not at all."""
    with whole_file(path) as temporary:
        ordered = {name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}
        temporary.write_bytes(bytes_of(ordered))


def check_no_pickle(path: Path) -> None:
    """Raise `FolderError` where a path is a pickle, or a folder with no tensors but in one.

    Pickles can run code when they are read; the sentence names the command that reads their tensors
    alone.
    """
    found = [path] if path.is_file() else sorted(path.glob("*"))
    pickles = [one for one in found if one.suffix in PICKLES]
    if pickles and not (path / WEIGHTS).is_file():
        raise FolderError(
            pickles[0],
            "pickles are not read, because they can run code",
            advice=f"seqsearch convert {pickles[0]} -o FOLDER reads its tensors alone",
        )


def read_config(folder: Path) -> dict[str, Any]:
    """Read `config.json`.

    Raises
    ------
    FolderError
        It is not there or not JSON; or a pickle is in its place.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        check_no_pickle(folder)
        raise FolderError(folder, "not an encoder folder (no config.json)") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise FolderError(path, "not valid JSON") from error
    if not isinstance(config, dict):
        raise FolderError(path, "not an encoder's configuration")
    return config


def read_encoder(folder: Path, threads: int) -> Encoder:
    """Make the encoder of a folder.

    Raises
    ------
    FolderError
        It is none, damaged, of a family this version does not know, or has its tensors only in a
        pickle, which could run code when it is read.
    """
    config, weights = read_config(folder), folder / WEIGHTS
    tensors = read_safetensors(weights) if weights.exists() else {}
    try:
        return make_encoder(config, tensors, threads)
    except ValueError as error:
        check_no_pickle(folder)
        raise FolderError(folder, str(error)) from error


def read_safetensors(path: Path) -> Tensors:
    """Read a safetensors file; raises `FolderError` where it is none."""
    try:
        tensors: Tensors = tensors_of(path.read_bytes())
    except KeyError as error:
        raise FolderError(path, f"holds numbers of a type that numpy has not ({error})") from error
    except (SafetensorError, ValueError) as error:
        raise FolderError(path, f"not a readable safetensors file ({error})") from error
    return tensors


def check_tensors(tensors: Mapping[str, Array], expected: Shapes) -> None:
    """Raise `ValueError`, naming the tensors, unless names, types and shapes are as expected."""
    found = {name: (str(tensor.dtype), tensor.shape) for name, tensor in tensors.items()}
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is not of this model" for name in found if name not in expected]
    problems += [
        f"{name} is {found[name][0]} {list(found[name][1])}, expected {kind} {list(shape)}"
        for name, (kind, shape) in expected.items()
        if name in found and found[name] != (kind, tuple(shape))
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError("the tensors do not fit: " + "; ".join(problems[:5]) + more)
