"""The untrained spectrum against its definition, in dictionaries and Python's integers."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.strand import reverse_complement
from seqsearch.encoders.registry import load_encoder
from seqsearch.encoders.spectrum import Spectrum
from seqsearch.errors import FolderError, SettingsError

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def batch_of(texts: list[str]) -> SequenceBatch:
    return SequenceBatch.from_clean(
        [f"r{i}" for i in range(len(texts))], [text.encode() for text in texts]
    )


def random_dna(count: int, length: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), length)) for _ in range(count)]


def spectrum(text: str, k: int) -> Counter[str]:
    words = (text[i : i + k] for i in range(len(text) - k + 1))
    return Counter(word for word in words if set(word) <= set("ACGT"))


def split_mix(state: int) -> int:
    x = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def slow_sum(text: str, k: int, dim: int, seed: int) -> np.ndarray:
    vector = np.zeros(dim)
    for word, count in spectrum(text, k).items():
        code = sum("ACGT".index(base) * 4 ** (k - 1 - i) for i, base in enumerate(word))
        drawn = split_mix((code + (seed + 1) * GOLDEN) & MASK)
        vector[(drawn >> 1) % dim] += math.sqrt(count) * (1 if drawn & 1 else -1)
    return vector


def slow_vector(text: str, k: int, dim: int, seed: int) -> np.ndarray:
    vector = slow_sum(text, k, dim, seed)
    length = math.sqrt(float(vector @ vector))
    return vector / length if length else vector


@settings(deadline=None, max_examples=60)
@given(
    texts=st.lists(st.text("AACGTN", max_size=60), min_size=1, max_size=5),
    k=st.integers(2, 6),
    dim=st.sampled_from([1, 7, 64, 300]),
    seed=st.sampled_from([0, 1, 12345]),
)
@example(texts=["CCGCANGACAC"], k=2, dim=1, seed=1)  # cancels to all but 0
def test_vectors_are_those_of_the_definition(texts: list[str], k: int, dim: int, seed: int) -> None:
    vectors = Spectrum("1" * k, dim, seed).encode(batch_of(texts))
    assert vectors.dtype == np.float32
    expected = np.array([slow_vector(text, k, dim, seed) for text in texts])
    # Where words cancel each other, normalising blows rounding errors up.
    is_clear = np.array(
        [
            not spectrum(text, k) or np.linalg.norm(slow_sum(text, k, dim, seed)) > 0.1
            for text in texts
        ]
    )
    np.testing.assert_allclose(vectors[is_clear], expected[is_clear], atol=2e-6)
    lengths = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(lengths[~is_clear] * (lengths[~is_clear] - 1), 0, atol=1e-4)


def test_default_vectors_of_long_sequences() -> None:
    texts = [*random_dna(3, 700), "ACGT" * 300, "A" * 500]
    vectors = Spectrum().encode(batch_of(texts))
    expected = np.array([slow_vector(text, 8, 2048, 0) for text in texts])
    assert vectors.shape == (5, 2048)
    np.testing.assert_allclose(vectors, expected, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_canonical_words_make_both_strands_one() -> None:
    batch = batch_of(random_dna(20, 300))
    encoder = Spectrum("11011011011", 512, canonical=True)
    assert encoder.is_strand_free
    vectors, turned = encoder.encode(batch), encoder.encode(reverse_complement(batch))
    np.testing.assert_allclose(vectors, turned, atol=1e-6)
    assert not Spectrum().is_strand_free
    # A word and its reverse complement add to one coordinate: their roots stand in one sum.
    pair = Spectrum("11", 4096, canonical=True).encode(batch_of(["AAATTTT"]))[0]
    apart = Spectrum("11", 4096).encode(batch_of(["AAATTTT"]))[0]
    heights = sorted(abs(pair[pair != 0]) / abs(apart[apart != 0]).min())
    assert np.count_nonzero(pair) == np.count_nonzero(apart) - 1
    assert heights[-1] / heights[0] == pytest.approx(math.sqrt(2) + math.sqrt(3))


def test_canonical_words_need_a_pattern_that_can_be_read_backwards() -> None:
    with pytest.raises(SettingsError, match="the same read backwards"):
        Spectrum("1101", canonical=True)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_vectors_depend_on_neither_batch_nor_threads(threads: int) -> None:
    rng = np.random.default_rng(5)
    texts = ["".join(rng.choice(list("ACGTN"), int(rng.integers(0, 400)))) for _ in range(200)]
    whole = Spectrum(dim=256, threads=1).encode(batch_of(texts))
    encoder = Spectrum(dim=256, threads=threads)
    assert encoder.encode(batch_of(texts)).tobytes() == whole.tobytes()
    for size in (1, 7, 64):
        batch = batch_of(texts)
        parts = [
            encoder.encode(batch.slice(start, min(start + size, len(batch))))
            for start in range(0, len(batch), size)
        ]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    order = rng.permutation(len(texts))
    shuffled = encoder.encode(batch_of(texts).take(order))
    assert shuffled.tobytes() == whole[order].tobytes()


def test_unknown_bases_break_words_and_short_sequences_have_none() -> None:
    encoder = Spectrum("1111", 512)
    texts = ["ACGTT", "ACGTTNNN", "NACGTT", "ACNGTT", "ACG", "", "NNNNNNNN", "ACGTN", "RACGT"]
    vectors = encoder.encode(batch_of(texts))
    assert np.array_equal(vectors[0], vectors[1])
    assert np.array_equal(vectors[0], vectors[2])
    assert np.array_equal(vectors[7], vectors[8])
    has_words = [bool(spectrum(text, 4)) for text in texts]
    assert has_words == [True, True, True, False, False, False, False, True, True]
    assert encoder.encodable(batch_of(texts)).tolist() == has_words
    assert vectors.any(axis=1).tolist() == has_words
    assert "4 bases" in encoder.why_not()


@pytest.mark.parametrize(("k", "dim"), [(8, 2048), (6, 256)])
def test_inner_products_estimate_the_cosine_of_square_rooted_spectra(k: int, dim: int) -> None:
    rng = np.random.default_rng(11)
    texts = random_dna(12, 650, seed=11)
    for text in texts[:12]:  # relatives at many distances
        bases = np.array(list(text))
        changed = rng.random(len(bases)) < rng.uniform(0.01, 0.3)
        bases[changed] = rng.choice(list("ACGT"), int(changed.sum()))
        texts.append("".join(bases))
    spectra = [spectrum(text, k) for text in texts]

    def cosine(one: Counter[str], other: Counter[str]) -> float:
        inner = sum(math.sqrt(count * other[word]) for word, count in one.items())
        return inner / math.sqrt(one.total() * other.total())

    exact = np.array([[cosine(one, other) for other in spectra] for one in spectra])
    above = np.triu_indices(len(texts), 1)
    errors = []
    for seed in range(12):
        vectors = Spectrum("1" * k, dim, seed).encode(batch_of(texts))
        np.testing.assert_allclose(np.diag(vectors @ vectors.T), 1, atol=1e-5)
        errors.append((vectors @ vectors.T - exact)[above])
    spread = float(np.sqrt(np.mean(np.square(errors))))
    assert 0.3 / math.sqrt(dim) < spread < 1.2 / math.sqrt(dim)
    assert abs(float(np.mean(errors))) < 0.3 / math.sqrt(dim)


def test_saved_is_loaded(tmp_path: Path) -> None:
    encoder = Spectrum("11111", 100, 9)
    encoder.save(tmp_path / "encoder")
    loaded = load_encoder(tmp_path / "encoder", threads=2)
    texts = batch_of(random_dna(5, 100))
    assert loaded.encode(texts).tobytes() == encoder.encode(texts).tobytes()
    assert (loaded.name, loaded.dim, loaded.content_hash) == (
        encoder.name,
        100,
        encoder.content_hash,
    )
    assert json.loads((tmp_path / "encoder" / "config.json").read_text())["family"] == "spectrum"


def test_the_content_hash_tells_encoders_apart() -> None:
    encoders = [
        Spectrum(),
        Spectrum("1" * 7),
        Spectrum("11011011011"),
        Spectrum(dim=1024),
        Spectrum(seed=1),
        Spectrum(canonical=True),
    ]
    assert len({encoder.content_hash for encoder in encoders}) == len(encoders)
    assert Spectrum(threads=3).content_hash == Spectrum().content_hash
    texts = batch_of(random_dna(1, 200))
    assert not np.array_equal(Spectrum().encode(texts), Spectrum(seed=1).encode(texts))


def test_built_in_names() -> None:
    assert load_encoder("spectrum").content_hash == Spectrum().content_hash


def test_what_is_no_encoder_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"encoder is .bert.: expected one of .*spectrum"):
        load_encoder("bert")
    with pytest.raises(FolderError, match="not an encoder folder"):
        load_encoder(tmp_path)
    (tmp_path / "config.json").write_text('{"family": "bert"}')
    with pytest.raises(FolderError, match="encoder family 'bert' is not known to this version"):
        load_encoder(tmp_path)
    (tmp_path / "config.json").write_text("[1")
    with pytest.raises(FolderError, match="not valid JSON"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("pattern", "1"), ("pattern", "1" * 13), ("pattern", "110"), ("pattern", "121"), ("dim", 0)],
)
def test_settings_out_of_range(setting: str, value: int) -> None:
    with pytest.raises(SettingsError, match=f"{setting} is {value!r}"):
        Spectrum(**{setting: value})
