"""Reads to hits and calls, batch by batch, with the stages overlapped."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.devices.vectors import Vectors
from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.frames import has_open_frame
from seqsearch.dna.reading import Reads
from seqsearch.dna.windows import Windows
from seqsearch.encoders.base import Encoder
from seqsearch.index.store import IndexStore
from seqsearch.jobs.judging import Judge
from seqsearch.jobs.repeats import Answers, Distinct, Seen
from seqsearch.libraries.records import defect_problems, first_problem, problems_where
from seqsearch.runs.results import Calls, Hits
from seqsearch.search.calls import calls_of
from seqsearch.search.candidates import (
    Candidates,
    align_candidates,
    find_candidates,
    hits_of,
    with_strands,
)
from seqsearch.search.locate import Locator, Parts, encode_strands
from seqsearch.search.retrieve import Retriever
from seqsearch.search.vote import vote
from seqsearch.settings import QuerySettings
from seqsearch.tables import Int64
from seqsearch.threads import prefetch

STOPS = "stop codons in every reading frame: a pseudogene, or wrong bases"
_SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".fasta", ".fastq", ".fa", ".fq", ".fas", ".fna")


@dataclass
class Clock:
    """Seconds spent in each stage; stages overlap, so they add up to more than the wall time."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time inside to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start


@dataclass(frozen=True)
class Prepared:
    """A batch of queries, to be encoded, or encoded.

    Attributes
    ----------
    queries : pyarrow.Table
        The part for queries/, with the problem of those that cannot be searched.
    numbers : (n,) int64
        Numbers in the run of the queries that can be.
    distinct : Distinct
        Sequences of those queries.
    batch : SequenceBatch
        The u distinct sequences that are new.
    vectors : dict of int to (u, d) float32, or the same on GPUs
        By strand; `EITHER` where the encoder tells none from the other. Empty before encoding, and
        where a sequence is so long that its marker has to be found first.
    fraction : float or None
        How much of the input has been read.
    """

    queries: pa.Table
    numbers: Int64
    distinct: Distinct
    batch: SequenceBatch
    vectors: dict[int, Vectors]
    fraction: float | None


@dataclass(frozen=True)
class Found:
    """A batch of queries with the nearest references.

    Attributes
    ----------
    prepared : Prepared
    parts : Parts
        Of its sequences, what was searched.
    candidates : Candidates
    """

    prepared: Prepared
    parts: Parts
    candidates: Candidates


@dataclass(frozen=True)
class Searched:
    """A batch of queries with what was found."""

    queries: pa.Table
    hits: Hits
    calls: Calls
    fraction: float | None


