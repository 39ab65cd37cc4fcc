"""The folder that an encoder is saved as: written, read, and cleared."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqsearch.encoders.base import Encoder
from seqsearch.encoders.tensors import Array, Tensors, read_safetensors, save_tensors
from seqsearch.errors import FolderError, MissingExtraError
from seqsearch.tables import write_json

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
REMOTE_CODE = ("auto_map", "custom_pipelines", "trust_remote_code")  # keys of a configuration
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def config_hash(config: dict[str, Any]) -> str:
    """Return the SHA-256 of a configuration, the same whatever the order of its keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


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
