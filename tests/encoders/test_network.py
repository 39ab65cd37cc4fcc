"""Networks against the same arithmetic written out in numpy; what is saved is loaded."""

from __future__ import annotations

import importlib
import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.barcodebert import BarcodeBert, BarcodeBertConfig
from seqsearch.encoders.base import WORD_EXPONENT
from seqsearch.encoders.cnn import Cnn, CnnConfig
from seqsearch.encoders.device import DeviceEncoder
from seqsearch.encoders.folder import config_hash, make_encoder
from seqsearch.encoders.hybrid import Hybrid
from seqsearch.encoders.metaberta import MetaBerta, MetaBertaConfig
from seqsearch.encoders.network import NetworkEncoder
from seqsearch.encoders.registry import load_encoder
from seqsearch.encoders.spectrum import Spectrum
from seqsearch.encoders.tensors import Tensors, tensors_hash
from seqsearch.errors import FolderError, MissingExtraError, SettingsError
from seqsearch.jobs.placing import placed
from seqsearch.networks.pairs import train_pairs
from seqsearch.networks.whitening import Whitening

SMALL = {"hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 3}
SMALL |= {"intermediate_size": 20, "max_position_embeddings": 40}
PAIRS = train_pairs([SequenceBatch.from_clean(["a"], [b"ACACACGTTGACCATTGACA" * 3])], 11)
SETTINGS: dict[str, tuple[type[NetworkEncoder], Any]] = {
    "barcodebert": (
        BarcodeBert,
        BarcodeBertConfig(k=3, bases=100, vocab_size=66, **SMALL),
    ),
    "barcodebert with N": (
        BarcodeBert,
        BarcodeBertConfig(k=3, has_n=True, bases=100, vocab_size=127, **SMALL),
    ),
    "barcodebert in all frames": (
        BarcodeBert,
        BarcodeBertConfig(k=4, bases=100, vocab_size=258, has_all_frames=True, **SMALL),
    ),
    "barcodebert of the workshop": (
        BarcodeBert,
        BarcodeBertConfig(k=4, is_workshop=True, bases=100, vocab_size=259, **SMALL),
    ),
    "barcodebert of byte pairs": (
        BarcodeBert,
        BarcodeBertConfig(pairs=PAIRS.to_str(), bases=30, vocab_size=11, **SMALL),
    ),
    "metaberta": (MetaBerta, MetaBertaConfig(k=3, bases=40, vocab_size=69, **SMALL)),
    "cnn": (Cnn, CnnConfig(bases=100, channels=[6, 4, 3], hidden_size=12)),
}
NAMES = list(SETTINGS)


def random_encoder(name: str, seed: int = 0) -> NetworkEncoder:
    """An encoder whose tensors are drawn large enough that every one of them matters."""
    cls, config = SETTINGS[name]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = cls.model_class(config)
    rng = np.random.default_rng(seed)
    for key, one in model.state_dict().items():
        if key.endswith("running_var"):
            one.copy_(torch.from_numpy(rng.uniform(0.5, 2, one.shape)))
        elif one.is_floating_point():
            one.copy_(torch.from_numpy(rng.normal(0.1, 0.4, one.shape)))
    return cls(model, "test")


def some_batch(count: int = 30, seed: int = 1) -> SequenceBatch:
    rng = np.random.default_rng(seed)
    weights = [0.24, 0.24, 0.24, 0.24, 0.03, 0.01]
    texts = [
        "".join(rng.choice(list("ACGTNR"), int(rng.integers(0, 180)), p=weights))
        for _ in range(count)
    ]
    texts += ["", "AC", "NNNNNNNNN", "ACGTACGTACGTAAC", "A" * 100, "C" * 43, "NACGT", "NNNACGTAN"]
    return SequenceBatch.from_clean([""] * len(texts), [text.encode() for text in texts])


# --- the reference -------------------------------------------------------------------------------


def normed(rows: np.ndarray, tensors: Tensors, name: str) -> np.ndarray:
    centred = rows - rows.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]


def linear(rows: np.ndarray, tensors: Tensors, name: str) -> np.ndarray:
    return rows @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def gelu(value: float) -> float:
    return value * (1 + math.erf(value / math.sqrt(2))) / 2


