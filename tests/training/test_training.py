"""Whole trainings of a second: what is learned, resumed, refused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("accelerate", reason="needs the extra train")

from seqsearch.encoders.registry import load_encoder
from seqsearch.errors import FolderError, SettingsError
from seqsearch.jobs.build import build_index
from seqsearch.jobs.contrasting import train_contrastive
from seqsearch.training.card import name_hash, read_trained_on
from seqsearch.training.choosing import changed_recipe, load_recipe
from seqsearch.training.contrasting import Contrasting
from seqsearch.training.labelled import LabelledSet
from seqsearch.training.recipe import Contrastive, Pretraining
from seqsearch.training.split import development_split
from seqsearch.training.validation import mean_right, validate

SMALL = ["bag.patterns=11111", "bag.dim=16", "spectrum_dim=64", "save_every=4"]


def small(**settings: Any) -> Contrastive:
    return changed_recipe(
        "kmerbag", SMALL, Contrastive, **{"steps": 10, "batch_size": 32, **settings}
    )


class StoppedError(Exception):
    pass


def test_training_learns(index_folder: Path, labelled: LabelledSet, tmp_path: Path) -> None:
    recipe = changed_recipe(
        "kmerbag",
        ["bag.dim=16", "bag.patterns=111111"],
        Contrastive,
        steps=150,
        batch_size=128,
    )
    before = train_contrastive([index_folder], tmp_path / "one", small(steps=1))
    after = train_contrastive([index_folder], tmp_path / "many", recipe)
    assert mean_right(after.cells) > mean_right(before.cells) + 5
    encoder = load_encoder(tmp_path / "many")
    assert encoder.content_hash == after.encoder.content_hash
    again, _ = validate(encoder, labelled, development_split(labelled))
    assert [cell.right for cell in again] == [cell.right for cell in after.cells]


def test_what_was_learned_from_is_written_down(
    index_folder: Path, labelled: LabelledSet, tmp_path: Path
) -> None:
    trained = train_contrastive([index_folder], tmp_path / "encoder", small(holdout="genera"))
    sequences, names = read_trained_on(tmp_path / "encoder")
    split = development_split(labelled)
    held = split.queries["unseen_genus"]
    assert not np.isin(labelled.digests[held, 0], sequences).any()
    assert np.isin(labelled.digests[split.train, 0], sequences).all()
    genus = labelled.names("genus")
    assert name_hash("genus", genus[int(split.train[0])].as_py()) in names
    assert name_hash("genus", genus[int(held[0])].as_py()) not in names
    card = (tmp_path / "encoder" / "card.md").read_text()
    for fact in (
        trained.encoder.name,
        trained.encoder.content_hash,
        "10 steps",
        "seed 0",
        labelled.marker,
    ):
        assert fact in card
    state = json.loads((tmp_path / "encoder" / "training.json").read_text())
    assert state["recipe"]["batch_size"] == 32
    assert {cell["hidden"] for cell in state["cells"]} == {"unseen_genus"}
    assert not (tmp_path / "encoder" / "checkpoint.safetensors").exists()
    assert any((tmp_path / "encoder" / "logs").iterdir())


@pytest.mark.parametrize("objective", ["supcon", "triplet"])
def test_a_resumed_training_ends_in_the_same_model(
    index_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    recipe = small(objective=objective, dropout=0.2, spectrum_in_loss=0.3, spectrum_weight=0.5)
    whole = train_contrastive([index_folder], tmp_path / "whole", recipe, threads=1)
    real, calls = Contrasting.loss, []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 7:
            raise StoppedError
        return real(*arguments)

    monkeypatch.setattr(Contrasting, "loss", failing)
    with pytest.raises(StoppedError):
        train_contrastive([index_folder], tmp_path / "cut", recipe, threads=1)
    monkeypatch.setattr(Contrasting, "loss", real)
    assert not (tmp_path / "cut" / "config.json").exists()
    with pytest.raises(FolderError, match="an unfinished training is here; give --resume"):
        train_contrastive([index_folder], tmp_path / "cut", recipe)
    other = small(objective=objective, seed=5)
    with pytest.raises(FolderError, match=r"of another training \(recipe differ\)"):
        train_contrastive([index_folder], tmp_path / "cut", other, resume=True)
    resumed = train_contrastive([index_folder], tmp_path / "cut", recipe, resume=True, threads=1)
    assert resumed.encoder.content_hash == whole.encoder.content_hash
    with pytest.raises(FolderError, match="this encoder exists"):
        train_contrastive([index_folder], tmp_path / "cut", recipe, resume=True)
    once_more = train_contrastive(
        [index_folder], tmp_path / "cut", recipe, overwrite=True, threads=1
    )
    assert once_more.encoder.content_hash == whole.encoder.content_hash
    assert (
        train_contrastive(
            [index_folder], tmp_path / "seed", small(objective=objective, seed=1)
        ).encoder.content_hash
        != whole.encoder.content_hash
    )


def test_a_damaged_checkpoint_is_told(index_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "checkpoint.safetensors").write_bytes(b"nothing")
    with pytest.raises(FolderError, match="not a readable checkpoint"):
        train_contrastive([index_folder], tmp_path / "encoder", small(), resume=True)


def test_nothing_to_tell_apart_is_told(tmp_path: Path) -> None:
    (tmp_path / "ref.fasta").write_text(
        ">a f__Apidae;g__Apis\nACGTACGTTTGACCA\n>b f__Apidae;g__Apis\nACGTACGTTAGGCCA\n"
    )
    build_index(tmp_path / "ref.fasta", tmp_path / "bees")
    with pytest.raises(SettingsError, match="expected two taxa or more at a rank that counts"):
        train_contrastive([tmp_path / "bees"], tmp_path / "encoder", small())
    assert not (tmp_path / "encoder").exists()


def test_short_sequences_are_learned_from_whole(tmp_path: Path, tiny_index: Path) -> None:
    # 15 bases: shorter than any crop; a word of 5 is in them.
    trained = train_contrastive([tiny_index], tmp_path / "encoder", small(holdout="none"))
    assert trained.cells == []
    assert load_encoder(tmp_path / "encoder").dim == 16


def test_out_of_memory_suggests_a_batch_size(
    index_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: Any) -> Any:
        raise RuntimeError(
            "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"
        )

    monkeypatch.setattr(Contrasting, "loss", failing)
    with pytest.raises(SettingsError, match=r"batch-size is 32: .*out of memory.*try 16"):
        train_contrastive([index_folder], tmp_path / "encoder", small())


def test_a_strangers_folder_is_left_alone(index_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("a letter")
    with pytest.raises(FolderError, match="this folder is no encoder's"):
        train_contrastive([index_folder], tmp_path / "letters", small(), overwrite=True)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("steps=0", "steps is 0"),
        ("batch_size=7", "batch-size is 7"),
        ("dropout=1", "dropout is 1"),
        ("start_share=1", "start_share is 1"),
        ("objective=mse", "objective is 'mse'"),
        ("holdout=all", "holdout is 'all'"),
        ("nothing=1", "set is 'nothing'"),
        ("steps", "set is 'steps': expected NAME=VALUE"),
        ("steps=many", "a number behind ="),
        ("bag.patterns=10", "pattern is '10'"),
        ("descent.schedule=steps", "schedule is 'steps'"),
        ("descent.clip=-1", "clip is -1"),
        ("augmentation.crop=2", "crop is 2"),
    ],
)
def test_settings_out_of_range(change: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        changed_recipe("kmerbag", [change], Contrastive)


def test_recipes_by_name() -> None:
    assert load_recipe("hybrid", Contrastive).spectrum_weight > 0
    assert load_recipe("kmerbag", Contrastive).spectrum_weight == 0
    assert (
        changed_recipe("kmerbag", ["rank_weights.genus=0.5"], Contrastive).rank_weights["genus"]
        == 0.5
    )
    with pytest.raises(SettingsError, match="recipe is 'bert': expected one of barcodebert, "):
        load_recipe("bert", Contrastive)
    with pytest.raises(SettingsError, match=r"recipe is 'hybrid': .* for train pretrain$"):
        load_recipe("hybrid", Pretraining)
    with pytest.raises(SettingsError, match="share"):
        train_contrastive([], "nowhere", load_recipe("kmerbag", Contrastive), shares={"coi": 2.0})


@pytest.mark.slow
def test_several_processes_train_one_model(
    index_folder: Path, tmp_path: Path, two_processes: list[str]
) -> None:
    out = tmp_path / "encoder"
    words = ["seqsearch", "train", "contrastive", str(index_folder), "-o", str(out)]
    options = ["--device", "cpu", "--steps", "6", "--batch-size", "32"]
    changes = [word for change in SMALL for word in ("--set", change)]
    subprocess.run([*two_processes, *words, *options, *changes], check=True, timeout=300)
    assert "processes: 2" in (out / "card.md").read_text()
    assert load_encoder(out).dim == 16 + 64
