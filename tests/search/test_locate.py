"""How long queries are cut for a library, and how much of them is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.strand import reverse_complement
from seqsearch.jobs.opened import Index, open_index
from seqsearch.runs.results import ALIGNED, Hits
from seqsearch.search import locate
from seqsearch.search.locate import Locator, Parts


@pytest.fixture(scope="module")
def index(index_folder: Path) -> Iterator[Index]:
    with open_index(index_folder, threads=2) as opened:
        opened.load()
        yield opened


def locator(index: Index) -> Locator:
    retriever = index.retriever()
    return Locator(index.encoder, index.store, retriever, index.windows, "both", 2)


def random_batch(lengths: list[int], seed: int) -> SequenceBatch:
    rng = np.random.default_rng(seed)
    texts = [rng.choice(np.frombuffer(b"ACGT", np.uint8), n).tobytes() for n in lengths]
    return SequenceBatch.from_clean([f"q{i}" for i in range(len(texts))], texts)


def test_no_more_is_aligned_than_surrounds_a_few_windows(index: Index, monkeypatch) -> None:
    looked_at: list[int] = []
    align = locate.align_candidates

    def watched(found, batch, *rest):
        looked_at.extend(batch.lengths.tolist())
        return align(found, batch, *rest)

    monkeypatch.setattr(locate, "align_candidates", watched)
    queries = random_batch([300_000, 9_000], 1)
    start, end, *_ = locator(index).locate(queries)
    assert len(looked_at) == 2 * locate.PLACES
    assert max(looked_at) <= index.windows.size + 2 * index.windows.longest
    assert ((start >= 0) & (start < end) & (end <= queries.lengths)).all()


def test_the_place_is_the_reference_cut_at_the_ends_of_the_query(index: Index) -> None:
    row = 11
    reference = index.store.sequences(np.array([row]))
    size = int(reference.lengths[0])
    flank = random_batch([5000], 2).sequence(0)
    for text, turned in (
        (reference.sequence(0), False),
        (reverse_complement(reference).sequence(0), True),
    ):
        cut = text[size // 3 :]
        queries = SequenceBatch.from_clean(
            ["in", "left", "right"],
            [t.encode() for t in (flank + text + flank, cut + flank, flank + text[: -size // 3])],
        )
        start, end, is_turned, _ = locator(index).locate(queries)
        assert is_turned.tolist() == [turned] * 3
        assert [start[0], end[0]] == [5000, 5000 + size], turned
        assert [start[1], end[1]] == [0, len(cut)]
        assert [start[2], end[2]] == [5000, queries.lengths[2]]


def test_unknown_bases_are_like_nothing(index: Index) -> None:
    text = index.store.sequences(np.array([11])).sequence(0)
    unknown, flank = "N" * 4000, random_batch([3000], 5).sequence(0)
    queries = [unknown + text[:300] + unknown, flank + unknown + text[100:500] + unknown + flank]
    batch = SequenceBatch.from_clean(["alone", "scaffold"], [q.encode() for q in queries])
    start, end, *_ = locator(index).locate(batch)
    assert (start <= [4000, 7000]).all()
    assert (end >= [4300, 7400]).all()
    assert end[1] - start[1] <= 1.2 * len(text)


def test_only_windows_with_known_bases_are_searched(index: Index, monkeypatch) -> None:
    text = index.store.sequences(np.array([11])).sequence(0)
    flank, unknown = random_batch([3000], 6).sequence(0), "N" * 60_000
    queries = ["N" * 40_000 + text + flank, unknown + flank + text + unknown, unknown]
    batch = SequenceBatch.from_clean(["left", "both", "none"], [q.encode() for q in queries])
    finder, searched = locator(index), []
    search = finder.retriever.search
    monkeypatch.setattr(
        finder.retriever,
        "search",
        lambda vectors, count: searched.append(vectors) or search(vectors, count),
    )
    start, end, _, counted = finder.locate(batch)
    assert start.tolist()[:2] == [40_000, 63_000]
    assert (end - start).tolist()[:2] == [len(text)] * 2
    assert 0 <= start[2] < end[2] <= 60_000
    vectors = np.concatenate(searched)
    assert vectors.any(axis=1).all()
    assert counted.tolist()[2] == 1
    assert len(vectors) == 2 * counted[:2].sum()  # both strands
    assert len(vectors) < 2 * (2 * (3000 + len(text)) / index.windows.step + 4)


def test_references_much_longer_than_most_do_not_tell_a_place(index: Index) -> None:
    row = 11
    text = index.store.sequences(np.array([row])).sequence(0)
    flank = random_batch([5000], 3).sequence(0)
    queries = SequenceBatch.from_clean(["q"], [(flank + text).encode()])
    finder = locator(index)
    owner, start = np.zeros(1, np.int64), np.array([5000])
    assert row in finder._nearest(queries, owner, start).rows
    kept = index.store.lengths.copy()
    index.store.lengths[row] = index.windows.longest + 1
    try:
        found = finder._nearest(queries, owner, start)
    finally:
        index.store.lengths[:] = kept
    assert row not in found.rows
    assert found.rows[0, -1] == -1
    assert (np.diff(found.similarities[0]) <= 0).all()


def test_hits_of_a_part_are_told_on_the_whole() -> None:
    batch = random_batch([40, 30], 4)
    parts = Parts(batch, np.array([0, 500]), np.array([40, 1000]), np.array([1, 4]))
    alignment = np.tile(np.arange(len(ALIGNED), dtype=np.int32), (3, 1))
    alignment[:, [3, 4]] = [[2, 22], [5, 25], [-1, -1]]
    numbers = np.array([7, 8, 8])
    shares = np.array([0.5, 2 / 3, np.nan], np.float32)
    one = np.ones(3, np.float32)
    hits = Hits(
        numbers, np.zeros(3, np.int32), numbers, one, one, shares, one, np.ones(3, np.int8),
        alignment,
    )  # fmt: skip
    whole = parts.on_whole(hits, first=7)
    assert whole.alignment[:, [3, 4]].tolist() == [[2, 22], [505, 525], [-1, -1]]
    assert whole.query_coverage.tolist()[:2] == pytest.approx([0.5, 0.02])
    assert np.isnan(whole.query_coverage[2])
    assert (whole.alignment[:, 5:] == alignment[:, 5:]).all()
    assert Parts.all_of(batch).on_whole(hits, first=7) is hits