def bert_states(ids: list[int], tensors: Tensors, config: Any) -> list[np.ndarray]:
    """What stands after the embeddings and each layer, for one sequence without padding."""
    places = len(ids)
    rows = tensors["embeddings.word_embeddings.weight"][ids]
    rows = rows + tensors["embeddings.token_type_embeddings.weight"][0]
    if config.position_embedding_type == "absolute":
        rows = rows + tensors["embeddings.position_embeddings.weight"][:places]
    states = [normed(rows, tensors, "embeddings.LayerNorm")]
    width = config.hidden_size // config.num_attention_heads
    for layer in range(config.num_hidden_layers):
        name = f"encoder.layer.{layer}"
        query, key, value = (
            linear(states[-1], tensors, f"{name}.attention.self.{part}")
            for part in ("query", "key", "value")
        )
        seen = np.zeros_like(states[-1])
        for head in range(config.num_attention_heads):
            own = slice(head * width, (head + 1) * width)
            for i in range(places):
                scores = np.empty(places)
                for j in range(places):
                    looked_at = key[j, own]
                    if config.position_embedding_type == "relative_key":
                        distances = tensors[f"{name}.attention.self.distance_embedding.weight"]
                        row = i - j + config.max_position_embeddings - 1
                        looked_at = looked_at + distances[row]
                    scores[j] = query[i, own] @ looked_at / math.sqrt(width)
                shares = np.exp(scores - scores.max())
                seen[i, own] = shares / shares.sum() @ value[:, own]
        mixed = linear(seen, tensors, f"{name}.attention.output.dense") + states[-1]
        mixed = normed(mixed, tensors, f"{name}.attention.output.LayerNorm")
        wide = np.vectorize(gelu)(linear(mixed, tensors, f"{name}.intermediate.dense"))
        made = linear(wide, tensors, f"{name}.output.dense") + mixed
        states.append(normed(made, tensors, f"{name}.output.LayerNorm"))
    return states


def barcode_vector(text: str, tensors: Tensors, config: Any) -> np.ndarray:
    specials = ["<MASK>", "<CLS>", "?"] if config.is_workshop else ["[MASK]", "?"]
    words = ["".join(word) for word in product("ACGT", repeat=config.k)]
    if config.has_n:
        all_words = ["".join(word) for word in product("ACGTN", repeat=config.k)]
        words += [word for word in all_words if "N" in word]
    number = {word: i for i, word in enumerate(specials + words)}
    text = text[: config.bases]
    if config.pairs:
        return bert_states(PAIRS.encode(text).ids, tensors, config)[-1].mean(0)
    if config.is_workshop:
        text += "N" * (config.bases - len(text))
    found: list[np.ndarray] = []
    for frame in range(config.k if config.has_all_frames else 1):
        starts = range(frame, len(text) - config.k + 1, config.k)
        ids = [number.get(text[i : i + config.k], number["?"]) for i in starts]
        if config.is_workshop:
            ids = [0, *ids]
        if ids:
            found.extend(bert_states(ids, tensors, config)[-1])
    return np.mean(found, axis=0)


def metaberta_vector(text: str, tensors: Tensors, config: Any) -> np.ndarray:
    words = ["".join(word) for word in product("ACTG", repeat=config.k)]
    number = {word: i + 5 for i, word in enumerate(words)}
    total: list[np.ndarray] = []
    for start in range(0, len(text), config.bases):
        piece = text[start : start + config.bases]
        found = [number.get(piece[i : i + config.k], 0) for i in range(len(piece) - config.k + 1)]
        if found:
            total.extend(bert_states([3, *found, 1], tensors, config)[-2])
    return np.mean(total, axis=0)


