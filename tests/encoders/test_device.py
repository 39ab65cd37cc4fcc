"""Vectors made by torch against those of the compiled loops, which have references of their own."""

from __future__ import annotations

import numpy as np
import pytest

from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.base import Encoder, ResidentEncoder, vectors_of
from seqsearch.encoders.hybrid import Hybrid
from seqsearch.encoders.kmerbag import KmerBag, Shape
from seqsearch.encoders.registry import load_encoder
from seqsearch.encoders.spectrum import Spectrum
from seqsearch.settings import DEFAULT_ENCODER

torch = pytest.importorskip("torch", reason="needs the extra models")

from seqsearch.devices.lane import Lane  # noqa: E402
from seqsearch.encoders import device as module  # noqa: E402
from seqsearch.encoders.device import DeviceEncoder  # noqa: E402

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_gpu)]


def random_bag(patterns: tuple[str, ...], canonical: bool, dim: int = 24) -> KmerBag:
    rng = np.random.default_rng(dim)
    shape = Shape(patterns, canonical, dim)
    tensors = {
        name: rng.integers(-127, 128, size).astype(np.int8)
        if kind == "int8"
        else rng.random(size, np.float32)
        for name, (kind, size) in shape.tensors().items()
    }
    return KmerBag(shape, tensors)


def encoders() -> dict[str, Encoder]:
    bag, spectrum = random_bag(("1111", "11011"), canonical=True), Spectrum("11011", 100, seed=3)
    inner = Hybrid((bag, spectrum), (0.3, 0.7))
    return {
        "bag": random_bag(("1011", "111"), canonical=False),
        "spectrum": Spectrum("111111", 64),
        "canonical": Spectrum("11011", 2048, canonical=True),
        "hybrid": inner,
        "hybrid of hybrids": Hybrid((inner, Spectrum("111", 32)), (0.5, 0.5)),
        "shipped": load_encoder(DEFAULT_ENCODER),
    }


def hard_batch() -> SequenceBatch:
    """Ns alone, in runs and single, short and empty sequences, repeats, one very long."""
    rng = np.random.default_rng(4)
    texts = ["", "ACG", "N" * 80, "ACGT" * 200, "A" * 600, "", "ACGTACGN" * 20, "R"]
    texts += [
        "".join(rng.choice(list("ACGTN"), size, p=[0.26, 0.24, 0.24, 0.24, 0.02]))
        for size in (12, 90, 658, 1500, 40_000)
    ]
    texts += ["N" * 30 + text + "N" * 30 for text in texts[-4:-1]]
    texts += ["".join(rng.choice(list("ACGT"), 300)) for _ in range(20)]
    return SequenceBatch.from_clean([""] * len(texts), [text.encode() for text in texts])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", encoders())
def test_vectors_are_those_of_the_cpu(
    name: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, batch = encoders()[name], hard_batch()
    expected = encoder.encode(batch)
    for at_once, replicas in ((1 << 24, 1), (700, 1), (1 << 24, 3), (1, 2)):
        monkeypatch.setattr(module, "BASES", at_once)
        made = DeviceEncoder(encoder, (device,) * replicas)
        vectors = made.encode(batch)
        assert vectors.dtype == np.float32
        assert np.abs(vectors - expected).max() <= 1e-6
        np.testing.assert_array_equal(vectors.any(axis=1), encoder.encodable(batch))
    assert not encoder.encodable(batch).all()


def test_the_rest_is_the_encoders_own(tmp_path) -> None:
    encoder, batch = load_encoder(DEFAULT_ENCODER), hard_batch()
    made = DeviceEncoder(encoder, ("cpu",))
    names = ("name", "dim", "max_length", "leading", "is_strand_free", "length_exponent")
    for name in (*names, "content_hash"):
        assert getattr(made, name) == getattr(encoder, name)
    np.testing.assert_array_equal(made.encodable(batch), encoder.encodable(batch))
    assert made.why_not() == encoder.why_not()
    made.save(tmp_path / "encoder")
    assert load_encoder(tmp_path / "encoder").content_hash == encoder.content_hash
    assert made.as_config() == encoder.as_config()
    assert made.as_tensors().keys() == encoder.as_tensors().keys()


def test_vectors_stay_on_the_device_for_a_search_there() -> None:
    encoder, batch = Spectrum("111", 32), hard_batch()
    assert isinstance(vectors_of(encoder, batch), np.ndarray)
    made = DeviceEncoder(encoder, ("cpu", "cpu"))
    assert isinstance(made, ResidentEncoder)
    parts = [Lane("cpu").take(part) for part in vectors_of(made, batch).parts]
    assert np.abs(np.concatenate(parts) - encoder.encode(batch)).max() <= 1e-6
    assert len(made.encode(batch.slice(0, 0))) == 0


def test_what_is_no_sum_over_words_stays_where_it_is() -> None:
    class Other:
        name = "other"

    for encoder in (Other(), Hybrid((Other(), Spectrum()), (0.5, 0.5))):
        with pytest.raises(ValueError, match="other is no sum over words"):
            DeviceEncoder(encoder, ("cpu",))
