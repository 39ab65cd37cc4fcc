"""Search by lists on a device, against a loop over the lists; exact search: test_retrieve.py."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from seqsearch.errors import SettingsError
from seqsearch.index.flat import load_faiss
from seqsearch.index.lists import BITS, Lists, open_lists, save_lists
from seqsearch.index.sketch import MULTIPLE, Sketch
from seqsearch.index.spans import Spans
from seqsearch.index.vectors import Vectors

torch = pytest.importorskip("torch", reason="needs the extra models")

from seqsearch.devices import lane  # noqa: E402
from seqsearch.search import device_pages, device_rows  # noqa: E402
from seqsearch.search.device import BESIDE, DeviceRetriever  # noqa: E402
from seqsearch.search.device_rows import DeviceRows  # noqa: E402

DIM, LEADING, LISTS, PROBES = 40, 6, 9, 3
DEVICES = [
    ("cpu",),
    ("cpu", "cpu"),
    pytest.param(
        ("cuda:0",), marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    ),
]


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> SimpleNamespace:
    """An index of two segments, some rows taken out, lists of very unequal lengths."""
    rng = np.random.default_rng(2)
    sketch = Sketch(LEADING, rng.choice([-1, 1], (DIM - LEADING, 6)).astype(np.int8))
    centers = unit(rng.normal(size=(LISTS, sketch.width)))
    vectors = unit(rng.normal(size=(900, DIM)))
    vectors[:400, :LEADING] = centers[4, :LEADING] + 0.01 * rng.normal(size=(400, LEADING))
    vectors[100:160] = vectors[100]  # as many equal ones
    halves = unit(vectors).astype(np.float16)
    (tmp_path / "ann-0001").mkdir()
    save_lists(lists_by(centers), sketch, tmp_path / "ann-0001")
    effort = {"probes": PROBES, "reach": 4.0, "compared": 100, "margin": 4.0}
    plan = {"width": sketch.width, "lists": LISTS, "effort": effort}
    plan |= {"looked_into": 3.0, "looked_at": 100.0}
    plan |= {"rows": 700, "recall": 0.99}
    nothing = np.empty((700, 0), np.float32)
    live = np.setdiff1d(np.arange(900), rng.choice(900, 60, replace=False))
    return SimpleNamespace(
        folder=tmp_path,
        live_rows=live,
        live_vectors=live,
        vector_keys=rng.permutation(900).astype(np.uint64) << np.uint64(54),
        spans=Spans(np.full(900, 80, np.int32)),
        manifest=SimpleNamespace(
            encoder={"dim": DIM}, ann={"type": "ivf", "folder": "ann-0001", **plan}
        ),
        segments=[
            SimpleNamespace(first_vector=0, vectors=Vectors("float16", halves[:700], nothing)),
            SimpleNamespace(
                first_vector=700, vectors=Vectors("float16", halves[700:], nothing[:200])
            ),
        ],
    )


def lists_by(centers: np.ndarray) -> Lists:
    """Lists with centres of ours."""
    faiss, width = load_faiss(), centers.shape[1]
    quantizer = faiss.IndexFlatIP(width)
    quantizer.add(centers)
    inner = faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFPQFastScan(quantizer, width, len(centers), width // MULTIPLE, BITS, inner)
    index.train(np.random.default_rng(0).normal(size=(700, width)).astype(np.float32))
    index.referenced_objects = [quantizer]
    return Lists(index)


def stored(store: Any) -> np.ndarray:
    return np.concatenate([s.vectors.numbers for s in store.segments])


def queries_of(store: Any, count: int = 60) -> np.ndarray:
    rng = np.random.default_rng(5)
    vectors = stored(store).astype(np.float32)
    chosen = vectors[rng.choice(len(vectors), count)]
    return unit(chosen + 0.03 * rng.normal(size=chosen.shape))


def plain_search(store: Any, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """One query after the other, one list after the other, more lists where they hold too few.

    Of each row the best vector.
    """
    sketch, lists = open_lists(store)
    centers, vectors = lists.centers.astype(float), stored(store).astype(float)

    def sketched(some: np.ndarray) -> np.ndarray:
        behind = some[:, LEADING:] @ sketch.signs / np.sqrt(6)
        return np.concatenate([some[:, :LEADING], behind], axis=1)

    list_of = (sketched(vectors) @ centers.T).argmax(axis=1)
    rows = np.full((len(queries), count), -1)
    cosines = np.zeros((len(queries), count), np.float32)
    for i, query in enumerate(queries.astype(np.float16).astype(float)):
        ordered = np.argsort(-(centers @ sketched(query[None])[0]))
        for probes in (PROBES, LISTS):
            own = store.live_vectors[np.isin(list_of[store.live_vectors], ordered[:probes])]
            if len(np.unique(store.spans.rows_of(own))) >= count:
                break
        some = vectors[own]
        lengths = np.linalg.norm(some, axis=1) * np.linalg.norm(query)
        found = np.round(some @ query / lengths, 6).astype(np.float32)
        order = np.lexsort((own, store.vector_keys[own], -found))
        firsts = np.unique(store.spans.rows_of(own[order]), return_index=True)[1]
        order = order[np.sort(firsts)[:count]]
        rows[i, : len(order)], cosines[i, : len(order)] = own[order], found[order]
    return rows, cosines


@pytest.mark.parametrize("devices", DEVICES)
@pytest.mark.parametrize("count", [1, 10, 50, 700])
@pytest.mark.parametrize(("page", "tile", "tiles"), [(128, 64, 512), (32, 4, 3), (64, 1, 1)])
def test_the_nearest_in_the_lists_near_a_query(
    store: Any,
    devices: tuple[str, ...],
    count: int,
    page: int,
    tile: int,
    tiles: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("PAGE", page), ("TILE", tile), ("TILES", tiles)):
        monkeypatch.setattr(device_pages, name, value)
    queries = queries_of(store)
    rows, cosines = DeviceRetriever(store, 2, None, devices).search(queries, count)
    expected = plain_search(store, queries, count)
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_array_equal(cosines, expected[1])
    assert (rows >= 0).all()


@pytest.mark.parametrize("devices", [("cpu",), ("cpu", "cpu")])
def test_lists_that_were_emptied_are_looked_beyond(store: Any, devices: tuple[str, ...]) -> None:
    kept = np.random.default_rng(8).choice(900, 12, replace=False)
    store.live_rows = store.live_vectors = np.sort(kept)
    queries = queries_of(store)
    rows, cosines = DeviceRetriever(store, 1, None, devices).search(queries, 20)
    expected = plain_search(store, queries, 20)
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_array_equal(cosines, expected[1])
    assert (np.sort(rows[:, :12], axis=1) == store.live_rows).all()
    assert (rows[:, 12:] == -1).all()


@pytest.mark.parametrize("devices", DEVICES)
@pytest.mark.parametrize("count", [20, 120, 299, 300])
def test_in_lists_too_each_row_is_found_once_by_its_best_vector(
    store: Any, devices: tuple[str, ...], count: int
) -> None:
    queries = queries_of(store)
    owner = np.arange(900) // 3  # rows of three vectors each, in lists of their own
    store.vector_keys = store.vector_keys[owner * 3]
    table = np.stack([owner, 0 * owner, 0 * owner + 40], axis=1).astype(np.int32)
    store.spans = Spans(np.full(300, 80, np.int32), table)
    store.live_rows = np.unique(owner[store.live_vectors])
    expected = plain_search(store, queries, count)
    found, cosines = DeviceRetriever(store, 2, None, devices).search(queries, count)
    np.testing.assert_array_equal(found, expected[0])
    np.testing.assert_array_equal(cosines, expected[1])
    there = found[:, : len(store.live_rows)]
    assert (there >= 0).all()
    assert (np.diff(np.sort(owner[there], axis=1), axis=1) > 0).all()


@pytest.mark.parametrize("rows", [None, np.arange(100, 900)])
def test_a_query_of_zeros_is_compared_with_nothing(
    store: Any, rows: np.ndarray | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = queries_of(store, 3)
    queries[1] = 0
    expected = DeviceRetriever(store, 1, rows, ("cpu",)).search(queries[[0, 2]], 5)
    compared: list[int] = []
    compare = DeviceRows._compare
    monkeypatch.setattr(
        DeviceRows, "_compare", lambda *of: compared.append(len(of[1])) or compare(*of)
    )
    found, cosines = DeviceRetriever(store, 1, rows, ("cpu",)).search(queries, 5)
    assert (found[1] == -1).all()
    assert (cosines[1] == 0).all()
    np.testing.assert_array_equal(found[[0, 2]], expected[0])
    np.testing.assert_array_equal(cosines[[0, 2]], expected[1])
    assert max(compared) == 2


def test_memory_is_bounded_and_changes_nothing(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = queries_of(store)
    expected = DeviceRetriever(store, 1, None, ("cpu",)).search(queries, 20)
    monkeypatch.setattr(device_pages, "SCORES", 50_000)
    monkeypatch.setattr(device_rows, "COMPARED", 20_000)
    monkeypatch.setattr(device_pages, "NEAR", 10_000)
    monkeypatch.setattr(device_rows, "DECIDED", 500)
    monkeypatch.setattr(device_rows, "BLOCK", 70)
    retriever = DeviceRetriever(store, 1, None, ("cpu",))
    for size in (60, 7, 1):
        parts = [retriever.search(queries[i : i + size], 20) for i in range(0, 60, size)]
        for i in (0, 1):
            np.testing.assert_array_equal(np.concatenate([p[i] for p in parts]), expected[i])


def test_lists_are_multiplied_with_few_queries_at_a_time(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    multiply = device_pages.NearLists._products
    monkeypatch.setattr(
        device_pages.NearLists,
        "_products",
        lambda near, some: sizes.append(len(some)) or multiply(near, some),
    )
    monkeypatch.setattr(device_pages, "NEAR", 10 * 8 * (LISTS + 3 * DIM))
    retriever = DeviceRetriever(store, 1, None, ("cpu",))
    assert sum(sizes) == len(store.live_vectors)
    retriever.search(queries_of(store), 20)
    assert max(sizes) < 20


def test_memory_of_what_was_read_through_is_given_back(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[int] = []
    monkeypatch.setattr(Vectors, "release", lambda own: released.append(len(own)))
    DeviceRetriever(store, 1, None, ("cpu",))
    assert set(released) == {700, 200}


def test_shares_of_the_rows_answer_as_all_of_them(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = queries_of(store)
    expected = DeviceRetriever(store, 1, None, ("cpu",)).search(queries, 20)
    free = BESIDE + 40_000
    monkeypatch.setattr(lane, "free_bytes", lambda _: free)
    shared = DeviceRetriever(store, 1, None, ("cpu", "cpu", "cpu")).search(queries, 20)
    for one, other in zip(shared, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(SettingsError) as error:
        DeviceRetriever(store, 1, None, ("cpu",))
    assert str(error.value) == (
        "device is 'cuda': expected GPUs with 8.0 GiB free in all for this index "
        "(8.0 GiB are), or cpu"
    )


def test_the_largest_are_found_through_groups() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(5, 640)).astype(np.float32)
    scores[:, 600:] = -np.inf
    scores[2] = -np.inf
    for count in (1, 30, 200, 640):
        values, columns = device_rows.largest(torch.from_numpy(scores), count)
        np.testing.assert_array_equal(values.numpy(), -np.sort(-scores, axis=1)[:, :count])
        np.testing.assert_array_equal(np.take_along_axis(scores, columns.numpy(), 1), values)
