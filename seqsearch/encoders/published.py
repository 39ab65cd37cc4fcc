"""Checkpoints as their authors' code wrote them, read without running any of it. Imports torch."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from re import search
from typing import Any
from warnings import catch_warnings

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from seqsearch.encoders.folder import CONFIG, PICKLES, WEIGHTS, check_no_code, read_config
from seqsearch.encoders.network import Published
from seqsearch.encoders.tensors import Tensors
from seqsearch.errors import FolderError

TRAINER = "pytorch_model.bin"  # what transformers wrote before safetensors
DISTRIBUTED = "module."  # before all names, where several GPUs trained
FILES = f"a checkpoint ({', '.join(PICKLES)}, .safetensors) or a folder with {TRAINER}"


def read_published(path: Path, heads: int | None = None) -> Published:
    """Read a checkpoint file, or a folder as transformers writes it.

    Pickles are read by torch with `weights_only`, which makes tensors, plain Python data, and the
    settings of a command line (argparse.Namespace), and nothing else.

    Parameters
    ----------
    path : Path
    heads : int, optional
        Attention heads, as the user says.

    Raises
    ------
    FolderError
        It is not there, unreadable, holds more than tensors and settings, or the folder asks for
        code of its own.
    """
    if not path.is_dir():
        if not path.is_file():
            raise FolderError(path, "no such file or folder", advice=f"name {FILES}")
        return _published(path, {}, None, heads)
    config = read_config(path)
    weights = next((path / n for n in (WEIGHTS, TRAINER) if (path / n).is_file()), None)
    if weights is None:
        raise FolderError(path, f"neither {WEIGHTS} nor {TRAINER} is in it", advice=f"name {FILES}")
    for name in (CONFIG, "tokenizer_config.json"):
        try:
            check_no_code(json.loads((path / name).read_text()) if (path / name).exists() else {})
        except ValueError as error:
            advice = f"{weights} itself may be converted, where seqsearch knows its architecture"
            raise FolderError(path / name, str(error), advice=advice) from error
    words = sorted(path.glob("*vocab.txt"))
    return _published(weights, config, words[0] if words else None, heads)


def _published(
    weights: Path, config: Mapping[str, Any], words: Path | None, heads: int | None
) -> Published:
    state: Any
    training: Mapping[str, Any] = {}
    if weights.suffix == ".safetensors":
        state = _safe(weights)
    else:
        state = _unpickled(weights)
        if isinstance(state, Mapping) and isinstance(state.get("model"), Mapping):
            config = state.get("bert_config") or config
            training = _plain(state.get("config"))
            state = state["model"]
    return Published(
        _tensors_of(weights, state),
        config,
        training,
        None if words is None else words.read_text().split(),
        heads,
    )


def _safe(path: Path) -> Mapping[str, Tensor]:
    """Read a safetensors file by torch, which knows bfloat16; numpy does not."""
    try:
        return load(path.read_bytes())
    except (SafetensorError, ValueError) as error:
        raise FolderError(path, f"not a readable safetensors file ({error})") from error


def _nothing(*_: Any) -> None:
    """Stand in for what a checkpoint names and no encoder needs."""


# By older versions of torch, the state of BarcodeBERT's scheduler names a method of it, by getattr.
STATE_OF_SCHEDULER = [
    (_nothing, "builtins.getattr"),
    (_nothing, "torch.optim.lr_scheduler.OneCycleLR"),
]


def _unpickled(path: Path) -> Any:
    try:
        with (
            torch.serialization.safe_globals([Namespace, *STATE_OF_SCHEDULER]),
            catch_warnings(action="ignore"),  # of protocols of pickles, which an error follows
        ):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, ValueError) as error:
        raise FolderError(
            path,
            f"not a checkpoint that can be read without running code ({_why(error)})",
        ) from error


def _tensors_of(path: Path, state: Any) -> Tensors:
    """Return numpy arrays, floats as float32, by their names on one GPU."""
    if not isinstance(state, Mapping) or not state:
        raise FolderError(path, "no tensors are in it")
    for name, value in state.items():
        problem = "" if isinstance(value, Tensor) else f"{name} is no tensor"
        problem = problem if isinstance(name, str) else f"{name!r} is not the name of a tensor"
        if problem:
            raise FolderError(path, problem, advice="is this a model's state?")
    prefix = DISTRIBUTED if all(name.startswith(DISTRIBUTED) for name in state) else ""
    return {
        name.removeprefix(prefix): (one.float() if one.is_floating_point() else one)
        .detach()
        .numpy()
        for name, one in state.items()
    }


def _plain(settings: Any) -> Mapping[str, Any]:
    if isinstance(settings, Namespace):
        return vars(settings)
    return settings if isinstance(settings, Mapping) else {}


def _why(error: Exception) -> str:
    """Say what torch found; not in its words, which advise to run the code after all."""
    asked = search(r"GLOBAL ([\w.]+)", str(error))
    if asked:
        return f"it needs {asked[1]}"
    if "zip archive" in str(error):
        return "it is damaged or cut off"
    return "torch.save wrote no such file"
