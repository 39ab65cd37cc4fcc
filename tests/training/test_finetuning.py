"""Fine-tuning: heads and their loss; what is learned, resumed, refused, and started from."""

from __future__ import annotations

import json
import math
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate", reason="needs the extra train")

from safetensors.numpy import load_file, save_file
from torch.nn import functional

from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.registry import load_encoder
from seqsearch.errors import FolderError, SettingsError
from seqsearch.jobs.build import build_index
from seqsearch.jobs.contrasting import train_contrastive
from seqsearch.jobs.finetuning import finetune
from seqsearch.training.card import read_trained_on
from seqsearch.training.choosing import changed_recipe
from seqsearch.training.contrasting import Contrasting
from seqsearch.training.finetuning import Classes, Naming, summed_loss
from seqsearch.training.labelled import LabelledSet, read_labelled
from seqsearch.training.recipe import Contrastive, Finetuning, Recipe
from seqsearch.training.validation import mean_right
from seqsearch.training.vectors import VectorModel, fresh, pieces_of, whitened

TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
TINY |= {"intermediate_size": 32, "max_position_embeddings": 200}
NETWORKS: dict[str, dict[str, Any]] = {
    "barcodebert": {"k": 4, "bases": 660, **TINY},
    "metaberta": {"k": 4, "bases": 60, **TINY},
    "cnn": {"bases": 300, "channels": [6, 4, 4], "hidden_size": 16},
}
KINDS: dict[str, type[Any]] = {"finetune": Finetuning, "contrastive": Contrastive}


