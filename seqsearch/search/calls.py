"""From votes to calls, and from calls to assignments at a threshold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.runs.results import ALTERNATIVE, Calls
from seqsearch.search import calibrate
from seqsearch.search.calibrate import Probabilities
from seqsearch.search.rules import Rule
from seqsearch.search.verdicts import (
    AMBIGUOUS,
    IDENTIFIED,
    INVALID,
    LIKE_NOTHING,
    NO_FURTHER,
    NO_NAME,
    NO_REFERENCE,
    NOVEL,
    OFF_TARGET,
    PARTIAL,
    UNASSIGNED,
    Decision,
    fraction,
    names_with_shares,
)
from seqsearch.search.vote import Ballots
from seqsearch.tables import Bool, Int64, lists_from, one_array, to_numpy
from seqsearch.taxonomy import Taxonomy

SURELY_HIDDEN = 0.8  # probability from which a taxon counts as missing from the library
LEAST_SHARE = 0.005  # names with less are not worth a line among the alternatives


def calls_of(
    ballots: Ballots,
    probable: Probabilities,
    taxonomy: Taxonomy,
    shared: pa.StringArray,
    queries: Int64,
) -> Calls:
    """Turn votes into one row per query and named rank.

    Parameters
    ----------
    ballots : Ballots
    probable : Probabilities
    taxonomy : Taxonomy
    shared : (taxa,) pyarrow string
        Names with which a taxon shares a sequence, null where with none.
    queries : (n,) int64
        Number of each query in the run.
    """
    at, rank = np.nonzero(ballots.taxon >= 0)
    taxon = ballots.taxon[at, rank]
    others, shares = ballots.other[at, rank], ballots.other_share[at, rank]
    shown = (others >= 0) & (shares >= LEAST_SHARE)
    offsets = np.append(0, np.cumsum(shown.sum(axis=1)))
    names = taxonomy.names_of(others[shown])
    fields = [names, pa.array(shares[shown])]
    structs = pa.StructArray.from_arrays(fields, fields=list(ALTERNATIVE))
    return Calls(
        query=queries[at],
        rank=rank.astype(np.int32),
        taxon=taxon,
        name=taxonomy.names_of(taxon),
        probability=probable.right[at, rank],
        hidden=probable.hidden[at, rank],
        share=ballots.share[at, rank],
        tied=ballots.tied[at, rank],
        alternatives=lists_from(structs, offsets),
        shared_with=shared.take(pa.array(taxon)),
    )


def draw(
    queries: pa.Table,
    hits: pa.Table,
    calls: pa.Table,
    refs: pa.Table,
    ranks: tuple[str, ...],
    is_single: tuple[bool, ...],
    min_confidence: float,
    rule: Rule | None = None,
) -> pa.Table:
    """Draw assignments from calls: one row per query, named down to where the probability holds.

    Parameters
    ----------
    queries, hits, calls : pyarrow.Table
        One part of a run; queries in order, without gaps in their numbers.
    refs : pyarrow.Table
        `reference` and `ref_id` of at least the hit references.
    ranks : tuple of str
    is_single : tuple of bool
        By rank: the library has one taxon there, so its probability says nothing (null), and a call
        that ends above the first rank with several is none.
    min_confidence : float
        In [0, 1]; 0 names every rank.
    rule : Rule, optional
        Names by identity instead, whatever the probability.
    """
    sheet = _Sheet(queries, calls, ranks)
    if rule is None:
        decided = _decided(queries, hits, sheet, ranks, is_single, min_confidence)
    else:
        decided = rule.decide(queries, hits, sheet.is_off_target)
    last, novel = decided.last, sheet.hidden[np.arange(len(queries)), decided.asked]
    rank_names = pa.array(ranks, pa.string())
    best = _best_hits(queries, hits, refs, decided.best)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        "query": queries["query"],
        "query_id": queries["query_id"],
        "length": queries["length"],
        "strand": best["strand"],
        "verdict": decided.verdict,
        "rank": rank_names.take(pa.array(last, mask=last < 0)),
        "taxon": _lowest(decided),
        **dict(zip(ranks, decided.names, strict=True)),
    }
    for position, rank in enumerate(ranks):
        p = sheet.probability[:, position]
        columns[f"p_{rank}"] = pa.array(p, mask=np.isnan(p) | is_single[position])
    columns["p_novel"] = pa.array(novel, mask=np.isnan(novel))
    is_novel = to_numpy(pc.equal(decided.verdict, NOVEL))
    columns["novel_rank"] = rank_names.take(pa.array(decided.asked, mask=~is_novel))
    for name in ("best_ref", "similarity", "identity", "query_coverage", "n_hits"):
        columns[name] = best[name]
    columns["alternatives"] = decided.alternatives
    columns["reason"] = _with_note(decided.reason, one_array(queries["note"]))
    return pa.table(columns)


def _decided(
    queries: pa.Table,
    hits: pa.Table,
    sheet: _Sheet,
    ranks: tuple[str, ...],
    is_single: tuple[bool, ...],
    min_confidence: float,
) -> Decision:
    """Name each query down to where the probability holds."""
    reached = sheet.last_reaching(min_confidence)
    asked, is_tied = sheet.in_question(reached)
    last = _informative(reached, is_single)
    has_problem = pc.is_valid(queries["problem"]).to_numpy(zero_copy_only=False)
    best = _first_hits(queries, hits)
    novel = sheet.hidden[np.arange(len(queries)), asked]
    is_new = (last >= 0) & (asked > last) & (novel >= SURELY_HIDDEN)
    # Nothing is known to be missing where the library cannot tell the nearest names apart.
    is_blurred = is_new & pc.is_valid(sheet.shared(asked)).to_numpy(zero_copy_only=False)
    is_novel = is_new & ~is_blurred
    # 0 invalid, 1 off target, 2 ambiguous, 3 identified, 4 novel, 5 partial, 6 unassigned: the
    # first that holds
    is_off = sheet.is_off_target
    conditions = [has_problem, is_off, is_tied, last == len(ranks) - 1, is_novel, last >= 0]
    verdict = np.select(conditions, range(6), 6)
    words = pa.array([INVALID, OFF_TARGET, AMBIGUOUS, IDENTIFIED, NOVEL, PARTIAL, UNASSIGNED])
    needs_names = (verdict == 2) | (verdict >= 4)
    return Decision(
        best=best,
        verdict=words.take(pa.array(verdict)),
        last=last,
        names=tuple(
            sheet.names(np.where(position <= last, sheet.rows[:, position], -1))
            for position in range(len(ranks))
        ),
        asked=asked,
        alternatives=sheet.candidates(np.where(needs_names, asked, -1)),
        reason=_reasons(queries, sheet, verdict, last, asked, best >= 0, ranks, min_confidence),
    )


def _informative(last: Int64, is_single: tuple[bool, ...]) -> Int64:
    """Take back calls that end where the library has one taxon: they say nothing of the query.

    A library with one taxon at every rank is left as it is.
    """
    several = [position for position, single in enumerate(is_single) if not single]
    return np.where(last < several[0], -1, last) if several else last


class _Sheet:
    """The calls of one part laid out as (n queries, ranks)."""

    def __init__(self, queries: pa.Table, calls: pa.Table, ranks: tuple[str, ...]) -> None:
        first = queries["query"][0].as_py() if len(queries) else 0
        self.calls = calls
        at = to_numpy(calls["query"]) - first
        rank = to_numpy(pc.index_in(calls["rank"], value_set=pa.array(ranks, pa.string())))
        self.rows = np.full((len(queries), len(ranks)), -1, np.int64)  # line in `calls`
        self.rows[at, rank] = np.arange(len(calls))
        self.probability = np.full(self.rows.shape, np.nan, np.float32)
        self.probability[at, rank] = to_numpy(calls["probability"])
        self.hidden = np.full(self.rows.shape, np.nan, np.float32)
        self.hidden[at, rank] = to_numpy(calls["hidden"])
        self.tied = np.zeros(self.rows.shape, np.int32)
        self.tied[at, rank] = to_numpy(calls["tied"])

    @property
    def is_off_target(self) -> Bool:
        """(n,) bool: queries that the library lacks at every rank."""
        known = np.where(np.isnan(self.hidden), np.inf, self.hidden).min(axis=1, initial=np.inf)
        return np.isfinite(known) & (known >= calibrate.OFF_TARGET)

    def last_reaching(self, threshold: float) -> Int64:
        """Position of the lowest rank that reaches the threshold, -1 where none does."""
        with np.errstate(invalid="ignore"):
            reaches = self.probability >= np.float32(threshold)
        backwards = reaches[:, ::-1].argmax(axis=1)
        return np.where(reaches.any(axis=1), reaches.shape[1] - 1 - backwards, -1)

    def in_question(self, last: Int64) -> tuple[Int64, Bool]:
        """Return the rank whose name is open, -1 where none is, and whether names tie there.

        That is the highest rank with a tie among the called ones, else the next one below.
        """
        position = np.arange(self.rows.shape[1])
        is_open = (self.rows >= 0) & (
            (position[None, :] > last[:, None])
            | ((self.tied > 1) & (position[None, :] <= last[:, None]))
        )
        asked = np.where(is_open.any(axis=1), is_open.argmax(axis=1), -1)
        is_tied = (asked >= 0) & (self.tied[np.arange(len(asked)), asked] > 1)
        return asked, is_tied

    def cell(self, position: Int64) -> Int64:
        """Line in `calls` of each query at a rank position, -1 where there is none."""
        return np.where(position >= 0, self.rows[np.arange(len(position)), position], -1)

    def shared(self, position: Int64) -> pa.StringArray:
        """Names with which the one at a rank position shares a sequence, null where with none."""
        lines = self.cell(position)
        return one_array(self.calls["shared_with"]).take(pa.array(lines, mask=lines < 0))

    def names(self, lines: Int64) -> pa.StringArray:
        """Names by line in `calls`, null for -1."""
        return one_array(self.calls["name"]).take(pa.array(lines, mask=lines < 0))

    def candidates(self, position: Int64) -> pa.StringArray:
        """Return "name (share); name (share)" of the open rank, "" where position is -1."""
        lines = self.cell(position)
        wanted = lines[lines >= 0]
        own = self.calls.take(pa.array(wanted))
        first = names_with_shares(one_array(own["name"]), to_numpy(own["share"]))
        lists = one_array(own["alternatives"])
        inside = lists.flatten()
        others = names_with_shares(inside.field(0), to_numpy(inside.field(1)))
        joined = pc.binary_join(lists_from(others, np.append(0, np.cumsum(_sizes(lists)))), "; ")
        texts = pc.binary_join_element_wise(
            first, pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), joined), "; ",
            null_handling="skip",
        )  # fmt: skip
        place = np.full(len(lines), -1, np.int64)
        place[lines >= 0] = np.arange(len(wanted))
        return pc.fill_null(texts.take(pa.array(place, mask=place < 0)), "")


def _sizes(lists: pa.ListArray) -> Int64:
    return to_numpy(pc.list_value_length(lists)).astype(np.int64)


def _lowest(decided: Decision) -> pa.StringArray:
    """Return the name at the lowest rank that was named, null where none was."""
    chosen = pa.array(decided.last, mask=decided.last < 0)
    return pc.choose(chosen, *decided.names)


def _first_hits(queries: pa.Table, hits: pa.Table) -> Int64:
    """Line of each query's best hit, -1 where it has none."""
    first = queries["query"][0].as_py() if len(queries) else 0
    line = np.full(len(queries), -1, np.int64)
    is_best = to_numpy(hits["hit"]) == 0
    line[to_numpy(hits["query"])[is_best] - first] = np.flatnonzero(is_best)
    return line


