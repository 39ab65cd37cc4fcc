"""Checkpoints with the published names and shapes become encoders; odd ones are refused.

No weights can be fetched in tests: transformers' own classes make the names and shapes of
BarcodeBERT's checkpoints. RoBERTa's relative positions are gone from transformers 5, so MetaBERTa's
names are written down as version 4 made them.
"""

from __future__ import annotations

import json
import pickle
import warnings
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, BertForTokenClassification

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.tokens import metaberta_vocabulary
from seqsearch.encoders.cnn import CnnConfig, CnnModel
from seqsearch.encoders.registry import load_encoder
from seqsearch.errors import FolderError
from seqsearch.jobs.converting import convert_checkpoint

SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "intermediate_size": 20}
BATCH = SequenceBatch.from_clean(
    ["a", "b"], [b"ACGTTACGATTTACGGACATTAGC", b"GGATTTACGATCCTTAGGCATTAC"]
)
State = dict[str, Any]


def today(k: int = 4, **changes: Any) -> State:
    """What BarcodeBERT's pretraining.py writes, optimizer and all."""
    config = BertConfig(
        vocab_size=4**k + 2,
        num_attention_heads=4,
        num_labels=4**k,
        output_hidden_states=True,
        **SMALL,
    )
    model = BertForTokenClassification(config)
    settings = {"k_mer": k, "stride": k, "n_heads": 4, "tokenizer": "kmer", "max_len": 660}
    return {
        "model": {f"module.{name}": one for name, one in model.state_dict().items()},
        "optimizer": torch.optim.AdamW(model.parameters()).state_dict(),
        "epoch": 35,
        "config": Namespace(**(settings | {"tokenize_n_nucleotide": False} | changes)),
        "bert_config": config.to_dict(),
    }


def workshop(k: int = 4) -> State:
    """What the workshop's MGPU_MLM_train.py writes: the state alone."""
    sizes = SMALL | {"num_attention_heads": 12}
    model = BertForMaskedLM(BertConfig(vocab_size=4**k + 3, **sizes))
    state = {f"module.{name}": one for name, one in model.state_dict().items()}
    return state | {"module.bert.embeddings.position_ids": torch.arange(512)[None]}


def metaberta(k: int = 3) -> State:
    """What transformers 4 wrote of RobertaForCausalLM with relative_key positions."""
    sizes = {"hidden": 24, "wide": 20, "words": 4**k + 5, "places": 200, "distances": 399}
    rows = {
        "roberta.embeddings.word_embeddings.weight": ("words", "hidden"),
        "roberta.embeddings.position_embeddings.weight": ("places", "hidden"),
        "roberta.embeddings.token_type_embeddings.weight": (2, "hidden"),
        "roberta.embeddings.LayerNorm.weight": ("hidden",),
        "roberta.embeddings.LayerNorm.bias": ("hidden",),
        "lm_head.bias": ("words",),
        "lm_head.dense.weight": ("hidden", "hidden"),
        "lm_head.dense.bias": ("hidden",),
        "lm_head.layer_norm.weight": ("hidden",),
        "lm_head.layer_norm.bias": ("hidden",),
        "lm_head.decoder.weight": ("words", "hidden"),
        "lm_head.decoder.bias": ("words",),
    }
    for layer in ("roberta.encoder.layer.0", "roberta.encoder.layer.1"):
        for part in ("query", "key", "value"):
            rows[f"{layer}.attention.self.{part}.weight"] = ("hidden", "hidden")
            rows[f"{layer}.attention.self.{part}.bias"] = ("hidden",)
        rows[f"{layer}.attention.self.distance_embedding.weight"] = ("distances", 6)
        for part, shape in {
            "attention.output.dense": ("hidden", "hidden"),
            "intermediate.dense": ("wide", "hidden"),
            "output.dense": ("hidden", "wide"),
        }.items():
            rows[f"{layer}.{part}.weight"] = shape
            rows[f"{layer}.{part}.bias"] = shape[:1]
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            rows[f"{layer}.{part}.weight"] = ("hidden",)
            rows[f"{layer}.{part}.bias"] = ("hidden",)
    torch.manual_seed(0)
    return {
        name: torch.randn([sizes.get(size, size) for size in shape]) for name, shape in rows.items()
    }


def cnn() -> State:
    model = CnnModel(CnnConfig(hidden_size=10))
    head = {"fc2.weight": torch.zeros(7, 10), "fc2.bias": torch.zeros(7)}
    return model.state_dict() | head


CHECKPOINTS: dict[str, Callable[[], State]] = {
    "today": today,
    "workshop": workshop,
    "metaberta": metaberta,
    "cnn": cnn,
}


