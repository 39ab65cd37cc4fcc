"""`train finetune`: a network learns the names of sequences, a head for each rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsearch.encoders.base import Encoder
from seqsearch.errors import SettingsError
from seqsearch.jobs.training import (
    Learning,
    Run,
    Training,
    label_of,
    network_for,
    processes,
    run_training,
    split_sets,
    started,
)
from seqsearch.training.card import Figures
from seqsearch.training.labelled import read_labelled
from seqsearch.training.recipe import Finetuning, Recipe

if TYPE_CHECKING:
    import torch

    from seqsearch.training.finetuning import Naming


def finetune(
    indexes: Sequence[str | Path], out: str | Path, recipe: Finetuning, **how: Any
) -> Training:
    """Train a network to name sequences, and say how well it does on what was kept out.

    The heads are left behind: the encoder's vectors are what an index is built of. Where the recipe
    freezes the network (a linear probe), the encoder is the one it started from, and what is new is
    how well heads name from its vectors.

    Parameters
    ----------
    indexes : sequence of paths
        Index folders; taxa of the same path are one class.
    out : path
        Encoder folder; see `run_training`.
    recipe : Finetuning
    **how
        As `Run`.

    Raises
    ------
    SettingsError
        No rank has two taxa, fewer sequences with a name than a step looks at, or as
        `run_training`.
    FolderError, MissingExtraError
        As `run_training`.
    """
    run = Run(**how)

    def learning_of() -> tuple[Recipe, Learning]:
        from seqsearch.training.finetuning import (  # noqa: PLC0415  torch is an extra
            Classes,
            Naming,
            named_rows,
        )

        if recipe.is_frozen and run.start is None:
            raise SettingsError("from", "", f"an encoder's folder, for the recipe {recipe.name}")
        network = network_for(recipe, run)
        sets = [read_labelled(index) for index in indexes]
        splits, measured = split_sets(sets, recipe)
        classes = Classes.of(sets, [split.train for split in splits], recipe)
        splits = [
            replace(split, train=named_rows(split, classes, i)) for i, split in enumerate(splits)
        ]
        many, least = sum(len(split.train) for split in splits), recipe.at_once(processes())
        if many < least:
            raise SettingsError(
                "libraries",
                f"{many} sequences with a name to learn from",
                f"{least} or more, as many as a step looks at (or a smaller --batch-size)",
            )
        final = started(recipe.resolved(many, processes()), run, network())
        if final.family == "cnn" and final.batch_size < 2:
            problem = "2 or more: a cnn normalises by its batches"
            raise SettingsError("batch-size", final.batch_size, problem)
        label = label_of(recipe, run)

        def task_of(device: torch.device) -> Naming:
            where = (label, run.threads, processes(), device)
            return Naming(network(), sets, splits, classes, final, *where)

        def measure(task: Naming, encoder: Encoder) -> Figures:
            return replace(measured(encoder), head_cells=task.cells())

        return final, Learning(sets, splits, task_of, measure)

    return run_training(learning_of, out, run)
