"""Where a killed training goes on: model, optimizer and step, without pickles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from seqsearch.errors import FolderError
from seqsearch.tables import whole_file

NAME = "checkpoint.safetensors"


@dataclass(frozen=True)
class Progressed:
    """How far a training has come.

    Attributes
    ----------
    step : int
        Steps done.
    seconds : float
        Spent on them.
    loss : float
        Mean of the last of them.
    """

    step: int = 0
    seconds: float = 0.0
    loss: float = float("nan")


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    identity: dict[str, Any],
    progressed: Progressed,
) -> None:
    """Write a checkpoint whole or not at all; `identity` says what is being trained on what."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": value for key, value in state.items()}
    about = {
        "identity": json.dumps(identity, sort_keys=True),
        "step": str(progressed.step),
        "seconds": str(progressed.seconds),
        "loss": str(progressed.loss),
    }
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with whole_file(folder / NAME) as temporary:
        save_file(plain, temporary, about)


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, identity: dict[str, Any]
) -> Progressed:
    """Fill model and optimizer; nothing done where there is no checkpoint.

    Raises
    ------
    FolderError
        It is damaged, of another training, or does not fit the model (the tensors are named).
    """
    path = folder / NAME
    if not path.exists():
        return Progressed()
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict, and iterates over nothing
        was = json.loads(about["identity"])
        progressed = Progressed(int(about["step"]), float(about["seconds"]), float(about["loss"]))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FolderError(
            path, f"not a readable checkpoint ({error})", advice="train again with --overwrite"
        ) from error
    differing = [key for key in identity if was.get(key) != identity[key]]
    if differing:
        raise FolderError(
            path,
            f"of another training ({', '.join(differing)} differ)",
            advice="give the same settings and libraries, or --overwrite",
        )
    state = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise FolderError(path, f"does not fit the model: {error}") from error
    optimizer.load_state_dict(_optimizer_state(tensors, optimizer))
    return progressed


def _optimizer_state(
    tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".", 2)
            states.setdefault(int(number), {})[key] = tensor
    return {"state": states, "param_groups": optimizer.state_dict()["param_groups"]}