def written(state: Any, path: Path) -> Path:
    torch.save(state, path)
    return path


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_published_names_become_an_encoder(name: str, tmp_path: Path) -> None:
    done = convert_checkpoint(written(CHECKPOINTS[name](), tmp_path / "a.pt"), tmp_path / "made")
    loaded = load_encoder(tmp_path / "made")
    vectors = loaded.encode(BATCH)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors, done.encoder.encode(BATCH))
    family = "barcodebert" if name in ("today", "workshop") else name
    assert done.family == family
    assert loaded.name == f"{family}-d{loaded.dim}"
    aside = {
        "today": ["classifier.weight", "classifier.bias"],
        "cnn": ["fc2.weight", "fc2.bias"],
    }
    if name in aside:
        assert done.aside == aside[name]


def test_todays_checkpoint_gives_the_vectors_of_transformers(tmp_path: Path) -> None:
    state = today(5, max_len=20)
    convert_checkpoint(written(state, tmp_path / "a.pt"), tmp_path / "made")
    model = BertForTokenClassification(BertConfig(**state["bert_config"])).eval()
    model.load_state_dict({n.removeprefix("module."): t for n, t in state["model"].items()})
    encoder = load_encoder(tmp_path / "made")
    config = json.loads((tmp_path / "made" / "config.json").read_text())
    assert (config["k"], config["bases"], config["num_attention_heads"]) == (5, 20, 4)
    tokens = encoder.tokens(BATCH)
    assert tokens.ids.shape == (2, 4)
    with torch.no_grad():
        last = model(torch.from_numpy(tokens.ids).long()).hidden_states[-1].mean(1)
    expected = torch.nn.functional.normalize(last).numpy()
    np.testing.assert_allclose(encoder.encode(BATCH), expected, atol=1e-5)


def test_the_workshops_checkpoint_sees_padding_and_a_first_token(tmp_path: Path) -> None:
    state = workshop()
    convert_checkpoint(written(state, tmp_path / "a.pth"), tmp_path / "made")
    sizes = SMALL | {"num_attention_heads": 12, "output_hidden_states": True}
    model = BertForMaskedLM(BertConfig(vocab_size=259, **sizes)).eval()
    plain = {name.removeprefix("module."): one for name, one in state.items()}
    del plain["bert.embeddings.position_ids"]
    model.load_state_dict(plain)
    encoder = load_encoder(tmp_path / "made")
    ids = encoder.tokens(BATCH).ids
    assert ids.shape == (2, 166)
    assert ids[:, 0].tolist() == [0, 0]
    assert set(ids[:, 7:].ravel().tolist()) == {2}
    with torch.no_grad():
        last = model(torch.from_numpy(ids).long()).hidden_states[-1].mean(1)
    expected = torch.nn.functional.normalize(last).numpy()
    np.testing.assert_allclose(encoder.encode(BATCH), expected, atol=1e-5)


ROBERTA = "roberta.embeddings"


@pytest.mark.parametrize(
    ("missing", "added", "sentence"),
    [
        (
            "roberta.encoder.layer.1.output.dense.bias",
            {},
            "encoder.layer.1.output.dense.bias is missing",
        ),
        (f"{ROBERTA}.word_embeddings.weight", {}, "word_embeddings.weight is missing"),
        ("", {"other": torch.zeros(2)}, "other is not of this model"),
        ("", {"roberta.other": torch.zeros(2)}, "other is not of this model"),
        (
            "",
            {f"{ROBERTA}.LayerNorm.bias": torch.zeros(3)},
            "embeddings.LayerNorm.bias is float32 [3], expected float32 [24]",
        ),
        (
            "",
            {f"{ROBERTA}.word_embeddings.weight": torch.zeros(66, 24)},
            "tokens and network do not match: 66 tokens are no k-mers with 5 special ones",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    missing: str, added: State, sentence: str, tmp_path: Path
) -> None:
    state = {name: one for name, one in metaberta().items() if name != missing} | added
    with pytest.raises(FolderError) as told:
        convert_checkpoint(written(state, tmp_path / "a.bin"), tmp_path / "made")
    assert "a.bin: not a metaberta that can be used: " in str(told.value)
    assert sentence in str(told.value)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"k_mer": 5}, "trained with k_mer 5, but its 258 tokens are of 4"),
        ({"stride": 1}, "trained with stride 1, but its 258 tokens are of 4"),
        ({"tokenizer": "bpe"}, "trained with tokenizer 'bpe', but its 258 tokens are of 'kmer'"),
        (
            {"tokenize_n_nucleotide": True},
            "tokenize_n_nucleotide True, but its 258 tokens are of F",
        ),
        ({"max_len": 4000}, "4000 bases make 1000 tokens, the network has 512 positions"),
    ],
)
def test_tokens_and_network_must_match(
    changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(FolderError) as told:
        convert_checkpoint(written(today(**changes), tmp_path / "a.pt"), tmp_path / "made")
    assert "tokens and network do not match: " in str(told.value)
    assert sentence in str(told.value)


def test_a_bare_state_must_be_told_its_heads(tmp_path: Path) -> None:
    path = written(today()["model"], tmp_path / "a.pt")
    with pytest.raises(FolderError, match=r"heads it has is not in it; give --heads$"):
        convert_checkpoint(path, tmp_path / "made")
    made = convert_checkpoint(path, tmp_path / "made", heads=6, name="mine")
    assert made.encoder.name == "mine-d24"
    whole = written(today(), tmp_path / "b.pt")
    with pytest.raises(FolderError, match="it has 4 attention heads, not 6"):
        convert_checkpoint(whole, tmp_path / "other", heads=6)
    with pytest.raises(FolderError, match="this encoder exists; give --overwrite to replace it"):
        convert_checkpoint(whole, tmp_path / "made")
    convert_checkpoint(whole, tmp_path / "made", overwrite=True)
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "thesis.doc").touch()
    with pytest.raises(FolderError, match="this folder is no encoder's; name another one"):
        convert_checkpoint(whole, tmp_path / "strange")


