"""Words counted as tensors against a plain loop over the text."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from seqsearch.dna.batch import SequenceBatch

pytest.importorskip("torch", reason="needs the extra models")

from seqsearch.devices.lane import Lane
from seqsearch.dna.word_tensors import BaseTensors, count_words

TEXTS = ["ACGTACGTNNACGTACG", "", "NNNN", "A" * 70, "AC", "ACGTRACGTACGTA", "TTTTTTTTTTTTTT"]


def batch_of(texts: list[str]) -> SequenceBatch:
    return SequenceBatch.from_clean([""] * len(texts), [text.encode() for text in texts])


def plain_counts(text: str, pattern: str) -> Counter[int]:
    places = [at for at, one in enumerate(pattern) if one == "1"]
    counts: Counter[int] = Counter()
    for start in range(len(text) - len(pattern) + 1):
        window = text[start : start + len(pattern)]
        if set(window) <= set("ACGT"):
            digits = ["ACGT".index(window[at]) for at in places]
            counts[sum(digit * 4**i for i, digit in enumerate(reversed(digits)))] += 1
    return counts


@pytest.mark.parametrize("pattern", ["11", "111", "1011", "11011011011", "111111111111"])
def test_counts_are_those_of_a_plain_loop(pattern: str) -> None:
    rng = np.random.default_rng(len(pattern))
    texts = TEXTS + ["".join(rng.choice(list("ACGTN"), n)) for n in (3, 500, 40, 1)]
    texts += ["".join(rng.choice(list("AC"), 30)) for _ in range(150)]  # beyond 2^31 keys of 12
    found = count_words(BaseTensors.of(batch_of(texts), Lane("cpu")), pattern)
    for i, text in enumerate(texts):
        own = slice(int(found.offsets[i]), int(found.offsets[i + 1]))
        expected = plain_counts(text, pattern)
        assert found.word[own].tolist() == sorted(expected)
        roots = np.round(np.sqrt([expected[word] for word in sorted(expected)]) * 2**20)
        assert found.root[own].tolist() == roots.astype(int).tolist()
        assert set(found.sequence[own].tolist()) <= {i}


def test_nothing_to_count() -> None:
    for texts in ([], [""], ["A"], ["", "AC", ""]):
        found = count_words(BaseTensors.of(batch_of(texts), Lane("cpu")), "11011")
        assert found.offsets.tolist() == [0] * (len(texts) + 1)
        assert len(found.word) == 0
