"""`train contrastive`: an encoder learns which sequences belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.base import Encoder
from seqsearch.errors import SettingsError
from seqsearch.jobs.training import (
    Learning,
    Run,
    Training,
    label_of,
    nearest,
    network_for,
    run_training,
    split_sets,
    started,
)
from seqsearch.training.card import Figures
from seqsearch.training.labelled import read_labelled
from seqsearch.training.recipe import BAG, Contrastive, Recipe
from seqsearch.training.validation import mean_right

if TYPE_CHECKING:
    import torch

    from seqsearch.training.contrasting import Body, Contrasting


def train_contrastive(
    indexes: Sequence[str | Path],
    out: str | Path,
    recipe: Contrastive,
    *,
    shares: Mapping[str, float] | None = None,
    **how: Any,
) -> Training:
    """Train an encoder on the references of index folders, and say how good it is.

    Parameters
    ----------
    indexes : sequence of paths
        One index folder a marker; sequences of different ones are never compared.
    out : path
        Encoder folder; see `run_training`.
    recipe : Contrastive
    shares : mapping, optional
        Marker to how often it is drawn, relative to what its size gives; 1 where not named.
    **how
        As `Run`.

    Raises
    ------
    SettingsError
        Nothing could be told apart (no labels, or one class), or as `run_training`.
    FolderError, MissingExtraError
        As `run_training`.
    """
    run = Run(**how)

    def learning_of() -> tuple[Recipe, Learning]:
        from seqsearch.training.batches import Batches  # noqa: PLC0415  torch is an extra
        from seqsearch.training.contrasting import BagBody, Contrasting, NetworkBody  # noqa: PLC0415
        from seqsearch.training.vectors import whitened  # noqa: PLC0415

        if recipe.family == BAG and run.start is not None:
            raise SettingsError("from", str(run.start), f"nothing with the recipe {recipe.name}")
        network = None if recipe.family == BAG else network_for(recipe, run)
        sets = [read_labelled(index) for index in indexes]
        given = _known_shares(shares or {}, [one.marker for one in sets])
        splits, measured = split_sets(sets, recipe)
        label, drawn = label_of(recipe, run), [given.get(one.marker, 1.0) for one in sets]
        batches = Batches(sets, [split.train for split in splits], drawn, recipe)

        def right(encoder: Encoder) -> float:
            return mean_right(nearest(encoder, sets, splits)[0])

        def body_of(device: torch.device) -> Body:
            if network is None:
                return BagBody(recipe, label, run.threads)
            learned = [one.batch.take(split.train) for one, split in zip(sets, splits, strict=True)]
            begun = whitened(network(), SequenceBatch.concatenate(learned), recipe.seed, device)
            share = 0.0 if run.start is None else recipe.start_share
            return NetworkBody(begun, label, run.threads, share)

        def task_of(device: torch.device) -> Contrasting:
            return Contrasting(body_of(device), batches, recipe, right)

        def measure(_: Any, encoder: Encoder) -> Figures:
            return measured(encoder)

        final = recipe if network is None else started(recipe, run, network())
        return final, Learning(sets, splits, task_of, measure, {"shares": given})

    return run_training(learning_of, out, run)


def _known_shares(shares: Mapping[str, float], markers: Sequence[str]) -> dict[str, float]:
    unknown = sorted(set(shares) - set(markers))
    if unknown:
        known = ", ".join(markers)
        raise SettingsError("share", unknown[0], f"a marker of these libraries: {known}")
    return dict(shares)