def cnn_vector(text: str, tensors: Tensors, config: Any) -> np.ndarray:
    image = np.zeros((1, config.bases, 5))
    for i, letter in enumerate(text[: config.bases]):
        image[0, i, "ACGTN".find(letter) if letter in "ACGTN" else 4] = 1
    for number in (1, 2, 3):
        weight = tensors[f"conv{number}.weight"][..., 0]  # (out, in, 3)
        padded = np.pad(image, ((0, 0), (1, 1), (0, 0)))
        made = np.stack(
            [
                np.einsum(
                    "ick,ki->c", weight.transpose(1, 0, 2), padded[:, row : row + 3, column].T
                )
                + tensors[f"conv{number}.bias"]
                for row, column in product(range(image.shape[1]), range(5))
            ]
        ).T.reshape(len(weight), image.shape[1], 5)
        made = batch_normed(np.maximum(made, 0), tensors, f"bn{number}")
        kept = made.shape[1] // 3
        image = made[:, : 3 * kept].reshape(len(weight), kept, 3, 5).max(2)
    flat = batch_normed(image.reshape(-1, 1, 1), tensors, "bn4").ravel()
    return linear(flat, tensors, "fc1")


def batch_normed(image: np.ndarray, tensors: Tensors, name: str) -> np.ndarray:
    def column(part: str) -> np.ndarray:
        return tensors[f"{name}.{part}"][:, None, None]

    scaled = (image - column("running_mean")) / np.sqrt(column("running_var") + 1e-5)
    return scaled * column("weight") + column("bias")


REFERENCES = {"barcodebert": barcode_vector, "metaberta": metaberta_vector, "cnn": cnn_vector}


# --- the tests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_vectors_are_those_of_the_definition(name: str) -> None:
    encoder, batch = random_encoder(name), some_batch(6)  # and what is short or has no base
    tensors = {key: one.astype(np.float64) for key, one in encoder.as_tensors().items()}
    vectors, seen = encoder.encode(batch), encoder.encodable(batch)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(batch), encoder.dim)
    assert 0 < seen.sum() < len(batch)
    for i in range(len(batch)):
        expected = np.zeros(encoder.dim)
        if seen[i]:
            reference = REFERENCES[encoder.family]
            expected = reference(batch.sequence(i), tensors, encoder.model.config)
            expected = expected / np.linalg.norm(expected)
        np.testing.assert_allclose(vectors[i], expected, atol=1e-4)
    assert encoder.why_not()


@pytest.mark.parametrize("name", NAMES)
def test_whitened_vectors_are_those_of_the_definition(name: str, tmp_path: Path) -> None:
    encoder, batch = random_encoder(name), some_batch(200)
    plain, seen = encoder.encode(batch).astype(np.float64), encoder.encodable(batch)
    encoder.whitening = Whitening.of(plain[seen].astype(np.float32), power=0.25)
    encoder.save(tmp_path)
    loaded = load_encoder(tmp_path)
    saved = loaded.as_tensors()
    centre, axes = saved["whitening.centre"], saved["whitening.axes"]
    np.testing.assert_allclose(centre, plain[seen].mean(0), atol=1e-6)
    expected = (plain[seen] - centre) @ axes.astype(np.float64)
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    expected /= lengths
    vectors = loaded.encode(batch)
    assert not vectors[~seen].any()
    np.testing.assert_allclose(vectors[seen], expected, atol=1e-4)
    placed = DeviceEncoder(loaded, ("cpu", "cpu"))
    # In other batches the last bits are others, which the narrow axes of a random network widen.
    rounding = 5e-7 * float(np.linalg.norm(axes, 2) / lengths.min())
    np.testing.assert_allclose(placed.encode(batch), vectors, atol=rounding)
    assert loaded.content_hash == encoder.content_hash != random_encoder(name).content_hash
    assert loaded.length_exponent == 0


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_widths_become_powers_of_themselves(power: float) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(1, 1, (5000, 6)) * [3, 1, 0.5, 0.2, 0.1, 0]  # none in the last direction
    whitening = Whitening.of(vectors.astype(np.float32), power)
    moved = (vectors - whitening.centre.numpy()) @ whitening.axes.numpy()
    widths = np.sqrt(np.linalg.eigvalsh(np.cov(vectors.T, bias=True)).clip(0))
    found = np.cov(moved.T, bias=True)
    expected = np.where(widths > 1e-6, widths ** (1 - power), 0)
    np.testing.assert_allclose(np.sqrt(np.diag(found).clip(0)), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found - np.diag(np.diag(found)), 0, atol=1e-4)
    lengths = np.linalg.norm(whitening(torch.from_numpy(vectors.astype(np.float32))), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)


