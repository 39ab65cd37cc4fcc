"""Byte pairs against joining the most frequent neighbours by hand."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from seqsearch.dna.batch import SequenceBatch
from seqsearch.errors import SettingsError
from seqsearch.networks.pairs import pair_tokens, pairs_from, train_pairs


def library(count: int = 40, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [
        "".join(rng.choice(list("ACGTN"), 60, p=[0.4, 0.3, 0.15, 0.1, 0.05])) for _ in range(count)
    ]


def batch_of(texts: list[str]) -> SequenceBatch:
    return SequenceBatch.from_clean([""] * len(texts), [text.encode() for text in texts])


def joined(words: list[list[str]], pair: tuple[str, str]) -> list[list[str]]:
    found = []
    for word in words:
        made: list[str] = []
        for token in word:
            if made and (made[-1], token) == pair:
                made[-1] += token
            else:
                made.append(token)
        found.append(made)
    return found


def test_the_most_frequent_neighbours_are_joined() -> None:
    texts = library()
    tokenizer = train_pairs([batch_of(texts[:20]), batch_of(texts[20:])], size=12)
    assert tokenizer.get_vocab_size() == 12
    words = [list(piece) for text in texts for piece in text.split("N") if piece]
    for number in range(6, 12):
        token = tokenizer.id_to_token(number)
        pairs = Counter(pair for word in words for pair in pairwise(word))
        best = max(pairs.values())
        halves = [pair for pair, many in pairs.items() if "".join(pair) == token and many == best]
        assert halves, token
        words = joined(words, halves[0])


def test_tokens_of_a_batch() -> None:
    texts = ["ACACNNRGT", "", "T", "ACACACACAC"]
    tokenizer = train_pairs([batch_of(["ACACACGT"])], size=7)
    tokens = pair_tokens(batch_of(texts), tokenizer, most=4)
    assert [tokenizer.id_to_token(number) for number in range(7)] == [
        *("[MASK]", "[UNK]"),
        *("A", "C", "G", "T", "AC"),
    ]
    assert tokens.ids.tolist() == [[6, 6, 1, 4], [1, 1, 1, 1], [5, 1, 1, 1], [6, 6, 6, 6]]
    assert tokens.lengths.tolist() == [4, 0, 1, 4]
    assert tokens.ids.dtype == np.int32
    again = pairs_from(tokenizer.to_str())
    assert np.array_equal(pair_tokens(batch_of(texts), again, most=4).ids, tokens.ids)


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"^size is 5: expected 6 or more tokens$"):
        train_pairs([], size=5)
    with pytest.raises(ValueError, match=r"^not byte pairs"):
        pairs_from("{}")
