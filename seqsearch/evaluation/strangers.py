"""Pieces of genomes: queries that are of no marker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from Bio import SeqIO
from xopen import xopen

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.strand import reverse_complement
from seqsearch.errors import InputError
from seqsearch.tables import Int64

ENDINGS = (".gb", ".gbk", ".gbff")
ORGANELLES, OTHERS = "organelles", "bacteria, phages"


def read_genomes(folder: Path) -> dict[str, list[bytes]]:
    """Read the sequences of a folder of GenBank files, organelles and others apart.

    Raises
    ------
    InputError
        The folder has none.
    """
    found: dict[str, list[bytes]] = {ORGANELLES: [], OTHERS: []}
    for path in sorted(folder.iterdir()):
        if path.name.removesuffix(".gz").endswith(ENDINGS):
            with xopen(path, "rt") as file:
                for record in SeqIO.parse(file, "genbank"):  # type: ignore[no-untyped-call]
                    source = next((f for f in record.features if f.type == "source"), None)
                    is_organelle = source is not None and "organelle" in source.qualifiers
                    found[ORGANELLES if is_organelle else OTHERS].append(bytes(record.seq).upper())
    if not any(found.values()):
        raise InputError(folder, "has no GenBank file")
    return found


def pieces_of(genomes: list[bytes], lengths: Int64, seed: int) -> SequenceBatch:
    """Cut pieces of given lengths at random places of random strands, long genomes more often.

    Parameters
    ----------
    genomes : list of bytes
        Upper-case DNA.
    lengths : (n,) int64
    seed : int
    """
    rng = np.random.default_rng(seed)
    room = np.maximum(np.array([len(g) for g in genomes])[None, :] - lengths[:, None], 0)
    pieces = []
    for place, length in enumerate(lengths):
        chosen = rng.choice(len(genomes), p=room[place] / room[place].sum())
        start = rng.integers(room[place, chosen])
        pieces.append(genomes[chosen][start : start + length])
    batch = SequenceBatch.from_clean([f"piece{i}" for i in range(len(pieces))], pieces)
    turned = reverse_complement(batch)
    both = SequenceBatch.concatenate([batch, turned])
    return both.take(np.arange(len(batch)) + len(batch) * rng.integers(0, 2, len(batch)))