def test_directions_that_few_vectors_tell_nothing_of_are_not_widened() -> None:
    rng = np.random.default_rng(5)
    widths = (1 + np.arange(128.0)) ** -1
    taxa, noise = rng.normal(0, widths, (400, 128)), rng.normal(0, 0.01, (2, 400, 128))
    one, other = (torch.from_numpy((taxa + 1 + apart).astype(np.float32)) for apart in noise)
    found = {}
    for many in (60, 300):  # of taxa that are not asked
        whitening = Whitening.of(one[:many].numpy())
        alike = whitening(one[300:]) @ whitening(other[300:]).T
        found[many] = float(alike.diag().mean())
        assert float(alike.mean().abs()) < 0.1
    assert found[60] > found[300] + 0.1


def test_a_whitening_that_does_not_fit_is_told() -> None:
    encoder = random_encoder("cnn")
    tensors = encoder.as_tensors() | {"whitening.centre": np.zeros(9, np.float32)}
    with pytest.raises(ValueError, match=r"whitening.axes is missing; whitening.centre is float32"):
        make_encoder(encoder.as_config(), tensors, 1)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_is_loaded(name: str, tmp_path: Path) -> None:
    encoder, batch = random_encoder(name), some_batch()
    encoder.save(tmp_path)
    loaded = load_encoder(tmp_path)
    assert loaded.encode(batch).tobytes() == encoder.encode(batch).tobytes()
    assert loaded.content_hash == encoder.content_hash != random_encoder(name, 1).content_hash
    assert (loaded.name, loaded.dim) == (encoder.name, encoder.dim) == ("test-d12", 12)
    assert loaded.max_length == encoder.max_length
    assert loaded.as_config() == encoder.as_config()


@pytest.mark.parametrize("name", NAMES)
def test_transformers_reads_the_folder(name: str, tmp_path: Path) -> None:
    encoder = random_encoder(name)
    encoder.whitening = Whitening.of(np.eye(12, dtype=np.float32))
    encoder.save(tmp_path / "ours")
    model, report = AutoModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert type(model) is type(encoder.model)
    model.save_pretrained(tmp_path / "theirs")
    again = AutoModel.from_pretrained(tmp_path / "theirs")
    tokens = encoder.tokens(some_batch().slice(0, 3))
    ids, mask = torch.from_numpy(tokens.ids), torch.from_numpy(tokens.mask)
    with torch.no_grad():
        expected = encoder.summed(encoder.model, ids, mask)
        for one in (model, again):
            assert torch.equal(encoder.summed(one, ids, mask), expected)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "cnn"])