def search_all(
    reads: Iterable[tuple[int, Reads]],
    encoder: Encoder,
    store: IndexStore,
    retriever: Retriever,
    judge: Judge,
    windows: Windows,
    settings: QuerySettings,
    clock: Clock,
) -> Iterator[Searched]:
    """Search batches of reads, given with the number of their first query.

    Every stage runs in a thread of its own, two batches ahead of the next one at most; what the
    caller does runs in the caller's.
    """
    seen, answers = Seen(), Answers()

    def stage(name: str, work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return prefetch(_timed(work, items, clock, name))

    prepared = stage(
        "prepare",
        lambda one: prepare(one[0], one[1], encoder, seen, settings, judge.is_coding, windows),
        prefetch(_timed_reading(reads, clock)),
    )
    encoded = stage("encode", lambda one: encode(one, encoder, settings.strand, windows), prepared)
    locator = Locator(encoder, store, retriever, windows, settings.strand, settings.threads)
    nearest = stage("search", lambda one: find(one, locator, settings.candidates), encoded)
    placed = stage("align", lambda one: _placed(one, store, settings), nearest)
    return stage("vote", lambda one: _judged(one, store, judge, answers, settings), placed)


def _placed(found: Found, store: IndexStore, settings: QuerySettings) -> Found:
    """Align the candidates, or only tell their strand."""
    batch, near = found.parts.batch, found.candidates
    strand, threads = settings.strand, settings.threads
    if settings.align:
        near = align_candidates(near, batch, store, settings.align, strand, threads)
    else:
        near = with_strands(near, batch, store, strand, threads)
    return replace(found, candidates=near)


def _judged(
    found: Found, store: IndexStore, judge: Judge, answers: Answers, settings: QuerySettings
) -> Searched:
    """Let the candidates vote, and answer every query."""
    batch, candidates = found.prepared, found.candidates
    voters = candidates.rows[:, : candidates.scores.shape[1]]
    ballots = vote(store.taxonomy, store.votes, voters, candidates.scores, settings.threads)
    new = batch.distinct.first + np.arange(len(batch.batch))
    parts = found.parts
    probable = judge.probabilities(candidates, ballots, parts.lengths, settings, parts.searched)
    calls = calls_of(ballots, probable, store.taxonomy, judge.shared, new)
    hits = parts.on_whole(hits_of(candidates, new, settings.hits), batch.distinct.first)
    answers.add(batch.distinct.first, hits, calls)
    hits, calls = answers.of(batch.distinct.number, batch.numbers)
    return Searched(batch.queries, hits, calls, batch.fraction)


def _timed(
    work: Callable[[Any], Any], items: Iterable[Any], clock: Clock, stage: str
) -> Iterator[Any]:
    for item in items:
        with clock.timed(stage):
            done = work(item)
        yield done


def _timed_reading(reads: Iterable[Any], clock: Clock) -> Iterator[Any]:
    iterator = iter(reads)
    while True:
        with clock.timed("read"):
            item = next(iterator, None)
        if item is None:
            return
        yield item


def prepare(
    first: int,
    reads: Reads,
    encoder: Encoder,
    seen: Seen,
    settings: QuerySettings,
    is_coding: bool,
    windows: Windows,
) -> Prepared:
    """Find out which reads can be searched, and which of them are new."""
    batch = reads.batch
    problem = first_problem(
        defect_problems(reads), problems_where(~encoder.encodable(batch), encoder.why_not())
    )
    usable = np.flatnonzero(pc.is_null(problem).to_numpy(zero_copy_only=False))
    chosen = batch if len(usable) == len(batch) else batch.take(usable)
    distinct = seen.distinct(chosen)
    if len(distinct.new) < len(chosen):
        chosen = chosen.take(distinct.new)
    note = pa.nulls(len(batch), pa.string())
    if is_coding:
        is_shut = ~has_open_frame(batch) & ~windows.are_long(batch.lengths)
        note = problems_where(is_shut & pc.is_null(problem).to_numpy(False), STOPS)
    queries = _query_table(first, reads, problem, note, settings.keep_sequences)
    return Prepared(queries, first + usable, distinct, chosen, {}, reads.fraction)


def encode(prepared: Prepared, encoder: Encoder, strand: str, windows: Windows) -> Prepared:
    """Encode what is new on the strands asked for; vectors stay on the encoder's device.

    Nothing is encoded yet where a sequence is long: its marker has to be found first.
    """
    batch = prepared.batch
    if windows.are_long(batch.lengths).any():
        return prepared
    return replace(prepared, vectors=encode_strands(batch, encoder, strand))


def find(prepared: Prepared, locator: Locator, count: int) -> Found:
    """Search for the nearest references; of long queries, for those of the marker in them.

    Parameters
    ----------
    prepared : Prepared
    locator : Locator
    count : int
        Candidates a query.
    """
    parts, vectors = Parts.all_of(prepared.batch), prepared.vectors
    if not vectors:
        parts = locator.parts(prepared.batch)
        vectors = encode_strands(parts.batch, locator.encoder, locator.strand)
    candidates = find_candidates(parts.batch, vectors, locator.retriever, locator.store, count)
    return Found(prepared, parts, candidates)


def _query_table(
    first: int,
    reads: Reads,
    problem: pa.StringArray,
    note: pa.StringArray,
    keep_sequences: bool,
) -> pa.Table:
    batch: SequenceBatch = reads.batch
    size = pc.extract_regex(batch.ids, r";size=(?P<size>[0-9]{1,18})")
    columns = {
        "query": np.arange(first, first + len(batch)),
        "query_id": batch.ids,
        "description": reads.descriptions,
        "sample": pa.array([sample_name(reads.path)] * len(batch), pa.string()),
        "size": pc.cast(pc.struct_field(size, "size"), pa.int64()),
        "length": batch.lengths,
        "problem": problem,
        "note": note,
    }
    if keep_sequences:
        columns["sequence"] = batch.strings()
    return pa.table(columns)


def sample_name(path: str) -> str:
    """Return a file's name without folder and endings.

    >>> sample_name("reads/site.1.fastq.gz"), sample_name("-")
    ('site.1', 'stdin')
    """
    name = "stdin" if path == "-" else Path(path).name
    while name.lower().endswith(_SUFFIXES):
        name = name[: name.rindex(".")]
    return name
