"""Marker libraries simulated along a random tree, for demos and tests. Nothing in them is real."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from seqsearch.dna.batch import SequenceBatch
from seqsearch.tables import Float64, Int64, UInt8

RANKS = ("phylum", "class", "order", "family", "genus", "species")
# Expected substitutions a site between a taxon of a rank and its parent; within-species last.
# Chosen so that species differ by 2 to 12 % and genera by 8 to 20 %, as COI does.
BRANCH_LENGTHS = (0.12, 0.08, 0.08, 0.06, 0.05, 0.025)
WITHIN_SPECIES = 0.003
CHILDREN = (3, 2, 3, 3, 3, 4)  # mean number of children, from the root down
INDELS_PER_SUBSTITUTION = 0.02
RATE_SHAPE = 0.5  # of the gamma distribution of rates over sites: most sites hardly change

Rng = np.random.Generator


@dataclass(frozen=True)
class SimulatedLibrary:
    """References and queries with known answers.

    Attributes
    ----------
    references, queries : SequenceBatch
    reference_paths, query_paths : (n, 6) array of str
        Names at `RANKS`.
    query_sets : (n,) array of str
        "seen": the species has references; "unseen_species", "unseen_genus": all records of the
        species or of the genus are left out, the rank above has references.
    """

    references: SequenceBatch
    queries: SequenceBatch
    reference_paths: np.ndarray[Any, Any]
    query_paths: np.ndarray[Any, Any]
    query_sets: np.ndarray[Any, Any]

    def reference_table(self) -> pa.Table:
        """Return `id` and one column a rank."""
        return _path_table(self.references, self.reference_paths)

    def query_table(self) -> pa.Table:
        """Return `id`, one column a rank, and `set`."""
        table = _path_table(self.queries, self.query_paths)
        return table.append_column("set", pa.array(self.query_sets, pa.string()))


def simulate_library(families: int = 40, length: int = 650, seed: int = 1) -> SimulatedLibrary:
    """Grow a tree of taxa, evolve a marker along it, and split its records.

    Sequences change by substitutions and indels at rates that differ over sites (gamma) and over
    branches (exponential). Of the species a tenth is hidden, of the genera a tenth.

    Parameters
    ----------
    families : int
        About how many; a family has some 3 genera, a genus some 4 species of 1 to 8 records.
    length : int
        Bases at the root.
    seed : int
        The same seed gives the same library.

    Examples
    --------
    >>> library = simulate_library(families=4)
    >>> len(library.references) > 50, sorted(set(library.query_sets.tolist()))
    (True, ['seen', 'unseen_genus', 'unseen_species'])
    """
    rng = np.random.default_rng(seed)
    sequences, paths = [], []
    for sequence, path in _grow(rng, length, max(1, round(families / np.prod(CHILDREN[1:4])))):
        for _ in range(int(rng.integers(1, 9))):
            sequences.append(_evolve(rng, sequence, WITHIN_SPECIES)[0].tobytes())
            paths.append(path)
    all_paths = np.array(paths)
    sets = _split(rng, all_paths)
    is_reference = sets == ""
    ids = np.array([f"{'ref' if r else 'query'}{i:05d}" for i, r in enumerate(is_reference)])

    def batch(chosen: Int64) -> SequenceBatch:
        return SequenceBatch.from_clean(ids[chosen].tolist(), [sequences[i] for i in chosen])

    references = np.flatnonzero(is_reference)
    queries = np.flatnonzero(~is_reference & (sets != "left out"))
    return SimulatedLibrary(
        batch(references), batch(queries), all_paths[references], all_paths[queries], sets[queries]
    )


Evolving = tuple[UInt8, Float64]  # bases and the rate of each site


def _grow(rng: Rng, length: int, phyla: int) -> Iterator[tuple[Evolving, tuple[str, ...]]]:
    """Yield every species' sequence with its path."""
    composition = (0.3, 0.2, 0.15, 0.35)  # A, C, G, T: rich in A and T, as COI is
    root = np.frombuffer(b"ACGT", np.uint8)[rng.choice(4, length, p=composition)]
    rates = rng.gamma(RATE_SHAPE, 1 / RATE_SHAPE, length)
    level: list[tuple[Evolving, tuple[str, ...]]] = [((root, rates), ())]
    for depth, rank in enumerate(RANKS):
        children: list[tuple[Evolving, tuple[str, ...]]] = []
        for sequence, path in level:
            mean = CHILDREN[depth]
            count = phyla if depth == 0 else int(rng.integers(max(1, mean - 1), mean + 2))
            for _ in range(count):
                branch = BRANCH_LENGTHS[depth] * rng.exponential()
                name = f"{rank.capitalize()}{len(children) + 1}"
                if rank == "species":
                    name = f"{path[-1]} species{len(children) + 1}"
                children.append((_evolve(rng, sequence, branch), (*path, name)))
        level = children
    yield from level


