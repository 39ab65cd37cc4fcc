"""Alignment of queries with the references found for them: identity, coverage, and the path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqsearch.dna.batch import SequenceBatch
from seqsearch.runs.results import ALIGNED
from seqsearch.search import overlap
from seqsearch.tables import Bool, Float32, Int32, Int64, UInt8
from seqsearch.threads import resolve_threads, spread

SUPPORTED = 0.5  # share of the shorter sequence


@dataclass(frozen=True)
class Alignments:
    """Alignments of pairs, in an array of any shape.

    Attributes
    ----------
    found : (..., overlap.FIELDS) int32
        As `search.overlap` names the fields; -1 where nothing was aligned.
    query_lengths, reference_lengths : (...) int64
        Of the whole sequences.
    """

    found: Int32
    query_lengths: Int64
    reference_lengths: Int64

    @property
    def is_aligned(self) -> Bool:
        """(...) bool: whether there is an alignment; it may be empty."""
        return self.found[..., overlap.HALVES] >= 0

    @property
    def edits(self) -> Float32:
        """(...) float32: the least cost; a base that hangs over is half an edit; NaN: none."""
        halves = self.found[..., overlap.HALVES]
        return self._fraction(halves, np.full(halves.shape, 2))

    @property
    def columns(self) -> Int32:
        """(...) int32: matches, mismatches and gaps; columns with an unknown base are none."""
        counted = self.found[..., [overlap.MATCHES, overlap.MISMATCHES, overlap.GAPS]]
        return counted.sum(axis=-1, dtype=np.int32) * self.is_aligned

    @property
    def identity(self) -> Float32:
        """(...) float32: matches over columns; NaN where there is no column."""
        return self._fraction(self.found[..., overlap.MATCHES], self.columns)

    @property
    def compressed_identity(self) -> Float32:
        """(...) float32: as identity, but a run of gaps is one column."""
        longer_gaps = self.found[..., overlap.GAPS] - self.found[..., overlap.OPENS]
        return self._fraction(self.found[..., overlap.MATCHES], self.columns - longer_gaps)

    @property
    def supported_identity(self) -> Float32:
        """(...) float32: the compressed one, less where little of the shorter sequence lies inside.

        Unrelated sequences find a few equal bases at their ends: below `SUPPORTED` of the shorter
        one the identity shrinks with the share that is aligned.
        """
        inside = np.maximum(self.query_coverage, self.reference_coverage)
        return self.compressed_identity * np.minimum(inside / np.float32(SUPPORTED), 1)

    @property
    def query_coverage(self) -> Float32:
        """(...) float32: share of the query's bases between the alignment's ends; NaN: none."""
        spans = self.found[..., overlap.QUERY_END] - self.found[..., overlap.QUERY_START]
        return self._fraction(spans, self.query_lengths)

    @property
    def reference_coverage(self) -> Float32:
        """(...) float32: share of the reference's bases between the alignment's ends."""
        spans = self.found[..., overlap.REF_END] - self.found[..., overlap.REF_START]
        return self._fraction(spans, self.reference_lengths)

    def aligned(self, is_turned: Bool) -> Int32:
        """Return (..., len(ALIGNED)) int32: what the hits of a run say of an alignment.

        Where the reverse complement of a query was aligned, its ends are given on the query.
        """
        fields = self.found[..., _ALIGNED_FIELDS].copy()
        start, end = ALIGNED.index("query_start"), ALIGNED.index("query_end")
        turned = is_turned & self.is_aligned
        old = fields[turned]
        fields[turned, start] = self.query_lengths[turned] - old[:, end]
        fields[turned, end] = self.query_lengths[turned] - old[:, start]
        return fields

    def on_whole(self, start: Int64) -> Alignments:
        """Return what was found in stretches of references as lying in the whole ones.

        Parameters
        ----------
        start : (...) int64
            First base of each stretch.
        """
        if not start.any():
            return self
        found = self.found.copy()
        shift = np.where(self.is_aligned, start, 0)
        found[..., overlap.REF_START] += shift
        found[..., overlap.REF_END] += shift
        return Alignments(found, self.query_lengths, self.reference_lengths)

    def __getitem__(self, places: Any) -> Alignments:
        """Return the alignments of chosen pairs."""
        return Alignments(
            self.found[places], self.query_lengths[places], self.reference_lengths[places]
        )

    def _fraction(self, parts: Int32, wholes: Int32 | Int64) -> Float32:
        has_value = self.is_aligned & (wholes > 0)
        values = np.full(parts.shape, np.nan, np.float32)
        np.divide(parts, wholes, out=values, where=has_value, casting="same_kind")
        return values


_ALIGNED_FIELDS = [
    overlap.MISMATCHES,
    overlap.GAPS,
    overlap.OPENS,
    overlap.QUERY_START,
    overlap.QUERY_END,
    overlap.REF_START,
    overlap.REF_END,
]


def align(
    queries: SequenceBatch, references: SequenceBatch, places: Int64, threads: int = 0
) -> Alignments:
    """Align each query with its references, as they lie (turn a query before, where it must be).

    The shorter sequence is laid into the longer one at the least cost: an edit (substitution,
    insertion, deletion of a base) costs 1, the ends of the longer are free, and a base of the
    shorter that hangs over an end of the longer costs a half. So partial overlaps align, and an
    overlap of unrelated bases is worth less than none. Bases that hang over are no columns. Unknown
    bases (IUPAC codes) agree with all they may stand for, and such columns do not count. Where
    nothing hangs over, the cost is that of edlib's mode HW (Šošić and Šikić 2017).

    Parameters
    ----------
    queries, references : SequenceBatch
    places : (n, c) int64
        References of each query, as positions in `references`; -1: none.
    threads : int
        0 means every core.

    Returns
    -------
    Alignments
        (n, c). Of pairs with more than `overlap.MOST` cells there is none.

    Examples
    --------
    >>> query = SequenceBatch.from_clean(["q"], [b"ACGTTGCA"])
    >>> reference = SequenceBatch.from_clean(["r"], [b"TTTACGATGCATTT"])
    >>> found = align(query, reference, np.array([[0]]))
    >>> found.identity.tolist(), found.query_coverage.tolist()
    ([[0.875]], [[1.0]])
    """
    shape = (len(queries), places.shape[1])
    found = np.full((*shape, overlap.FIELDS), -1, np.int32)
    asked, looked_up = _bases(queries), _bases(references)

    def task(start: int, stop: int) -> None:
        overlap.align_range(
            asked, queries.offsets, looked_up, references.offsets, places, found, start, stop
        )

    spread(task, len(queries), resolve_threads(threads))
    query_lengths = np.broadcast_to(queries.lengths[:, None], places.shape)
    return Alignments(found, query_lengths, np.append(references.lengths, 0)[places])


def _base_sets() -> UInt8:
    """Return (256,) uint8: A, C, G and T as bits 0 to 3, IUPAC codes as what they may stand for."""
    sets = np.zeros(256, np.uint8)
    meanings = "A=A C=C G=G T=T R=AG Y=CT S=CG W=AT K=GT M=AC B=CGT D=AGT H=ACT V=ACG N=ACGT"
    for code, bases in (meaning.split("=") for meaning in meanings.split()):
        sets[ord(code)] = sum(1 << "ACGT".index(base) for base in bases)
    return sets


BASE_SETS = _base_sets()


def _bases(batch: SequenceBatch) -> UInt8:
    return BASE_SETS[batch.bytes]


def cigar(query: str, reference: str, ends: Sequence[int]) -> str:
    """Return the path of an alignment that `align` found, as CIGAR of the query on the reference.

    `=` a match, `X` a mismatch, `M` a pair with an unknown base, `I` bases only in the query, `D`
    only in the reference, `S` ends of the query that are not aligned; "" where nothing is aligned.

    Parameters
    ----------
    query, reference : str
    ends : sequence of int
        Where it starts and ends in the query, then in the reference.

    Examples
    --------
    >>> cigar("ACGTTGCA", "TTTACGATGCATTT", (0, 8, 3, 11))
    '3=1X4='
    """
    first, last, start, end = ends
    if last <= first:
        return ""
    pieces = (query[first:last], reference[start:end])
    one, other = (BASE_SETS[np.frombuffer(text.encode(), np.uint8)] for text in pieces)
    kinds = overlap.path_of(one, other)
    changes = np.flatnonzero(np.diff(kinds)) + 1
    starts = np.concatenate([[0], changes])
    sizes = np.diff(np.append(starts, len(kinds)))
    middle = [f"{size}{_LETTERS[kinds[at]]}" for at, size in zip(starts, sizes, strict=True)]
    right = len(query) - last
    return "".join([f"{first}S" if first else "", *middle, f"{right}S" if right else ""])


_LETTERS = {
    overlap.MATCH: "=",
    overlap.NEUTRAL: "M",
    overlap.MISMATCH: "X",
    overlap.INSERTION: "I",
    overlap.DELETION: "D",
}
