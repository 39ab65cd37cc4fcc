"""Recipes by name, and changes of them as they are typed."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from seqsearch.errors import SettingsError
from seqsearch.training import recipes
from seqsearch.training.recipe import Recipe

R = TypeVar("R", bound=Recipe)
TRUTH = {"true": True, "yes": True, "false": False, "no": False}  # beside 1 and 0


def recipe_names(kind: type[Recipe]) -> list[str]:
    """Return the names of the recipes for a command.

    >>> from seqsearch.training.recipe import Contrastive, Pretraining
    >>> "hybrid" in recipe_names(Contrastive), "hybrid" in recipe_names(Pretraining)
    (True, False)
    """
    return [name for name in _all_names() if _recipe(name, kind) is not None]


def load_recipe(name: str, kind: type[R], **changes: Any) -> R:
    """Return a recipe by name, with some settings changed; those that are None stay.

    Raises
    ------
    SettingsError
        There is no such recipe or setting, it is for another command, or a value is out of its
        range.
    """
    recipe = _recipe(name, kind) if name in _all_names() else None
    if recipe is None:
        known = ", ".join(recipe_names(kind))
        raise SettingsError("recipe", name, f"one of {known} for train {kind.command}")
    changes = {key: value for key, value in changes.items() if value is not None}
    unknown = set(changes) - {setting.name for setting in fields(kind)}
    if unknown:
        raise SettingsError("setting", sorted(unknown)[0], "one of a recipe's")
    if "epochs" in changes:
        if "steps" in changes:
            raise SettingsError("epochs", changes["epochs"], "nothing beside steps")
        changes["steps"] = 0
    return replace(recipe, **changes)


def changed_recipe(
    name: str,
    changes: Sequence[str],
    kind: type[R],
    start: object = None,
    **settings: Any,
) -> R:
    """Return a recipe with changes as they are typed: NAME=VALUE, and PART.NAME=VALUE.

    `start` is the encoder that the training starts from, if it does: its network stays as it is.

    >>> from seqsearch.training.recipe import Contrastive
    >>> changed_recipe("kmerbag", ["bag.patterns=11011,111111"], Contrastive).bag.patterns
    ('11011', '111111')

    Raises
    ------
    SettingsError
        As `load_recipe`; or a change is not of this form, or of the network of `start`.
    """
    recipe = load_recipe(name, kind, **settings)
    for key, value in pairs_of("set", changes):
        if start is not None and key.startswith("network."):
            problem = f"nothing of the network, which is that of {start}"
            raise SettingsError("set", f"{key}={value}", problem)
        recipe = _replaced(recipe, key, key.replace("-", "_").split("."), value)
        if key == "epochs":  # they are what counts now
            recipe = replace(recipe, steps=0)
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


def _all_names() -> list[str]:
    found = pkgutil.iter_modules(recipes.__path__)
    return sorted(module.name.replace("_", "-") for module in found)


def _recipe(name: str, kind: type[R]) -> R | None:
    module = importlib.import_module(f"{recipes.__name__}.{name.replace('-', '_')}")
    recipe: R | None = getattr(module, kind.command.upper(), None)
    return recipe


def _replaced(settings: Any, key: str, path: list[str], value: str) -> Any:
    """Return a dataclass or a dict with one setting changed, however deep."""
    name, *below = path
    is_dict = isinstance(settings, dict)
    known = list(settings) if is_dict else [setting.name for setting in fields(settings)]
    is_open = is_dict and key.startswith("rank_weights")  # ranks are those of the libraries
    if name not in known and not is_open:
        raise SettingsError("set", key, f"one of {', '.join(known)}")
    old = settings.get(name, 0.0) if is_dict else getattr(settings, name)
    new = _replaced(old, key, below, value) if below else _typed(old, key, value)
    return settings | {name: new} if is_dict else replace(settings, **{name: new})


def _typed(old: Any, key: str, value: str) -> Any:
    """Return a value as typed, of the type of the old one."""
    if isinstance(old, str):
        return value
    if isinstance(old, bool) and value.lower() in TRUTH:
        return TRUTH[value.lower()]
    if isinstance(old, tuple):
        return tuple(_typed(old[0], key, one) for one in value.split(","))
    try:
        return type(old)(float(value))
    except (TypeError, ValueError) as error:
        raise SettingsError("set", f"{key}={value}", "a number behind =") from error
