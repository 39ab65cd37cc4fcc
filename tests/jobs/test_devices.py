"""Whole jobs with the GPUs' code, which runs on the CPU too: the same files, the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqsearch.encoders.base import devices_under
from seqsearch.errors import SettingsError
from seqsearch.index.manifest import read_manifest
from seqsearch.jobs import build, lists, placing
from seqsearch.jobs.opened import open_index
from seqsearch.jobs.opened_run import Run

torch = pytest.importorskip("torch", reason="needs the extra models")

from seqsearch.search.device import BESIDE, PADDED, DeviceRetriever  # noqa: E402

KINDS = [
    ("cpu",),
    ("cpu", "cpu"),
    pytest.param(
        ("cuda:0",), marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    ),
]


@pytest.fixture(params=KINDS, ids=str)
def devices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What --device cuda means here."""
    for module in (build, placing):
        monkeypatch.setattr(
            module, "devices_of", lambda device: request.param if device == "cuda" else ()
        )
    return request.param


def run(bench: Any, index: Path, reads: Path, device: str, **options: Any) -> Run:
    with open_index(index, threads=2, device=device) as one:
        assert bool(devices_under(one.encoder)) == (device == "cuda")
        done = one.query(reads, bench.path("run"), **options)
        assert isinstance(one.retriever(), DeviceRetriever) == (device == "cuda")
    return done


@pytest.mark.parametrize("encoder", ["markers-1", "spectrum"])
@pytest.mark.parametrize("options", [{}, {"align": 0, "batch_size": 9}, {"taxon": "Order1"}])
def test_the_same_answers(
    bench: Any, records: Any, reads: Any, devices: Any, encoder: str, options: dict[str, Any]
) -> None:
    index, file = bench.index(bench.library(records), encoder=encoder), bench.reads(reads)
    expected = bench.findings(run(bench, index, file, "cpu", **options))
    assert bench.findings(run(bench, index, file, "cuda", **options)) == expected


@pytest.mark.parametrize("calibrate", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_same_index(
    bench: Any, records: Any, devices: Any, calibrate: bool, monkeypatch: Any
) -> None:
    monkeypatch.setattr(lists, "LEAST_ROWS", 100)
    library = bench.library(records)
    one, other = (
        read_manifest(bench.index(library, calibrate=calibrate, device=device))
        for device in ("cpu", "cuda")
    )
    assert one.ann == other.ann
    assert one.ann["type"] == "ivf"
    derived = ("catalog", "segments/0001/refs.parquet")
    for name, file in one.files.items():
        assert name.startswith(derived) or other.files[name] == file, name


def test_lists_on_a_device_find_at_least_as_much(
    bench: Any, records: Any, reads: Any, devices: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(lists, "LEAST_ROWS", 100)
    index, file = bench.index(bench.library(records)), bench.reads(reads)
    assert read_manifest(index).ann["type"] == "ivf"
    options = {"align": 0, "hits": 10}
    plain, found = (run(bench, index, file, kind, **options) for kind in ("cpu", "cuda"))
    one, other = (
        {(row["query"], row["hit"]): row["similarity"] for row in done.hits().to_pylist()}
        for done in (plain, found)
    )
    assert one.keys() <= other.keys()
    assert all(other[place] >= similarity for place, similarity in one.items())


def test_an_index_too_large_for_the_gpus(index_folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(placing, "devices_of", lambda _: ("cpu", "cpu"))
    with open_index(index_folder, device="cpu") as one:
        needed = int(PADDED * len(one.store.live_rows) * one.encoder.dim * 2)
    for free, expected in ((1 << 40, 2), (BESIDE + needed // 2 + 1, 2), (BESIDE + needed // 3, 0)):
        monkeypatch.setattr("seqsearch.devices.lane.free_bytes", lambda _, free=free: free)
        with open_index(index_folder, device="auto") as one:
            assert len(one.devices) == expected
            rows = one.classify(["ACGTTGCA" * 9])["best_ref"].to_pylist()
        assert rows == rows[:1]
    with pytest.raises(SettingsError, match="GiB free in all for this index"):
        open_index(index_folder, device="cuda").load()


def test_a_gpu_that_is_not_there(index_folder: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(SettingsError, match="device is 'cuda': expected a GPU that works, but"):
        open_index(index_folder, device="cuda")
    with open_index(index_folder, device="auto") as one:
        assert one.devices == ()
