"""The trained bag and the hybrid against their definitions; what is saved is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.words import count_words
from seqsearch.encoders.base import Encoder
from seqsearch.encoders.hybrid import Hybrid
from seqsearch.encoders.kmerbag import KmerBag, Shape
from seqsearch.encoders.registry import load_encoder
from seqsearch.encoders.spectrum import Spectrum
from seqsearch.errors import FolderError, SettingsError

SHAPE = Shape(("1111", "11011"), dim=24)


def random_bag(shape: Shape = SHAPE, seed: int = 3) -> KmerBag:
    rng = np.random.default_rng(seed)
    tensors = {
        name: rng.integers(-127, 128, size).astype(np.int8)
        if kind == "int8"
        else rng.random(size, np.float32)
        for name, (kind, size) in shape.tensors().items()
    }
    return KmerBag(shape, tensors, "test")


def some_batch(count: int = 60, seed: int = 1) -> SequenceBatch:
    rng = np.random.default_rng(seed)
    texts = [
        "".join(
            rng.choice(list("ACGTN"), int(rng.integers(0, 300)), p=[0.27, 0.24, 0.24, 0.24, 0.01])
        )
        for _ in range(count)
    ]
    return SequenceBatch.from_clean(
        [""] * count, [text.encode() for text in [*texts[:-2], "AC", "A" * 90]]
    )


@pytest.mark.parametrize("canonical", [False, True])
def test_vectors_are_those_of_the_definition(canonical: bool) -> None:
    bag = random_bag(Shape(SHAPE.patterns, canonical, 24))
    batch = some_batch()
    expected = np.zeros((len(batch), 24))
    for pattern in bag.shape.patterns:
        table = bag.tensors[f"table.{pattern}"] * bag.tensors[f"scale.{pattern}"].astype(float)
        counts = count_words(batch, pattern)
        for i in range(len(batch)):
            own = slice(counts.offsets[i], counts.offsets[i + 1])
            words = bag.shape.numbers(pattern)[counts.word[own]]
            expected[i] += np.sqrt(counts.count[own]) @ table[words]
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    vectors = bag.encode(batch)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected / np.maximum(lengths, 1e-12), atol=1e-5)
    assert np.array_equal(vectors.any(axis=1), bag.encodable(batch))
    assert not bag.encodable(batch).all()


def test_the_canonical_bag_does_not_see_the_strand() -> None:
    bag = random_bag(Shape(SHAPE.patterns, True, 24))
    text = "ACGGTTACAGCATTTAGCAGGACCATTGACCGTA"
    turned = text[::-1].translate(str.maketrans("ACGT", "TGCA"))
    one, other = bag.encode(SequenceBatch.from_clean(["a", "b"], [text.encode(), turned.encode()]))
    np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(SettingsError, match="the same read backwards"):
        Shape(("1101",), canonical=True)


def encoders() -> list[Encoder]:
    bag = random_bag()
    return [bag, Hybrid((bag, Spectrum("1111", 64)), (0.25, 0.75), "test")]


@pytest.mark.parametrize("encoder", encoders(), ids=lambda encoder: encoder.family)
def test_vectors_depend_on_neither_batch_nor_threads(encoder: Encoder, tmp_path: Path) -> None:
    batch = some_batch()
    whole = encoder.encode(batch)
    pieces = [
        encoder.encode(batch.slice(i, min(i + 7, len(batch)))) for i in range(0, len(batch), 7)
    ]
    assert np.concatenate(pieces).tobytes() == whole.tobytes()
    encoder.save(tmp_path / "encoder")
    for threads in (1, 3):
        loaded = load_encoder(tmp_path / "encoder", threads)
        assert loaded.encode(batch).tobytes() == whole.tobytes()
        assert (loaded.name, loaded.dim) == (encoder.name, encoder.dim)
        assert loaded.content_hash == encoder.content_hash


def test_a_hybrid_weighs_the_cosines_of_its_parts() -> None:
    bag, spectrum = random_bag(), Spectrum("1111", 64)
    hybrid = Hybrid((bag, spectrum), (0.25, 0.75))
    batch = some_batch()
    seen = hybrid.encodable(batch)
    one, other, both = (part.encode(batch)[seen] for part in (bag, spectrum, hybrid))
    np.testing.assert_allclose(
        both @ both.T, 0.25 * one @ one.T + 0.75 * other @ other.T, atol=1e-5
    )
    assert hybrid.dim == 88
    assert (
        "5 bases" in Hybrid((random_bag(Shape(("11011",), dim=8)), spectrum), (0.5, 0.5)).why_not()
    )
    for weights in ((0.5,), (0.5, 0.4), (0.0, 1.0)):
        with pytest.raises(SettingsError, match="weights"):
            Hybrid((bag, spectrum), weights)


def test_other_tensors_make_another_hash() -> None:
    assert random_bag(seed=3).content_hash == random_bag(seed=3).content_hash
    assert random_bag(seed=3).content_hash != random_bag(seed=4).content_hash


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    random_bag().save(tmp_path)
    weights = tmp_path / "model.safetensors"
    tensors = load_file(weights)
    save_file({**tensors, "other": np.zeros(2, np.float32)}, weights)
    with pytest.raises(FolderError, match="other is not of this model"):
        load_encoder(tmp_path)
    save_file({name: t for name, t in tensors.items() if name != "scale.1111"}, weights)
    with pytest.raises(FolderError, match=r"scale\.1111 is missing"):
        load_encoder(tmp_path)
    save_file({**tensors, "scale.1111": np.zeros(3, np.float32)}, weights)
    with pytest.raises(FolderError, match=r"scale\.1111 is float32 \[3\], expected float32 \[24\]"):
        load_encoder(tmp_path)
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(FolderError, match="not a readable safetensors file"):
        load_encoder(tmp_path)
    weights.rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(
        FolderError, match=r"pytorch_model\.bin: pickles are not read.*seqsearch convert"
    ):
        load_encoder(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(FolderError, match="is missing"):
        load_encoder(tmp_path)


def test_odd_configurations_are_told(tmp_path: Path) -> None:
    Hybrid((random_bag(), Spectrum("1111", 64)), (0.25, 0.75)).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for change, problem in (
        ({"weights": [1.0]}, "weights"),
        ({"weights": None}, "not the configuration of a hybrid"),
        ({"parts": [{"family": "bert"}]}, "encoder family 'bert' is not known"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(FolderError, match=problem):
            load_encoder(tmp_path)
    del config["parts"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(FolderError, match="lacks 'parts'"):
        load_encoder(tmp_path)
