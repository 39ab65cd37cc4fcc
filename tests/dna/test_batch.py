"""SequenceBatch against plain lists of strings."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.dna.batch import SequenceBatch

sequences = st.lists(st.text("ACGTN", max_size=20), max_size=12)


def batch_of(texts: list[str], start: int = 0) -> SequenceBatch:
    names = [f"r{start + i}" for i in range(len(texts))]
    return SequenceBatch.from_clean(names, [text.encode() for text in texts])


def records(batch: SequenceBatch) -> list[tuple[str, str]]:
    assert batch.offsets[0] == 0
    assert batch.offsets[-1] == len(batch.bytes)
    assert batch.strings().to_pylist() == [batch.sequence(i) for i in range(len(batch))]
    return [(batch.ids[i].as_py(), batch.sequence(i)) for i in range(len(batch))]


@settings(deadline=None)
@given(texts=sequences, data=st.data())
def test_slice_and_take_are_those_of_lists(texts: list[str], data: st.DataObject) -> None:
    batch, expected = batch_of(texts), [(f"r{i}", text) for i, text in enumerate(texts)]
    assert records(batch) == expected
    assert batch.lengths.tolist() == [len(text) for text in texts]
    start = data.draw(st.integers(0, len(texts)))
    stop = data.draw(st.integers(start, len(texts)))
    assert records(batch.slice(start, stop)) == expected[start:stop]
    inside = batch.slice(start, stop)
    positions = data.draw(st.lists(st.integers(0, len(inside) - 1)) if len(inside) else st.just([]))
    taken = inside.take(np.array(positions, np.int64))
    assert records(taken) == [expected[start:stop][i] for i in positions]


@settings(deadline=None)
@given(parts=st.lists(sequences, max_size=4))
def test_concatenation_is_that_of_lists(parts: list[list[str]]) -> None:
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    batches = [batch_of(texts, start) for texts, start in zip(parts, starts, strict=False)]
    joined = SequenceBatch.concatenate(batches)
    assert records(joined) == [record for batch in batches for record in records(batch)]
