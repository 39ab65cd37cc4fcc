"""What is learned from, and a development split cut from the same references as the bench is.

Everything is drawn by a hash of names, so it is the same for every library, order and version.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from seqsearch.tables import Bool, Int64
from seqsearch.training.labelled import LabelledSet

HELD_GENERA = 0.1  # never learned from by an encoder that ships
HIDDEN_FAMILIES, HIDDEN_SPECIES, HIDDEN_SEQUENCES = 0.03, 0.08, 0.04  # of the development split
PER_SPECIES, PER_SET = 3, 1000  # queries at most
HOLDOUTS = ("development", "genera", "none")
SETS = ("seen", "unseen_species", "unseen_genus", "unseen_family")


@dataclass(frozen=True)
class Split:
    """Rows of a `LabelledSet`.

    Attributes
    ----------
    references : (r,) int64
        What queries are searched among.
    train : (t,) int64
        What is learned from; part of the references.
    queries : dict
        Set (of `SETS`) to rows, none of them among the references.
    """

    references: Int64
    train: Int64
    queries: dict[str, Int64]


def draw(kind: str, name: str) -> float:
    """Return a number in [0, 1) that depends on the words only.

    >>> draw("genus", "Apis") == draw("genus", "apis")
    True
    """
    digest = hashlib.blake2b(f"{kind}:{name.casefold()}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def is_held_genus(name: str) -> bool:
    """Whether a genus is of the tenth that no shipped encoder learns from.

    >>> is_held_genus("Apis"), is_held_genus("Bombus")
    (False, True)
    """
    return draw("genus", name) < HELD_GENERA


def split_for(labelled: LabelledSet, holdout: str, seed: int = 0) -> Split:
    """Return the split of a kind: one of `HOLDOUTS`.

    "development": `development_split`, and all that it hides is kept out of training.
    "genera": only the held genera are; they are the queries.
    "none": everything is learned from, nothing is asked.
    Where nothing has a name, single sequences are kept out in the place of taxa.
    """
    everything = np.arange(len(labelled))
    if holdout == "none":
        return Split(everything, everything, {})
    if not labelled.ranks:
        kept = np.flatnonzero(~_drawn_sequences(labelled))
        return Split(kept, kept, {})
    if holdout == "development":
        return development_split(labelled, seed)
    is_held = _drawn(labelled, "genus", "genus", HELD_GENERA)
    kept = np.flatnonzero(~is_held)
    asked = np.flatnonzero(is_held & _known(labelled, kept, "family"))
    return Split(kept, kept, {"unseen_genus": _few(labelled, asked, seed)})


def development_split(labelled: LabelledSet, seed: int = 0) -> Split:
    """Hide families, genera, species and single sequences, as the bench does.

    The held genera are the genera hidden here; families, species and sequences are hidden beside
    them, and not learned from either. `seed` chooses which of too many queries are kept.
    """
    is_family = _drawn(labelled, "family", "family", HIDDEN_FAMILIES)
    is_genus = _drawn(labelled, "genus", "genus", HELD_GENERA) & ~is_family
    is_species = _drawn(labelled, "species", "species", HIDDEN_SPECIES) & ~is_genus & ~is_family
    species = labelled.at("species")
    is_one = _drawn_sequences(labelled) & (species >= 0) & ~(is_family | is_genus | is_species)
    references = np.flatnonzero(~(is_family | is_genus | is_species | is_one))
    queries = {
        name: _few(labelled, np.flatnonzero(hidden & _known(labelled, references, rank)), seed)
        for name, hidden, rank in (
            ("seen", is_one, "species"),
            ("unseen_species", is_species, "genus"),
            ("unseen_genus", is_genus, "family"),
            ("unseen_family", is_family, "order"),
        )
    }
    return Split(references, references, queries)


def _drawn_sequences(labelled: LabelledSet) -> Bool:
    """(n,) bool: rows that are drawn by a hash of the sequence."""
    lots = labelled.digests[:, 0].astype(np.float64) / 2**64
    return lots < HIDDEN_SEQUENCES


def _drawn(labelled: LabelledSet, kind: str, rank: str, share: float) -> Bool:
    """(n,) bool: rows whose name at a rank is drawn."""
    taxa = labelled.at(rank)
    unique, inverse = np.unique(taxa, return_inverse=True)
    names = labelled.taxonomy.names_of(unique).to_pylist()
    lots = [name is not None and draw(kind, name) < share for name in names]
    return np.array(lots, np.bool_)[inverse]


def _known(labelled: LabelledSet, references: Int64, rank: str) -> Bool:
    """(n,) bool: rows whose taxon at a rank is among the references."""
    taxa = labelled.at(rank)
    return (taxa >= 0) & np.isin(taxa, taxa[references])


def _few(labelled: LabelledSet, rows: Int64, seed: int) -> Int64:
    """Return at most `PER_SPECIES` rows a species and `PER_SET` in all, ascending."""
    rows = np.random.default_rng(seed).permutation(rows)
    species = labelled.at("species")[rows]
    order = np.argsort(species, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(species[order]) != 0]) if len(rows) else rows
    place = np.arange(len(rows)) - np.repeat(starts, np.diff(np.r_[starts, len(rows)]))
    kept = np.sort(order[(place < PER_SPECIES) & (species[order] >= 0)])  # in the drawn order
    return np.sort(rows[kept[:PER_SET]])
