"""Encoders of the hub, which stand in folders here: pooling, saving, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    EsmConfig,
    EsmModel,
    EsmTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.registry import load_encoder
from seqsearch.errors import FolderError, SettingsError

TEXTS = ["ACGTTACGATTTACGGACATTAGC", "GG", "ACGTNACGRA", "NNNN", "", "C" * 90]
BATCH = SequenceBatch.from_clean([""] * len(TEXTS), [text.encode() for text in TEXTS])
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SMALL |= {"intermediate_size": 20}


def bert(folder: Path) -> Path:
    """A BERT with byte pairs, as DNABERT-2 has them, and its fast tokenizer."""
    words = {
        "[PAD]": 0,
        "[UNK]": 1,
        "[CLS]": 2,
        "[SEP]": 3,
        "A": 4,
        "C": 5,
        "G": 6,
        "T": 7,
        "AC": 8,
    }
    tokenizer = Tokenizer(BPE(words, [("A", "C")], unk_token="[UNK]"))
    specials = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=specials)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=9, max_position_embeddings=64, **SMALL)
    BertModel(config).save_pretrained(folder)
    return folder


def esm(folder: Path) -> Path:
    """An ESM with 2-mers, as the Nucleotide Transformer has 6-mers, and its slow tokenizer."""
    pairs = [first + second for first in "ACGT" for second in "ACGT"]
    words = ["<cls>", "<pad>", "<eos>", "<unk>", *pairs, *"ACGTN", "<mask>"]
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words))
    EsmTokenizer(str(folder / "vocab.txt"), eos_token=None).save_pretrained(folder)
    torch.manual_seed(0)
    config = EsmConfig(
        vocab_size=len(words), max_position_embeddings=66, pad_token_id=1, mask_token_id=25, **SMALL
    )
    EsmModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


MAKERS = {"bert": bert, "esm": esm}


@pytest.mark.parametrize("name", MAKERS)
def test_the_mean_of_the_last_layer(name: str, tmp_path: Path) -> None:
    folder = MAKERS[name](tmp_path)
    encoder = load_encoder(f"hf:{folder}")
    model: PreTrainedModel = AutoModel.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vectors = encoder.encode(BATCH)
    assert encoder.encodable(BATCH).tolist() == [True, True, True, False, False, True]
    for vector, text, seen in zip(vectors, TEXTS, encoder.encodable(BATCH), strict=True):
        expected = np.zeros(16)
        if seen:
            ids = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")["input_ids"]
            assert ids.shape[1] <= 64
            with torch.no_grad():
                mean = model(ids).last_hidden_state[0].double().mean(0).numpy()
            expected = mean / np.linalg.norm(mean)
        np.testing.assert_allclose(vector, expected, atol=1e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_saved_is_loaded(name: str, tmp_path: Path) -> None:
    encoder = load_encoder(f"hf:{MAKERS[name](tmp_path / 'theirs')}")
    encoder.save(tmp_path / "ours")
    loaded = load_encoder(tmp_path / "ours")
    assert loaded.encode(BATCH).tobytes() == encoder.encode(BATCH).tobytes()
    assert loaded.content_hash == encoder.content_hash
    assert loaded.name == encoder.name == f"hf:{tmp_path}/theirs@local-d16"
    assert loaded.as_config() == encoder.as_config()
    assert str(tmp_path) not in json.dumps(loaded.as_config() | {"label": ""})
    again = AutoModel.from_pretrained(tmp_path / "ours")
    assert type(again) is type(AutoModel.from_pretrained(tmp_path / "theirs"))
    assert len(AutoTokenizer.from_pretrained(tmp_path / "ours")) == again.config.vocab_size


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_code_from_a_hub_is_refused(tmp_path: Path) -> None:
    folder = bert(tmp_path / "theirs")
    load_encoder(f"hf:{folder}").save(tmp_path / "ours")
    change_json(folder / "config.json", auto_map={"AutoModel": "modeling.Model"})
    with pytest.raises(SettingsError, match=r"encoder is 'hf:.*code of its own \(auto_map\)"):
        load_encoder(f"hf:{folder}")
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    for files, sentence in (
        ({"tokenizer_config.json": '{"auto_map": {"AutoTokenizer": ["t.T", null]}}'}, "auto_map"),
        ({"../vocab.txt": ""}, "'../vocab.txt' is not the name of a tokenizer's file"),
        ({"config.json": "{}"}, "'config.json' is not the name of a tokenizer's file"),
    ):
        change_json(tmp_path / "ours" / "config.json", tokenizer=config["tokenizer"] | files)
        with pytest.raises(FolderError, match=sentence):
            load_encoder(tmp_path / "ours")


def test_pickles_and_gaps_are_refused(tmp_path: Path) -> None:
    folder = bert(tmp_path)
    weights = folder / "model.safetensors"
    change_json(folder / "config.json", num_hidden_layers=3)
    with pytest.raises(SettingsError, match=r"all tensors of its network \(no encoder\.layer\.2\."):
        load_encoder(f"hf:{folder}")
    with pytest.raises(FolderError, match=r"is of transformers, not of an encoder; give hf:FOLDER"):
        load_encoder(folder)
    weights.write_bytes(b"nothing of the kind")
    with pytest.raises(SettingsError, match="one that transformers reads by itself"):
        load_encoder(f"hf:{folder}")
    weights.unlink()
    torch.save({}, folder / "pytorch_model.bin")
    told = (
        r"model\.bin: pickles are not read, .*; seqsearch convert .*model\.bin -o FOLDER reads its"
    )
    with pytest.raises(FolderError, match=told):
        load_encoder(f"hf:{folder}")
    with pytest.raises(SettingsError, match="one that transformers reads by itself"):
        load_encoder(f"hf:{tmp_path}/nothing")


def test_a_misshapen_tensor_is_told(tmp_path: Path) -> None:
    folder = bert(tmp_path)
    change_json(folder / "config.json", intermediate_size=24)
    with pytest.raises(SettingsError, match="one that transformers reads by itself"):
        load_encoder(f"hf:{folder}")
    change_json(folder / "config.json", intermediate_size="many")
    with pytest.raises(SettingsError, match="intermediate_size"):
        load_encoder(f"hf:{folder}")


def test_a_tokenizer_that_is_not_the_models_is_told(tmp_path: Path) -> None:
    folder = bert(tmp_path / "theirs")
    load_encoder(f"hf:{folder}").save(tmp_path / "ours")
    BertModel(BertConfig(vocab_size=6, max_position_embeddings=64, **SMALL)).save_pretrained(folder)
    with pytest.raises(SettingsError, match=r"do not match: tokens go up to 8, the model has 6 of"):
        load_encoder(f"hf:{folder}")
    words = {"[PAD]": 0, "[UNK]": 1, "cat": 2, "dog": 3}
    for pad, sentence in (("[PAD]", "does not tell ACGT.* from GGAT"), (None, "no token for pad")):
        tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=pad).save_pretrained(folder)
        with pytest.raises(SettingsError, match=sentence):
            load_encoder(f"hf:{folder}")
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    text = config["tokenizer"]["tokenizer.json"].replace('"AC": 8', '"AC": 9')
    change_json(
        tmp_path / "ours" / "config.json", tokenizer=config["tokenizer"] | {"tokenizer.json": text}
    )
    with pytest.raises(FolderError, match="tokens go up to 9, the model has 9 of them"):
        load_encoder(tmp_path / "ours")


def test_loading_draws_no_progress_bar(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = bert(tmp_path / "bert")
    capfd.readouterr()
    load_encoder(f"hf:{folder}").encode(BATCH)
    assert capfd.readouterr() == ("", "")


def test_a_hub_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    code = "from seqsearch.encoders.hf import HubEncoder; HubEncoder.from_hub('nobody/nothing')"
    # The hub's library reads this when it is imported: it asks nobody, as without a network.
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=offline, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "seqsearch.errors.SettingsError: encoder is 'hf:nobody/nothing': expected one fetched "
        "before, for the hub cannot be reached"
    )
