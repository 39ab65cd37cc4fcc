"""The training loop, from the first step to the trained model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn

from seqsearch.encoders.base import Encoder
from seqsearch.encoders.hybrid import Hybrid
from seqsearch.encoders.kmerbag import KmerBag
from seqsearch.errors import SettingsError
from seqsearch.threads import prefetch, resolve_threads
from seqsearch.training.bag import BagModel
from seqsearch.training.batches import Batch, Batches
from seqsearch.training.checkpoint import Progressed, load_checkpoint, save_checkpoint
from seqsearch.training.objectives import batch_hard_triplet, hierarchical_supcon
from seqsearch.training.recipe import Recipe

AT_ONCE = 100  # steps between looks at the loss
Report = Callable[[int, float], None]  # steps done, mean loss lately
Validate = Callable[[Encoder], float]


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
    batches: Batches,
    recipe: Recipe,
    folder: Path,
    identity: dict[str, Any],
    *,
    label: str,
    device: str,
    threads: int,
    report: Report,
    validate: Validate,
) -> Trained:
    """Train a bag; goes on from the folder's checkpoint where there is one.

    Parameters
    ----------
    batches : Batches
    recipe : Recipe
    folder : Path
        Gets `checkpoint.safetensors` and, for TensorBoard, `logs/`.
    identity : dict
        What a checkpoint must agree on.
    label : str
        Of the encoder's name.
    device : str
        auto, cpu or cuda.
    threads : int
        Of a training on the CPU; 0 means every core.
    report, validate : callable
        Told of progress; asked for percent right every `validate_every` steps.

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
    set_seed(recipe.seed)
    model = BagModel(recipe.bag, recipe.dropout)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.99), fused=True)
    progressed = load_checkpoint(folder, model, optimizer, identity)
    start, began = progressed.step, perf_counter()
    model, optimizer = accelerator.prepare(model, optimizer)
    lately: list[Tensor] = []
    loss = float("nan")
    stream = prefetch(batches.stream(start, recipe.steps, accelerator.process_index))
    model.train()
    with _memory_errors(recipe):
        for step, batch in enumerate(stream, start=start):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * recipe.rate_at(step)
            torch.manual_seed(hash((recipe.seed, step, accelerator.process_index)) % 2**63)
            value = _loss(model, batch, recipe, accelerator)
            optimizer.zero_grad()
            accelerator.backward(value)
            optimizer.step()
            lately.append(value.detach())
            done = step + 1
            if done % AT_ONCE == 0 or done == recipe.steps:
                loss = float(torch.stack(lately).mean())
                lately.clear()
                accelerator.log({"loss": loss, "rate": recipe.rate_at(step)}, step=done)
                report(done, loss)
            if accelerator.is_main_process and done < recipe.steps:
                if recipe.save_every and done % recipe.save_every == 0:
                    spent = progressed.seconds + perf_counter() - began
                    plain = accelerator.unwrap_model(model)
                    now = Progressed(done, spent)
                    save_checkpoint(folder, plain, optimizer.optimizer, identity, now)
                if recipe.validate_every and done % recipe.validate_every == 0:
                    right = validate(encoder_from(accelerator.unwrap_model(model), recipe, label))
                    accelerator.log({"right": right}, step=done)
    seconds = progressed.seconds + perf_counter() - began
    accelerator.end_training()
    encoder = encoder_from(accelerator.unwrap_model(model), recipe, label)
    name = _device_name(accelerator)
    return Trained(encoder, loss, seconds, name, accelerator.num_processes)


def encoder_from(model: BagModel, recipe: Recipe, label: str, threads: int = 0) -> Encoder:
    """Return the finished encoder, its table in whole numbers."""
    bag = KmerBag(recipe.bag, model.quantised(), label, threads)
    if not recipe.spectrum_weight:
        return bag
    spectrum = recipe.spectrum(threads)
    weights = (1 - recipe.spectrum_weight, recipe.spectrum_weight)
    return Hybrid((bag, spectrum), weights, label)


def _loss(model: nn.Module, batch: Batch, recipe: Recipe, accelerator: Accelerator) -> Tensor:
    to = accelerator.device
    with accelerator.autocast():
        vectors = model([some.to(to) for some in batch.words])
    similarity = vectors @ vectors.T
    if batch.spectra is not None:
        share, spectra = recipe.spectrum_in_loss, batch.spectra.to(to)
        similarity = (1 - share) * similarity + share * (spectra @ spectra.T)
    lineage, weights = batch.lineage.to(to), batch.weights
    if recipe.objective == "triplet":
        return batch_hard_triplet(similarity, lineage, weights, recipe.margin)
    return hierarchical_supcon(similarity, lineage, weights, recipe.temperature)


def _accelerator(device: str, folder: Path) -> Accelerator:
    has_cuda = torch.cuda.is_available()
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
