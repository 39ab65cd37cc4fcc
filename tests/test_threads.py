"""Work spread over threads and stages that overlap lose nothing and raise what was raised."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from seqsearch.threads import available_cores, prefetch, resolve_threads, spread


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 15, 16, 33, 1000])
def test_every_item_is_done_once(count: int, threads: int) -> None:
    done = np.zeros(count, np.int64)

    def task(start: int, stop: int) -> None:
        done[start:stop] += 1

    spread(task, count, threads)
    assert (done == 1).all()


def test_an_error_of_a_thread_is_raised() -> None:
    def task(start: int, stop: int) -> None:
        if stop == 1000:
            raise ValueError("last")

    with pytest.raises(ValueError, match="last"):
        spread(task, 1000, 3)


def test_prefetched_items_come_in_order_with_the_error_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield from range(50)
        raise ValueError("here")

    line = prefetch(items())
    assert [next(line) for _ in range(50)] == list(range(50))
    with pytest.raises(ValueError, match="here"):
        next(line)


def test_who_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    made = []

    def items() -> Iterator[int]:
        for i in range(1_000_000):
            made.append(i)
            yield i

    for item in (line := prefetch(items(), depth=2)):
        if item == 3:
            break
    line.close()
    assert threading.active_count() == before
    assert len(made) < 20


def test_zero_means_every_core() -> None:
    assert resolve_threads(0) == available_cores() >= 1
    assert resolve_threads(3) == 3
