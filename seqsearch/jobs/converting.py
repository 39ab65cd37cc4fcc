"""Making an encoder's folder of a published checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqsearch.encoders.base import Encoder
from seqsearch.encoders.folder import CONFIG, clear_encoder, family_class
from seqsearch.errors import FolderError, MissingExtraError
from seqsearch.jobs.training import STATE
from seqsearch.tables import locked

PUBLISHED = ("barcodebert", "metaberta", "cnn")  # families whose checkpoints are known


@dataclass(frozen=True)
class Conversion:
    """An encoder that was made of a checkpoint.

    Attributes
    ----------
    folder : Path
    encoder : Encoder
    family : str
    aside : list of str
        Tensors of the checkpoint that an encoder does not need.
    """

    folder: Path
    encoder: Encoder
    family: str
    aside: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return what a script would want to know."""
        return {
            "folder": str(self.folder),
            "family": self.family,
            "encoder": self.encoder.name,
            "sha256": self.encoder.content_hash,
            "left_out": self.aside,
        }


def convert_checkpoint(
    checkpoint: str | Path,
    out: str | Path,
    *,
    name: str = "",
    heads: int | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Make an encoder's folder of a checkpoint as its authors' code wrote it.

    No code of a checkpoint is run. Tensors are renamed by tables, and checked; what an encoder does
    not need (a head for pretraining, say) is left out and named.

    Parameters
    ----------
    checkpoint : path
        A file of torch or safetensors, or a folder as transformers writes it.
    out : path
        Encoder folder.
    name : str, optional
        What to call it; otherwise its family.
    heads : int, optional
        Attention heads, where the checkpoint does not say how many.
    overwrite : bool
        Replace an encoder that is there.

    Raises
    ------
    FolderError
        The checkpoint is unreadable, of no family known here, or its tensors are missing, extra,
        misshapen or not those of its tokens; or something is in the way.
    MissingExtraError
        torch or transformers is not installed.
    """
    source, folder = Path(checkpoint), Path(out)
    if folder.exists() and any(folder.iterdir()) and not (folder / CONFIG).exists():
        raise FolderError(folder, "this folder is no encoder's", advice="name another one")
    if (folder / CONFIG).exists() and not overwrite:
        raise FolderError(folder, "this encoder exists", advice="give --overwrite to replace it")
    encoder, aside = _made(source, name, heads)
    with locked(folder, "encoder"):
        clear_encoder(folder)
        (folder / STATE).unlink(missing_ok=True)
        encoder.save(folder)
    return Conversion(folder, encoder, str(encoder.as_config()["family"]), aside)


def _made(source: Path, name: str, heads: int | None) -> tuple[Encoder, list[str]]:
    try:
        from seqsearch.encoders.published import (  # noqa: PLC0415  torch is an extra
            read_published,
        )
    except ModuleNotFoundError as error:
        raise MissingExtraError("torch or transformers", "models") from error
    published = read_published(source, heads)
    for family in PUBLISHED:
        cls = family_class(family)
        if cls.recognises(published):
            try:
                return cls.from_published(published, name or family)
            except ValueError as error:
                raise FolderError(source, f"not a {family} that can be used: {error}") from error
    first = ", ".join(sorted(published.tensors)[:3])
    raise FolderError(source, f"of no family known here ({', '.join(PUBLISHED)}): it has {first}")
