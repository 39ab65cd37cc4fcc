"""Windows cover sequences; pieces are what slices of text are."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.windows import Windows, pieces, windows


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), max_size=5),
    size=st.integers(2, 12),
    overlap=st.integers(0, 11),
)
def test_every_stretch_as_long_as_the_overlap_lies_in_a_window(lengths, size, overlap) -> None:
    step = max(1, size - overlap)
    owner, start = windows(np.array(lengths, np.int64), size, step)
    assert np.array_equal(np.lexsort((start, owner)), np.arange(len(owner)))
    for number, length in enumerate(lengths):
        own = start[owner == number].tolist()
        assert own[0] == 0
        assert own[-1] == max(0, length - size)
        assert len(set(own)) == len(own)
        for first in range(length - (size - step)):
            assert any(at <= first and first + size - step <= at + size for at in own)


@settings(deadline=None)
@given(data=st.data())
def test_pieces_are_slices(data) -> None:
    texts = data.draw(st.lists(st.text("ACGTN", max_size=20), min_size=1, max_size=4))
    batch = SequenceBatch.from_clean(texts, [text.encode() for text in texts])
    owner = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=6))
    ends = [sorted(data.draw(st.tuples(*[st.integers(0, len(texts[i]))] * 2))) for i in owner]
    start, end = (np.array([e[k] for e in ends], np.int64) for k in (0, 1))
    found = pieces(batch, np.array(owner, np.int64), start, end)
    expected = [texts[i][a:b] for i, (a, b) in zip(owner, ends, strict=True)]
    assert found.strings().to_pylist() == expected
    assert len(found.ids) == len(owner)


def test_a_piece_of_a_view_is_of_the_view() -> None:
    batch = SequenceBatch.from_clean(["a", "b"], [b"AAAA", b"CCGGTT"]).slice(1, 2)
    found = pieces(batch, np.array([0]), np.array([1]), np.array([4]))
    assert found.sequence(0) == "CGG"


def test_windows_are_as_long_as_the_typical_reference() -> None:
    lengths = np.array([600] * 90 + [1000] * 8 + [16_000] * 2, np.int32)
    assert Windows.of(lengths) == Windows(longest=1500, size=600, step=300)
    assert Windows.of(lengths).are_long(np.array([1500, 1501])).tolist() == [False, True]
    assert Windows.of(np.array([150] * 5, np.int32)) == Windows(300, 200, 100)
    assert Windows.of(np.empty(0, np.int32)) == Windows(300, 200, 100)
