"""Encoders by name or folder: a table of families, each imported on use."""

from __future__ import annotations

import importlib
from pathlib import Path

from seqsearch.encoders.base import Encoder, read_config
from seqsearch.errors import FolderError, SettingsError

FAMILIES = {"kmerbag": "seqsearch.encoders.kmerbag:KmerBag"}
# Encoders that need no file; "spectrum" is what the untrained bag is called beside trained ones.
BUILT_IN = {"kmerbag": "kmerbag", "spectrum": "kmerbag"}


def load_encoder(name_or_path: str | Path, threads: int = 0) -> Encoder:
    """Return an encoder by built-in name or from its folder.

    Examples
    --------
    >>> load_encoder("kmerbag").dim
    2048

    Raises
    ------
    SettingsError
        Neither a known name nor a folder.
    FolderError
        The folder is not an encoder, or of a family this version does not know.
    """
    folder = Path(name_or_path)
    if str(name_or_path) in BUILT_IN:
        config = {"family": BUILT_IN[str(name_or_path)]}
    elif folder.is_dir():
        config = read_config(folder)
    else:
        known = ", ".join(BUILT_IN)
        raise SettingsError("encoder", str(name_or_path), f"one of {known}, or an encoder's folder")
    target = FAMILIES.get(str(config.get("family")))
    if target is None:
        raise FolderError(
            folder,
            f"encoder family {config.get('family')!r} is not known to this version",
            advice=f"it knows {', '.join(FAMILIES)}",
        )
    module, _, family = target.partition(":")
    encoder: Encoder = getattr(importlib.import_module(module), family).from_config(config, threads)
    return encoder
