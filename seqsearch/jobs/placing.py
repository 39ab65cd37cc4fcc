"""Putting an encoder, and with it the search of an index, on GPUs."""

from __future__ import annotations

from seqsearch.devices.choice import Devices, devices_of
from seqsearch.encoders.base import Encoder
from seqsearch.errors import SettingsError
from seqsearch.index.store import IndexStore


def placed(encoder: Encoder, devices: Devices) -> Encoder:
    """Return an encoder that makes the same vectors on GPUs; itself where none are given.

    Raises
    ------
    SettingsError
        It is a hybrid of networks and others, which do not run on GPUs together.
    """
    if not devices:
        return encoder
    from seqsearch.encoders.device import DeviceEncoder  # noqa: PLC0415  needs torch

    try:
        return DeviceEncoder(encoder, devices)
    except ValueError as error:
        raise SettingsError("device", devices[0], f"cpu, because {error}") from error


def devices_for(store: IndexStore, device: str) -> Devices:
    """Return the GPUs that a setting means for an index; none: the CPU.

    Raises
    ------
    SettingsError, MissingExtraError
        As `devices_of`. That the index is too large for them is told when it is loaded, but auto
        takes the CPU then.
    """
    devices = devices_of(device)
    return fitting(store, devices) if device == "auto" else devices


def fitting(store: IndexStore, devices: Devices) -> Devices:
    """Return GPUs if the vectors of an index fit on them; otherwise none."""
    if not devices:
        return ()
    from seqsearch.search.device import needs_shares  # noqa: PLC0415  needs torch

    try:
        needs_shares(store, store.live_vectors, devices)
    except SettingsError:
        return ()
    return devices
