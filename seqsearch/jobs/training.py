"""Training an encoder on index folders."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqsearch.encoders.base import CONFIG, Encoder
from seqsearch.errors import FolderError, MissingExtraError, SettingsError
from seqsearch.jobs.importing import Progress, silent
from seqsearch.settings import VERSION
from seqsearch.tables import locked, write_json
from seqsearch.training.card import Facts, save_trained_on, write_card
from seqsearch.training.labelled import LabelledSet, read_labelled
from seqsearch.training.recipe import Recipe
from seqsearch.training.split import Split, split_for
from seqsearch.training.validation import Cell, mean_right, validate

if TYPE_CHECKING:
    from seqsearch.training.loop import Trained

STATE, CHECKPOINT = "training.json", "checkpoint.safetensors"


@dataclass(frozen=True)
class Training:
    """A trained encoder and how good it is.

    Attributes
    ----------
    folder : Path
    encoder : Encoder
    seconds : float
        Spent on steps.
    cells, fragment_cells : list of Cell
        Percent right on what was kept out, of whole queries and of fragments.
    """

    folder: Path
    encoder: Encoder
    seconds: float
    cells: list[Cell]
    fragment_cells: list[Cell]

    def as_dict(self) -> dict[str, Any]:
        """Return what a script would want to know."""
        return {
            "folder": str(self.folder),
            "encoder": self.encoder.name,
            "sha256": self.encoder.content_hash,
            "seconds": round(self.seconds, 1),
            "mean_right": mean_right(self.cells),
            "mean_right_fragments": mean_right(self.fragment_cells),
            "cells": [vars(cell) for cell in self.cells],
            "fragment_cells": [vars(cell) for cell in self.fragment_cells],
        }


def train_contrastive(
    indexes: Sequence[str | Path],
    out: str | Path,
    recipe: Recipe,
    *,
    name: str = "",
    shares: Mapping[str, float] | None = None,
    device: str = "auto",
    threads: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Training:
    """Train an encoder on the references of index folders, and say how good it is.

    Parameters
    ----------
    indexes : sequence of paths
        One index folder a marker; sequences of different ones are never compared.
    out : path
        Encoder folder: config.json, model.safetensors, card.md, trained_on.safetensors,
        training.json, and logs/ for TensorBoard.
    recipe : Recipe
    name : str
        What the encoder is called; by default after the recipe and the seed.
    shares : mapping, optional
        Marker to how often it is drawn, relative to what its size gives; 1 where not named.
    device : str
        auto, cpu or cuda.
    resume : bool
        Go on from the last checkpoint; the model is that of a training never cut off.
    progress : callable, optional
        Given a stage, steps done, and the fraction of the whole.

    Raises
    ------
    SettingsError
        Nothing could be told apart (no labels, or one class), no memory, or no such device.
    FolderError
        Something is in the way, or a checkpoint of another training.
    MissingExtraError
        torch or accelerate is not installed.
    """
    folder = Path(out)
    is_first = _is_first_process()
    if is_first:
        _check_target(folder, resume, overwrite)
    loop, batches_of = _trainer()
    sets = [read_labelled(index) for index in indexes]
    shares = dict(shares or {})
    unknown = set(shares) - {one.marker for one in sets}
    if unknown:
        known = ", ".join(one.marker for one in sets)
        raise SettingsError("share", sorted(unknown)[0], f"a marker of these libraries: {known}")
    splits = [split_for(one, recipe.holdout) for one in sets]
    rows = [split.train for split in splits]
    batches = batches_of(sets, rows, [shares.get(one.marker, 1.0) for one in sets], recipe)
    identity = {"recipe": recipe.as_dict(), "shares": shares, "data": _data_hash(sets)}

    def score(encoder: Encoder) -> float:
        return mean_right(_validated(encoder, sets, splits, fragments=False))

    def report(done: int, loss: float) -> None:
        progress(f"train, loss {loss:.3f}", done, done / recipe.steps)

    with locked(folder, "encoder") if is_first else nullcontext():
        if is_first and not resume:
            _clear(folder)
        trained = loop.train(
            batches,
            recipe,
            folder,
            json.loads(json.dumps(identity)),
            label=name or f"{recipe.name}-s{recipe.seed}",
            device=device,
            threads=threads,
            report=report,
            validate=score,
        )
        if not is_first:  # the first one's model is everyone's
            return Training(folder, trained.encoder, trained.seconds, [], [])
        whole = _validated(trained.encoder, sets, splits, fragments=False)
        pieces = _validated(trained.encoder, sets, splits, fragments=True)
        training = Training(folder, trained.encoder, trained.seconds, whole, pieces)
        _save(training, trained, recipe, sets, splits)
    return training


def _save(
    training: Training,
    trained: Trained,
    recipe: Recipe,
    sets: Sequence[LabelledSet],
    splits: Sequence[Split],
) -> None:
    """Write the encoder and what belongs to it; config.json, which makes it one, last."""
    folder, encoder = training.folder, trained.encoder
    rows = [split.train for split in splits]
    counts = save_trained_on(folder, sets, rows)
    made = datetime.now(UTC).date().isoformat()
    facts = Facts(
        trained.loss, trained.seconds, trained.device, trained.processes, counts, VERSION, made
    )
    scores = {
        "Scores of whole sequences": training.cells,
        "Scores of 250 nt fragments": training.fragment_cells,
    }
    write_card(folder, encoder, recipe, sets, rows, scores, facts)
    write_json({"recipe": recipe.as_dict(), **training.as_dict()}, folder / STATE)
    encoder.save(folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _validated(
    encoder: Encoder, sets: Sequence[LabelledSet], splits: Sequence[Split], *, fragments: bool
) -> list[Cell]:
    return [
        cell
        for one, split in zip(sets, splits, strict=True)
        for cell in validate(encoder, one, split, fragments=fragments)
    ]


def _trainer() -> tuple[Any, Any]:
    """Import what needs torch."""
    try:
        from seqsearch.training import loop  # noqa: PLC0415  torch is an extra
        from seqsearch.training.batches import Batches  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("torch or accelerate", "train") from error
    return loop, Batches


def _is_first_process() -> bool:
    """Whether this is the process that writes; `accelerate launch` starts several."""
    return os.environ.get("RANK", "0") == "0"


def _check_target(folder: Path, resume: bool, overwrite: bool) -> None:
    if not folder.exists() or not any(folder.iterdir()):
        return
    is_ours = (folder / CONFIG).exists() or (folder / CHECKPOINT).exists()
    if not is_ours and not (folder / "logs").is_dir():
        raise FolderError(folder, "this folder is no encoder's", advice="name another one")
    if (folder / CONFIG).exists() and not overwrite:
        raise FolderError(folder, "this encoder exists", advice="give --overwrite to replace it")
    if not resume and not overwrite:
        raise FolderError(
            folder, "an unfinished training is here", advice="give --resume or --overwrite"
        )


def _clear(folder: Path) -> None:
    """Delete what an earlier training wrote."""
    for name in (CONFIG, CHECKPOINT):
        (folder / name).unlink(missing_ok=True)


def _data_hash(sets: Sequence[LabelledSet]) -> str:
    """Return a SHA-256 of the sequences and their names."""
    found = hashlib.sha256()
    for one in sets:
        found.update(one.marker.encode())
        found.update(np.ascontiguousarray(one.digests).data)
        found.update(np.ascontiguousarray(one.lineage).data)
    return found.hexdigest()
