"""What encoders learn from: sequences of index folders, with a lineage each, or of plain files."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import UInt64, digests
from seqsearch.dna.reading import read_sequences
from seqsearch.errors import FolderError, InputError
from seqsearch.index.catalog import Votes
from seqsearch.index.store import IndexStore
from seqsearch.tables import Int32, Int64
from seqsearch.taxonomy import Taxonomy


@dataclass(frozen=True)
class LabelledSet:
    """Unique sequences of one marker and what they are called.

    Attributes
    ----------
    marker : str
        Sequences of different markers are never compared.
    batch : SequenceBatch
    digests : (n, 2) uint64
    taxonomy : Taxonomy
    lineage : (n, ranks) int32
        The taxon at every rank on which all records of the sequence agree; -1 where there is none.
    """

    marker: str
    batch: SequenceBatch
    digests: UInt64
    taxonomy: Taxonomy
    lineage: Int32

    def __len__(self) -> int:
        return len(self.batch)

    @property
    def ranks(self) -> tuple[str, ...]:
        """Names of the ranks, highest first."""
        return self.taxonomy.ranks

    def at(self, rank: str) -> Int32:
        """Return (n,) int32: the taxon at a rank; -1 everywhere if the library lacks the rank."""
        if rank not in self.ranks:
            return np.full(len(self), -1, np.int32)
        return self.lineage[:, self.ranks.index(rank)]

    def names(self, rank: str) -> pa.StringArray:
        """Return the name at a rank of every sequence, null where it has none."""
        return self.taxonomy.names_of(self.at(rank))


def read_labelled(folder: str | Path) -> LabelledSet:
    """Read the live sequences of an index folder.

    Raises
    ------
    FolderError
        It is not a readable index.
    """
    with closing(IndexStore.open(folder)) as store:
        rows = store.live_rows
        marker = store.manifest.marker or Path(folder).resolve().name
        batch = store.sequences(rows)
        # Copied, because the index's own arrays are mapped files that may go.
        batch = SequenceBatch(batch.ids, np.array(batch.bytes), np.array(batch.offsets))
        lineage = _agreed(store.taxonomy, store.votes, rows)
        return LabelledSet(marker, batch, store.digests()[rows], store.taxonomy, lineage)


def read_unnamed(path: str | Path) -> LabelledSet:
    """Read the distinct sequences of a FASTA or FASTQ file; none has a name, and there is no rank.

    Records with a defect (letters of no nucleotide, say) are left out.

    Raises
    ------
    InputError
        The file cannot be read, or no record is sound.
    """
    kept = [reads.batch.take(np.flatnonzero(reads.defects == 0)) for reads in read_sequences(path)]
    batch = SequenceBatch.concatenate(kept)
    if not len(batch):
        raise InputError(path, "no record can be used")
    found = digests(batch)
    _, first = np.unique(found, axis=0, return_index=True)
    rows = np.sort(first)
    taxonomy, _ = Taxonomy.from_paths((), ())
    nothing = np.empty((len(rows), 0), np.int32)
    return LabelledSet(Path(path).name, batch.take(rows), found[rows], taxonomy, nothing)


def _agreed(taxonomy: Taxonomy, votes: Votes, rows: Int64) -> Int32:
    """(n, ranks) int32: the taxa that all labels of a row share, from the top down."""
    if not len(taxonomy):
        raise FolderError("index", "no reference has a name")
    counts = np.diff(votes.start)
    lineage = taxonomy.lineage[votes.taxon]
    row_of_vote = np.repeat(np.arange(len(counts)), counts)
    first = np.full((len(counts), lineage.shape[1]), -1, np.int32)
    has_vote = counts > 0
    first[has_vote] = lineage[votes.start[:-1][has_vote]]
    differs = np.zeros_like(first, np.bool_)
    np.logical_or.at(differs, row_of_vote, lineage != first[row_of_vote])
    # Below a rank at which labels differ nothing is agreed.
    first[np.logical_or.accumulate(differs, axis=1)] = -1
    return first[rows]
