"""How gradients change a model: optimizers, and their rates from step to step. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqsearch.errors import SettingsError

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("line", "cosine", "one-cycle", "constant")
# torch's defaults for OneCycleLR, which BarcodeBERT takes over: the rate rises for 30 % of the
# steps from a 25th, and falls to a 10,000th of that; momentum falls from .95 to .85 and rises.
RISING, BEGIN, END = 0.3, 1 / 25, 1e-4 / 25
CALM, BUSY = 0.95, 0.85


@dataclass(frozen=True)
class Descent:
    """An optimizer and its schedule.

    Attributes
    ----------
    optimizer : str
        One of `OPTIMIZERS`.
    schedule : str
        "line": warm-up, then a straight line to 0; "cosine": warm-up, then half a cosine to 0;
        "one-cycle": up and down along cosines, momentum against it (Smith and Topin 2017, as
        torch's OneCycleLR); "constant": warm-up, then no change.
    warmup : int
        Steps over which the rate rises; of no meaning to one-cycle.
    momentum, second, eps : float
        beta1 (momentum of sgd), beta2 and epsilon; one-cycle has its own momentum.
    weight_decay : float
        Of matrices; biases and normalisations have none.
    clip : float
        Largest norm of a gradient; 0: any.
    accumulate : int
        Batches whose gradients are averaged for a step.
    scaled_from : int
        The learning rate is for so many sequences a step, and in proportion for others; 0: it is
        for any number.
    """

    optimizer: str = "adam"
    schedule: str = "line"
    warmup: int = 100
    momentum: float = 0.9
    second: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip: float = 0.0
    accumulate: int = 1
    scaled_from: int = 0

    def __post_init__(self) -> None:
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise SettingsError(name, getattr(self, name), ", ".join(known))
        for name in ("momentum", "second"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(name, getattr(self, name), "a number in [0, 1)")
        for name in ("warmup", "weight_decay", "clip", "scaled_from"):
            if getattr(self, name) < 0:
                raise SettingsError(name, getattr(self, name), "0 or more")
        if self.accumulate < 1:
            raise SettingsError("accumulate", self.accumulate, "1 or more")

    def rate_at(self, step: int, steps: int) -> float:
        """Return the factor of the learning rate at a step.

        >>> descent = Descent(warmup=2)
        >>> [round(descent.rate_at(step, 10), 2) for step in (0, 1, 5, 9)]
        [0.5, 0.9, 0.5, 0.1]
        """
        if self.schedule == "one-cycle":
            return _between(step, steps, BEGIN, 1.0, END)
        warm = min(1.0, (step + 1) / max(self.warmup, 1))
        if self.schedule == "constant":
            return warm
        if self.schedule == "line":
            return warm * (1 - step / steps)
        if step < self.warmup:
            return warm
        behind = (step - self.warmup) / max(1, steps - self.warmup)
        return (1 + math.cos(math.pi * behind)) / 2

    def momentum_at(self, step: int, steps: int) -> float:
        """Return beta1, or the momentum of sgd, at a step."""
        if self.schedule == "one-cycle":
            return _between(step, steps, CALM, BUSY, CALM)
        return self.momentum

    def scale(self, at_once: int) -> float:
        """Return the factor of the learning rate for so many sequences a step."""
        return at_once / self.scaled_from if self.scaled_from else 1.0

    def optimizer_of(self, model: nn.Module) -> Optimizer:
        """Make the optimizer of the parameters that learn."""
        from torch import optim  # noqa: PLC0415  recipes are read without torch

        learning = [one for one in model.parameters() if one.requires_grad]
        groups: list[dict[str, Any]] = [{"params": learning}]
        if self.weight_decay:
            groups = [
                {"params": [one for one in learning if one.ndim > 1]},
                {"params": [one for one in learning if one.ndim <= 1], "weight_decay": 0.0},
            ]
            groups = [group for group in groups if group["params"]]
        decay, betas = self.weight_decay, (self.momentum, self.second)
        if self.optimizer == "sgd":
            return optim.SGD(groups, lr=1.0, momentum=self.momentum, weight_decay=decay, fused=True)
        kind = optim.AdamW if self.optimizer == "adamw" else optim.Adam
        return kind(groups, lr=1.0, betas=betas, eps=self.eps, weight_decay=decay, fused=True)

    def set_step(self, optimizer: Optimizer, rate: float, step: int, steps: int) -> None:
        """Set the rates of a step; `rate` is the highest."""
        momentum = self.momentum_at(step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * self.rate_at(step, steps)
            if "betas" in group:
                group["betas"] = (momentum, self.second)
            else:
                group["momentum"] = momentum


def _between(step: int, steps: int, first: float, middle: float, last: float) -> float:
    """Return a value on two halves of a cosine, from first to middle to last."""
    top = RISING * steps - 1
    if step <= top:
        return _eased(first, middle, step / top)
    return _eased(middle, last, (step - top) / (steps - 1 - top))


def _eased(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
