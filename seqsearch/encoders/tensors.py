"""Tensors by their names: what they should be, and safetensors files of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_of
from safetensors.numpy import save as bytes_of

from seqsearch.errors import FolderError
from seqsearch.tables import whole_file

Array = np.ndarray[Any, Any]
Tensors = dict[str, Array]
Shapes = Mapping[str, tuple[str, tuple[int, ...]]]  # name to dtype and shape


def tensors_hash(tensors: Mapping[str, Array]) -> str:
    """Return the SHA-256 of tensors: their names, types, shapes and numbers."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.asarray(tensors[name], order="C")
        found.update(f"{name} {tensor.dtype} {tensor.shape};".encode())
        found.update(tensor.data)
    return found.hexdigest()


def save_tensors(tensors: Mapping[str, Array], path: Path) -> None:
    """Write a safetensors file whole or not at all."""
    with whole_file(path) as temporary:
        ordered = {name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}
        temporary.write_bytes(bytes_of(ordered))


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
