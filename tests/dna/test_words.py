"""Words against their definition, in dictionaries."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.words import count_words, has_word, vocabulary, weight_of
from seqsearch.errors import SettingsError

PATTERNS = ["11", "111", "101", "11011", "1001011", "11011011011"]


def batch_of(texts: list[str]) -> SequenceBatch:
    return SequenceBatch.from_clean([""] * len(texts), [text.encode() for text in texts])


def slow_words(text: str, pattern: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for start in range(len(text) - len(pattern) + 1):
        piece = text[start : start + len(pattern)]
        if set(piece) <= set("ACGT"):
            found["".join(b for b, one in zip(piece, pattern, strict=True) if one == "1")] += 1
    return found


def number_of(word: str) -> int:
    return sum("ACGT".index(base) * 4 ** (len(word) - 1 - i) for i, base in enumerate(word))


@settings(deadline=None, max_examples=80)
@given(
    texts=st.lists(st.text("AACCGTN", max_size=60), min_size=1, max_size=5),
    pattern=st.sampled_from(PATTERNS),
)
def test_counts_are_those_of_the_definition(texts: list[str], pattern: str) -> None:
    counts = count_words(batch_of(texts), pattern)
    assert len(counts) == len(texts)
    for i, text in enumerate(texts):
        own = slice(counts.offsets[i], counts.offsets[i + 1])
        pairs = zip(counts.word[own].tolist(), counts.count[own].tolist(), strict=True)
        expected = slow_words(text, pattern)
        assert dict(pairs) == {number_of(word): count for word, count in expected.items()}
        assert list(counts.word[own]) == [number_of(word) for word in expected]  # as they appear
    assert has_word(batch_of(texts), pattern).tolist() == [
        bool(slow_words(text, pattern)) for text in texts
    ]


def test_a_part_of_a_batch_is_counted_alone() -> None:
    batch = batch_of(["ACGTACGT", "GGGG", "TTTTA"])
    counts = count_words(batch, "111", 1, 3)
    assert counts.word.tolist() == [number_of(word) for word in ("GGG", "TTT", "TTA")]
    assert counts.count.tolist() == [2, 2, 1]
    assert counts.offsets.tolist() == [0, 1, 3]


@pytest.mark.parametrize("weight", [1, 2, 3, 4])
def test_canonical_numbers_are_those_of_the_other_strand(weight: int) -> None:
    numbers = vocabulary(weight, canonical=True)
    words = [
        "".join("ACGT"[(n >> 2 * i) & 3] for i in reversed(range(weight))) for n in range(4**weight)
    ]
    turned = [word[::-1].translate(str.maketrans("ACGT", "TGCA")) for word in words]
    assert [numbers[number_of(word)] for word in turned] == numbers.tolist()
    groups = {min(word, other) for word, other in zip(words, turned, strict=True)}
    assert sorted(set(numbers.tolist())) == list(range(len(groups)))
    assert np.array_equal(vocabulary(weight, canonical=False), np.arange(4**weight))


@pytest.mark.parametrize(
    "pattern", ["", "1", "0", "10", "01", "1x1", "1" * 13, "1" + "0" * 31 + "1"]
)
def test_what_is_no_pattern_is_told(pattern: str) -> None:
    with pytest.raises(SettingsError, match="pattern is"):
        weight_of(pattern)