def _evolve(rng: Rng, sequence: Evolving, branch: float) -> Evolving:
    bases, rates = sequence[0].copy(), sequence[1]
    changed = np.flatnonzero(rng.random(len(bases)) < 1 - np.exp(-branch * rates))
    bases[changed] = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, len(changed))]
    for _ in range(rng.poisson(INDELS_PER_SUBSTITUTION * branch * len(bases))):
        at, size = int(rng.integers(0, len(bases) - 4)), int(rng.integers(1, 4))
        if rng.random() < 0.5:
            bases, rates = (
                np.delete(bases, slice(at, at + size)),
                np.delete(rates, slice(at, at + size)),
            )
        else:
            bases = np.insert(bases, at, bases[at : at + size])
            rates = np.insert(rates, at, rates[at : at + size])
    return bases, rates


def _split(rng: Rng, paths: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return each record's query set; "" for references, "left out" for hidden extras."""
    sets = np.full(len(paths), "", "U16")
    for rank, name in ((4, "unseen_genus"), (5, "unseen_species")):
        taken = 0
        parents = {path[rank]: path[rank - 1] for path in paths}
        wanted = max(1, len(parents) // 10)
        for taxon in rng.permutation(sorted(parents)):
            own = paths[:, rank] == taxon
            kept_siblings = (paths[:, rank - 1] == parents[taxon]) & ~own & (sets == "")
            if taken == wanted or not kept_siblings.any() or (sets[own] != "").any():
                continue
            sets[own] = "left out"
            sets[rng.choice(np.flatnonzero(own), min(3, own.sum()), replace=False)] = name
            taken += 1
    species, first = np.unique(paths[:, 5], return_index=True)
    for taxon, start in zip(species, first, strict=True):
        own = np.flatnonzero((paths[:, 5] == taxon) & (sets == ""))
        if len(own) > 2 and own[0] == start:
            sets[own[-1]] = "seen"
    return sets


def _path_table(batch: SequenceBatch, paths: np.ndarray[Any, Any]) -> pa.Table:
    columns = {rank: pa.array(paths[:, i], pa.string()) for i, rank in enumerate(RANKS)}
    return pa.table({"id": batch.ids, **columns})


def shuffled(batch: SequenceBatch, seed: int) -> SequenceBatch:
    """Return the sequences with the bases of each in random order.

    >>> batch = SequenceBatch.from_clean(["a"], [b"AACCGGTT" * 9])
    >>> found = shuffled(batch, seed=0)
    >>> (
    ...     sorted(found.sequence(0)) == sorted(batch.sequence(0)),
    ...     found.sequence(0) == batch.sequence(0),
    ... )
    (True, False)
    """
    rng = np.random.default_rng(seed)
    bases = batch.bytes.copy()
    for start, stop in pairwise(batch.offsets):
        rng.shuffle(bases[start:stop])
    return SequenceBatch(batch.ids, bases, batch.offsets)