def start(family: str, folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    fresh(family, NETWORKS[family], "start").save(folder)
    return folder


def recipe_for(command: str, family: str, *changes: str, **settings: Any) -> Any:
    given = {"steps": 6, "batch_size": 16, **settings}
    return changed_recipe(family, ["save_every=2", *changes], KINDS[command], **given)


def train(command: str, indexes: list[Path], out: Path, recipe: Recipe, **how: Any) -> Any:
    job: Any = {"finetune": finetune, "contrastive": train_contrastive}[command]
    return job(indexes, out, recipe, threads=1, **how)


def some_batch(count: int = 12, seed: int = 0) -> SequenceBatch:
    rng = np.random.default_rng(seed)
    texts = ["".join(rng.choice(list("ACGT"), int(n))) for n in rng.integers(2, 800, count)]
    return SequenceBatch.from_clean([""] * count, [text.encode() for text in texts])


@pytest.mark.parametrize(
    ("family", "changes"),
    [*((family, {}) for family in NETWORKS), ("barcodebert", {"has_all_frames": True})],
)
@pytest.mark.parametrize("is_whitened", [False, True])
def test_vectors_in_training_are_those_of_the_encoder(
    family: str, changes: dict[str, Any], is_whitened: bool
) -> None:
    torch.manual_seed(1)
    encoder, batch = fresh(family, NETWORKS[family] | changes, "test"), some_batch()
    if is_whitened:
        encoder = whitened(encoder, batch, seed=0, device=torch.device("cpu"))
    model, seen = VectorModel(encoder), pieces_of(encoder, batch)
    with torch.no_grad():
        vectors = model.directions(model(seen.ids, seen.mask, seen.counts)).numpy()
    known = encoder.encodable(batch)
    assert np.abs(vectors[known] - encoder.encode(batch)[known]).max() < 1e-5
    assert np.isfinite(vectors).all()
    resting = {name for name, one in model.named_parameters() if not one.requires_grad}
    # MetaBERTa's vectors are of the last layer but one, so the last does not learn.
    expected = {"metaberta": "network.encoder.layer.1."}.get(family, "no such layer")
    assert all(name.startswith(expected) for name in resting)
    assert bool(resting) == (family == "metaberta")


@pytest.mark.parametrize("family", list(NETWORKS))
@pytest.mark.parametrize("texts", [[b"AC", b"ACGTACGTAC", b""], [b"", b""]])
def test_sequences_without_a_token_do_not_stop_a_batch(family: str, texts: list[bytes]) -> None:
    torch.manual_seed(1)
    encoder = fresh(family, NETWORKS[family], "test")
    seen = pieces_of(encoder, SequenceBatch.from_clean([""] * len(texts), texts))
    assert seen.mask.any(1).all()  # no piece is all padding, which is not a number on some devices
    assert int(seen.counts.sum()) == len(seen.ids)
    model = VectorModel(encoder)
    with torch.autocast("cpu", torch.bfloat16):  # as on a GPU
        vectors = functional.normalize(model(seen.ids, seen.mask, seen.counts))
    assert torch.isfinite(vectors).all()
    assert not vectors[-1].any()
    vectors.sum().backward()
    grads = [one.grad for one in model.parameters() if one.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads)


def test_the_loss_is_summed_over_ranks_and_ignores_missing_names() -> None:
    rng = np.random.default_rng(0)
    guesses = [rng.normal(size=(5, size)) for size in (3, 4, 2)]
    classes = np.array([[0, 3, -1], [2, -1, -1], [1, 0, -1], [-1, -1, -1], [0, 2, -1]])
    weights = [1.0, 0.5, 2.0]
    expected = 0.0
    for rank, (guess, weight) in enumerate(zip(guesses, weights, strict=True)):
        losses = [
            math.log(np.exp(guess[i]).sum()) - guess[i, classes[i, rank]]
            for i in range(5)
            if classes[i, rank] >= 0
        ]
        expected += weight * float(np.mean(losses)) if losses else 0
    tensors = [torch.tensor(guess, requires_grad=True) for guess in guesses]
    loss = summed_loss(tensors, torch.from_numpy(classes), weights)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert tensors[2].grad is not None
    assert not tensors[2].grad.any()
    assert not tensors[0].grad[3].any()  # type: ignore[index]


def test_taxa_of_one_path_are_one_class_whatever_the_library(tmp_path: Path) -> None:
    lines = {
        "one": [("A", "Apis", "ACGTACGTTTGACCA"), ("A", "Bombus", "ACGTACGTTTGACCT")],
        "two": [("A", "Apis", "GGATTACACCTTAGA"), ("B", "Apis", "GGATTACACCTTAGC")],
    }
    sets = []
    for name, records in lines.items():
        text = "".join(f">{i} f__{f};g__{g}\n{s}\n" for i, (f, g, s) in enumerate(records))
        (tmp_path / f"{name}.fasta").write_text(text)
        build_index(tmp_path / f"{name}.fasta", tmp_path / name)
        sets.append(read_labelled(tmp_path / name))
    recipe = Finetuning("test")
    classes = Classes.of(sets, [np.arange(2), np.arange(2)], recipe)
    assert dict(zip(classes.ranks, classes.sizes, strict=True)) == {"family": 2, "genus": 3}
    column = classes.ranks.index("genus")
    named = {
        (sets[i].names("family")[row].as_py(), sets[i].names("genus")[row].as_py()): int(
            classes.numbers[i][row, column]
        )
        for i in range(2)
        for row in range(2)
    }
    assert named == {("A", "Apis"): 0, ("A", "Bombus"): 1, ("B", "Apis"): 2}
    half = Classes.of(sets, [np.arange(2), np.arange(0)], recipe)
    assert half.ranks == ("genus",)
    assert sorted(half.numbers[1][:, 0].tolist()) == [-1, 0]
    with pytest.raises(SettingsError, match="expected two taxa or more at a rank that counts"):
        Classes.of(sets[:1], [np.arange(1)], recipe)


@pytest.mark.parametrize(
    ("command", "family"),
    [
        ("finetune", "barcodebert"),
        ("finetune", "metaberta"),
        ("finetune", "cnn"),
        ("finetune", "linear-probe"),
        ("contrastive", "barcodebert"),
        ("contrastive", "metaberta"),
    ],
)
def test_a_resumed_training_ends_in_the_same_model(
    index_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    family: str,
) -> None:
    recipe = recipe_for(command, family, "augmentation.crop=0.5")
    first = start("barcodebert" if family == "linear-probe" else family, tmp_path / "start")
    whole = train(command, [index_folder], tmp_path / "whole", recipe, start=first)
    task: Any = Naming if command == "finetune" else Contrasting
    real, calls = task.loss, []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(task, "loss", failing)
    with pytest.raises(KeyboardInterrupt):
        train(command, [index_folder], tmp_path / "cut", recipe, start=first)
    monkeypatch.setattr(task, "loss", real)
    other = start("barcodebert" if family == "linear-probe" else family, tmp_path / "x", seed=5)
    with pytest.raises(FolderError, match=r"of another training \(start differ\)"):
        train(command, [index_folder], tmp_path / "cut", recipe, start=other, resume=True)
    resumed = train(command, [index_folder], tmp_path / "cut", recipe, start=first, resume=True)
    assert resumed.encoder.content_hash == whole.encoder.content_hash
    assert resumed.figures.as_dict() == whole.figures.as_dict()
    before, after = load_file(first / "model.safetensors"), whole.encoder.as_tensors()
    is_same = all(np.array_equal(before[name], after[name]) for name in before)
    assert is_same == (family == "linear-probe")


def test_a_share_of_the_start_stays(index_folder: Path, tmp_path: Path) -> None:
    first = start("barcodebert", tmp_path / "start")

    def made(share: float, place: str, start_from: Path | None) -> Any:
        tiny = [f"network.{name}={value}" for name, value in TINY.items()]
        tiny += [f"start_share={share}", "learning_rate=0.1"]  # it warms up
        recipe = recipe_for("contrastive", "barcodebert", *tiny)
        return train("contrastive", [index_folder], tmp_path / place, recipe, start=start_from)

    before = load_file(first / "model.safetensors")
    learned = made(0, "all", first).encoder.as_tensors()
    mixed = made(0.25, "share", first).encoder.as_tensors()
    assert any(np.abs(learned[name] - before[name]).max() > 1e-4 for name in before)
    for name, one in mixed.items():
        expected = learned[name]  # the whitening's, which does not learn
        if name in before:
            expected = 0.75 * learned[name] + 0.25 * before[name]
        np.testing.assert_allclose(one, expected, atol=1e-6)
    # Nothing is left of weights that were only drawn.
    alone = [made(share, f"alone-{share}", None).encoder for share in (0, 0.25)]
    assert alone[0].content_hash == alone[1].content_hash


def test_heads_learn_to_name(index_folder: Path, tmp_path: Path) -> None:
    changes = ["network.bases=300", "network.channels=8,8,8", "network.hidden_size=64"]
    recipe = recipe_for("finetune", "cnn", *changes, steps=60, batch_size=64)
    few = finetune([index_folder], tmp_path / "few", replace(recipe, steps=1), threads=1)
    done = finetune([index_folder], tmp_path / "many", recipe, threads=1)
    assert {(c.hidden, c.rank) for c in done.figures.head_cells} >= {
        ("seen", "species"),
        ("unseen_genus", "family"),
    }
    assert mean_right(done.figures.head_cells) > mean_right(few.figures.head_cells) + 20
    card = (tmp_path / "many" / "card.md").read_text()
    assert "## Scores of the heads" in card
    assert "`seqsearch train finetune --recipe cnn`" in card
    state = json.loads((tmp_path / "many" / "training.json").read_text())
    assert state["head_cells"] == [vars(cell) for cell in done.figures.head_cells]


def test_a_probe_names_from_vectors_less_one_mean(
    index_folder: Path, labelled: LabelledSet, tmp_path: Path
) -> None:
    folder = start("barcodebert", tmp_path / "start")
    recipe = recipe_for("finetune", "linear-probe", steps=80, batch_size=128)
    done = finetune([index_folder], tmp_path / "probe", recipe, start=folder, threads=1)
    assert np.isfinite([cell.right for cell in done.figures.head_cells]).all()
    split = done.figures.head_cells
    family = next(c for c in split if (c.hidden, c.rank) == ("unseen_species", "genus"))
    assert family.right > 100 / 10
    batch = labelled.batch.slice(0, 40)
    assert np.array_equal(load_encoder(folder).encode(batch), done.encoder.encode(batch))
    with pytest.raises(SettingsError, match="from is '': expected an encoder's folder"):
        finetune([index_folder], tmp_path / "none", recipe)


def test_a_card_tells_the_network_that_a_training_started_from(
    index_folder: Path, tmp_path: Path
) -> None:
    first = start("barcodebert", tmp_path / "start")
    recipe = recipe_for("finetune", "barcodebert", steps=1)
    finetune([index_folder], tmp_path / "out", recipe, start=first, threads=1)
    assert "'hidden_size': 16" in (tmp_path / "out" / "card.md").read_text()
    state = json.loads((tmp_path / "out" / "training.json").read_text())
    assert state["recipe"]["network"]["hidden_size"] == 16
    with pytest.raises(SettingsError, match=r"k=5': expected nothing of the network, which"):
        changed_recipe("barcodebert", ["network.k=5"], Finetuning, first)


def test_what_is_measured_may_fail_and_be_measured_again(
    index_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_for("finetune", "cnn", steps=3)
    whole = finetune([index_folder], tmp_path / "whole", recipe, threads=1)
    real = Naming.cells

    def failing(_: Naming) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Naming, "cells", failing)
    with pytest.raises(KeyboardInterrupt):
        finetune([index_folder], tmp_path / "cut", recipe, threads=1)
    monkeypatch.setattr(Naming, "cells", real)
    monkeypatch.setattr(Naming, "loss", failing)  # no step is taken again
    again = finetune([index_folder], tmp_path / "cut", recipe, threads=1, resume=True)
    assert again.encoder.content_hash == whole.encoder.content_hash
    assert again.figures.as_dict() == whole.figures.as_dict()
    cards = [(tmp_path / name / "card.md").read_text() for name in ("whole", "cut")]
    one, other = (re.findall(r"Last loss (\d+\.\d+)", card) for card in cards)
    assert one == other != []


def test_a_cnn_needs_two_sequences_a_step(index_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_for("finetune", "cnn", batch_size=1)
    with pytest.raises(SettingsError, match="batch-size is 1: expected 2 or more: a cnn"):
        finetune([index_folder], tmp_path / "out", recipe)


@pytest.mark.slow
def test_several_processes_tune_one_model(
    index_folder: Path, tmp_path: Path, two_processes: list[str]
) -> None:
    first, out = start("barcodebert", tmp_path / "start"), tmp_path / "out"
    words = ["seqsearch", "train", "finetune", str(index_folder), "--from", str(first)]
    options = ["-o", str(out), "--device", "cpu", "--steps", "4", "--batch-size", "8", "--json"]
    done = subprocess.run(
        [*two_processes, *words, *options], check=True, timeout=300, stdout=subprocess.PIPE
    )
    assert json.loads(done.stdout)["folder"] == str(out)  # one process says it
    assert "processes: 2" in (out / "card.md").read_text()
    before, after = load_encoder(first).as_tensors(), load_encoder(out).as_tensors()
    assert not all(np.array_equal(before[name], after[name]) for name in before)


def test_what_the_start_learned_from_counts(
    index_folder: Path, tiny_index: Path, tmp_path: Path
) -> None:
    recipe = recipe_for("finetune", "barcodebert", steps=1, batch_size=2, holdout="none")
    first = start("barcodebert", tmp_path / "start")
    finetune([tiny_index], tmp_path / "one", recipe, start=first, threads=1)
    finetune([index_folder], tmp_path / "two", recipe, start=tmp_path / "one", threads=1)
    one, two = (read_trained_on(tmp_path / name) for name in ("one", "two"))
    assert len(one[0]) == 3
    for before, after in zip(one, two, strict=True):
        assert np.isin(before, after).all()
        assert len(after) > len(before)


def broken(folder: Path, change: str) -> Path:
    tensors = load_file(folder / "model.safetensors")
    name = "encoder.layer.0.output.dense.weight"
    if change == "missing":
        del tensors[name]
    elif change == "extra":
        tensors["encoder.layer.7.output.dense.weight"] = tensors[name]
    elif change == "misshapen":
        tensors[name] = tensors[name][:-1].copy()
    else:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"k": 3}))
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("missing", "layer.0.output.dense.weight is missing"),
        ("extra", "layer.7.output.dense.weight is not of this model"),
        ("misshapen", r"layer.0.output.dense.weight is float32 \[15, 32\], expected float32 \[16"),
        ("tokens", "tokens and network do not match: k 3 makes 66 tokens, the network has 258"),
    ],
)
def test_a_start_that_does_not_fit_is_told(
    index_folder: Path, tmp_path: Path, change: str, problem: str
) -> None:
    folder = broken(start("barcodebert", tmp_path / "start"), change)
    with pytest.raises(FolderError, match=problem):
        finetune(
            [index_folder],
            tmp_path / "out",
            recipe_for("finetune", "barcodebert"),
            start=folder,
        )
    assert not (tmp_path / "out").exists()


