"""An index opened for reading: one manifest, and the files it names."""

from __future__ import annotations

import mmap
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import UInt64
from seqsearch.dna.windows import Windows
from seqsearch.errors import FolderError, SettingsError
from seqsearch.index.catalog import Catalog, Votes
from seqsearch.index.manifest import Manifest, check_sizes, read_manifest
from seqsearch.index.segments import Segment, pieces_of, sequences_of, spans_of
from seqsearch.index.spans import Spans
from seqsearch.memory import available_memory
from seqsearch.tables import Float32, Int32, Int64, advise, to_numpy
from seqsearch.taxonomy import Taxonomy

UNTOLD_EXPONENT = 0.2  # that of words, with which older indexes were calibrated, all of them


class IndexStore:
    """One state of an index. Later writers do not disturb it.

    Attributes
    ----------
    folder : Path
    manifest : Manifest
    segments : list of Segment
    catalog : Catalog
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        check_sizes(folder, manifest)
        self.segments: list[Segment] = []
        for entry in manifest.segments:
            before = sum(len(segment.vectors) for segment in self.segments)
            place = (entry["first_row"], entry["rows"], before)
            self.segments.append(Segment(folder, entry["name"], *place))
        self.catalog = Catalog(folder / manifest.catalog, manifest.ranks)
        _ = self.order_keys, self.removed  # read now: a later writer may delete their files

    @classmethod
    def open(cls, folder: str | Path) -> IndexStore:
        """Open the current state of an index folder.

        Raises
        ------
        FolderError
            There is no index, or a file is missing, cut short, or of another version.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        try:
            return cls(folder, manifest)
        except FolderError:
            renewed = read_manifest(folder)  # a writer may have replaced the index just now
            if renewed == manifest:
                raise
            return cls(folder, renewed)

    @property
    def encoder_folder(self) -> Path:
        """The encoder that made the vectors."""
        return self.folder / str(self.manifest.encoder["folder"])

    @property
    def length_exponent(self) -> float:
        """Power of the lengths' quotient that cosines are multiplied with, as its encoder says."""
        return float(self.manifest.encoder.get("length_exponent", UNTOLD_EXPONENT))

    @property
    def rows(self) -> int:
        """Rows ever numbered, those taken out included."""
        return sum(segment.rows for segment in self.segments)

    @cached_property
    def removed(self) -> Int64:
        """(r,) int64: rows taken out, ascending."""
        if not self.manifest.removed:
            return np.empty(0, np.int64)
        return np.load(self.folder / self.manifest.removed, allow_pickle=False)

    @cached_property
    def live_rows(self) -> Int64:
        """(rows - r,) int64: rows that are searched, ascending."""
        is_live = np.ones(self.rows, np.bool_)
        is_live[self.removed] = False
        return np.flatnonzero(is_live)

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The taxonomy of the live rows."""
        return self.catalog.taxonomy()

    @cached_property
    def votes(self) -> Votes:
        """What each row votes for."""
        return self.catalog.votes(self.rows)

    @cached_property
    def order_keys(self) -> UInt64:
        """(rows,) uint64: a hash of each sequence; orders equally similar rows."""
        return np.ascontiguousarray(self.digests()[:, 0])

    def digests(self) -> UInt64:
        """(rows, 2) uint64: hashes of all sequences."""
        return np.concatenate([segment.digests() for segment in self.segments])

    @cached_property
    def lengths(self) -> Int32:
        """(rows,) int32: bases of all sequences."""
        pieces = [np.diff(segment.offsets) for segment in self.segments]
        return np.concatenate(pieces).astype(np.int32)

    @cached_property
    def spans(self) -> Spans:
        """What each vector is of: a row, or a window of one."""
        return spans_of(self.segments)

    @cached_property
    def windows(self) -> Windows:
        """How long sequences are cut that are added.

        As those before were; by the live rows where the index is older than that.
        """
        decided = self.manifest.windows
        return Windows(**decided) if decided else Windows.of(self.lengths[self.live_rows])

    @cached_property
    def live_vectors(self) -> Int64:
        """(l,) int64: numbers of the vectors that are searched, ascending."""
        return self.spans.numbers_of(self.live_rows)

    @cached_property
    def vector_keys(self) -> UInt64:
        """(vectors,) uint64: the order key of each vector's row."""
        return self.order_keys if self.spans.are_rows else self.order_keys[self.spans.rows]

    def expect_random_reads(self) -> None:
        """Tell the system that rows are read here and there, where memory does not hold them all.

        Left to itself it reads ahead of each, megabytes on some machines, and drops what is needed.
        """
        arrays = [a for s in self.segments for a in (s.vectors.numbers, s.sequences)]
        if sum(array.nbytes for array in arrays) > available_memory() // 2:
            for array in arrays:
                advise(array, mmap.MADV_RANDOM)

    def sequences(self, rows: Int64, named: bool = True) -> SequenceBatch:
        """Return the sequences of rows, in the order of the segments; see `sequences_of`."""
        return sequences_of(self.segments, rows, named)

    def pieces(self, rows: Int64, start: Int64, end: Int64) -> SequenceBatch:
        """Return stretches of ascending rows; see `pieces_of`."""
        return pieces_of(self.segments, rows, start, end)

    def vectors(self, numbers: Int64) -> Float32:
        """Return (v, d) float32: vectors by number, in the order of the segments.

        Where no row has several, their numbers are those of the rows; see `spans`.
        """
        firsts = [segment.first_vector for segment in self.segments]
        ends = [*firsts[1:], len(self.spans)]
        own = [numbers[(numbers >= a) & (numbers < b)] for a, b in zip(firsts, ends, strict=True)]
        return np.concatenate(
            [
                s.vectors.take(some - s.first_vector)
                for s, some in zip(self.segments, own, strict=True)
            ]
        )

    def rows_below(self, taxon_name: str) -> Int64:
        """Return the live rows with a label below any taxon of a name.

        Raises
        ------
        SettingsError
            No taxon has that name.
        """
        taxa = np.flatnonzero(to_numpy(pc.equal(self.taxonomy.name, taxon_name)))
        if not len(taxa):
            raise SettingsError("taxon", taxon_name, "the name of a taxon in this index")
        is_below = np.logical_or.reduce(np.isin(self.taxonomy.lineage, taxa), axis=1)
        votes = self.votes
        row_of_vote = np.repeat(np.arange(self.rows), np.diff(votes.start))
        return np.unique(row_of_vote[is_below[votes.taxon]])

    def close(self) -> None:
        """Close the catalog."""
        self.catalog.close()
