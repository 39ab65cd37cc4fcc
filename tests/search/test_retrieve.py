"""The retriever against a float64 product of the stored vectors, sorted whole."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import digests
from seqsearch.encoders.spectrum import Spectrum
from seqsearch.index.spans import Spans
from seqsearch.index.store import IndexStore
from seqsearch.index.vectors import Vectors, quantised
from seqsearch.jobs.build import add_to_index, build_index, remove_from_index
from seqsearch.search.retrieve import ExactRetriever, Retriever, open_retriever
from seqsearch.settings import BuildSettings

SPECTRUM = BuildSettings(encoder="spectrum")


def brute_force(
    vectors: np.ndarray, rows: np.ndarray, keys: np.ndarray, queries: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest `count` of `rows`: by rounded cosine of the halves, then by key."""
    stored = vectors[rows].astype(np.float64)
    asked = queries.astype(np.float16).astype(np.float64)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    cosines = np.round(asked @ stored.T, 6).astype(np.float32)
    found = np.full((len(queries), count), -1, np.int64)
    similarities = np.zeros((len(queries), count), np.float32)
    for i, row in enumerate(cosines):
        order = np.lexsort((keys[rows], -row))[:count]
        found[i, : len(order)], similarities[i, : len(order)] = rows[order], row[order]
    return found, similarities


def store_of(
    parts: list[np.ndarray],
    removed: list[int],
    keys: np.ndarray,
    kind: str = "float16",
    owner: np.ndarray | None = None,
) -> SimpleNamespace:
    """What a retriever needs of a store, from float16 vectors by segment, kept as `kind`.

    With `owner`, the row of each vector, keys and what is removed are of rows.
    """
    rows = np.arange(len(keys))
    firsts = np.cumsum([0, *map(len, parts)])
    lengths, table = np.full(len(keys), 90, np.int32), None
    if owner is not None:
        table = np.stack([owner, 0 * owner, 0 * owner + 50], axis=1).astype(np.int32)
    spans = Spans(lengths, table)
    live = np.setdiff1d(rows, removed)
    return SimpleNamespace(
        rows=len(keys),
        live_rows=live,
        live_vectors=spans.numbers_of(live),
        spans=spans,
        vector_keys=keys if owner is None else keys[owner],
        manifest=SimpleNamespace(encoder={"dim": parts[0].shape[1]}, ann={"type": "exact"}),
        segments=[
            SimpleNamespace(first_vector=int(first), vectors=stored(part, kind))
            for first, part in zip(firsts, parts, strict=False)
        ],
    )


