"""Settings of a training, and recipes by name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from seqsearch.encoders.kmerbag import Shape
from seqsearch.encoders.spectrum import EIGHT, Spectrum
from seqsearch.errors import SettingsError
from seqsearch.training import recipes
from seqsearch.training.augmentation import Augmentation
from seqsearch.training.split import HOLDOUTS

OBJECTIVES = ("supcon", "triplet")
# Weights of the ranks in the loss: DESIGN 8's, found on an earlier split of the COI data.
RANK_WEIGHTS = {
    "species": 1.0,
    "genus": 1.0,
    "family": 0.4,
    "order": 0.2,
    "class": 0.1,
    "phylum": 0.1,
    "kingdom": 0.05,
}


@dataclass(frozen=True)
class Recipe:
    """How an encoder is trained.

    Attributes
    ----------
    name : str
    bag : Shape
        The trained part.
    spectrum_weight : float
        Share of an untrained spectrum in the finished encoder's similarity; 0: the bag alone.
    spectrum_in_loss : float
        Share of the spectrum in the similarity that the loss sees: the bag then learns what the
        spectrum misses.
    spectrum_pattern, spectrum_dim, spectrum_canonical : str, int, bool
        Its words and dimensions, and whether both strands' words are one.
    objective : str
        One of `OBJECTIVES`.
    temperature : float
        Of supcon.
    margin : float
        Of triplet, in units of cosine.
    rank_weights : dict
        Rank to its weight in the loss; other ranks have none.
    augmentation : Augmentation
    batch_size : int
        Sequences a step and process; even.
    shared : float
        Share of a batch drawn from a few families.
    steps : int
    warmup : int
        Steps over which the learning rate rises; it then falls in a straight line to 0.
    learning_rate : float
    dropout : float
        Share of the words left out.
    holdout : str
        One of `HOLDOUTS`: what is kept out of training.
    seed : int
    validate_every, save_every : int
        Steps; 0: only at the end.
    """

    name: str
    bag: Shape = field(default_factory=Shape)
    spectrum_weight: float = 0.0
    spectrum_in_loss: float = 0.0
    spectrum_pattern: str = EIGHT
    spectrum_dim: int = 2048
    spectrum_canonical: bool = False
    objective: str = "supcon"
    temperature: float = 0.07
    margin: float = 0.2
    rank_weights: dict[str, float] = field(default_factory=lambda: dict(RANK_WEIGHTS))
    augmentation: Augmentation = field(default_factory=Augmentation)
    batch_size: int = 512
    shared: float = 0.5
    steps: int = 6000
    warmup: int = 100
    learning_rate: float = 2e-3
    dropout: float = 0.0
    holdout: str = "development"
    seed: int = 0
    validate_every: int = 0
    save_every: int = 500

    def __post_init__(self) -> None:
        _check(self.objective in OBJECTIVES, "objective", self.objective, " or ".join(OBJECTIVES))
        _check(self.holdout in HOLDOUTS, "holdout", self.holdout, ", ".join(HOLDOUTS))
        is_even = self.batch_size >= 4 and self.batch_size % 2 == 0
        _check(is_even, "batch-size", self.batch_size, "an even number, 4 or more")
        _check(self.steps >= 1, "steps", self.steps, "1 or more")
        _check(self.learning_rate > 0, "learning-rate", self.learning_rate, "more than 0")
        _check(self.temperature > 0, "temperature", self.temperature, "more than 0")
        for name in ("spectrum_weight", "spectrum_in_loss", "dropout"):
            _check(0 <= getattr(self, name) < 1, name, getattr(self, name), "a number in [0, 1)")
        _check(0 <= self.shared <= 1, "shared", self.shared, "a number in [0, 1]")

    def spectrum(self, threads: int = 0) -> Spectrum:
        """Return the untrained part."""
        return Spectrum(
            self.spectrum_pattern,
            self.spectrum_dim,
            canonical=self.spectrum_canonical,
            threads=threads,
        )

    def rate_at(self, step: int) -> float:
        """Return the factor of the learning rate at a step: warm-up, then a line down to 0.

        >>> recipe = Recipe("kmerbag", steps=10, warmup=2)
        >>> [round(recipe.rate_at(step), 2) for step in (0, 1, 5, 9)]
        [0.5, 0.9, 0.5, 0.1]
        """
        return min(1.0, (step + 1) / max(self.warmup, 1)) * (1 - step / self.steps)

    def as_dict(self) -> dict[str, Any]:
        """Return all settings as JSON would hold them."""
        return asdict(self)


def recipe_names() -> list[str]:
    """Return the names of the recipes.

    >>> recipe_names()
    ['hybrid', 'kmerbag']
    """
    return sorted(module.name for module in pkgutil.iter_modules(recipes.__path__))


def load_recipe(name: str, **changes: Any) -> Recipe:
    """Return a recipe by name, with some settings changed; those that are None stay.

    Raises
    ------
    SettingsError
        There is no such recipe or setting, or a value is out of its range.
    """
    if name not in recipe_names():
        raise SettingsError("recipe", name, f"one of {', '.join(recipe_names())}")
    recipe: Recipe = importlib.import_module(f"{recipes.__name__}.{name}").RECIPE
    changes = {key: value for key, value in changes.items() if value is not None}
    unknown = set(changes) - {setting.name for setting in fields(Recipe)}
    if unknown:
        raise SettingsError("setting", sorted(unknown)[0], "one of a recipe's")
    return replace(recipe, **changes)


def changed_recipe(name: str, changes: Sequence[str], **settings: Any) -> Recipe:
    """Return a recipe with changes as they are typed: NAME=VALUE, and PART.NAME=VALUE.

    >>> changed_recipe("kmerbag", ["bag.patterns=11011,111111", "dropout=0.2"]).bag.patterns
    ('11011', '111111')

    Raises
    ------
    SettingsError
        As `load_recipe`; or a change is not of this form.
    """
    recipe = load_recipe(name, **settings)
    for key, value in pairs_of("set", changes):
        recipe = _replaced(recipe, key, key.replace("-", "_").split("."), value)
    return recipe


def pairs_of(option: str, given: Sequence[str]) -> list[tuple[str, str]]:
    """Split NAME=VALUE; raises `SettingsError` where there is no value or it is no number."""
    pairs = []
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals or not value:
            raise SettingsError(option, text, "NAME=VALUE")
        try:
            float(value) if option == "share" else None
        except ValueError as error:
            raise SettingsError(option, text, "a number behind =") from error
        pairs.append((name, value))
    return pairs


def _replaced(settings: Any, key: str, path: list[str], value: str) -> Any:
    """Return a dataclass with one field changed, however deep."""
    name, *below = path
    if name not in {setting.name for setting in fields(settings)}:
        known = ", ".join(setting.name for setting in fields(settings))
        raise SettingsError("set", key, f"one of {known}")
    old = getattr(settings, name)
    if below:
        if isinstance(old, dict):
            return replace(settings, **{name: old | {below[0]: _number(key, value)}})
        return replace(settings, **{name: _replaced(old, key, below, value)})
    if isinstance(old, str):
        return replace(settings, **{name: value})
    if isinstance(old, tuple):
        return replace(settings, **{name: tuple(value.split(","))})
    number = _number(key, value)
    return replace(settings, **{name: type(old)(number)})


def _number(key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise SettingsError("set", f"{key}={value}", "a number behind =") from error


def _check(holds: bool, setting: str, value: object, expected: str) -> None:
    if not holds:
        raise SettingsError(setting, value, expected)