def _best_hits(
    queries: pa.Table, hits: pa.Table, refs: pa.Table, line: Int64
) -> dict[str, pa.Array]:
    """Return the columns of assignments that come from one hit of each query, and from all."""
    first = queries["query"][0].as_py() if len(queries) else 0
    counts = np.bincount(to_numpy(hits["query"]) - first, minlength=len(queries))
    chosen = hits.take(pa.array(line, mask=line < 0))
    at = pc.index_in(chosen["reference"], value_set=one_array(refs["reference"]))
    wanted = ("strand", "similarity", "identity", "query_coverage")
    return {
        **{name: one_array(chosen[name]) for name in wanted},
        "best_ref": one_array(refs["ref_id"]).take(one_array(at)),
        "n_hits": pa.array(counts.astype(np.int32)),
    }


def _reasons(
    queries: pa.Table,
    sheet: _Sheet,
    verdict: Int64,
    last: Int64,
    asked: Int64,
    has_hits: Bool,
    ranks: tuple[str, ...],
    threshold: float,
) -> pa.Array:
    """Say why a query was not named further; where it was, what it cannot be told from, or ""."""
    lines = sheet.cell(asked)
    rank = pa.array(ranks, pa.string()).take(pa.array(asked, mask=asked < 0))
    p = np.where(asked >= 0, sheet.probability[np.arange(len(asked)), asked], 0).astype(np.float32)
    too_low = pc.binary_join_element_wise(
        rank, " ", sheet.names(lines), f": probability below {threshold:g} (", fraction(p), ")", ""
    )
    tied = sheet.tied[np.arange(len(asked)), asked].astype(str)
    ties = pc.binary_join_element_wise(pa.array(tied, pa.string()), " names tie for ", rank, "")
    missing = np.where(asked >= 0, sheet.hidden[np.arange(len(asked)), asked], 0)
    new = pc.binary_join_element_wise(
        "its ",
        rank,
        " is probably not in the library (",
        fraction(missing.astype(np.float32)),
        ")",
        "",
    )
    shares = pc.binary_join_element_wise(
        "shares a sequence with ", sheet.shared(last), " in this library", ""
    )
    blurred = pc.binary_join_element_wise(
        too_low, "; it shares a sequence with ", sheet.shared(asked), ""
    )
    texts = {
        0: one_array(queries["problem"]),
        1: LIKE_NOTHING,
        2: ties,
        3: pc.fill_null(shares, ""),
        4: new,
        5: pc.coalesce(blurred, too_low, NO_FURTHER),
        6: pc.if_else(pa.array(has_hits), pc.fill_null(too_low, NO_NAME), NO_REFERENCE),
    }
    reason = pa.array([""] * len(queries), pa.string())
    for code, text in texts.items():
        reason = pc.if_else(pa.array(verdict == code), text, reason)
    return reason


def _with_note(reason: pa.StringArray, note: pa.StringArray) -> pa.StringArray:
    """Add what is noted of a query, whatever it was named."""
    both = pc.binary_join_element_wise(reason, "; ", note, "")
    return pc.coalesce(pc.if_else(pc.equal(reason, ""), note, both), reason)
