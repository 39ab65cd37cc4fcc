"""Cores this process may use, work spread over them, and stages that overlap."""

from __future__ import annotations

import math
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from seqsearch.errors import SettingsError

T = TypeVar("T")


def available_cores() -> int:
    """Return the cores this process may use: its affinity, and the container's quota.

    >>> available_cores() >= 1
    True
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):  # no cgroup v2 here: no quota that we could know of
        return cores
    if quota != "max":
        cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def resolve_threads(threads: int) -> int:
    """Return `threads`, or every available core where it is 0.

    Raises
    ------
    SettingsError
        It is negative.
    """
    if threads < 0:
        raise SettingsError("threads", threads, "0 (all cores) or more")
    return threads or available_cores()


def spread(task: Callable[[int, int], None], count: int, threads: int, least: int = 16) -> None:
    """Call `task(start, stop)` on contiguous ranges that cover `range(count)`, in threads.

    The task must release the GIL to gain anything. Ranges are a few times more than
    threads, so that one long sequence does not leave the other cores idle.
    """
    pieces = min(threads * 4, count // least)
    if threads == 1 or pieces < 2:
        if count:
            task(0, count)
        return
    edges = [count * i // pieces for i in range(pieces + 1)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(task, a, b) for a, b in pairwise(edges)]:
            done.result()


def prefetch(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """Yield `items` in order while a thread of its own makes the next `depth` of them.

    An error in the thread is raised here, in its place. When the consumer stops early the
    thread is told to stop, and joined.

    >>> list(prefetch(range(4)))
    [0, 1, 2, 3]
    """
    line: queue.Queue[tuple[str, T | BaseException | None]] = queue.Queue(depth)
    stop = threading.Event()

    def put(kind: str, value: T | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                line.put((kind, value), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
            put("end", None)
        except BaseException as error:  # noqa: BLE001  raised again in the consumer's thread
            put("error", error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = line.get()
            if kind == "end":
                return
            if kind == "error":
                raise value  # type: ignore[misc]
            yield value  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()
