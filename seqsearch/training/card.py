"""What stands beside a trained encoder: its model card, and hashes of what it learned from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqsearch.dna.digests import UInt64
from seqsearch.encoders.base import Encoder
from seqsearch.encoders.tensors import read_safetensors, save_tensors
from seqsearch.tables import Int64, whole_file
from seqsearch.training.labelled import LabelledSet
from seqsearch.training.recipe import Recipe
from seqsearch.training.validation import Cell, mean_right

if TYPE_CHECKING:
    from seqsearch.training.pretraining import Guess

CARD, TRAINED_ON = "card.md", "trained_on.safetensors"


def name_hash(rank: str, name: str) -> int:
    """Return 64 bits of a name at a rank, however it is capitalised."""
    digest = hashlib.blake2b(f"{rank}:{name.casefold()}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def save_trained_on(
    folder: Path,
    sets: Sequence[LabelledSet],
    rows: Sequence[Int64],
    start: Path | None = None,
) -> tuple[int, int]:
    """Write 64-bit hashes of the sequences and names learned from, sorted; returns how many.

    Sequences: the first word of `seqsearch.dna.digests.digests`. Names: `name_hash`. Those of the
    encoder's folder that it started from are among them.
    """
    before = None if start is None else read_trained_on(start)
    sequences = [one.digests[some, 0] for one, some in zip(sets, rows, strict=True)]
    names = set()
    for one, some in zip(sets, rows, strict=True):
        for rank in one.ranks:
            taxa = np.unique(one.at(rank)[some])
            known = one.taxonomy.names_of(taxa[taxa >= 0]).to_pylist()
            names |= {name_hash(rank, name) for name in known}
    known = np.array(sorted(names), np.uint64)
    if before is not None:
        sequences.append(before[0])
        known = np.union1d(known, before[1])
    tensors = {"sequences": np.unique(np.concatenate(sequences)), "names": known}
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
class Figures:
    """What was measured on what was kept out.

    Attributes
    ----------
    cells, fragment_cells : list of Cell
        Percent right of the nearest reference, of whole queries and of fragments.
    guess : Guess or None
        How well hidden tokens are guessed.
    head_cells : list of Cell
        Percent right of the heads of a fine-tuning.
    """

    cells: list[Cell] = field(default_factory=list)
    fragment_cells: list[Cell] = field(default_factory=list)
    guess: Guess | None = None
    head_cells: list[Cell] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return what a script would want to know."""
        found: dict[str, Any] = {}
        if self.cells:
            found["mean_right"] = mean_right(self.cells)
            found["mean_right_fragments"] = mean_right(self.fragment_cells)
        for name in ("cells", "fragment_cells", "head_cells"):
            found[name] = [vars(cell) for cell in getattr(self, name)]
        return found | ({} if self.guess is None else {"guess": self.guess.as_dict()})


@dataclass(frozen=True)
class Facts:
    """What a card says beside the recipe and the scores.

    Attributes
    ----------
    start : str
        Name of the encoder that it started from; empty: none.
    """

    loss: float
    seconds: float
    device: str
    processes: int
    counts: tuple[int, int]
    version: str
    made: str
    start: str = ""


def write_card(
    folder: Path,
    encoder: Encoder,
    recipe: Recipe,
    sets: Sequence[LabelledSet],
    rows: Sequence[Int64],
    figures: Figures,
    facts: Facts,
) -> None:
    """Write `card.md`."""
    sequences, names = facts.counts
    lines = [
        f"# {encoder.name}",
        "",
        _made(encoder, recipe, facts),
        "",
        f"SHA-256 of configuration and tensors: `{encoder.content_hash}`",
        "",
        *_learned_from(sets, rows),
        "",
        f"`{TRAINED_ON}` holds hashes of the {sequences:,} sequences and {names:,} names"
        + (", those that it started with among them." if facts.start else "."),
        f"Kept out: {_kept_out(recipe, sets)}.",
        "",
        *_guessed(figures),
        *_scores("Scores of whole sequences", NEAREST, figures.cells),
        *_scores("Scores of 250 nt fragments", NEAREST, figures.fragment_cells),
        *_scores("Scores of the heads", "Percent right of the likeliest taxon", figures.head_cells),
        "## Settings",
        "",
        *(f"- {name}: {value}" for name, value in recipe.as_dict().items()),
    ]
    with whole_file(folder / CARD) as temporary:
        temporary.write_text("\n".join(lines) + "\n")


BASELINE = "The second knows what stands at the same place of the sequences learned from."
NEAREST = "Percent right of the nearest reference"
_KEPT_OUT = {
    "development": "the development split, with a tenth of the genera",
    "genera": "a tenth of the genera, by a hash of the name",
    "none": "nothing",
}


def _made(encoder: Encoder, recipe: Recipe, facts: Facts) -> str:
    start = f" from `{facts.start}`" if facts.start else ""
    return (
        f"Made by seqsearch {facts.version}, {facts.made}: `seqsearch train {recipe.command} "
        f"--recipe {recipe.name}`{start}, seed {recipe.seed}, {recipe.steps:,} steps of "
        f"{recipe.at_once(facts.processes)} sequences in {facts.seconds / 60:.1f} minutes on "
        f"{facts.device}, processes: {facts.processes}. Last loss {facts.loss:.3f}. Vectors of "
        f"{encoder.dim} dimensions."
    )


def _learned_from(sets: Sequence[LabelledSet], rows: Sequence[Int64]) -> list[str]:
    lines = [
        "## Learned from",
        "",
        "| library | sequences | species | genera | families |",
        "|---|---|---|---|---|",
    ]
    for one, some in zip(sets, rows, strict=True):
        taxa = [one.at(rank)[some] for rank in ("species", "genus", "family")]
        named = " | ".join(f"{len(np.unique(taxon[taxon >= 0])):,}" for taxon in taxa)
        lines.append(f"| {one.marker} | {len(some):,} | {named} |")
    return lines


def _kept_out(recipe: Recipe, sets: Sequence[LabelledSet]) -> str:
    kept = _KEPT_OUT[recipe.holdout]
    nameless = [one.marker for one in sets if not one.ranks]
    if recipe.holdout == "none" or not nameless:
        return kept
    single = f"single sequences of {', '.join(nameless)}, by a hash (no names were looked at)"
    return single if len(nameless) == len(sets) else f"{kept}; {single}"


def _guessed(figures: Figures) -> list[str]:
    guess = figures.guess
    if guess is None:
        return []
    return [
        "## Hidden tokens of sequences kept out",
        "",
        f"{guess.tokens:,} hidden tokens, the same for both lines. {BASELINE}",
        "",
        "| | cross-entropy, nats a token | % right |",
        "|---|---|---|",
        f"| this network | {guess.loss:.3f} | {guess.right:.1f} |",
        f"| shares at the place | {guess.unigram_loss:.3f} | {guess.unigram_right:.1f} |",
        "",
    ]


def _scores(title: str, what: str, cells: list[Cell]) -> list[str]:
    if not cells:
        return []
    lines = [
        f"## {title}",
        "",
        f"{what}; mean over libraries {mean_right(cells):.2f}.",
        "",
        "| library | queries | rank | number | % right |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {c.marker} | {c.hidden} | {c.rank} | {c.queries} | {c.right:.1f} |" for c in cells
    ]
    return [*lines, ""]
