"""What vectors are of, against loops over rows; and that what is cut is encoded as it was cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.windows import Windows
from seqsearch.errors import FolderError
from seqsearch.index import segments
from seqsearch.index.segments import STRETCHES, Segment, cut_rows, pieces_of, spans_of
from seqsearch.index.spans import Spans

LENGTHS = (5, 30, 9, 10, 27, 3)
WINDOWS = Windows(longest=9, size=8, step=3)


def texts_of(lengths: tuple[int, ...]) -> list[str]:
    rng = np.random.default_rng(len(lengths))
    return ["".join(rng.choice(list("ACGT"), length)) for length in lengths]


def stretches(lengths: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Row, start and end of every vector."""
    found = []
    for row, length in enumerate(lengths):
        if length <= WINDOWS.longest:
            found.append((row, 0, length))
            continue
        starts = [*range(0, length - WINDOWS.size, WINDOWS.step), length - WINDOWS.size]
        found += [(row, start, start + WINDOWS.size) for start in starts]
    return found


def written(index: Path, name: str, lengths: tuple[int, ...]) -> Path:
    """The sequences of a segment."""
    folder = index / "segments" / name
    folder.mkdir(parents=True)
    joined = "".join(texts_of(lengths)).encode()
    np.save(folder / "sequences.u8.npy", np.frombuffer(joined, np.uint8))
    np.save(folder / "offsets.npy", np.append(0, np.cumsum(lengths)))
    return folder


class Encoder:
    """Makes vectors that tell the bases they are of; notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, batch: SequenceBatch) -> np.ndarray:
        texts = batch.strings().to_pylist()
        self.asked += texts
        counts = [[text.count(base) for base in "ACGT"] for text in texts]
        return np.array(counts, np.float32)


def encoded(folder: Path, encoder: Encoder, done: int = 0) -> list[int]:
    """Write vectors; returns how many were on disk, each time that it is told."""
    count, flushed = cut_rows(folder, WINDOWS), []
    segments.write_vectors(
        folder, encoder.encode, 4, "float16", done, lambda *_: None, flushed.append
    )
    assert count == flushed[-1]
    return flushed


@pytest.mark.parametrize("block", [1, 3, 4096])
@pytest.mark.parametrize("done", [0, 4, 12])
def test_windows_are_encoded_as_text_is_sliced_and_go_on_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, done: int
) -> None:
    monkeypatch.setattr(segments, "BLOCK", block)
    monkeypatch.setattr(segments, "FLUSHED", 4 * block)
    folder, texts = written(tmp_path, "0001", LENGTHS), texts_of(LENGTHS)
    expected = [texts[row][start:end] for row, start, end in stretches(LENGTHS)]
    encoder = Encoder()
    flushed = encoded(folder, encoder)
    assert encoder.asked == expected
    assert flushed == sorted({*range(4 * block, len(expected), 4 * block), len(expected)})
    whole = np.load(folder / "default" / "vectors.f16.npy")
    assert whole.tolist() == [[text.count(base) for base in "ACGT"] for text in expected]
    again = Encoder()
    encoded(folder, again, done)
    assert again.asked == expected[done:]
    assert np.load(folder / "default" / "vectors.f16.npy").tolist() == whole.tolist()


def test_vectors_are_numbered_through_all_segments(tmp_path: Path) -> None:
    parts = [LENGTHS, (4, 9), (12, 2)]
    opened: list[Segment] = []
    expected: list[tuple[int, int, int]] = []
    for number, lengths in enumerate(parts):
        folder = written(tmp_path, f"{number:04d}", lengths)
        encoded(folder, Encoder())
        assert (folder / STRETCHES).exists() == (number != 1)
        first = sum(map(len, parts[:number]))
        segment = Segment(tmp_path, folder.name, first, len(lengths), len(expected))
        assert any(STRETCHES in name for name in segment.files) == (number != 1)
        opened.append(segment)
        expected += [(first + row, start, end) for row, start, end in stretches(lengths)]
    spans = spans_of(opened)
    every = np.arange(len(expected))
    assert len(spans) == len(expected)
    assert np.stack(spans.stretches(every), axis=1).tolist() == [list(one) for one in expected]
    assert spans.lengths.tolist() == [end - start for _, start, end in expected]
    assert spans.rows_of(np.array([[3, -1]])).tolist() == [[expected[3][0], -1]]
    for rows in ([], [1], [0, 4, 6, 8], list(range(10))):
        own = [number for number, (row, *_) in enumerate(expected) if row in rows]
        assert spans.numbers_of(np.array(rows, np.int64)).tolist() == own
        first = [next(n for n, (row, *_) in enumerate(expected) if row == r) for r in rows]
        assert spans.first_of(np.array(rows, np.int64)).tolist() == first
    texts = [text for lengths in parts for text in texts_of(lengths)]
    found = pieces_of(opened, *spans.stretches(every)).strings().to_pylist()
    assert found == [texts[row][start:end] for row, start, end in expected]


def test_where_no_row_is_long_numbers_are_rows() -> None:
    spans = Spans(np.array([4, 9, 2], np.int32))
    numbers = np.array([2, 0, -1])
    assert spans.are_rows
    assert len(spans) == 3
    assert spans.rows_of(numbers).tolist() == [2, 0, -1]
    assert spans.numbers_of(np.array([1, 2])).tolist() == [1, 2]
    assert spans.rows.tolist() == [0, 1, 2]
    assert [one.tolist() for one in spans.stretches(numbers[:2])] == [[2, 0], [0, 0], [2, 4]]


@pytest.mark.parametrize("damage", ["cut", "narrow"])
def test_a_damaged_table_is_told(tmp_path: Path, damage: str) -> None:
    folder = written(tmp_path, "0001", LENGTHS)
    encoded(folder, Encoder())
    table = np.load(folder / STRETCHES)
    np.save(folder / STRETCHES, table[:-1] if damage == "cut" else table[:, :2])
    with pytest.raises(FolderError, match=r"rows.npy: the file is damaged; build the index again"):
        Segment(tmp_path, "0001", 0, len(LENGTHS), 0)
