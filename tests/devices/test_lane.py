"""What goes to a device is what was given; what one lane hands over another takes complete."""

from __future__ import annotations

import numpy as np
import pytest

from seqsearch.devices.vectors import shares

torch = pytest.importorskip("torch", reason="needs the extra models")

from seqsearch.devices.lane import Lane, free_bytes  # noqa: E402

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["uint8", "int8", "int32", "int64", "float16", "float32"])
def test_uploads_keep_shape_and_type(device: str, kind: str) -> None:
    array = np.arange(60).astype(kind).reshape(3, 20)
    array.flags.writeable = False
    lane = Lane(device)
    for given in (array, array[:, ::3], array[:0]):
        with lane.working():
            there = lane.upload(given)
            assert there.device.type == device
            back = there.cpu().numpy()
        assert back.dtype == given.dtype
        np.testing.assert_array_equal(back, given)


@pytest.mark.parametrize("device", DEVICES)
def test_a_lane_takes_what_another_made(device: str) -> None:
    one, other = Lane(device), Lane(device)
    expected = np.arange(512.0)
    for _ in range(20):
        with one.working():
            large = torch.ones((512, 512), dtype=torch.float64, device=one.device)
            for _ in range(50):  # so much that it is not done when it is handed over
                large = large @ large / 512
            made = one.hand_over(large[0] * torch.from_numpy(expected).to(one.device))
            del large
        with other.working():
            np.testing.assert_allclose(other.take(made).cpu().numpy(), expected)
    assert free_bytes(device) > 0


@pytest.mark.parametrize(("count", "devices"), [(0, 3), (2, 3), (10, 1), (10, 4)])
def test_shares_cover_everything_once(count: int, devices: int) -> None:
    found = shares(count, devices)
    assert len(found) == devices
    assert [i for a, b in found for i in range(a, b)] == list(range(count))
