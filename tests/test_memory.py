"""How much memory may be taken: what the user says, or half of what limits leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqsearch import memory
from seqsearch.errors import SettingsError
from seqsearch.memory import _left_by_cgroups, memory_for
from seqsearch.settings import BuildSettings


@pytest.mark.parametrize(
    ("given", "budget"),
    [
        ("8G", 8 << 30),
        ("600M", 600 << 20),
        ("0.5T", 1 << 39),
        ("2 GiB", 2 << 30),
        (1 << 30, 1 << 30),
    ],
)
def test_sizes(given: str | int, budget: int) -> None:
    assert memory_for(given).budget == budget
    assert BuildSettings(memory=given).memory == given


@pytest.mark.parametrize("nonsense", ["much", "", "G", "-8G", "nan", "8X", 0])
def test_nonsense(nonsense: str | int) -> None:
    expected = "expected a size, as 8G, 500M or a number of bytes"
    with pytest.raises(SettingsError, match=expected):
        BuildSettings(memory=nonsense)
    with pytest.raises(SettingsError, match=expected):
        memory_for(nonsense)


def test_too_little() -> None:
    with pytest.raises(SettingsError, match=r"memory is '100M': expected 512M or more"):
        memory_for("100M")


def test_half_of_what_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 6 << 30)
    assert memory_for(None).budget == 3 << 30
    assert memory_for(None).database == f"{3 << 29}B"
    monkeypatch.setattr(memory, "available_memory", lambda: 100 << 20)
    assert memory_for(None).budget == 512 << 20


def group(folder: Path, limit: str, used: int, names: tuple[str, str], cached: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 7\ninactive_file {cached}\nactive_file {cached}\n")


def test_limits_of_containers(tmp_path: Path) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    second, first = (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    )
    group(root / "outer", "1000", 300, second, cached=50)
    group(root / "outer" / "inner", "max", 200, second)
    own.write_text("0::/outer/inner\n")
    assert min(_left_by_cgroups(root, own)) == 800  # the group above, cached files to be had
    group(root / "memory" / "job", "500", 100, first)
    own.write_text("3:cpu,cpuacct:/\n4:memory:/job\n0::/outer/inner\n")
    assert min(_left_by_cgroups(root, own)) == 400
    own.write_text("0::/elsewhere\n")
    assert min(_left_by_cgroups(root, own)) == 1 << 62
    assert min(_left_by_cgroups(root, tmp_path / "missing")) == 1 << 62
