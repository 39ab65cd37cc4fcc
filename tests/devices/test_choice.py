"""Which GPUs a setting means, with and without driver, torch and a card that works."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from seqsearch.devices import choice
from seqsearch.devices.choice import devices_of, gpu_problem
from seqsearch.errors import MissingExtraError, SettingsError


def torch_of(cards: int, built_for: str | None = "13.0", failure: str = "") -> SimpleNamespace:
    """What of torch is asked, on a machine with so many cards."""

    class Numbers:
        def sum(self) -> Numbers:
            if failure:
                raise RuntimeError(failure)
            return self

        def item(self) -> float:
            return 28.0

    return SimpleNamespace(
        __version__="2.13.0",
        float64="float64",
        version=SimpleNamespace(cuda=built_for),
        cuda=SimpleNamespace(is_available=lambda: cards > 0, device_count=lambda: cards),
        arange=lambda *_, **__: Numbers(),
    )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """A function that sets up a machine: cards the driver shows, and torch (None: absent)."""

    def set_up(cards: int, torch: SimpleNamespace | None) -> None:
        monkeypatch.setattr(choice, "gpus_of_driver", lambda: cards)
        monkeypatch.setattr(choice, "has_torch", lambda: torch is not None)
        monkeypatch.setitem(sys.modules, "torch", torch)

    return set_up


@pytest.mark.parametrize("cards", [1, 2])
def test_gpus_that_work_are_taken(machine, cards: int) -> None:
    machine(cards, torch_of(cards))
    expected = tuple(f"cuda:{i}" for i in range(cards))
    assert devices_of("auto") == devices_of("cuda") == expected
    assert devices_of("cpu") == ()


def test_auto_imports_torch_only_where_the_driver_shows_a_gpu(machine) -> None:
    machine(0, None)
    sys.modules["torch"] = None  # an import of it would fail
    assert devices_of("auto") == ()


BROKEN = {
    "cpu build": (torch_of(0, built_for=None), "this PyTorch (2.13.0) is built without CUDA"),
    "none seen": (torch_of(0), "PyTorch 2.13.0 sees no GPU that it can use"),
    "no kernel": (
        torch_of(1, failure="no kernel image\nmore"),
        "PyTorch fails on it: no kernel image",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_gpu_that_does_not_work(machine, name: str) -> None:
    torch, problem = BROKEN[name]
    machine(1, torch)
    assert devices_of("auto") == ()
    with pytest.raises(SettingsError) as error:
        devices_of("cuda")
    assert str(error.value) == (
        f"device is 'cuda': expected a GPU that works, but {problem} "
        "(seqsearch doctor says what is missing)"
    )
    assert gpu_problem() == problem


def test_without_torch_the_extra_is_named(machine) -> None:
    machine(1, None)
    assert devices_of("auto") == ()
    with pytest.raises(MissingExtraError) as error:
        devices_of("cuda")
    assert str(error.value) == (
        "PyTorch, which a GPU needs (seqsearch doctor says what is missing), is not installed: "
        "pip install 'seqsearch[models]'"
    )


def test_other_devices_are_refused() -> None:
    with pytest.raises(SettingsError, match="device is 'tpu': expected auto or cpu or cuda"):
        devices_of("tpu")
