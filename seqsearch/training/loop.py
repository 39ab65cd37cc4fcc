"""The training loop, from the first step to the trained model; tasks say what is learned."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from seqsearch.encoders.base import Encoder
from seqsearch.errors import SettingsError
from seqsearch.threads import prefetch, resolve_threads
from seqsearch.training.checkpoint import Progressed, load_checkpoint, save_checkpoint
from seqsearch.training.recipe import Recipe

AT_ONCE = 20  # steps between looks at the loss
Report = Callable[[int, float], None]  # steps done, mean loss lately


class Task(Protocol):
    """What is learned.

    Attributes
    ----------
    model : torch.nn.Module
        All that learns, on the CPU; its forward is what `loss` calls.
    """

    @property
    def model(self) -> nn.Module:
        """All that learns."""
        ...

    def batch(self, number: int, process: int, /) -> Any:
        """Return a batch, the same whenever it is asked for; made in a thread of its own."""
        ...

    def loss(self, model: nn.Module, batch: Any, device: torch.device, /) -> Tensor:
        """Return () float; `model` is this one's, perhaps wrapped for several processes."""
        ...

    def watch(self) -> dict[str, float]:
        """Return how good the model is on what is kept out, by name."""
        ...

    def encoder(self) -> Encoder:
        """Return the encoder as it is now, a copy."""
        ...


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes
    ----------
    encoder : Encoder
    loss : float
        Mean of the last steps.
    seconds : float
        Spent on steps, those before a resumption included.
    device : str
    processes : int
    """

    encoder: Encoder
    loss: float
    seconds: float
    device: str
    processes: int


def train(
    task_of: Callable[[torch.device], Task],
    recipe: Recipe,
    folder: Path,
    identity: dict[str, Any],
    *,
    device: str,
    threads: int,
    report: Report,
) -> tuple[Task, Trained]:
    """Learn a task; goes on from the folder's checkpoint where there is one.

    Parameters
    ----------
    task_of : callable
        Makes the task, given where it will learn; torch's random numbers are those of the recipe's
        seed then.
    recipe : Recipe
        Its steps are known.
    folder : Path
        Gets `checkpoint.safetensors` and, for TensorBoard, `logs/`.
    identity : dict
        What a checkpoint must agree on.
    device : str
        auto, cpu or cuda.
    threads : int
        Of a training on the CPU; 0 means every core.
    report : callable
        Told of progress.

    Raises
    ------
    SettingsError
        Out of memory (a smaller batch is suggested), or there is no such device.
    FolderError
        The checkpoint is of another training.
    """
    accelerator = _accelerator(device, folder)
    accelerator.wait_for_everyone()  # the first process may have cleared the folder just now
    torch.set_num_threads(resolve_threads(threads))
    torch.manual_seed(recipe.seed)
    task = task_of(accelerator.device)
    optimizer = recipe.descent.optimizer_of(task.model)
    progressed = load_checkpoint(folder, task.model, optimizer, identity)
    model, optimizer = accelerator.prepare(task.model, optimizer)
    running = _Running(task, recipe, accelerator, model, optimizer)
    began, loss = perf_counter(), progressed.loss
    stream = prefetch(running.batches(progressed.step))
    model.train()
    with _memory_errors(recipe):
        for step in range(progressed.step, recipe.steps):
            running.step(step, list(islice(stream, recipe.descent.accumulate)))
            done = step + 1
            if done % AT_ONCE == 0 or done == recipe.steps:
                loss = running.mean_loss()
                rate = recipe.descent.rate_at(step, recipe.steps)
                accelerator.log({"loss": loss, "rate": rate}, step=done)
                report(done, loss)
            if accelerator.is_main_process:
                # Also after the last step: what is measured then may fail, or be cut off.
                if recipe.save_every and (done % recipe.save_every == 0 or done == recipe.steps):
                    now = Progressed(done, progressed.seconds + perf_counter() - began, loss)
                    save_checkpoint(folder, task.model, optimizer.optimizer, identity, now)
                is_due = recipe.validate_every and done % recipe.validate_every == 0
                if is_due and done < recipe.steps:
                    accelerator.log(task.watch(), step=done)
                    model.train()
    seconds = progressed.seconds + perf_counter() - began
    accelerator.end_training()
    name = _device_name(accelerator)
    return task, Trained(task.encoder(), loss, seconds, name, accelerator.num_processes)


class _Running:
    """A task on its device, step by step."""

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: Any,
    ) -> None:
        self._task, self._recipe, self._accelerator = task, recipe, accelerator
        self._model, self._optimizer = model, optimizer
        at_once = recipe.at_once(accelerator.num_processes)
        self._rate = recipe.learning_rate * recipe.descent.scale(at_once)
        self._lately: list[Tensor] = []

    def batches(self, start: int) -> Iterator[Any]:
        """Yield all batches of the steps from `start` on; several make a step."""
        many = self._recipe.descent.accumulate
        for number in range(start * many, self._recipe.steps * many):
            yield self._task.batch(number, self._accelerator.process_index)

    def step(self, step: int, batches: list[Any]) -> None:
        """Change the model once."""
        recipe, accelerator = self._recipe, self._accelerator
        recipe.descent.set_step(self._optimizer, self._rate, step, recipe.steps)
        # What the model draws (dropout) depends on the step alone: resuming changes nothing.
        torch.manual_seed(hash((recipe.seed, step, accelerator.process_index)) % 2**63)
        self._optimizer.zero_grad()
        for batch in batches:
            value = self._task.loss(self._model, batch, accelerator.device)
            accelerator.backward(value / len(batches))
            self._lately.append(value.detach())
        if recipe.descent.clip:
            accelerator.clip_grad_norm_(self._model.parameters(), recipe.descent.clip)
        self._optimizer.step()

    def mean_loss(self) -> float:
        """Return the mean loss since it was asked for last."""
        mean = float(torch.stack(self._lately).mean())
        self._lately.clear()
        return mean


def _accelerator(device: str, folder: Path) -> Accelerator:
    has_cuda = torch.cuda.is_available()
    if device not in ("auto", "cpu", "cuda"):
        raise SettingsError("device", device, "auto, cpu or cuda")
    if device == "cuda" and not has_cuda:
        raise SettingsError("device", device, "cpu (torch sees no CUDA device here)")
    on_gpu = has_cuda and device != "cpu"
    accelerator = Accelerator(
        cpu=not on_gpu,
        mixed_precision="bf16" if on_gpu else "no",
        log_with="tensorboard",
        project_dir=folder,
    )
    accelerator.init_trackers("logs")
    return accelerator


def _device_name(accelerator: Accelerator) -> str:
    if accelerator.device.type == "cuda":
        return torch.cuda.get_device_name(accelerator.device)
    return f"{torch.get_num_threads()} CPU cores"


@contextlib.contextmanager
def _memory_errors(recipe: Recipe) -> Iterator[None]:
    """Turn running out of memory into a sentence that says what to try."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        said = str(error).lower()
        if isinstance(error, RuntimeError) and "memory" not in said and "alloc" not in said:
            raise
        smaller = max(4, recipe.batch_size // 4 * 2)
        raise SettingsError(
            "batch-size", recipe.batch_size, f"less (out of memory): try {smaller}"
        ) from error
