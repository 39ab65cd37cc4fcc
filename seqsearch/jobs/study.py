"""Experiments with recipes: each is trained, and weighed against the untrained spectrum.

Everything is scored on the development split, which is cut from references; no bench query is
looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqsearch.encoders.base import Encoder
from seqsearch.encoders.hybrid import Hybrid
from seqsearch.errors import SeqsearchError
from seqsearch.jobs.contrasting import train_contrastive
from seqsearch.training.choosing import changed_recipe
from seqsearch.training.labelled import LabelledSet, read_labelled
from seqsearch.training.recipe import Contrastive
from seqsearch.training.split import Split, development_split
from seqsearch.training.validation import Cell, validate

WEIGHTS = (0.0, 0.2, 0.35, 0.5, 0.65, 1.0)


@dataclass(frozen=True)
class Outcome:
    """Scores of one experiment at one weight of the spectrum.

    Attributes
    ----------
    variant : str
        Changes of the recipe, as `--set` takes them.
    weight : float
        Share of the spectrum in the similarity; 1: untrained.
    fragments : bool
        Queries cut to 250 bases.
    cells : list of Cell
    """

    variant: str
    weight: float
    fragments: bool
    cells: list[Cell]


def run_variant(
    indexes: Sequence[str | Path], folder: Path, variant: str, *, steps: int, seed: int = 0
) -> Iterator[Outcome]:
    """Train the bag of a changed `hybrid` recipe and score it beside its spectrum.

    Parameters
    ----------
    indexes : sequence of paths
        What is trained and scored on: one index folder a marker.
    folder : pathlib.Path
        Gets the encoder.
    variant : str
        NAME=VALUE changes, separated by spaces; may be empty.
    steps, seed : int
    """
    changes = [*variant.split(), "holdout=development"]
    recipe = changed_recipe("hybrid", changes, Contrastive, steps=steps, seed=seed)
    encoder = train_contrastive(indexes, folder, recipe, overwrite=True).encoder
    bag = encoder.parts[0] if isinstance(encoder, Hybrid) else encoder
    spectrum = recipe.spectrum()
    sets = [read_labelled(index) for index in indexes]
    splits = [development_split(one) for one in sets]
    for weight in WEIGHTS:
        yield from _score(variant, weight, mixed(bag, spectrum, weight), sets, splits)


def mixed(bag: Encoder, spectrum: Encoder, weight: float) -> Encoder:
    """Return a bag and a spectrum side by side; one alone where the weight is 0 or 1."""
    if not 0 <= weight <= 1:
        raise SeqsearchError(f"weight is {weight}: expected a number in [0, 1]")
    if weight in (0, 1):
        return spectrum if weight else bag
    return Hybrid((bag, spectrum), (1 - weight, weight))


def _score(
    variant: str,
    weight: float,
    encoder: Encoder,
    sets: Sequence[LabelledSet],
    splits: Sequence[Split],
) -> Iterator[Outcome]:
    found = [validate(encoder, one, split) for one, split in zip(sets, splits, strict=True)]
    for fragments in (False, True):
        cells = [cell for pair in found for cell in pair[fragments]]
        yield Outcome(variant, weight, fragments, cells)
