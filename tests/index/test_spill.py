"""Records that are spilled come out as unique rows with sorted labels, whatever the block sizes."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import digests
from seqsearch.errors import FolderError
from seqsearch.index import segments, spill
from seqsearch.index.segments import write_rows
from seqsearch.index.spill import LABEL_FIELDS, Mark, Spill
from seqsearch.index.vectors import Vectors
from seqsearch.memory import Memory

RANKS = ("genus", "species")
Said = tuple[str, str, str | None, str | None]  # id, source, genus, species
Record = tuple[str, Said]
MEMORY = Memory(1 << 30)

records_strategy = st.lists(
    st.tuples(
        st.sampled_from(["ACGT", "ACGA", "GG", "TTTTT", "CAT"]),
        st.tuples(
            st.sampled_from(["a", "b", "ba", "é"]),
            st.sampled_from(["one.fasta", "two.fasta"]),
            st.sampled_from([None, "Apis", "Bombus"]),
            st.sampled_from([None, "Apis mellifera"]),
        ),
    ),
    min_size=1,
    max_size=30,
)


def add(into: Spill, records: list[Record]) -> None:
    said = list(zip(*(one for _, one in records), strict=True))
    columns = dict(zip(("ref_id", "source", *RANKS), said, strict=True))
    nothing = pa.nulls(len(records), pa.string())
    labels = {name: columns.get(name, nothing) for name in (*LABEL_FIELDS, *RANKS)}
    texts = [text.encode() for text, _ in records]
    batch = SequenceBatch.from_clean(columns["ref_id"], texts)
    into.add(batch, pa.table({k: pa.array(v, pa.string()) for k, v in labels.items()}))


def expected(records: list[Record]) -> list[tuple[str, list[Said]]]:
    """Every sequence as it first appears, with its labels once each, sorted, null last."""
    found: dict[str, set[Said]] = {}
    for text, said in records:
        found.setdefault(text, set()).add(said)
    return [
        (text, sorted(said, key=lambda one: [(v is None, v or "") for v in one]))
        for text, said in found.items()
    ]


def written(segment: Path) -> list[tuple[str, list[Said]]]:
    bases, offsets = np.load(segment / "sequences.u8.npy"), np.load(segment / "offsets.npy")
    refs = pq.read_table(segment / "refs.parquet")
    texts = [bases[a:b].tobytes().decode() for a, b in pairwise(offsets)]
    batch = SequenceBatch.from_clean([""] * len(texts), [text.encode() for text in texts])
    hashes = [bytes(one) for one in digests(batch)]
    assert refs["digest"].to_pylist() == hashes
    assert refs["length"].to_pylist() == [len(text) for text in texts]
    labels = refs["labels"].to_pylist()
    assert refs["ref_id"].to_pylist() == [lines[0]["ref_id"] for lines in labels]
    assert all(tuple(line) == (*LABEL_FIELDS, *RANKS) for lines in labels for line in lines)
    said = [[tuple(line[k] for k in ("ref_id", "source", *RANKS)) for line in x] for x in labels]
    return list(zip(texts, said, strict=True))


@settings(deadline=None, max_examples=10)
@given(records=records_strategy, data=st.data())
def test_rows_and_labels_are_those_of_a_loop(
    records: list[Record], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("it's [a] spill*")
    cuts = sorted(data.draw(st.sets(st.integers(0, len(records) - 1), max_size=3)) | {0})
    mark, rows = Mark(), data.draw(st.integers(1, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "ROWS", rows)
        patch.setattr(Memory, "lines", data.draw(st.integers(1, 8)))
        for start, stop in zip(cuts, [*cuts[1:], None], strict=True):  # cut off, and gone on with
            with closing(Spill(folder / "work", folder / "segment", MEMORY, mark)) as one:
                add(one, records[start:stop])
                mark = one.flush()
                add(one, [("GATTACA" * 9, ("late", "x", None, None))] * 3)
        with closing(Spill(folder / "work", folder / "segment", MEMORY, mark)) as one:
            notes = one.repeats()
            one.finish()
            write_rows(folder / "segment", one, RANKS)
    assert written(folder / "segment") == expected(records)
    lines = {(text, said) for text, said in records}
    repeated = len(records) - len(lines)
    assert any("repeat another" in note for note in notes) == bool(repeated)
    several = [said[:2] for _, said in lines]
    shown = sorted(one[0] for one in set(several) if several.count(one) > 1)
    told = next((note for note in notes if "stand with several" in note), "")
    assert told.partition("kept: ")[2] == ", ".join(shown[:5] + ["..."] * (len(shown) > 5))


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=40),
    size=st.integers(1, 12),
    most=st.integers(1, 12),
    rows=st.integers(1, 8),
)
def test_lines_are_cut_where_they_are_too_many(
    counts: list[int], size: int, most: int, rows: int
) -> None:
    row = np.repeat(np.arange(len(counts)), counts)
    table = pa.table({"row": row, "line": np.arange(len(row))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "ROWS", rows)
        found = list(spill._by_rows(table.to_batches(size), most))
    assert pa.concat_tables(found).equals(table)
    own = [one["row"].to_pylist() for one in found]
    assert all(one[-1] < other[0] for one, other in pairwise(own))
    for one in own:
        assert one[-1] // rows == one[0] // rows
        assert len([r for r in one if r != one[-1]]) < most
    for one, other in pairwise(own):  # and no sooner
        assert len(one) >= most or other[0] % rows == 0


@pytest.mark.parametrize("kept", [[0], [1, 3], [0, 1, 2, 3]])
def test_some_rows_only(kept: list[int], tmp_path: Path) -> None:
    records = [
        (text, (f"r{i}", "x", None, None)) for i, text in enumerate(["AC", "G", "TTT", "CA", "G"])
    ]
    with closing(Spill(tmp_path / "work", tmp_path / "segment", MEMORY)) as one:
        add(one, records)
        assert one.counts(np.array([1, 2])).tolist() == [2, 1]
        one.finish()
        write_rows(tmp_path / "segment", one, RANKS, np.array(kept))
    assert written(tmp_path / "segment") == [expected(records)[row] for row in kept]


def test_what_was_spilled_must_be_there(tmp_path: Path) -> None:
    with closing(Spill(tmp_path / "work", tmp_path / "segment", MEMORY)) as one:
        add(one, [("ACGT", ("a", "x", None, None))])
        mark = one.flush()
    next((tmp_path / "work").glob("lines-*")).unlink()
    with pytest.raises(FolderError, match="lacks lines of an unfinished build"):
        Spill(tmp_path / "work", tmp_path / "segment", MEMORY, mark)
    with pytest.raises(FolderError, match="lacks some of the 9 lines that were written"):
        Spill(tmp_path / "other", tmp_path / "segment", MEMORY, Mark(bases=9))


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_vectors_go_on_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(segments, "BLOCK", 2)
    monkeypatch.setattr(segments, "FLUSHED", 4)
    texts = ["A" * n for n in range(1, 12)]
    with closing(Spill(tmp_path / "work", tmp_path, MEMORY)) as one:
        add(one, [(text, ("a", "x", None, None)) for text in texts])
        one.finish()
        write_rows(tmp_path, one, RANKS)
    asked: list[int] = []
    flushed: list[int] = []

    def encode(batch: SequenceBatch) -> np.ndarray:
        asked.extend(batch.lengths.tolist())
        return np.repeat(batch.lengths[:, None], 3, axis=1).astype(np.float32)

    def write(done: int) -> np.ndarray:
        segments.write_vectors(tmp_path, encode, 3, kind, done, lambda *_: None, flushed.append)
        return Vectors.open(tmp_path / "default", 11).take(np.arange(11))

    whole = write(0)
    np.testing.assert_allclose(whole[:, 0], range(1, 12))
    assert (asked, flushed) == (list(range(1, 12)), [4, 8, 11])
    asked.clear()
    assert np.array_equal(write(8), whole)
    assert asked == [9, 10, 11]


def test_ctrl_c_while_labels_are_sorted_is_ctrl_c(tmp_path: Path) -> None:
    own = Spill(tmp_path / "spill", tmp_path / "segment", MEMORY)
    with closing(own):
        add(own, [("ACGT", ("a", "one.fasta", "Apis", None))])
        own.finish()
        with pytest.raises(KeyboardInterrupt):
            interrupt_a_query(own)


def interrupt_a_query(own: Spill) -> None:
    """Press Ctrl-C while DuckDB is at something that takes seconds."""
    stop = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest-xdist ignores it
    try:
        with own._database() as connection:
            stop.start()
            many = "range(200000)"
            connection.execute(f"SELECT sum(a.range * b.range) FROM {many} a, {many} b")
    finally:
        signal.signal(signal.SIGINT, before)