def test_transformers_makes_the_same_tokens(name: str, tmp_path: Path) -> None:
    encoder = random_encoder(name)
    encoder.save(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    text = "ACGTTACGATTNACGGACATTAGCA" * 4 if "workshop" in name else "ACGTTACGATTNACGGACATTAGCA"
    tokens = encoder.tokens(SequenceBatch.from_clean([""], [text.encode()]))
    found = tokenizer(text)["input_ids"]
    assert found == tokens.ids[0, : len(found)].tolist()
    assert len(found) == tokens.lengths[0]


@pytest.mark.parametrize("name", NAMES)
def test_batch_and_device_change_nothing_but_rounding(name: str) -> None:
    encoder, batch = random_encoder(name), some_batch()
    whole = encoder.encode(batch)
    alone = [encoder.encode(batch.slice(i, i + 1)) for i in range(len(batch))]
    np.testing.assert_allclose(np.concatenate(alone), whole, atol=1e-5)
    placed = DeviceEncoder(encoder, ("cpu", "cpu"))
    np.testing.assert_allclose(placed.encode(batch), whole, atol=1e-5)
    assert placed.content_hash == encoder.content_hash
    with pytest.raises(ValueError, match=r"^test-d12 is no sum over words$"):
        placed.pieces()
    assert encoder.encode(batch.slice(0, 0)).shape == (0, 12)


@pytest.mark.parametrize("name", NAMES)
def test_threads_change_nothing(name: str) -> None:
    batch, vectors = some_batch(300), {}
    for threads in (1, 3):
        encoder = random_encoder(name)
        encoder.threads = threads
        vectors[threads] = encoder.encode(batch)
    assert vectors[1].tobytes() == vectors[3].tobytes()


def test_hybrids_of_networks_run_on_the_cpu() -> None:
    hybrid = Hybrid((random_encoder("cnn"), Spectrum("1111", 64)), (0.5, 0.5), "test")
    vectors = hybrid.encode(some_batch())
    assert np.allclose(np.linalg.norm(vectors[hybrid.encodable(some_batch())], axis=1), 1)
    assert hybrid.length_exponent == WORD_EXPONENT
    with pytest.raises(
        SettingsError, match=r"^device is 'cpu': expected cpu, because test-d12 is no sum"
    ):
        placed(hybrid, ("cpu",))


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("barcodebert", {"k": 4}, "tokens and network do not match: k 4 makes 258 tokens, the"),
        ("barcodebert", {"bases": 660}, "660 bases make 220 tokens, the network has 40 positions"),
        ("metaberta", {"k": 4}, "tokens and network do not match: k 4 makes 261 tokens, the"),
        ("metaberta", {"bases": 200}, "pieces of 200 bases make 200 tokens, the network has 40"),
        ("barcodebert", {"hidden_size": 24}, r"weight is float32 \[66, 12\], expected float32 \["),
        ("barcodebert", {"k": "four"}, "not the configuration of a barcodebert|k"),
        ("barcodebert of byte pairs", {"vocab_size": 12}, "byte pairs make 11 tokens, the network"),
        ("barcodebert of byte pairs", {"pairs": "?"}, "not byte pairs"),
        ("cnn", {"bases": 9}, "a cnn has 27 bases or more and three convolutions"),
        (
            "cnn",
            {"auto_map": {"AutoModel": "m.M"}},
            r"code of its own \(auto_map\), which is never",
        ),
    ],
)
def test_odd_settings_are_told(
    name: str, change: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    random_encoder(name).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(FolderError, match=sentence):
        load_encoder(tmp_path)


@pytest.mark.parametrize("name", ["barcodebert", "metaberta"])
def test_folders_without_the_newest_settings_are_read_as_they_were_meant(
    name: str, tmp_path: Path
) -> None:
    encoder = random_encoder(name)
    assert encoder.added
    encoder.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    older = {key: value for key, value in config.items() if key not in encoder.added}
    (tmp_path / "config.json").write_text(json.dumps(older))
    loaded = load_encoder(tmp_path)
    assert loaded.as_config() == config
    tensors = {"tensors": tensors_hash(encoder.as_tensors())}
    assert loaded.content_hash == encoder.content_hash == config_hash(older | tensors)


def test_the_hash_tells_settings_that_are_new() -> None:
    encoder = random_encoder("barcodebert")
    config, tensors = encoder.as_config(), encoder.as_tensors()
    changed = make_encoder(config | {"has_all_frames": True}, tensors, 1)
    assert changed.content_hash != encoder.content_hash


def test_all_frames_see_what_follows_a_lost_base() -> None:
    rng = np.random.default_rng(4)
    text = bytes(b"ACGT"[base] for base in rng.integers(0, 4, 100))
    batch = SequenceBatch.from_clean(["whole", "short"], [text, text[1:]])
    apart = {}
    for name in ("barcodebert", "barcodebert in all frames"):
        one, other = random_encoder(name).encode(batch)
        apart[name] = float(np.linalg.norm(one - other))
    assert apart["barcodebert in all frames"] < apart["barcodebert"] / 3


def test_distances_are_drawn_as_widely_as_the_configuration_says() -> None:
    settings = dict(k=3, bases=40, vocab_size=69, **SMALL)
    torch.manual_seed(0)
    model = MetaBerta.model_class(MetaBertaConfig(**settings, distance_range=1.0))
    for name, one in model.state_dict().items():
        if name.endswith("distance_embedding.weight"):
            assert 0.9 < float(one.std()) < 1.1
        elif name.endswith("embeddings.weight"):
            assert 0.01 < float(one.std()) < 0.03


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name="torch")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(
        MissingExtraError,
        match=r"^torch, which encoders of family cnn need, is not installed: pip install "
        r"'seqsearch\[models\]'$",
    ):
        make_encoder({"family": "cnn"}, {}, 0)
