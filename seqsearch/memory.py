"""Memory this process may use: what is free on the machine, and the container's limit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from seqsearch.errors import SettingsError
from seqsearch.settings import bytes_of

LEAST = 512 << 20  # the program, an encoder and one batch take about as much
SHARE = 0.5  # of what is available, where nothing is said
LINE = 2048  # bytes of a label line while it is sorted or written, with room to spare
LINES = (4096, 1 << 18)  # least and most lines held


@dataclass(frozen=True)
class Memory:
    """What buffers may take; see `memory_for`.

    Attributes
    ----------
    budget : int
        Bytes.
    """

    budget: int

    @property
    def database(self) -> str:
        """DuckDB's limit, as DuckDB reads it; beyond it, it goes to disk."""
        return f"{self.budget // 2}B"

    @property
    def lines(self) -> int:
        """Label lines that are held before they are written."""
        return min(max(self.budget // 8 // LINE, LINES[0]), LINES[1])


def memory_for(given: str | int | None) -> Memory:
    """Return what buffers may take: what the user gave, or half of what is available.

    Raises
    ------
    SettingsError
        It is no size, or less than a build can do with.
    """
    if given is None:
        return Memory(max(int(SHARE * available_memory()), LEAST))
    budget = bytes_of(given)
    if budget < LEAST:
        raise SettingsError("memory", given, f"{LEAST >> 20}M or more")
    return Memory(budget)


def available_memory() -> int:
    """Return the bytes that can be had: free on the machine, and left by the container's limits.

    >>> available_memory() > 0
    True
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration):  # no Linux: what is installed
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(0, min(free, *_left_by_cgroups(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))))


def _left_by_cgroups(root: Path, own: Path) -> list[int]:
    """Return what each limit on this process leaves: its group's and those of groups above it."""
    try:
        groups = [line.split(":", 2)[1:] for line in own.read_text().splitlines()]
    except OSError:
        return [1 << 62]
    left = [1 << 62]
    for controllers, name in groups:
        if controllers == "":
            base, limit, used = root, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):  # version 1
            base, limit, used = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        inside = base / name.lstrip("/")
        for folder in (inside, *inside.parents):
            left += _left(folder / limit, folder / used, folder / "memory.stat")
            if folder == base:
                break
    return left


def _left(limit: Path, used: Path, statistics: Path) -> list[int]:
    """Return what one group's limit leaves, as a list that is empty where there is none.

    Cached files count as used there, but make room when they must.
    """
    try:
        lines = (line.split() for line in statistics.read_text().splitlines())
        cached = sum(int(size) for name, size in lines if name in ("inactive_file", "active_file"))
        return [int(limit.read_text()) - int(used.read_text()) + cached]
    except (OSError, ValueError):  # no such group, or "max"
        return []
