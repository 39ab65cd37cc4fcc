"""Training an encoder: what all three ways share, from the inputs to the folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqsearch.devices.choice import devices_of
from seqsearch.encoders.base import Encoder
from seqsearch.encoders.folder import CONFIG, clear_encoder
from seqsearch.encoders.registry import load_encoder
from seqsearch.errors import FolderError, MissingExtraError, SettingsError
from seqsearch.jobs.importing import Progress, silent
from seqsearch.jobs.placing import placed
from seqsearch.settings import VERSION
from seqsearch.tables import Int64, locked, write_json
from seqsearch.training.card import Facts, Figures, save_trained_on, write_card
from seqsearch.training.labelled import LabelledSet
from seqsearch.training.recipe import NETWORKS, Recipe
from seqsearch.training.split import Split, split_for
from seqsearch.training.validation import Cell, validate

if TYPE_CHECKING:
    import torch

    from seqsearch.encoders.network import NetworkEncoder
    from seqsearch.training.loop import Task

STATE, CHECKPOINT = "training.json", "checkpoint.safetensors"


@dataclass(frozen=True)
class Run:
    """How a training is run.

    Attributes
    ----------
    name : str
        What the encoder is called; by default after the recipe and the seed.
    start : path, optional
        Folder of the encoder that learns; none: it starts from nothing.
    device : str
        auto, cpu or cuda.
    threads : int
        Of a training on the CPU; 0 means every core.
    resume : bool
        Go on from the last checkpoint; the model is that of a training never cut off.
    overwrite : bool
        Replace an encoder that is there.
    progress : callable, optional
        Given a stage, steps done, and the fraction of the whole.
    """

    name: str = ""
    start: str | Path | None = None
    device: str = "auto"
    threads: int = 0
    resume: bool = False
    overwrite: bool = False
    progress: Progress = silent


@dataclass(frozen=True)
class Training:
    """A trained encoder and how good it is.

    Attributes
    ----------
    folder : Path
    encoder : Encoder
    seconds : float
        Spent on steps.
    figures : Figures
        What was measured on what was kept out.
    """

    folder: Path
    encoder: Encoder
    seconds: float
    figures: Figures = field(default_factory=Figures)

    @property
    def cells(self) -> list[Cell]:
        """Percent right of the nearest reference, of whole queries."""
        return self.figures.cells

    @property
    def fragment_cells(self) -> list[Cell]:
        """Percent right of the nearest reference, of fragments."""
        return self.figures.fragment_cells

    def as_dict(self) -> dict[str, Any]:
        """Return what a script would want to know."""
        return {
            "folder": str(self.folder),
            "encoder": self.encoder.name,
            "sha256": self.encoder.content_hash,
            "seconds": round(self.seconds, 1),
            **self.figures.as_dict(),
        }


@dataclass(frozen=True)
class Learning:
    """What is learned from, and how it is measured afterwards.

    Attributes
    ----------
    sets, splits : list
    task_of : callable
        Makes the task.
    measure : callable
        Given the task and the finished encoder.
    beside : dict
        What else a checkpoint must agree on.
    """

    sets: Sequence[LabelledSet]
    splits: Sequence[Split]
    task_of: Callable[[torch.device], Task]
    measure: Callable[[Any, Encoder], Figures]
    beside: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> list[Int64]:
        """Rows of each set that are learned from."""
        return [split.train for split in self.splits]


def run_training(
    learning_of: Callable[[], tuple[Recipe, Learning]], out: str | Path, run: Run
) -> Training:
    """Learn, measure, and write the encoder's folder.

    Parameters
    ----------
    learning_of : callable
        Reads the inputs; called once the folder is known to be free.
    out : path
        Encoder folder: config.json, model.safetensors, card.md, trained_on.safetensors,
        training.json, and logs/ for TensorBoard.

    Raises
    ------
    SettingsError
        Nothing can be learned from the inputs, no memory, or no such device.
    FolderError
        Something is in the way, or a checkpoint of another training.
    MissingExtraError
        torch, transformers or accelerate is not installed.
    """
    folder, is_first = Path(out), is_first_process()
    if is_first:
        _check_target(folder, run)
    loop = _loop()
    recipe, learning = learning_of()
    identity = {
        "recipe": recipe.as_dict(),
        "data": _data_hash(learning.sets),
        "start": _start_hash(run),
        "processes": processes(),
        **learning.beside,
    }

    def report(done: int, loss: float) -> None:
        run.progress(f"train, loss {loss:.3f}", done, done / recipe.steps)

    with locked(folder, "encoder") if is_first else nullcontext():
        if is_first and not run.resume:
            _clear(folder)
        task, trained = loop.train(
            learning.task_of,
            recipe,
            folder,
            json.loads(json.dumps(identity)),
            device=run.device,
            threads=run.threads,
            report=report,
        )
        if not is_first:  # the first one's model is everyone's
            return Training(folder, trained.encoder, trained.seconds)
        run.progress("measure", recipe.steps, None)
        figures = learning.measure(task, placed(trained.encoder, devices_of(run.device)))
        training = Training(folder, trained.encoder, trained.seconds, figures)
        _save(training, trained, recipe, learning, run)
    return training


def label_of(recipe: Recipe, run: Run) -> str:
    """Return what the encoder is called."""
    return run.name or f"{recipe.name}-s{recipe.seed}"


def processes() -> int:
    """Return how many processes train; `torchrun` and `accelerate launch` start several."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def started(recipe: Any, run: Run, encoder: NetworkEncoder) -> Any:
    """Return a recipe with the settings of the network that it starts from, if it does."""
    from seqsearch.training.vectors import settings_of  # noqa: PLC0415  torch is an extra

    if run.start is None:
        return recipe
    known = settings_of(encoder)
    return replace(recipe, network={name: known[name] for name in known if name != "pairs"})