def stored(vectors: np.ndarray, kind: str) -> Vectors:
    if kind == "float16":
        return Vectors(kind, vectors, np.empty((len(vectors), 0), np.float32))
    return Vectors(kind, *quantised(vectors.astype(np.float32)))


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(params=["cpu", "torch", "two replicas", "two shares", "cuda"])
def retriever_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What makes an exact retriever of each kind, from a store, threads and, maybe, rows."""
    if request.param == "cpu":
        return ExactRetriever
    torch = pytest.importorskip("torch", reason="needs the extra models")
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    devices = {"torch": ("cpu",), "cuda": ("cuda:0",)}.get(request.param, ("cpu", "cpu"))
    if request.param == "two shares":
        from seqsearch.search import device

        def half(store: Any, rows: np.ndarray) -> int:
            needed = device.PADDED * 2 * len(rows) * store.manifest.encoder["dim"]
            return device.BESIDE + int(needed / 2) + 1

    def make(store: Any, threads: int = 0, rows: np.ndarray | None = None) -> Retriever:
        if request.param == "two shares":
            free = half(store, store.live_vectors if rows is None else store.spans.numbers_of(rows))
            monkeypatch.setattr("seqsearch.devices.lane.free_bytes", lambda _: free)
        return open_retriever(store, threads, rows, devices)

    return make


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("count", [1, 10, 70, 500])
@pytest.mark.parametrize("dim", [3, 100, 257])
def test_random_vectors_in_segments_with_rows_taken_out(
    dim: int, count: int, threads: int, retriever_of: Any
) -> None:
    rng = np.random.default_rng(dim * count)
    parts = [unit(rng.normal(size=(n, dim))).astype(np.float16) for n in (150, 1, 90)]
    removed = rng.choice(241, 40, replace=False).tolist()
    keys = rng.integers(0, 2**64, 241, dtype=np.uint64)
    queries = unit(rng.normal(size=(40, dim)))
    store = store_of(parts, removed, keys)
    found, similarities = retriever_of(store, threads).search(queries, count)
    expected = brute_force(np.concatenate(parts), store.live_rows, keys, queries, count)
    np.testing.assert_array_equal(found, expected[0])
    np.testing.assert_array_equal(similarities, expected[1])
    assert not np.isin(found, removed).any()
    assert ((found == -1).sum(axis=1) == max(0, count - 201)).all()


@pytest.mark.parametrize("dim", [3, 256, 600])
def test_vectors_of_eight_bits_are_compared_as_they_are_stored(dim: int) -> None:
    rng = np.random.default_rng(dim)
    parts = [unit(rng.normal(size=(n, dim))).astype(np.float16) for n in (150, 90)]
    keys = rng.integers(0, 2**64, 240, dtype=np.uint64)
    queries = unit(rng.normal(size=(40, dim)))
    store = store_of(parts, [3, 200], keys, "int8")
    found, similarities = ExactRetriever(store, 2).search(queries, 12)
    kept = np.concatenate(
        [part.vectors.take(np.arange(len(part.vectors))) for part in store.segments]
    )
    expected = brute_force(kept, store.live_rows, keys, queries, 12)
    np.testing.assert_allclose(similarities, expected[1], atol=1.1e-6)
    assert (found == expected[0]).mean() > 0.98
    assert not np.isin(found, [3, 200]).any()


@pytest.mark.parametrize("count", [1, 5, 30])
def test_equal_similarities_are_ordered_by_key_however_many_tie(
    count: int, retriever_of: Any
) -> None:
    rng = np.random.default_rng(count)
    few = unit(rng.choice([-1.0, 0.0, 1.0], size=(6, 8)) + 0.1)
    vectors = few[rng.integers(0, 6, 900)].astype(np.float16)  # 150 times each
    keys = rng.permutation(900).astype(np.uint64) << np.uint64(54)
    store = store_of([vectors[:500], vectors[500:]], [], keys)
    found, similarities = retriever_of(store, 2).search(few, count)
    expected = brute_force(vectors, store.live_rows, keys, few, count)
    np.testing.assert_array_equal(found, expected[0])
    np.testing.assert_array_equal(similarities, expected[1])
    assert (similarities[:, 0] == 1).all()


def test_differences_below_the_rounding_do_not_decide(retriever_of: Any) -> None:
    rng = np.random.default_rng(8)
    base = unit(rng.normal(size=(1, 512)))
    near = np.repeat(base.astype(np.float16), 300, axis=0)
    at = rng.integers(0, 512, 300)  # one unit in the last place of one small coordinate
    near[np.arange(300), at] = np.nextafter(near[np.arange(300), at], np.float16(1))
    keys = rng.permutation(300).astype(np.uint64)
    store = store_of([near], [], keys)
    found, similarities = retriever_of(store, 2).search(base, 20)
    expected = brute_force(near, store.live_rows, keys, base, 20)
    np.testing.assert_array_equal(found, expected[0])
    np.testing.assert_array_equal(similarities, expected[1])


def test_answers_depend_on_no_batch(retriever_of: Any) -> None:
    rng = np.random.default_rng(9)
    vectors = unit(rng.normal(size=(700, 64)) + 1).astype(np.float16)
    queries = unit(rng.normal(size=(90, 64)) + 1)
    retriever = retriever_of(store_of([vectors], [], np.arange(700, dtype=np.uint64)), 2)
    rows, similarities = retriever.search(queries, 12)
    for size in (1, 7, 50):
        parts = [retriever.search(queries[i : i + size], 12) for i in range(0, 90, size)]
        assert np.array_equal(np.concatenate([p[0] for p in parts]), rows)
        assert np.array_equal(np.concatenate([p[1] for p in parts]), similarities)
    order = rng.permutation(90)
    shuffled = retriever.search(queries[order], 12)
    assert np.array_equal(shuffled[0], rows[order])


def test_only_the_rows_asked_for_are_searched(retriever_of: Any) -> None:
    rng = np.random.default_rng(10)
    vectors = unit(rng.normal(size=(300, 32))).astype(np.float16)
    keys = rng.integers(0, 2**64, 300, dtype=np.uint64)
    queries = unit(rng.normal(size=(20, 32)))
    store = store_of([vectors[:100], vectors[100:]], [], keys)
    wanted = np.sort(rng.choice(300, 60, replace=False))
    found, similarities = retriever_of(store, 2, wanted).search(queries, 8)
    expected = brute_force(vectors, wanted, keys, queries, 8)
    np.testing.assert_array_equal(found, expected[0])
    np.testing.assert_array_equal(similarities, expected[1])


def best_of_rows(found: np.ndarray, owner: np.ndarray, count: int) -> list[int]:
    """The first vector of each row, one after the other."""
    best: dict[int, int] = {}
    for number in found:
        if number >= 0:
            best.setdefault(int(owner[number]), int(number))
    return list(best.values())[:count]


@pytest.mark.parametrize("count", [1, 8, 40, 100])
def test_each_row_is_found_once_by_its_best_vector(count: int, retriever_of: Any) -> None:
    rng = np.random.default_rng(count)
    several = np.array([1, 60, 1, 1, 30] * 10 + [2] * 10)  # vectors of each row
    owner = np.repeat(np.arange(60), several)
    rows = unit(rng.normal(size=(60, 24)))
    vectors = unit(rows[owner] + 0.05 * rng.normal(size=(len(owner), 24))).astype(np.float16)
    vectors[owner == 4] = vectors[owner == 4][0]  # the windows of a repeat
    removed, keys = [6, 21], rng.permutation(60).astype(np.uint64)
    store = store_of([vectors[:400], vectors[400:]], removed, keys, owner=owner)
    live, queries = np.flatnonzero(~np.isin(owner, removed)), unit(rng.normal(size=(30, 24)))
    queries[0] = vectors[owner == 4][0]
    # Equal vectors of a row by number: their keys are equal, and sorting keeps their order.
    everything, cosines = brute_force(vectors, live, keys[owner], queries, len(live))
    found, similarities = retriever_of(store, 2).search(queries, count)
    for i in range(30):
        expected = best_of_rows(everything[i], owner, count)
        assert found[i, : len(expected)].tolist() == expected
        assert (found[i, len(expected) :] == -1).all()
        at = [everything[i].tolist().index(number) for number in expected]
        np.testing.assert_array_equal(similarities[i, : len(at)], cosines[i, at])
        assert (similarities[i, len(at) :] == 0).all()
    wanted = np.array([1, 4, 30, 55])
    only, _ = retriever_of(store, 2, wanted).search(queries, 10)
    assert (np.sort(store.spans.rows_of(only)[:, :4]) == wanted).all()
    assert (only[:, 4:] == -1).all()


def test_a_query_of_zeros_is_compared_with_nothing(retriever_of: Any) -> None:
    rng = np.random.default_rng(11)
    vectors = unit(rng.normal(size=(300, 16))).astype(np.float16)
    queries = unit(rng.normal(size=(3, 16)))
    retriever = retriever_of(store_of([vectors], [], np.arange(300, dtype=np.uint64)), 2)
    expected = retriever.search(queries, 6)
    queries[1] = 0
    found, similarities = retriever.search(queries, 6)
    assert (found[1] == -1).all()
    assert (similarities[1] == 0).all()
    np.testing.assert_array_equal(found[[0, 2]], expected[0][[0, 2]])
    np.testing.assert_array_equal(similarities[[0, 2]], expected[1][[0, 2]])


def test_no_queries(retriever_of: Any) -> None:
    vectors = unit(np.ones((3, 4))).astype(np.float16)
    store = store_of([vectors], [], np.arange(3, dtype=np.uint64))
    rows, similarities = retriever_of(store, 1).search(np.empty((0, 4), np.float32), 2)
    assert rows.shape == similarities.shape == (0, 2)


def twins(rng: np.random.Generator, count: int) -> list[str]:
    """Different sequences in pairs of one spectrum: two inserts change places between repeats."""

    def dna(length: int) -> str:
        return "".join(rng.choice(list("ACGT"), length))

    texts = []
    for _ in range(count):
        start, repeat, one, other, end = dna(60), dna(12), dna(20), dna(30), dna(60)
        texts += [
            start + repeat + one + repeat + other + repeat + end,
            start + repeat + other + repeat + one + repeat + end,
        ]
    return texts


def test_an_index_with_twins_of_one_spectrum(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    texts = twins(rng, 60)

    def write(name: str, chosen: list[int]) -> Path:
        path = tmp_path / name
        path.write_text("".join(f">r{i} g__G{i % 7}\n{texts[i]}\n" for i in chosen))
        return path

    folder = tmp_path / "index"
    build_index(write("one.fasta", list(range(70))), folder, settings=SPECTRUM)
    add_to_index(folder, write("two.fasta", list(range(70, 100))))
    add_to_index(folder, write("three.fasta", list(range(100, 120))))
    remove_from_index(folder, [f"r{i}" for i in range(5, 110, 10)])
    store = IndexStore.open(folder)
    assert len(store.segments) == 3
    assert len(store.live_rows) == 109
    batch = SequenceBatch.from_clean(["q"] * 120, [text.encode() for text in texts])
    queries = Spectrum().encode(batch)
    vectors = store.vectors(np.arange(store.rows)).astype(np.float16)
    keys = digests(store.sequences(np.arange(store.rows)))[:, 0]
    assert np.array_equal(keys, store.order_keys)
    for count in (1, 2, 25, 200):
        found, similarities = ExactRetriever(store).search(queries, count)
        expected = brute_force(vectors, store.live_rows, keys, queries, count)
        np.testing.assert_array_equal(found, expected[0])
        np.testing.assert_array_equal(similarities, expected[1])
        if count == 2:  # both twins where both are there, equally similar
            assert ((similarities[:, 0] == 1) & (similarities[:, 1] == 1)).sum() == 2 * (60 - 11)
    store.close()
