"""`train pretrain`: a network learns to guess hidden tokens; no names are needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqsearch.dna.batch import SequenceBatch
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
    started,
)
from seqsearch.training.card import Figures
from seqsearch.training.labelled import LabelledSet, read_labelled, read_unnamed
from seqsearch.training.recipe import Pretraining, Recipe
from seqsearch.training.split import split_for

if TYPE_CHECKING:
    import torch

    from seqsearch.encoders.network import NetworkEncoder
    from seqsearch.training.pretraining import Guessing

READ = 20_000  # sequences that byte pairs are learned from


def pretrain(
    inputs: Sequence[str | Path], out: str | Path, recipe: Pretraining, **how: Any
) -> Training:
    """Train a network to guess hidden tokens, and say how well it does on what was kept out.

    Parameters
    ----------
    inputs : sequence of paths
        Index folders, and FASTA or FASTQ files. Of an index the genera of the split are kept out;
        of a file, whose names are not looked at, single sequences.
    out : path
        Encoder folder; see `run_training`.
    recipe : Pretraining
    **how
        As `Run`.

    Raises
    ------
    SettingsError
        Fewer sequences than a step looks at, none is kept out, settings of the network that
        contradict each other, or as `run_training`.
    InputError
        A file cannot be read.
    FolderError, MissingExtraError
        As `run_training`.
    """
    run = Run(**how)

    def learning_of() -> tuple[Recipe, Learning]:
        from seqsearch.training.pretraining import Guessing  # noqa: PLC0415  torch is an extra

        sets = [_read(one) for one in inputs]
        splits = [split_for(one, recipe.holdout) for one in sets]
        learned = SequenceBatch.concatenate(
            [one.batch.take(split.train) for one, split in zip(sets, splits, strict=True)]
        )
        held = SequenceBatch.concatenate(
            [
                one.batch.take(np.setdiff1d(np.arange(len(one)), split.train))
                for one, split in zip(sets, splits, strict=True)
            ]
        )
        network = network_for(recipe, run, _pairs(learned, recipe, run))
        like = network()
        learned, held = _seen(like, learned), _seen(like, held)
        many = len(like.cut(learned)[0])
        _check_sizes(many, held, recipe)
        final = started(recipe.resolved(many, processes()), run, like)

        def task_of(_: torch.device) -> Guessing:
            return Guessing(
                network(), learned, held, final, label_of(recipe, run), run.threads, processes()
            )

        def measure(task: Guessing, _: Encoder) -> Figures:
            return Figures(guess=task.guess())

        return final, Learning(sets, splits, task_of, measure)

    return run_training(learning_of, out, run)


def _read(path: str | Path) -> LabelledSet:
    return read_labelled(path) if Path(path).is_dir() else read_unnamed(path)


def _seen(encoder: NetworkEncoder, batch: SequenceBatch) -> SequenceBatch:
    return batch.take(np.flatnonzero(encoder.encodable(batch)))


def _pairs(learned: SequenceBatch, recipe: Pretraining, run: Run) -> dict[str, Any]:
    """Return byte pairs of the sequences, as a setting of the network, where they are wanted."""
    if not recipe.pairs:
        return {}
    if recipe.family != "barcodebert" or run.start is not None:
        problem = "0: byte pairs are for a barcodebert that starts from nothing"
        raise SettingsError("pairs", recipe.pairs, problem)
    from seqsearch.networks.pairs import train_pairs  # noqa: PLC0415  an extra

    rows = np.random.default_rng(recipe.seed).permutation(len(learned))[:READ]
    return {"pairs": train_pairs([learned.take(np.sort(rows))], recipe.pairs).to_str()}


def _check_sizes(many: int, held: SequenceBatch, recipe: Pretraining) -> None:
    """Raise `SettingsError` where there are fewer pieces than a step takes, or nothing held out."""
    least = recipe.at_once(processes())
    if many < least:
        raise SettingsError(
            "inputs",
            f"{many} sequences or pieces to learn from",
            f"{least} or more, as many as a step looks at (or a smaller --batch-size)",
        )
    if not len(held) and recipe.holdout != "none":
        raise SettingsError(
            "inputs",
            f"{many} sequences or pieces",
            "so many that some are kept out to validate with (or --holdout none)",
        )
