"""What stands beside a trained encoder: its model card, and hashes of what it learned from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqsearch.dna.digests import UInt64
from seqsearch.encoders.base import Encoder, read_safetensors, save_tensors
from seqsearch.tables import Int64, whole_file
from seqsearch.training.labelled import LabelledSet
from seqsearch.training.recipe import Recipe
from seqsearch.training.validation import Cell, mean_right

CARD, TRAINED_ON = "card.md", "trained_on.safetensors"


def name_hash(rank: str, name: str) -> int:
    """Return 64 bits of a name at a rank, however it is capitalised."""
    digest = hashlib.blake2b(f"{rank}:{name.casefold()}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def save_trained_on(
    folder: Path, sets: Sequence[LabelledSet], rows: Sequence[Int64]
) -> tuple[int, int]:
    """Write 64-bit hashes of the sequences and names learned from, sorted; returns how many.

    Sequences: the first word of `seqsearch.dna.digests.digests`. Names: `name_hash`.
    """
    sequences = [one.digests[some, 0] for one, some in zip(sets, rows, strict=True)]
    names = set()
    for one, some in zip(sets, rows, strict=True):
        for rank in one.ranks:
            taxa = np.unique(one.at(rank)[some])
            known = one.taxonomy.names_of(taxa[taxa >= 0]).to_pylist()
            names |= {name_hash(rank, name) for name in known}
    tensors = {
        "sequences": np.unique(np.concatenate(sequences)),
        "names": np.array(sorted(names), np.uint64),
    }
    save_tensors(tensors, folder / TRAINED_ON)
    return len(tensors["sequences"]), len(tensors["names"])


def read_trained_on(folder: Path) -> tuple[UInt64, UInt64]:
    """Return the sorted hashes of sequences and names; empty for an encoder without them."""
    path = folder / TRAINED_ON
    if not path.exists():
        return np.empty(0, np.uint64), np.empty(0, np.uint64)
    tensors = read_safetensors(path)
    return tensors["sequences"], tensors["names"]


@dataclass(frozen=True)
class Facts:
    """What a card says beside the recipe and the scores."""

    loss: float
    seconds: float
    device: str
    processes: int
    counts: tuple[int, int]
    version: str
    made: str


def write_card(
    folder: Path,
    encoder: Encoder,
    recipe: Recipe,
    sets: Sequence[LabelledSet],
    rows: Sequence[Int64],
    scores: dict[str, list[Cell]],
    facts: Facts,
) -> None:
    """Write `card.md`."""
    made = (
        f"Made by seqsearch {facts.version}, {facts.made}: `seqsearch train contrastive --recipe "
        f"{recipe.name}`, seed {recipe.seed}, {recipe.steps:,} steps of {recipe.batch_size} "
        f"sequences in {facts.seconds / 60:.1f} minutes on {facts.device}, processes: "
        f"{facts.processes}. Last loss {facts.loss:.3f}. Vectors of {encoder.dim} dimensions."
    )
    lines = [
        f"# {encoder.name}",
        "",
        made,
        "",
        f"SHA-256 of configuration and tensors: `{encoder.content_hash}`",
        "",
        "## Learned from",
        "",
        "| library | sequences | species | genera | families |",
        "|---|---|---|---|---|",
    ]
    for one, some in zip(sets, rows, strict=True):
        taxa = [one.at(rank)[some] for rank in ("species", "genus", "family")]
        named = " | ".join(f"{len(np.unique(taxon[taxon >= 0])):,}" for taxon in taxa)
        lines.append(f"| {one.marker} | {len(some):,} | {named} |")
    sequences, names = facts.counts
    lines += [
        "",
        f"`{TRAINED_ON}` holds hashes of the {sequences:,} sequences and {names:,} names.",
    ]
    lines += [f"Kept out: {_KEPT_OUT[recipe.holdout]}.", ""]
    for title, cells in scores.items():
        lines += _scores(title, cells)
    lines += ["## Settings", ""]
    lines += [f"- {name}: {value}" for name, value in recipe.as_dict().items()]
    with whole_file(folder / CARD) as temporary:
        temporary.write_text("\n".join(lines) + "\n")


_KEPT_OUT = {
    "development": "the development split, with a tenth of the genera",
    "genera": "a tenth of the genera, by a hash of the name",
    "none": "nothing",
}


def _scores(title: str, cells: list[Cell]) -> list[str]:
    if not cells:
        return []
    lines = [
        f"## {title}",
        "",
        f"Percent right of the nearest reference; mean over libraries {mean_right(cells):.2f}.",
        "",
        "| library | queries | rank | number | % right |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {c.marker} | {c.hidden} | {c.rank} | {c.queries} | {c.right:.1f} |" for c in cells
    ]
    return [*lines, ""]
