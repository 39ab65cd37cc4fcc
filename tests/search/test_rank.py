"""Similarities corrected for length, and the strand of a query to its references."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.strand import reverse_complement
from seqsearch.encoders.spectrum import Spectrum
from seqsearch.index.store import IndexStore
from seqsearch.runs.results import MINUS, PLUS
from seqsearch.search.candidates import find_candidates
from seqsearch.search.orient import orient
from seqsearch.search.rank import (
    MOST_LONGER,
    correct_for_length,
    order_by,
    score,
)
from seqsearch.search.retrieve import ExactRetriever


def batch_of(texts: list[str]) -> SequenceBatch:
    return SequenceBatch.from_clean(
        [str(i) for i in range(len(texts))], [t.encode() for t in texts]
    )


def random_dna(rng: np.random.Generator, length: int) -> str:
    return "".join(rng.choice(list("ACGT"), length))


@pytest.mark.parametrize("exponent", [0.2, 0.5])
def test_similarity_is_the_cosine_times_a_power_of_the_lengths_quotient(exponent: float) -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(50, 3000, 40).astype(np.int32)
    rows = np.array([rng.permutation(40)[:12] for _ in range(30)])
    cosines = -np.sort(-rng.random((30, 12)).astype(np.float32), axis=1)
    rows[:5, 9:], cosines[:5, 9:] = -1, 0
    queries = rng.integers(50, 3000, 30)
    keys = rng.permutation(40).astype(np.uint64)
    found, similarities = correct_for_length(rows, cosines, queries, lengths, keys, exponent)
    for i in range(30):
        expected = []
        for row, cosine in zip(rows[i], cosines[i], strict=True):
            if row >= 0:
                longer, shorter = max(queries[i], lengths[row]), min(queries[i], lengths[row])
                factor = min(longer / shorter, MOST_LONGER) ** exponent
                value = min(1.0, float(cosine) * factor)
                expected.append((-round(value, 6), keys[row], row))
        expected.sort()
        count = len(expected)
        assert found[i, :count].tolist() == [row for *_, row in expected]
        np.testing.assert_allclose(similarities[i, :count], [-s for s, *_ in expected], atol=1e-6)
        assert (found[i, count:] == -1).all()
        assert (similarities[i, count:] == 0).all()


def test_equal_lengths_and_exponent_0_change_nothing() -> None:
    rows, cosines = np.array([[2, 0, 1]]), np.array([[0.9, 0.5, 0.5]], np.float32)
    keys = np.array([5, 7, 1], np.uint64)
    for lengths, exponent in (([80, 80, 80], 0.2), ([20, 90, 400], 0.0)):
        found, similarities = correct_for_length(
            rows, cosines, np.array([80]), np.array(lengths, np.int32), keys, exponent
        )
        assert found.tolist() == [[2, 0, 1]]
        np.testing.assert_array_equal(similarities, cosines)


@pytest.mark.parametrize("exponent", [None, 0.0, 0.2, 0.5])
def test_the_exponent_is_what_the_index_has_of_its_encoder(
    index_folder: Path, exponent: float | None
) -> None:
    built = IndexStore.open(index_folder)
    assert built.length_exponent == Spectrum().length_exponent == 0.2
    about = {key: one for key, one in built.manifest.encoder.items() if key != "length_exponent"}
    if exponent is not None:
        about["length_exponent"] = exponent
    store = IndexStore(index_folder, replace(built.manifest, encoder=about))
    cut = [store.sequences(np.arange(30)).sequence(i)[: 60 + 10 * i] for i in range(30)]
    batch = batch_of(cut)
    vectors, retriever = Spectrum().encode(batch), ExactRetriever(store)
    found = find_candidates(batch, {PLUS: vectors}, retriever, store, 10)
    near, cosines = retriever.search(vectors, 10)
    longer = np.maximum(batch.lengths[:, None], store.lengths[near])
    quotient = longer / np.minimum(batch.lengths[:, None], store.lengths[near])
    power = 0.2 if exponent is None else exponent  # older indexes do not say
    expected = np.minimum(cosines * np.minimum(quotient, MOST_LONGER) ** power, 1)
    np.testing.assert_allclose(found.similarities, -np.sort(-expected), atol=2e-6)


def test_words_tell_the_strand_where_vectors_of_the_wrong_one_are_like_something(
    index_folder: Path,
) -> None:
    store = IndexStore.open(index_folder)
    rows = np.arange(0, 60, 2)
    whole = store.sequences(rows)
    batch = batch_of([whole.sequence(i)[10:-10] for i in range(len(rows))])
    right = Spectrum().encode(batch)
    wrong = Spectrum().encode(store.sequences(rows + 1))  # each exactly like a reference
    retriever = ExactRetriever(store)
    found = find_candidates(batch, {PLUS: right, MINUS: wrong}, retriever, store, 10)
    assert (found.strands == PLUS).all()
    turned = reverse_complement(batch)
    found = find_candidates(turned, {PLUS: wrong, MINUS: right}, retriever, store, 10)
    assert (found.strands == MINUS).all()
    rng = np.random.default_rng(6)
    strange = batch_of([random_dna(rng, 400) for _ in rows])
    found = find_candidates(strange, {PLUS: wrong, MINUS: right}, retriever, store, 10)
    assert (found.strands == PLUS).all()  # no words in common: the more similar one


@pytest.mark.parametrize("threads", [1, 2])
def test_the_strand_of_relatives_is_found_and_of_others_is_not(threads: int) -> None:
    rng = np.random.default_rng(2)
    texts = [random_dna(rng, 600) for _ in range(60)]
    references = batch_of(texts)
    mutated = [
        "".join(c if rng.random() > 0.1 else rng.choice(list("ACGTN")) for c in text)
        for text in texts
    ]
    queries = batch_of(mutated)
    own = np.arange(60)[:, None]
    places = np.hstack([own, (own + 1) % 60, np.full_like(own, -1)])
    signs = orient(queries, references, places, threads)
    turned = orient(reverse_complement(queries), references, places, threads)
    assert signs[:, 0].tolist() == [1] * 60
    assert turned[:, 0].tolist() == [-1] * 60
    assert np.count_nonzero(signs[:, 1]) <= 2  # a difference of three deviations, by chance
    assert not signs[:, 2].any()
    np.testing.assert_array_equal(signs, -turned)


def test_palindromes_and_unknown_bases_tell_no_strand() -> None:
    half = random_dna(np.random.default_rng(3), 100)
    palindrome = half + reverse_complement(batch_of([half])).sequence(0)
    batch = batch_of([palindrome, "N" * 100, "ACGT"])
    places = np.array([[0, 1], [0, 1], [0, 2]])
    assert orient(batch, batch, places, decisive=0).tolist() == [[0, 0]] * 3


def test_the_score_is_the_geometric_mean_of_two_distances() -> None:
    identity = np.array([1.0, 0.9, 0.99, np.nan], np.float32)
    similarity = np.array([1.0, 0.5, 0.4, 0.7], np.float32)
    expected = [
        1 - np.sqrt(0.01 * 0.03),
        1 - np.sqrt(0.11 * 0.53),
        1 - np.sqrt(0.02 * 0.63),
        1 - np.sqrt(0.31 * 0.33),  # what is not aligned: the similarity stands for the identity
    ]
    found = score(identity, similarity)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found[2] > found[1]  # among near relatives the identity decides
    far = score(np.array([0.62, 0.6], np.float32), np.array([0.3, 0.6], np.float32))
    assert far[1] > far[0]  # among far ones the similarity does


def test_ties_of_the_score_are_ordered_by_key_and_missing_rows_come_last() -> None:
    rows = np.array([[3, -1, 1, 0]])
    scores = np.array([[0.5, 0.9, 0.5, 0.7]], np.float32)
    order = order_by(scores, rows, np.array([9, 2, 0, 4], np.uint64))
    assert rows[0, order[0]].tolist() == [0, 1, 3, -1]
