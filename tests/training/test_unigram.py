"""The baseline of pretraining, against counting by hand."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from seqsearch.training.unigram import LAST, Unigram

WORDS = 7


def test_shares_are_those_of_witten_and_bell() -> None:
    rng = np.random.default_rng(0)
    places, tokens = rng.integers(0, 6, 300), rng.integers(0, WORDS, 300) ** 2 % WORDS
    unigram = Unigram.of_size(8, WORDS)
    unigram.add(places[:100], tokens[:100])
    unigram.add(places[100:], tokens[100:])
    at: dict[int, Counter[int]] = defaultdict(Counter)
    anywhere = Counter(range(WORDS))
    for place, token in zip(places.tolist(), tokens.tolist(), strict=True):
        at[place][token] += 1
        anywhere[token] += 1
    asked = [(place, token) for place in range(8) for token in range(WORDS)]
    losses, right = [], []
    for place, token in asked:
        rare = anywhere[token] / anywhere.total()
        seen, kinds = at[place].total(), len(at[place])
        share = (at[place][token] + kinds * rare) / (seen + kinds) if seen else rare
        losses.append(-math.log(share))
        counted = at[place] if seen else anywhere
        right.append(token == min(counted, key=lambda word: (-counted[word], word)))
    loss, percent = unigram.guess(*np.array(asked).T)
    assert loss == pytest.approx(np.mean(losses), abs=1e-12)
    assert percent == pytest.approx(100 * np.mean(right))
    everywhere = np.full(WORDS, 3), np.arange(WORDS)
    shares = [
        math.exp(-unigram.guess(*(one[i : i + 1] for one in everywhere))[0]) for i in range(WORDS)
    ]
    assert sum(shares) == pytest.approx(1)


def test_places_far_behind_count_as_one() -> None:
    unigram = Unigram.of_size(LAST + 500, 2)
    assert len(unigram.counts) == LAST + 1
    unigram.add(np.array([LAST, LAST + 400]), np.array([1, 1]))
    assert unigram.guess(np.array([LAST + 7]), np.array([1]))[1] == 100


def test_places_that_are_not_asked_for_are_not_counted() -> None:
    unigram = Unigram.of_size(2, 2)
    unigram.add(np.array([0, 5]), np.array([0, 1]))
    assert unigram.counts.tolist() == [[1, 0], [0, 0]]
