"""What a device allows, and what stages ask of it, against arithmetic on paper."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.spectrum import Spectrum
from seqsearch.index.store import IndexStore

pytest.importorskip("torch", reason="needs the extra models")

from seqsearch.encoders.device import DeviceEncoder
from seqsearch.jobs.device_speed import (
    Limits,
    Work,
    encoding_of,
    limits_of,
    recall_of,
    searching_of,
    stages_of,
)
from seqsearch.search.retrieve import open_retriever


def test_the_floor_is_that_of_what_takes_longest() -> None:
    limits = Limits(copied=10.0, moved=100.0, multiplied=1000.0)
    assert Work(1.0, 1.0, 1.0).floor(limits) == (0.1, "copied")
    assert Work(1.0, 50.0, 1.0).floor(limits) == (0.5, "moved")
    assert Work(1.0, 50.0, 2000.0).floor(limits) == (2.0, "multiplied")


def test_work_by_hand() -> None:
    effort = {"probes": 20, "reach": 0.1, "compared": 9, "margin": 0.1}
    plan = {"width": 10, "lists": 50, "effort": effort, "rows": 1000, "recall": 0.99}
    plan |= {"looked_into": 5.0, "looked_at": 7.0}
    for ann, seen in (({"type": "exact"}, 1000), ({"type": "ivf", **plan}, 100)):
        store = SimpleNamespace(
            live_vectors=np.arange(1000), manifest=SimpleNamespace(encoder={"dim": 40}, ann=ann)
        )
        work = searching_of(store, 20, 50)
        assert work.multiplied == 2 * 40 * seen
        assert work.moved == 40 * 2 * 1000 / 20 + 8 * seen + 18 * 40 * 66
    batch = SequenceBatch.from_clean(["a", "b"], [b"A" * 100, b"A" * 300])
    work = encoding_of(Spectrum(dim=64), batch)
    assert work == Work(208.0, 4 * 64 + 200 * 32, 0.0)


def test_every_stage_is_measured(index_folder) -> None:
    limits = limits_of("cpu")
    assert min(limits.copied, limits.moved, limits.multiplied) > 0
    store = IndexStore.open(index_folder)
    encoder, retriever = (
        DeviceEncoder(Spectrum(), ("cpu",)),
        open_retriever(store, 1, None, ("cpu",)),
    )
    batch = store.sequences(store.live_rows[:40])
    stages = stages_of(store, encoder, retriever, batch, 5)
    assert [stage.name for stage in stages] == ["encode", "search"]
    assert all(stage.seconds > 0 for stage in stages)
    assert recall_of(store, retriever, encoder.encode(batch), ("cpu",)) == 1
    some = open_retriever(store, 1, store.live_rows[::7], ("cpu",))
    assert recall_of(store, some, encoder.encode(batch), ("cpu",)) < 0.5
    store.close()
