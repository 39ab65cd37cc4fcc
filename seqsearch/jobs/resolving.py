"""Measures what a library can tell apart, from the search for its own records."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from seqsearch.analytics.resolvability import FIELDS, Resolvability
from seqsearch.encoders.base import Encoder
from seqsearch.index.store import IndexStore
from seqsearch.index.vectors import unit
from seqsearch.jobs.markers import Markers
from seqsearch.jobs.selfsearch import SelfSearch
from seqsearch.search.align import align
from seqsearch.search.candidates import Candidates, align_candidates, alignments_of
from seqsearch.tables import Bool, Float32, Int32, Int64, lists_from

WIDEST = 50  # sequences of a taxon among which the two farthest apart are looked for
AT_LEAST = 1_000_000  # pairs that are merged at once
OTHERS = 8  # nearest candidates of other taxa that a record is aligned with
SAME = 1 - 1e-6  # identity of sequences that are the same where they overlap


class Pairs:
    """The largest identity of every two taxa that were found near each other."""

    def __init__(self, taxa: int) -> None:
        self._taxa = taxa
        self._keys: list[Int64] = [np.empty(0, np.int64)]
        self._identity: list[Float32] = [np.empty(0, np.float32)]

    def add(self, one: Int64, other: Int64, identity: Float32) -> None:
        """Take in pairs of different taxa."""
        self._keys.append(np.minimum(one, other) * self._taxa + np.maximum(one, other))
        self._identity.append(identity)
        # Merged when as many have come as there were, so that each is sorted a few times only.
        if sum(map(len, self._keys[1:])) > max(AT_LEAST, len(self._keys[0])):
            self._merge()

    def _merge(self) -> None:
        keys, identity = np.concatenate(self._keys), np.concatenate(self._identity)
        order = np.lexsort((-identity, keys))
        first = np.flatnonzero(np.diff(keys[order], prepend=-1))
        self._keys, self._identity = [keys[order][first]], [identity[order][first]]

    def both_ways(self) -> tuple[Int64, Int64, Float32]:
        """Return every pair twice, from either taxon: by taxon, the largest identity first."""
        self._merge()
        one, other = np.divmod(self._keys[0], self._taxa)
        start, stop = np.append(one, other), np.append(other, one)
        identity = np.append(self._identity[0], self._identity[0])
        order = np.lexsort((stop, -identity, start))
        return start[order], stop[order], identity[order]


def resolve(store: IndexStore, encoder: Encoder, threads: int = 0) -> Resolvability:
    """Measure what the lowest rank's taxa share, and how near they are.

    Parameters
    ----------
    store : IndexStore
    encoder : Encoder
    threads : int
    """
    search, taxonomy = SelfSearch(store, encoder, threads), store.taxonomy
    pairs = Pairs(len(taxonomy))
    for asked, batch, nearest in search.nearest():
        own = search.hiding.truth[asked, -1]
        others = _with_rows(nearest, search.hiding.has_other(own, nearest.rows))
        found = align_candidates(others, batch, store, OTHERS, "both", threads)
        pairs.add(*_others(store, own, found))
    return _table(store, search, pairs, _within(store, search, threads))


def _with_rows(found: Candidates, kept: Bool) -> Candidates:
    """Return candidates without some of their rows; what is kept moves up."""
    order = np.argsort(~kept, axis=1, kind="stable")
    rows, vectors, similarities, strands = (
        np.take_along_axis(values, order, axis=1)
        for values in (
            np.where(kept, found.rows, -1),
            np.where(kept, found.vectors, -1),
            found.similarities,
            found.strands,
        )
    )
    similarities = np.where(rows >= 0, similarities, np.float32(0))
    return Candidates(rows, vectors, similarities, strands, similarities)


def _others(store: IndexStore, own: Int32, found: Candidates) -> tuple[Int64, Int64, Float32]:
    """Return own taxon, another's and the identity, of candidates with another lowest taxon."""
    votes, lowest = store.votes, store.taxonomy.lineage[:, -1]
    identity = np.nan_to_num(alignments_of(found).supported_identity, nan=0.0)
    rows = found.rows[:, : identity.shape[1]]
    at, which = np.nonzero((rows >= 0) & (own >= 0)[:, None])
    row = rows[at, which]
    labels = np.diff(votes.start)[row]
    line = np.repeat(votes.start[row] - np.append(0, np.cumsum(labels)[:-1]), labels)
    other = lowest[votes.taxon[line + np.arange(labels.sum())]]
    one = np.repeat(own[at], labels)
    near = np.repeat(identity[at, which], labels).astype(np.float32)
    kept = (other >= 0) & (other != one)
    return one[kept].astype(np.int64), other[kept].astype(np.int64), near[kept]