def split_sets(
    sets: Sequence[LabelledSet], recipe: Recipe
) -> tuple[list[Split], Callable[[Encoder], Figures]]:
    """Split sets as a recipe says; also return what measures an encoder on what is kept out."""
    splits = [split_for(one, recipe.holdout) for one in sets]

    def measured(encoder: Encoder) -> Figures:
        return Figures(*nearest(encoder, sets, splits))

    return splits, measured


def nearest(
    encoder: Encoder, sets: Sequence[LabelledSet], splits: Sequence[Split]
) -> tuple[list[Cell], list[Cell]]:
    """Return percent right of the nearest reference, of all sets: whole queries, and fragments."""
    whole: list[Cell] = []
    cut: list[Cell] = []
    for one, split in zip(sets, splits, strict=True):
        for cells, found in zip((whole, cut), validate(encoder, one, split), strict=True):
            cells += found
    return whole, cut


def network_for(
    recipe: Any, run: Run, changes: dict[str, Any] | None = None
) -> Callable[[], NetworkEncoder]:
    """Return what makes the network that learns: that of the start, or a new one.

    Raises
    ------
    SettingsError
        The start is of another family than the recipe, or of none that can learn.
    FolderError
        The start is no encoder, or its tensors are missing, extra or misshapen.
    """
    from seqsearch.training.vectors import fresh  # noqa: PLC0415  torch is an extra

    label = label_of(recipe, run)
    if run.start is None:
        if not recipe.family:
            raise SettingsError("from", "", f"an encoder's folder, for the recipe {recipe.name}")
        settings = recipe.network | (changes or {})
        return lambda: fresh(recipe.family, settings, label)
    encoder = load_encoder(run.start, run.threads)
    family = str(encoder.as_config()["family"])
    if family not in NETWORKS:
        raise SettingsError("from", str(run.start), f"an encoder of {', '.join(NETWORKS)}")
    if recipe.family and family != recipe.family:
        raise SettingsError(
            "from", str(run.start), f"a {recipe.family}, as the recipe {recipe.name} (not {family})"
        )
    return lambda: load_encoder(run.start or "", run.threads)  # type: ignore[return-value]


def _save(training: Training, trained: Any, recipe: Recipe, learning: Learning, run: Run) -> None:
    """Write the encoder and what belongs to it; config.json, which makes it one, last."""
    folder, encoder = training.folder, trained.encoder
    start = None if run.start is None else Path(run.start)
    counts = save_trained_on(folder, learning.sets, learning.rows, start)
    facts = Facts(
        trained.loss,
        trained.seconds,
        trained.device,
        trained.processes,
        counts,
        VERSION,
        datetime.now(UTC).date().isoformat(),
        "" if start is None else load_encoder(start).name,
    )
    write_card(folder, encoder, recipe, learning.sets, learning.rows, training.figures, facts)
    write_json({"recipe": recipe.as_dict(), **training.as_dict()}, folder / STATE)
    encoder.save(folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _loop() -> Any:
    """Import what needs torch."""
    try:
        from seqsearch.training import loop  # noqa: PLC0415  torch is an extra
    except ImportError as error:
        raise MissingExtraError("torch or accelerate", "train") from error
    return loop


def is_first_process() -> bool:
    """Whether this is the process that writes."""
    return os.environ.get("RANK", "0") == "0"


def _check_target(folder: Path, run: Run) -> None:
    if run.start is not None and folder.resolve() == Path(run.start).resolve():
        raise FolderError(folder, "the encoder to start from is here", advice="name another folder")
    if not folder.exists() or not any(folder.iterdir()):
        return
    is_ours = (folder / CONFIG).exists() or (folder / CHECKPOINT).exists()
    if not is_ours and not (folder / "logs").is_dir():
        raise FolderError(folder, "this folder is no encoder's", advice="name another one")
    if (folder / CONFIG).exists() and not run.overwrite:
        raise FolderError(folder, "this encoder exists", advice="give --overwrite to replace it")
    if not run.resume and not run.overwrite:
        raise FolderError(
            folder, "an unfinished training is here", advice="give --resume or --overwrite"
        )


def _clear(folder: Path) -> None:
    """Delete what an earlier training wrote."""
    clear_encoder(folder)
    for name in (STATE, CHECKPOINT):
        (folder / name).unlink(missing_ok=True)


def _data_hash(sets: Sequence[LabelledSet]) -> str:
    """Return a SHA-256 of the sequences and their names."""
    found = hashlib.sha256()
    for one in sets:
        found.update(one.marker.encode())
        found.update(np.ascontiguousarray(one.digests).data)
        found.update(np.ascontiguousarray(one.lineage).data)
    return found.hexdigest()


def _start_hash(run: Run) -> str:
    return "" if run.start is None else load_encoder(run.start).content_hash