class Harmful:
    """Runs code where a pickle is read without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_no_code_is_run(tmp_path: Path) -> None:
    path = written({"model": {"a": Harmful(tmp_path / "ran")}}, tmp_path / "a.pt")
    told = r"not a checkpoint that can be read without running code \(it needs pathlib\.Path"
    with pytest.raises(FolderError, match=told):
        convert_checkpoint(path, tmp_path / "made")
    assert not (tmp_path / "ran").exists()
    whole = path.read_bytes()
    for content, why in (
        (whole[:-100], "it is damaged or cut off"),
        (b"nothing of the kind", "torch.save wrote no such file"),
        (b">a\nACGT\n", "torch.save wrote no such file"),
        (b"", "torch.save wrote no such file"),
        (pickle.dumps({"a": 1}, protocol=4), "torch.save wrote no such file"),
    ):
        path.write_bytes(content)
        with warnings.catch_warnings(action="error"), pytest.raises(FolderError) as told:
            convert_checkpoint(path, tmp_path / "made")
        assert str(told.value).endswith(f"that can be read without running code ({why})")


def folder_of(tmp_path: Path, **config: Any) -> Path:
    folder = tmp_path / "published"
    folder.mkdir()
    written(metaberta(), folder / "pytorch_model.bin")
    settings = {"position_embedding_type": "relative_key", "num_attention_heads": 4}
    (folder / "config.json").write_text(json.dumps(settings | config))
    return folder


def test_a_folder_of_transformers(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, layer_norm_eps=1e-5)
    words = metaberta_vocabulary(3).words()
    (folder / "3mer_vocab.txt").write_text("\n".join(words))
    done = convert_checkpoint(folder, tmp_path / "made")
    assert done.encoder.as_config()["layer_norm_eps"] == 1e-5
    assert done.aside[0] == "roberta.embeddings.position_embeddings.weight"
    (folder / "3mer_vocab.txt").write_text("\n".join(reversed(words)))
    with pytest.raises(FolderError, match="vocabulary file has 69 tokens, which are not the 69 of"):
        convert_checkpoint(folder, tmp_path / "other")


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no such file or folder; name a checkpoint"):
        convert_checkpoint(tmp_path / "nothing", tmp_path / "made")
    folder = folder_of(tmp_path, auto_map={"AutoModel": "model.Model"})
    with pytest.raises(
        FolderError, match=r"code of its own \(auto_map\), which is never run; .*bin itself may be"
    ):
        convert_checkpoint(folder, tmp_path / "made")
    convert_checkpoint(folder / "pytorch_model.bin", tmp_path / "made")
    (folder / "config.json").write_text('{"position_embedding_type": "absolute"}')
    with pytest.raises(FolderError, match="position_embedding_type is 'absolute', MetaBERTa has"):
        convert_checkpoint(folder, tmp_path / "other")
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(FolderError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        convert_checkpoint(folder, tmp_path / "other")
    for state, sentence in (
        (
            {"x": torch.zeros(1)},
            r"of no family known here \(barcodebert, metaberta, cnn\): it has x",
        ),
        ({"x": 3}, "x is no tensor; is this a model's state"),
        ({3: torch.zeros(1)}, "3 is not the name of a tensor; is this a model's state"),
        ([1], "no tensors are in it"),
    ):
        with pytest.raises(FolderError, match=sentence):
            convert_checkpoint(written(state, tmp_path / "odd.pt"), tmp_path / "other")


def test_tensors_without_dimensions_are_told(tmp_path: Path) -> None:
    flat = metaberta()
    name = "roberta.embeddings.word_embeddings.weight"
    one_dimensional = flat | {name: flat[name][0]}
    first = "roberta.encoder.layer.0.attention.self.distance_embedding.weight"
    cnn = {f"conv{number}.weight": torch.zeros(4, 4, 3, 1) for number in (1, 2, 3)}
    cnn |= {"bn4.weight": torch.zeros(4), "fc1.weight": torch.tensor(1.0)}
    for state, sentence in (
        (one_dimensional, r"embeddings\.word_embeddings\.weight is \[\d+\], expected two dim"),
        ({key: one for key, one in flat.items() if key != first}, r"distance_embedding.* missing"),
        (cnn, r"fc1\.weight is a single number"),
    ):
        with pytest.raises(FolderError, match=sentence):
            convert_checkpoint(written(state, tmp_path / "odd.pt"), tmp_path / "other", heads=4)


def test_half_precision_and_parameters_are_read(tmp_path: Path) -> None:
    state = metaberta()
    made = convert_checkpoint(written(state, tmp_path / "a.pt"), tmp_path / "whole", heads=4)
    learning = {
        name: torch.nn.Parameter(one) for name, one in state.items() if one.is_floating_point()
    }
    again = convert_checkpoint(
        written(state | learning, tmp_path / "b.pt"), tmp_path / "learning", heads=4
    )
    assert again.encoder.content_hash == made.encoder.content_hash
    halved = {
        name: one.bfloat16() if one.is_floating_point() else one for name, one in state.items()
    }
    save_file(halved, tmp_path / "c.safetensors")
    half = convert_checkpoint(tmp_path / "c.safetensors", tmp_path / "half", heads=4)
    for name, one in half.encoder.as_tensors().items():
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, made.encoder.as_tensors()[name], rtol=1e-2)


def test_schedulers_of_older_torch_are_passed_over(tmp_path: Path) -> None:
    class Scheduled:
        def __reduce__(self) -> tuple[Any, ...]:
            return getattr, (torch.optim.lr_scheduler.OneCycleLR, "_annealing_cos")

    state = today()
    plain = convert_checkpoint(written(state, tmp_path / "a.pt"), tmp_path / "plain")
    state["scheduler"] = {"anneal_func": Scheduled()}
    made = convert_checkpoint(written(state, tmp_path / "b.pt"), tmp_path / "made")
    assert made.encoder.content_hash == plain.encoder.content_hash


def test_pickles_are_refused_where_an_encoder_is_wanted(fails: Any, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    path = written(today(), tmp_path / "theirs" / "a.pt")
    (tmp_path / "some.fasta").write_text(">a\nACGTACGTACGT\n")
    told = f"{path}: pickles are not read, because they can run code; seqsearch convert {path} -o"
    for place in (path, path.parent):
        for words in (
            ["index", "build", tmp_path / "some.fasta", "-o", tmp_path / "i", "--encoder", place],
            ["train", "finetune", tmp_path / "i", "-o", tmp_path / "e", "--from", place],
        ):
            assert told in fails(*words)


def test_the_command(command: Callable[..., Any], fails: Any, tmp_path: Path) -> None:
    path = written(today(), tmp_path / "a.pt")
    answer = command("convert", path, "-o", tmp_path / "made")
    assert answer.status == 0
    assert answer.out == (
        "left out, not needed to encode: classifier.weight, classifier.bias\n"
        f"{tmp_path}/made: barcodebert-d24, a barcodebert\n"
    )
    answer = command("convert", path, "-o", tmp_path / "made", "--overwrite", "--json")
    assert json.loads(answer.out)["encoder"] == "barcodebert-d24"
    told = fails("convert", tmp_path / "b.pt", "-o", tmp_path / "made", "--overwrite")
    assert "no such file or folder" in told


def test_halves_are_read(tmp_path: Path) -> None:
    def half(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: one.half() for name, one in state.items()}

    made = convert_checkpoint(written(half(metaberta()), tmp_path / "a.bin"), tmp_path / "made")
    assert {str(one.dtype) for one in made.encoder.as_tensors().values()} == {"float32"}
