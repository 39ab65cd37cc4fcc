"""Pretraining: what is asked for, whether it is learned, resumed, refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate", reason="needs the extra train")

from seqsearch.dna.batch import SequenceBatch
from seqsearch.encoders.registry import load_encoder
from seqsearch.errors import FolderError, InputError, SettingsError
from seqsearch.jobs import training
from seqsearch.jobs.pretraining import pretrain
from seqsearch.training.card import read_trained_on
from seqsearch.training.choosing import changed_recipe
from seqsearch.training.labelled import LabelledSet, read_unnamed
from seqsearch.training.masking import IGNORED
from seqsearch.training.pretraining import Guessing
from seqsearch.training.recipe import Pretraining
from seqsearch.training.split import split_for
from seqsearch.training.vectors import fresh

TINY = ["network.hidden_size=16", "network.num_hidden_layers=2", "network.num_attention_heads=2"]
TINY += ["network.intermediate_size=32"]
BERT = ["network.k=3", "network.bases=120", *TINY]
META = ["network.k=3", "network.bases=60", *TINY]


def tiny(recipe: str = "barcodebert-small", changes: list[str] | None = None) -> Pretraining:
    settings = META if recipe.startswith("meta") else BERT
    given = [*settings, "save_every=3", *(changes or [])]
    return changed_recipe(recipe, given, Pretraining, steps=8, batch_size=4)


def families(count: int, kinds: int = 6, length: int = 120, seed: int = 0) -> list[str]:
    """Copies of a few sequences, with substitutions: what stands at a place tells little."""
    rng = np.random.default_rng(seed)
    models = rng.integers(0, 4, (kinds, length))
    drawn = models[rng.integers(0, kinds, count)]
    changed = rng.random(drawn.shape) < 0.02
    drawn[changed] = rng.integers(0, 4, changed.sum())
    return ["".join("ACGT"[base] for base in row) for row in drawn]


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fasta") / "some.fasta"
    path.write_text("".join(f">s{i}\n{text}\n" for i, text in enumerate(families(400))))
    return path


def task_of(texts: list[str], recipe: Pretraining) -> Guessing:
    torch.manual_seed(recipe.seed)
    batch = SequenceBatch.from_clean([""] * len(texts), [text.encode() for text in texts])
    encoder = fresh(recipe.family, recipe.network, "test")
    return Guessing(encoder, batch.slice(0, len(texts) - 20), batch.slice(0, 20), recipe, "test", 1)


def test_it_learns_what_no_place_tells(tmp_path: Path) -> None:
    texts = families(800, kinds=4, length=48)
    (tmp_path / "some.fasta").write_text("".join(f">s{i}\n{t}\n" for i, t in enumerate(texts)))
    recipe = changed_recipe(
        "barcodebert-small",
        [*BERT, "network.hidden_size=32", "network.hidden_dropout_prob=0", "learning_rate=1e-2"],
        Pretraining,
        steps=400,
        batch_size=16,
    )
    done = pretrain([tmp_path / "some.fasta"], tmp_path / "encoder", recipe, threads=1)
    guess = done.figures.guess
    assert guess is not None
    assert guess.loss < guess.unigram_loss - 0.3
    assert guess.right > guess.unigram_right + 20
    card = (tmp_path / "encoder" / "card.md").read_text()
    assert f"| this network | {guess.loss:.3f} | {guess.right:.1f} |" in card
    assert f"| shares at the place | {guess.unigram_loss:.3f} |" in card
    assert "single sequences of some.fasta, by a hash" in card
    state = json.loads((tmp_path / "encoder" / "training.json").read_text())
    assert state["guess"] == guess.as_dict()
    # Whitened: vectors point all ways, where means over tokens would nearly all point one way.
    vectors = load_encoder(tmp_path / "encoder").encode(read_unnamed(tmp_path / "some.fasta").batch)
    assert abs((vectors @ vectors.T).mean()) < 0.1


def test_barcodebert_is_asked_for_hidden_and_shown_kmers_in_any_frame() -> None:
    texts = families(60)
    task = task_of(texts, tiny())
    every = {text[start : start + 3] for text in texts for start in range(len(text) - 2)}
    words = task._like.tokenizer().convert_ids_to_tokens
    frames, hidden = set(), []
    for number in range(10):
        batch = task.batch(number, 0)
        asked = batch.targets != IGNORED
        assert (batch.mask == asked).all()  # no N here: all but padding
        masked = batch.ids == 0
        assert (batch.targets[~masked & asked] == batch.ids[~masked & asked] - 2).all()
        hidden.append(float(masked[asked].float().mean()))
        for row in range(len(batch.ids)):
            tokens = words((batch.targets[row][asked[row]] + 2).tolist())
            assert set(tokens) <= every
            whole = "".join(tokens)
            found = [text.find(whole) for text in texts]
            frames.add(max(found))
    assert frames == {0, 1, 2}
    assert 0.4 < np.mean(hidden) < 0.6
    again = task.batch(3, 0)
    assert torch.equal(again.ids, task.batch(3, 0).ids)


def test_metaberta_is_asked_for_hidden_kmers_of_pieces() -> None:
    texts = families(60, length=150)
    task = task_of(texts, tiny("metaberta-small"))
    assert sorted(set(task._pieces.lengths.tolist())) == [30, 60]
    shares = []
    for number in range(10):
        batch = task.batch(number, 0)
        assert batch.ids.shape[1] <= 60
        asked = batch.targets != IGNORED
        assert not asked[~batch.mask].any()
        shares.append(float(asked.sum() / batch.mask.sum()))
        assert ((batch.ids == 4) <= asked).all()  # [MASK] stands where it is asked only
    assert 0.1 < np.mean(shares) < 0.2


def test_an_epoch_shows_every_piece_once() -> None:
    recipe = tiny("metaberta-small")
    task = task_of(families(60, length=150), recipe)
    shown = np.concatenate([task._order.rows(number) for number in range(30)])
    assert sorted(shown.tolist()) == sorted([*range(120)])


def test_genomes_are_as_many_as_their_pieces(tmp_path: Path) -> None:
    texts = families(6, length=600)
    (tmp_path / "few.fasta").write_text("".join(f">s{i}\n{t}\n" for i, t in enumerate(texts)))
    recipe = replace(tiny("metaberta-small", ["holdout=none"]), batch_size=20, steps=1)
    pretrain([tmp_path / "few.fasta"], tmp_path / "encoder", recipe, threads=1)
    with pytest.raises(SettingsError, match="60 sequences or pieces to learn from': expected 61"):
        pretrain([tmp_path / "few.fasta"], tmp_path / "other", replace(recipe, batch_size=61))


def test_short_sequences_keep_a_token_in_any_frame() -> None:
    task = task_of(["ACGTA", "ACG", "CCGT", *families(30)], tiny())
    for number in range(20):
        assert task.batch(number, 0).mask.any(1).all()


def test_nothing_hidden_is_no_guess() -> None:
    task = task_of(families(60), tiny())
    assert task.guess() is not None
    task._held = task._held.slice(0, 0)
    assert task.guess() is None
    assert task.watch() == {}


def test_a_checkpoint_is_of_so_many_processes(
    fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Guessing, "guess", failing)
    with pytest.raises(KeyboardInterrupt):
        pretrain([fasta], tmp_path / "cut", tiny(), threads=1)
    monkeypatch.setattr(training, "processes", lambda: 2)
    with pytest.raises(FolderError, match=r"of another training \(processes differ\)"):
        pretrain([fasta], tmp_path / "cut", tiny(), threads=1, resume=True)


def test_validation_asks_the_hidden_kmers_alone_and_always_the_same() -> None:
    task = task_of(families(60), tiny())
    one = task.guess()
    assert one == task.guess()
    assert one.tokens == pytest.approx(20 * 40 / 2, rel=0.15)


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("barcodebert-small", []),
        ("barcodebert-small", ["pairs=20"]),
        ("metaberta-small", ["descent.accumulate=2"]),
    ],
)
def test_a_resumed_training_ends_in_the_same_model(
    fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str, changes: list[str]
) -> None:
    chosen = tiny(recipe, changes)
    whole = pretrain([fasta], tmp_path / "whole", chosen, threads=1)
    real, calls = Guessing.loss, []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 5 * chosen.descent.accumulate:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(Guessing, "loss", failing)
    with pytest.raises(KeyboardInterrupt):
        pretrain([fasta], tmp_path / "cut", chosen, threads=1)
    monkeypatch.setattr(Guessing, "loss", real)
    resumed = pretrain([fasta], tmp_path / "cut", chosen, threads=1, resume=True)
    assert resumed.encoder.content_hash == whole.encoder.content_hash
    assert resumed.figures.guess == whole.figures.guess
    loaded = load_encoder(tmp_path / "cut")
    assert loaded.content_hash == whole.encoder.content_hash


def test_byte_pairs_come_from_the_sequences(fasta: Path, tmp_path: Path) -> None:
    trained = pretrain([fasta], tmp_path / "encoder", tiny(changes=["pairs=30"]), threads=1)
    config = trained.encoder.as_config()
    assert config["vocab_size"] == 30
    joined = [
        pair if isinstance(pair, str) else " ".join(pair)
        for pair in json.loads(config["pairs"])["model"]["merges"]
    ]
    assert len(joined) == 24
    assert np.isfinite(load_encoder(tmp_path / "encoder").encode(read_unnamed(fasta).batch)).all()
    with pytest.raises(SettingsError, match="pairs is 30: expected 0: byte pairs are for"):
        pretrain([fasta], tmp_path / "other", tiny("metaberta-small", ["pairs=30"]))


def test_genera_of_an_index_are_kept_out(
    index_folder: Path, labelled: LabelledSet, fasta: Path, tmp_path: Path
) -> None:
    recipe = tiny(changes=["holdout=genera"])
    pretrain([index_folder, fasta], tmp_path / "encoder", recipe, threads=1)
    sequences, names = read_trained_on(tmp_path / "encoder")
    split = split_for(labelled, "genera")
    held = np.setdiff1d(np.arange(len(labelled)), split.train)
    assert len(held)
    assert not np.isin(labelled.digests[held, 0], sequences).any()
    assert np.isin(labelled.digests[split.train, 0], sequences).all()
    assert len(names)
    unnamed = read_unnamed(fasta)
    learned = np.isin(unnamed.digests[:, 0], sequences)
    assert 0 < (~learned).sum() < 0.1 * len(unnamed)
    further = pretrain([fasta], tmp_path / "further", tiny(), start=tmp_path / "encoder", threads=1)
    assert np.isin(sequences, read_trained_on(tmp_path / "further")[0]).all()
    assert further.encoder.name.startswith("barcodebert-small")
    card = (tmp_path / "further" / "card.md").read_text()
    assert "from `barcodebert-small-s0-d16`" in card
    assert "those that it started with among them" in card


def test_repeated_and_damaged_records_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "some.fasta"
    path.write_text(">a\nACGTACGT\n>b\nACGTACGT\n>c\nMKVLL*QQ\n>d\nGGGGACGT\n")
    assert [read_unnamed(path).batch.sequence(i) for i in range(2)] == ["ACGTACGT", "GGGGACGT"]
    path.write_text(">c\nMKVLL*QQ\n")
    with pytest.raises(InputError, match="no record can be used"):
        read_unnamed(path)


@pytest.mark.parametrize(
    ("recipe", "changes", "problem"),
    [
        (
            "barcodebert-small",
            ["batch_size=500"],
            r"inputs is '\d+ sequences or pieces to learn from': expec",
        ),
        (
            "barcodebert-small",
            ["network.bases=6000"],
            "tokens and network do not match: 6000",
        ),
        ("barcodebert-small", ["network.k=9"], "k is 9"),
        ("barcodebert-small", ["network.hidden_size=15"], "2 attention heads cannot share 15 dim"),
        ("barcodebert-small", ["network.hidden_dropout_prob=2"], "dropout probability has to be"),
        ("metaberta-small", ["network.k=2"], "k is 2, MetaBERTa's k-mers have 3 to 6 bases"),
        ("metaberta-small", ["network.bases=400"], "the network has 200 positions"),
    ],
)
def test_what_cannot_be_trained_is_told(
    fasta: Path, tmp_path: Path, recipe: str, changes: list[str], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        pretrain([fasta], tmp_path / "encoder", tiny(recipe, changes))
    assert not (tmp_path / "encoder").exists()


def test_nothing_to_validate_with_is_told(tmp_path: Path) -> None:
    path, every = tmp_path / "few.fasta", tmp_path / "every.fasta"
    every.write_text("".join(f">s{i}\n{text}\n" for i, text in enumerate(families(40))))
    drawn = read_unnamed(every)
    kept = drawn.batch.take(split_for(drawn, "development").train[:8])
    path.write_text("".join(f">s{i}\n{kept.sequence(i)}\n" for i in range(len(kept))))
    with pytest.raises(SettingsError, match="so many that some are kept out to validate with"):
        pretrain([path], tmp_path / "encoder", tiny())
    done = pretrain([path], tmp_path / "encoder", tiny(changes=["holdout=none"]), threads=1)
    assert done.figures.guess is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("hidden=0", "hidden is 0.0: expected a number in"),
        ("epochs=-1", "epochs is -1"),
        ("family=cnn", "family is 'cnn': expected barcodebert, metaberta"),
        ("network.heads=3", "set is 'network.heads': expected one of k, bases"),
        ("network.k=many", "set is 'network.k=many': expected a number behind ="),
    ],
)
def test_settings_out_of_range(change: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        changed_recipe("barcodebert", [change], Pretraining)


def test_settings_of_small_recipes_are_those_of_the_large_ones_too() -> None:
    for text, meant in (("1", True), ("0", False), ("true", True), ("no", False)):
        recipe = changed_recipe("barcodebert", [f"network.has_all_frames={text}"], Pretraining)
        assert recipe.network["has_all_frames"] is meant
    recipe = changed_recipe("metaberta", ["network.distance_range=0.5"], Pretraining)
    assert recipe.network["distance_range"] == 0.5
    with pytest.raises(SettingsError, match="has_all_frames=perhaps': expected a number behind ="):
        changed_recipe("barcodebert", ["network.has_all_frames=perhaps"], Pretraining)


def test_epochs_become_steps() -> None:
    recipe = changed_recipe("barcodebert", [], Pretraining)
    assert recipe.resolved(1000).steps == 35 * 1000 // 16 + 1
    assert recipe.resolved(1000, processes=4).steps == 547
    assert changed_recipe("barcodebert-small", ["epochs=2"], Pretraining).resolved(160).steps == 20
    given = changed_recipe("barcodebert", [], Pretraining, steps=7).resolved(1000)
    assert (given.steps, given.epochs) == (7, 0)
    with pytest.raises(SettingsError, match="epochs is 2: expected nothing beside steps"):
        changed_recipe("barcodebert", [], Pretraining, steps=7, epochs=2)


def test_there_is_no_gpu(fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match=r"device is 'cuda': expected cpu \(torch sees no"):
        pretrain([fasta], tmp_path / "encoder", tiny(), device="cuda")
    with pytest.raises(SettingsError, match="device is 'tpu': expected auto, cpu or cuda"):
        pretrain([fasta], tmp_path / "encoder", tiny(), device="tpu")


def test_a_missing_folder_is_told(tmp_path: Path, fasta: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.fasta"):
        pretrain([tmp_path / "nowhere.fasta"], tmp_path / "encoder", tiny())
    with pytest.raises(FolderError, match="the encoder to start from is here"):
        pretrain([fasta], tmp_path / "same", tiny(), start=tmp_path / "same")
