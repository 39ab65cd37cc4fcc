"""A lane: one device, and the order of work on it. Imports torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Handed:
    """A tensor for another lane of its device, and the event from which it is complete."""

    tensor: Tensor
    ready: torch.cuda.Event | None


class Lane:
    """Work on one device in one order (a CUDA stream); lanes of a device overlap.

    Copies to a GPU go through pinned memory without waiting, so that one lane's copies run beside
    another's kernels. On the CPU, which the tests use, a lane is nothing but the device.

    Parameters
    ----------
    device : str
        As torch names it.
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self._stream = _stream_of(self.device) if self.is_gpu else None

    @property
    def is_gpu(self) -> bool:
        """Whether this is a GPU."""
        return self.device.type == "cuda"

    @contextmanager
    def working(self) -> Iterator[None]:
        """Give what is called inside to this lane, whatever thread calls."""
        if self._stream is None:
            yield
            return
        with torch.cuda.stream(self._stream):
            yield

    def upload(self, array: np.ndarray[Any, Any]) -> Tensor:
        """Copy an array to the device; later work of this lane waits for it, the caller does not.

        Returns
        -------
        Tensor
            Of the same shape and type.
        """
        like = torch.from_numpy(np.empty(0, array.dtype))
        copied = torch.empty(array.shape, dtype=like.dtype, pin_memory=self.is_gpu)
        copied.numpy()[...] = array
        return copied.to(self.device, non_blocking=True)

    def hand_over(self, tensor: Tensor) -> Handed:
        """Return a tensor for another lane, which then waits for what was given to this one."""
        if self._stream is None:
            return Handed(tensor, None)
        return Handed(tensor, self._stream.record_event())

    def take(self, handed: Handed) -> Tensor:
        """Return what another lane of the device handed over, once it is complete."""
        if self._stream is not None and handed.ready is not None:
            self._stream.wait_event(handed.ready)
            handed.tensor.record_stream(self._stream)  # its memory is not reused before
        return handed.tensor


def free_bytes(device: str) -> int:
    """Return how much memory of a device is free; of the CPU's, more than anything needs."""
    if not device.startswith("cuda"):
        return sys.maxsize
    return int(torch.cuda.mem_get_info(device)[0])


def _stream_of(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
