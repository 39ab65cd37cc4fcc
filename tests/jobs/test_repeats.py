"""Identical queries are searched once, wherever they stand, and answered each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqsearch
from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.spectrum import Spectrum
from seqsearch.jobs import repeats
from seqsearch.jobs.repeats import Answers, Seen
from seqsearch.runs.results import ALIGNED, ALTERNATIVE, Calls, Hits
from seqsearch.tables import lists_from


def batch_of(words: list[str]) -> SequenceBatch:
    return SequenceBatch.from_clean([""] * len(words), [word.encode() for word in words])


def answer(batch: SequenceBatch, first: int) -> tuple[Hits, Calls]:
    """Made-up answers: a hit a base, a call for sequences of more than one base."""
    owner = first + np.repeat(np.arange(len(batch)), batch.lengths)
    values = batch.bytes.astype(np.float32)
    zeros = np.zeros((len(owner), len(ALIGNED)), np.int32)
    hits = Hits(
        owner, zeros[:, 0], batch.bytes.astype(np.int64), values, values, values, values,
        np.ones(len(owner), np.int8), zeros,
    )  # fmt: skip
    called = np.flatnonzero(batch.lengths > 1)
    structs = pa.array([{"name": "x", "share": 0.5}] * len(called), ALTERNATIVE)
    names = batch.strings().take(pa.array(called))
    ranks = np.zeros(len(called), np.int32)
    alternatives = lists_from(structs, np.arange(len(called) + 1))
    calls = Calls(
        first + called,
        ranks,
        ranks,
        names,
        *([np.ones(len(called), np.float32)] * 3),
        ranks,
        alternatives,
        names,
    )
    return hits, calls


@settings(deadline=None)
@given(st.lists(st.lists(st.text("ACGT", min_size=1, max_size=2), max_size=9), max_size=12))
def test_every_query_has_the_answer_of_its_sequence(batches) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeats, "REMEMBERED", 5)
        seen, answers, first, searched = Seen(), Answers(), 0, 0
        for words in batches:
            batch = batch_of(words)
            distinct = seen.distinct(batch)
            new = batch.take(distinct.new)
            searched += len(new)
            assert len(set(new.strings().to_pylist())) == len(new)
            answers.add(distinct.first, *answer(new, distinct.first))
            hits, calls = answers.of(distinct.number, first + np.arange(len(batch)))
            expected, expected_calls = answer(batch, first)
            np.testing.assert_array_equal(hits.query, expected.query)
            np.testing.assert_array_equal(hits.reference, expected.reference)
            np.testing.assert_array_equal(calls.query, expected_calls.query)
            assert calls.name.to_pylist() == expected_calls.name.to_pylist()
            assert calls.alternatives.to_pylist() == expected_calls.alternatives.to_pylist()
            assert calls.shared_with.to_pylist() == expected_calls.shared_with.to_pylist()
            first += len(batch)
        assert searched <= first


def test_repeated_queries_are_encoded_once_and_answered_each(bench, records, monkeypatch) -> None:
    index = bench.index(bench.library(records))
    reads = [(record.name, record.sequence) for record in records[:40]]
    repeated = [(f"{name}-{n}", text) for n in range(3) for name, text in reads]
    repeated.insert(1, ("nothing", "NNNN"))
    encoded = []
    encode = Spectrum.encode
    with seqsearch.open_index(index) as opened:
        expected = {row["query_id"]: row for row in opened.classify(dict(reads)).to_pylist()}
        monkeypatch.setattr(
            Spectrum, "encode", lambda self, b: encoded.append(len(b)) or encode(self, b)
        )
        found = opened.classify(dict(repeated)).to_pylist()
    assert sum(encoded) == len({text for _, text in reads})
    assert [row["query"] for row in found] == list(range(len(repeated)))
    for row, (name, _) in zip(found, repeated, strict=True):
        assert row["query_id"] == name
        if name == "nothing":
            assert row["verdict"] == "invalid"
            continue
        first = expected[name.rsplit("-", 1)[0]]
        for column in ("verdict", "taxon", "best_ref", "similarity", "identity", "strand"):
            assert row[column] == first[column]
