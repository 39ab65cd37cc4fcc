"""Encoders by name or folder."""

from __future__ import annotations

from pathlib import Path

from seqsearch.encoders.base import Encoder
from seqsearch.encoders.folder import (
    CONFIG,
    check_no_pickle,
    family_class,
    make_encoder,
    read_encoder,
)
from seqsearch.errors import SettingsError

UNTRAINED = ("spectrum",)  # families that need no folder
HUB = "hf:"  # before the name of a repository
PRETRAINED = Path(__file__).resolve().parents[1] / "pretrained"


def encoder_names() -> list[str]:
    """Return the names that `load_encoder` knows: those that ship, then the untrained ones."""
    shipped = sorted(path.parent.name for path in PRETRAINED.glob(f"*/{CONFIG}"))
    return [*shipped, *UNTRAINED]


def folder_of(name_or_path: str | Path) -> Path | None:
    """Return the folder an encoder is read from; None for one that needs none.

    Raises
    ------
    SettingsError
        Neither a known name nor a folder.
    FolderError
        A pickle.
    """
    name = str(name_or_path)
    if name in UNTRAINED or name.startswith(HUB):
        return None
    if name in encoder_names():
        return PRETRAINED / name
    if not Path(name).is_dir():
        check_no_pickle(Path(name))
        known = ", ".join(encoder_names())
        raise SettingsError("encoder", name, f"one of {known}, an encoder's folder, or hf:REPO")
    return Path(name)


def load_encoder(name_or_path: str | Path, threads: int = 0) -> Encoder:
    """Return an encoder by name or from its folder.

    Examples
    --------
    >>> load_encoder("spectrum").dim
    2048

    Raises
    ------
    SettingsError
        Neither a known name nor a folder, or a repository of the hub that cannot be used.
    FolderError
        The folder is not an encoder, damaged, or of a family this version does not know.
    MissingExtraError
        It needs a library that is not installed.
    """
    if str(name_or_path).startswith(HUB):
        fetched: Encoder = family_class("hf").from_hub(str(name_or_path).removeprefix(HUB), threads)
        return fetched
    folder = folder_of(name_or_path)
    if folder is None:
        return make_encoder({"family": str(name_or_path)}, {}, threads)
    return read_encoder(folder, threads)