def _within(store: IndexStore, search: SelfSearch, threads: int) -> Float32:
    """Return (taxa,) float32: identity of the two sequences of each that are farthest apart.

    By their vectors, among at most `WIDEST` of each; NaN where a taxon has one.
    """
    own = search.hiding.truth[:, -1]
    by_hash = np.lexsort((store.order_keys[search.rows], own))  # drawn whatever their order
    by_hash = by_hash[own[by_hash] >= 0]
    taxa, start = np.unique(own[by_hash], return_index=True)
    pairs: list[tuple[int, int, int]] = []
    for taxon, members in zip(taxa, np.split(search.rows[by_hash], start[1:]), strict=True):
        chosen = np.unique(members[:WIDEST])
        if len(chosen) > 1:
            vectors = unit(search.markers.vectors(chosen))
            one, other = np.unravel_index(np.argmin(vectors @ vectors.T), (len(chosen),) * 2)
            pairs.append((int(taxon), int(chosen[one]), int(chosen[other])))
    identity = np.full(len(store.taxonomy), np.nan, np.float32)
    if pairs:
        taxon, one, other = np.array(pairs).T
        identity[taxon] = _identities(search.markers, one, other, threads)
    return identity


def _identities(markers: Markers, one: Int64, other: Int64, threads: int) -> Float32:
    """Return (p,) float32: identities of pairs of rows."""
    distinct = np.unique(other)
    references = markers.batch(distinct)
    first, place = np.unique(one, return_inverse=True)
    queries = markers.batch(first).take(place)
    found = align(queries, references, np.searchsorted(distinct, other)[:, None], threads)
    return np.asarray(found.supported_identity[:, 0], np.float32)


def _table(store: IndexStore, search: SelfSearch, pairs: Pairs, within: Float32) -> Resolvability:
    taxonomy, own = store.taxonomy, search.hiding.truth[:, -1]
    taxa, sequences = np.unique(own[own >= 0], return_counts=True)
    one, other, identity = pairs.both_ways()
    is_first: Bool = np.diff(one, prepend=-1) > 0
    nearest = np.full(len(taxonomy), -1, np.int64)
    nearest[one[is_first]] = other[is_first]
    nearest_identity = np.full(len(taxonomy), np.nan, np.float32)
    nearest_identity[one[is_first]] = identity[is_first]
    shared = identity >= SAME
    counts = np.bincount(one[shared], minlength=len(taxonomy))[taxa]
    names = taxonomy.names_of(other[shared])
    columns = {
        "lineage": taxonomy.paths().take(pa.array(taxa)),
        "name": taxonomy.names_of(taxa),
        "above": taxonomy.names_of(taxonomy.parent[taxa]),
        "records": search.hiding.sampling.records[taxa],
        "sequences": sequences,
        "identity_within": pa.array(within[taxa], mask=np.isnan(within[taxa])),
        "identity_other": pa.array(nearest_identity[taxa], mask=np.isnan(nearest_identity[taxa])),
        "nearest_other": taxonomy.names_of(nearest[taxa]),
        "shared_with": lists_from(names, np.append(0, np.cumsum(counts))),
    }
    return Resolvability(pa.table(columns, schema=pa.schema(list(FIELDS.items()))))
