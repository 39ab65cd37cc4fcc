"""Names by fixed cuts of identity, as far down as the nearest references agree.

A rule says which identity the best hit needs for a name at a rank. References whose identity lies
within a margin of the best one take part, and the name ends where their lineages part: the lowest
common ancestor (Huson et al. 2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.errors import SettingsError
from seqsearch.search.lineages import Lineages
from seqsearch.search.verdicts import (
    AMBIGUOUS,
    IDENTIFIED,
    INVALID,
    LIKE_NOTHING,
    NO_FURTHER,
    NO_NAME,
    NO_REFERENCE,
    OFF_TARGET,
    PARTIAL,
    UNASSIGNED,
    Decision,
    first_that_holds,
    names_with_shares,
)
from seqsearch.settings import COVERAGE, QuerySettings
from seqsearch.tables import Bool, Float64, Int32, Int64, lists_from, to_numpy

SAME = 1e-7  # difference of two float32 identities that may be equal as quotients
LEAST_ALIGNED = 0.5  # of the shorter sequence; fewer bases agree at the ends of unrelated ones
SHOWN = 6  # names listed as alternatives
_PLURALS = {
    "phylum": "phyla", "class": "classes", "order": "orders", "family": "families",
    "genus": "genera", "species": "species",
}  # fmt: skip


@dataclass(frozen=True)
class _Voices:
    """The lineages that take part, by query; v in all.

    Attributes
    ----------
    query, hit, line : (v,) int64
        Position among the queries, among the hits, and in `Lineages`.
    """

    query: Int64
    hit: Int64
    line: Int64

    def only(self, chosen: Bool) -> _Voices:
        return _Voices(self.query[chosen], self.hit[chosen], self.line[chosen])


@dataclass(frozen=True)
class Rule:
    """A rule for the references of a run or a batch.

    Attributes
    ----------
    ranks : tuple of str
    cuts : (ranks,) float64
        Percent identity; NaN at ranks that the rule does not mention.
    coverage : float or None
        Percent of the query that a hit must cover to count.
    within : float
        Percentage points below the best identity.
    lineages : Lineages
    """

    ranks: tuple[str, ...]
    cuts: Float64
    coverage: float | None
    within: float
    lineages: Lineages

    def decide(self, queries: pa.Table, hits: pa.Table, is_off_target: Bool) -> Decision:
        """Name each query of a part.

        Parameters
        ----------
        queries, hits : pyarrow.Table
            As for `draw`.
        is_off_target : (n,) bool
        """
        first = queries["query"][0].as_py() if len(queries) else 0
        of_query = to_numpy(hits["query"]) - first
        identity = self._identities(hits)
        best = np.full(len(queries), -np.inf)
        np.maximum.at(best, of_query, identity)
        takes_part = np.isfinite(identity) & (identity >= best[of_query] - self.within / 100 - SAME)
        depth = np.where(is_off_target, -1, self._depth(best))
        voices = self._voices(hits, of_query, takes_part)
        path, parted = self._common(voices, depth)
        last = _last_named(path)
        asked = np.where(parted >= 0, parted, np.where(last == depth, self._next_cut(depth), -1))
        counts, texts = self._competing(voices, asked)
        shown = _shown_hits(hits, of_query, identity, best)
        verdict = first_that_holds(
            [
                (pc.is_valid(queries["problem"]).to_numpy(zero_copy_only=False), INVALID),
                (is_off_target, OFF_TARGET),
                ((parted >= 0) & (counts > 1), AMBIGUOUS),
                (last == len(self.ranks) - 1, IDENTIFIED),
                (last >= 0, PARTIAL),
            ],
            UNASSIGNED,
            len(queries),
        )
        has_names = pc.is_in(verdict, pa.array([AMBIGUOUS, PARTIAL, UNASSIGNED]))
        return Decision(
            best=shown,
            verdict=verdict,
            last=last,
            names=tuple(self.lineages.taxonomy.names_of(taxa) for taxa in path.T),
            asked=asked,
            alternatives=pc.if_else(has_names, texts, ""),
            reason=self._reasons(queries, verdict, best, shown >= 0, depth, last, asked, counts),
        )

    def _identities(self, hits: pa.Table) -> Float64:
        """(m,) float64: -inf where a hit does not count."""
        columns = ("identity", "query_coverage", "reference_coverage")
        identity, of_query, of_reference = (
            to_numpy(hits[name].cast(pa.float64())).astype(np.float64) for name in columns
        )
        with np.errstate(invalid="ignore"):
            counts = np.fmax(of_query, of_reference) >= LEAST_ALIGNED - SAME
            if self.coverage is not None:
                counts &= of_query >= self.coverage / 100 - SAME
        return np.where(counts & ~np.isnan(identity), identity, -np.inf)

    def _depth(self, best: Float64) -> Int64:
        """(n,) int64: position of the lowest rank whose cut is reached, -1 where none is."""
        depth = np.full(len(best), -1, np.int64)
        for position in np.flatnonzero(~np.isnan(self.cuts)):
            depth[best >= self.cuts[position] / 100 - SAME] = position
        return depth

    def _next_cut(self, depth: Int64) -> Int64:
        """(n,) int64: position of the highest rank below with a cut, -1 where there is none."""
        mentioned = np.flatnonzero(~np.isnan(self.cuts))
        return np.append(mentioned, -1)[np.searchsorted(mentioned, depth, side="right")]

    def _voices(self, hits: pa.Table, of_query: Int64, takes_part: Bool) -> _Voices:
        """Return all lineages of the hits that take part."""
        chosen = np.flatnonzero(takes_part)
        found = pc.index_in(hits["reference"].take(pa.array(chosen)), self.lineages.reference)
        at = to_numpy(found).astype(np.int64)
        start, stop = self.lineages.start[at], self.lineages.start[at + 1]
        sizes = stop - start
        hit = np.repeat(chosen, sizes)
        before = np.repeat(np.cumsum(sizes) - sizes, sizes)
        line = np.repeat(start, sizes) + np.arange(len(hit)) - before
        return _Voices(of_query[hit], hit, line)

    def _common(self, voices: _Voices, depth: Int64) -> tuple[Int32, Int64]:
        """Follow the lineages down to `depth`, or to where they part.

        At each rank those that end above it abstain; those that skip it disagree with those that
        have a name there.

        Returns
        -------
        (n, ranks) int32
            The taxon at each rank; -1 at gaps and where nothing is named.
        (n,) int64
            Position of the rank where they part, -1 where they do not.
        """
        path = np.full((len(depth), len(self.ranks)), -1, np.int32)
        parted = np.full(len(depth), -1, np.int64)
        for position in range(len(self.ranks)):
            goes_on = (parted < 0) & (depth >= position)
            is_heard = goes_on[voices.query] & (self.lineages.lowest[voices.line] >= position)
            query = voices.query[is_heard]
            taxon = self.lineages.taxon[voices.line[is_heard], position]
            least = np.full(len(depth), np.iinfo(np.int32).max, np.int32)
            most = np.full(len(depth), -1, np.int32)
            np.minimum.at(least, query, taxon)
            np.maximum.at(most, query, taxon)
            path[:, position] = np.where(least == most, most, -1)
            parted[least < most] = position
        return path, parted

    def _competing(self, voices: _Voices, asked: Int64) -> tuple[Int64, pa.StringArray]:
        """Count the names at the rank in question, and list them as "name (share)".

        A reference is split over its lineages that reach the rank, by their records.
        """
        heard = voices.only(self.lineages.lowest[voices.line] >= asked[voices.query])
        heard = heard.only(asked[heard.query] >= 0)
        taxon = self.lineages.taxon[heard.line, asked[heard.query]].astype(np.int64)
        records = self.lineages.records[heard.line]
        part = records / np.bincount(heard.hit, records)[heard.hit] if len(records) else records
        keys = heard.query * (len(self.lineages.taxonomy) + 1) + taxon + 1
        unique, inverse = np.unique(keys, return_inverse=True)
        query, taxon = np.divmod(unique, len(self.lineages.taxonomy) + 1)
        share = np.bincount(inverse, part, len(unique))
        share = np.round(share / np.bincount(query, share, len(asked))[query], 9)
        order = np.lexsort((taxon, -share, query))  # equal shares by path, not by who came first
        order = order[taxon[order] > 0]  # 0 is the gap
        query, taxon, share = query[order], taxon[order] - 1, share[order]
        counts = np.bincount(query, minlength=len(asked))
        place = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
        listed = place < SHOWN
        names = self.lineages.taxonomy.names_of(taxon[listed])
        texts = names_with_shares(names, share[listed])
        offsets = np.append(0, np.cumsum(np.minimum(counts, SHOWN)))
        return counts, pc.binary_join(lists_from(texts, offsets), "; ")

    def _reasons(
        self,
        queries: pa.Table,
        verdict: pa.StringArray,
        best: Float64,
        has_hits: Bool,
        depth: Int64,
        last: Int64,
        asked: Int64,
        counts: Int64,
    ) -> pa.StringArray:
        """Say which evidence kept a query from a lower name, "" where it has the lowest."""
        nearness = f"within {self.within:g} % of the best identity"
        is_cut = (last == depth) & (asked >= 0)
        uncounted = "no hit is aligned over half of the shorter sequence"
        if self.coverage is not None:
            uncounted = f"no hit covers {self.coverage:g} % of the query"
        # Rounded down, so that what does not reach a cut does not look as if it did.
        percent = np.floor((np.where(np.isfinite(best), best, 0) + SAME) * 1000) / 10
        too_low = _join(self._by_rank(asked, "{rank} needs an identity of {cut:g} %"),
            ": the best hit has ", pa.array(np.char.mod("%.1f", percent)), " %")  # fmt: skip
        several = _join(
            pa.array(counts.astype(str)), self._by_rank(asked, f" {{plural}} are {nearness}")
        )
        without = self._by_rank(asked, f"some references {nearness} have no {{rank}}, others have")
        return first_that_holds(
            [
                (_is(verdict, INVALID), queries["problem"]),
                (_is(verdict, OFF_TARGET), LIKE_NOTHING),
                (_is(verdict, IDENTIFIED), ""),
                (_is(verdict, AMBIGUOUS), several),
                (~has_hits, NO_REFERENCE),
                (~np.isfinite(best), uncounted),
                (depth < 0, f"no hit reaches {np.nanmin(self.cuts):g} % identity"),
                (is_cut, too_low),
                (asked >= 0, without),
                (last == depth, self._by_rank(depth, "the rule names nothing below {rank}")),
                (last >= 0, NO_FURTHER),
            ],
            NO_NAME,
            len(queries),
        )

    def _by_rank(self, position: Int64, form: str) -> pa.StringArray:
        """(n,) pyarrow string: a sentence about the rank at a position, null for -1."""
        texts = [
            form.format(rank=rank, cut=cut, plural=_PLURALS.get(rank, f"{rank} names"))
            for rank, cut in zip(self.ranks, self.cuts, strict=True)
        ]
        return pa.array(texts, pa.string()).take(pa.array(position, mask=position < 0))


def open_rule(settings: QuerySettings, ranks: tuple[str, ...], refs: pa.Table) -> Rule | None:
    """Return the rule that the settings name, for these references; None without one.

    Parameters
    ----------
    settings : QuerySettings
    ranks : tuple of str
        Of the library.
    refs : pyarrow.Table
        `reference` and `lineages` of at least the hit references.
    """
    check_rule(settings, ranks)
    cuts = settings.cuts
    if cuts is None:
        return None
    by_rank = np.array([cuts.get(rank, np.nan) for rank in ranks])
    lineages = Lineages.of(refs, ranks)
    return Rule(ranks, by_rank, cuts.get(COVERAGE), settings.within, lineages)


def check_rule(settings: QuerySettings, ranks: tuple[str, ...]) -> None:
    """Raise `SettingsError` unless a rule is of these ranks, and asks for no more higher up."""
    cuts = settings.cuts or {}
    unknown = [name for name in cuts if name not in (*ranks, COVERAGE)]
    if unknown:
        expected = f"ranks of this library ({', '.join(ranks)}) or {COVERAGE}, not {unknown[0]!r}"
        raise SettingsError("rule", settings.rule, expected)
    mentioned = [rank for rank in ranks if rank in cuts]
    for higher, lower in pairwise(mentioned):
        if cuts[higher] > cuts[lower]:
            expected = f"at most the {cuts[lower]:g} % of {lower} for {higher}, which stands above"
            raise SettingsError("rule", settings.rule, expected)


def _shown_hits(hits: pa.Table, of_query: Int64, identity: Float64, best: Float64) -> Int64:
    """(n,) int64: line of the hit that decided, of the best hit where none counts; -1: no hit."""
    lines = np.arange(len(hits))
    is_best = identity >= np.where(np.isfinite(best), best - SAME, -np.inf)[of_query]
    order = np.lexsort((to_numpy(hits["hit"]), ~is_best))[::-1]
    shown = np.full(len(best), -1, np.int64)
    shown[of_query[order]] = lines[order]  # the last one written stays: the first of the best
    return shown


def _last_named(path: Int32) -> Int64:
    """(n,) int64: position of the lowest rank with a taxon, -1 where there is none."""
    is_named = path >= 0
    backwards = is_named[:, ::-1].argmax(axis=1)
    return np.where(is_named.any(axis=1), path.shape[1] - 1 - backwards, -1)


def _is(verdict: pa.StringArray, word: str) -> Bool:
    return to_numpy(pc.equal(verdict, word)).astype(bool)


def _join(*parts: pa.StringArray | str) -> pa.StringArray:
    return pc.binary_join_element_wise(*parts, "")