def test_a_start_of_another_kind_is_told(
    index_folder: Path, tiny_index: Path, tmp_path: Path
) -> None:
    meta = start("metaberta", tmp_path / "meta")
    with pytest.raises(SettingsError, match=r"a barcodebert, as the recipe .* \(not metaberta\)"):
        finetune(
            [index_folder], tmp_path / "out", recipe_for("finetune", "barcodebert"), start=meta
        )
    with pytest.raises(SettingsError, match="expected nothing with the recipe kmerbag"):
        train_contrastive(
            [index_folder],
            tmp_path / "out",
            recipe_for("contrastive", "kmerbag"),
            start=meta,
        )
    with pytest.raises(SettingsError, match="an encoder of barcodebert, metaberta, cnn"):
        finetune(
            [index_folder],
            tmp_path / "out",
            recipe_for("finetune", "barcodebert"),
            start=tiny_index / "encoder",
        )
    with pytest.raises(FolderError, match="not an encoder folder"):
        finetune([index_folder], tmp_path / "out", recipe_for("finetune", "cnn"), start=tmp_path)
    with pytest.raises(SettingsError, match="3 sequences with a name to learn from"):
        finetune(
            [tiny_index],
            tmp_path / "out",
            recipe_for("finetune", "barcodebert", holdout="none"),
            start=start("barcodebert", tmp_path / "start"),
        )
