"""Tokens against plain Python that follows the papers' descriptions word by word."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.tokens import (
    KmerVocabulary,
    barcode_vocabulary,
    count_overlapping,
    has_known,
    metaberta_vocabulary,
    nucleotide_vocabulary,
    overlapping,
    side_by_side,
)
from seqsearch.errors import SettingsError

TEXTS = ["", "A", "ACGT", "ACGTN", "NNNNNNNNN", "ACGRTTACGGTCA"]


def some_texts(count: int = 60, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    weights = [0.24, 0.24, 0.24, 0.24, 0.03, 0.01]
    drawn = [rng.choice(list("ACGTNR"), int(rng.integers(0, 90)), p=weights) for _ in range(count)]
    return [*TEXTS, *("".join(one) for one in drawn)]


def batch_of(texts: list[str]) -> SequenceBatch:
    return SequenceBatch.from_clean([""] * len(texts), [text.encode() for text in texts])


def plain_side_by_side(
    text: str, words: dict[str, int], k: int, bases: int, start: int, unknown: str
) -> tuple[list[int], int]:
    """Cut, pad with N, look k-mers up; what the sequence's own bases do not fill is padding."""
    text = text[start:][:bases]
    padded = text + "N" * (bases - len(text))
    found = [padded[i : i + k] for i in range(0, bases - k + 1, k)]
    return [words.get(word, words[unknown]) for word in found], len(text) // k


@pytest.mark.parametrize("k", [4, 5, 6, 7, 8])
@pytest.mark.parametrize("has_n", [False, True])
def test_side_by_side(k: int, has_n: bool) -> None:
    vocabulary = barcode_vocabulary(k, has_n=has_n)
    words = {word: number for number, word in enumerate(vocabulary.words())}
    texts = some_texts()
    starts = np.random.default_rng(1).integers(0, k, len(texts))
    for own in (np.zeros(len(texts), np.int64), starts):
        tokens = side_by_side(batch_of(texts), vocabulary, 66, starts=own, is_full=True)
        assert tokens.ids.shape == (len(texts), 66 // k)
        for row, mask, text, start in zip(tokens.ids, tokens.mask, texts, own, strict=True):
            expected, length = plain_side_by_side(text, words, k, 66, int(start), "[UNK]")
            assert row.tolist() == expected
            assert mask.tolist() == [True] * length + [False] * (66 // k - length)
        narrow = side_by_side(batch_of(texts), vocabulary, 66, starts=own)
        assert np.array_equal(narrow.ids, tokens.ids[:, : tokens.lengths.max()])


@pytest.mark.parametrize("k", [3, 4, 5, 6])
def test_overlapping(k: int) -> None:
    words = ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"]
    words += ["".join(letters) for letters in product("ACTG", repeat=k)]
    number = {word: i for i, word in enumerate(words)}
    vocabulary = metaberta_vocabulary(k)
    assert vocabulary.words() == words
    assert vocabulary.size == 4**k + 5
    texts = some_texts()
    tokens = overlapping(batch_of(texts), vocabulary, most=60)
    for row, length, text in zip(tokens.ids, tokens.lengths, texts, strict=True):
        found = [number.get(text[i : i + k], 0) for i in range(len(text) - k + 1)]
        expected = [3, *found[:58], 1]
        assert row.tolist() == expected + [2] * (len(row) - len(expected))
        assert length == len(expected)


@pytest.mark.parametrize("k", [1, 3, 6, 8])
def test_count_overlapping(k: int) -> None:
    vocabulary, texts = KmerVocabulary(k), some_texts()
    expected = np.zeros(vocabulary.size, np.int64)
    number = {word: i for i, word in enumerate(vocabulary.words())}
    for text in texts:
        for at in range(len(text) - k + 1):
            expected[number.get(text[at : at + k], vocabulary.number("[UNK]"))] += 1
    assert count_overlapping(batch_of(texts), vocabulary).tolist() == expected.tolist()
    assert expected[vocabulary.number("[UNK]")] > 0


def test_vocabularies() -> None:
    assert barcode_vocabulary(4).words()[:3] == ["[MASK]", "[UNK]", "AAAA"]
    workshop = barcode_vocabulary(5, is_workshop=True)
    assert workshop.words()[:4] == ["<MASK>", "<CLS>", "<UNK>", "AAAAA"]
    assert workshop.size == 4**5 + 3
    with_n = barcode_vocabulary(4, has_n=True)
    assert with_n.words()[-1] == "NNNN"
    assert "N" not in "".join(with_n.words()[2 : 2 + with_n.plain])
    assert with_n.size == len(with_n.words()) == 5**4 + 2
    for bad, sentence in (
        ({"k": 9}, "k is 9: expected 1 to 8"),
        ({"k": 4, "letters": "AGCT"}, "letters is 'AGCT': expected ACGT or ACTG"),
        ({"k": 4, "unknown": "?"}, r"unknown is '\?': expected one of \[MASK\], \[UNK\]"),
    ):
        with pytest.raises(SettingsError, match=f"^{sentence}$"):
            KmerVocabulary(**bad)


def test_nucleotides() -> None:
    tokens = side_by_side(batch_of(["ACGTNR", "G"]), nucleotide_vocabulary(), 100)
    assert tokens.ids.tolist() == [[2, 3, 4, 5, 6, 1], [4, 6, 6, 6, 6, 6]]
    assert tokens.lengths.tolist() == [6, 1]


@pytest.mark.parametrize(("step", "bases"), [(1, 1000), (4, 1000), (4, 30)])
def test_has_known(step: int, bases: int) -> None:
    texts = some_texts()
    expected = [
        any(
            len(text[:bases][i : i + 4]) == 4 and set(text[i : i + 4]) <= set("ACGT")
            for i in range(0, min(len(text), bases), step)
        )
        for text in texts
    ]
    found = has_known(batch_of(texts), barcode_vocabulary(4), step, bases)
    assert found.tolist() == expected
    assert not all(expected)
