"""Putting an encoder on GPUs."""

from __future__ import annotations

from seqsearch.devices.choice import Devices
from seqsearch.encoders.base import Encoder


def placed(encoder: Encoder, devices: Devices) -> Encoder:
    """Return an encoder that makes the same vectors on GPUs; itself where none are given."""
    if not devices:
        return encoder
    from seqsearch.encoders.device import DeviceEncoder  # noqa: PLC0415  needs torch

    return DeviceEncoder(encoder, devices)
