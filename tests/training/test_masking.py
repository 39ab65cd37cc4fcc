"""What is hidden, against loops over one token after the other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.tokens import barcode_vocabulary, metaberta_vocabulary, overlapping, side_by_side
from seqsearch.training.masking import IGNORED, hide_single, hide_spans, token_loss

SPANS = {3: (-1, 1), 4: (-1, 2), 5: (-2, 2), 6: (-2, 3)}  # as MetaBERTa lists them


def some_batch(count: int = 50, seed: int = 0) -> SequenceBatch:
    rng = np.random.default_rng(seed)
    weights = [0.24, 0.25, 0.25, 0.25, 0.01]
    texts = [
        "".join(rng.choice(list("ACGTN"), int(rng.integers(40, 200)), p=weights)).encode()
        for _ in range(count)
    ]
    return SequenceBatch.from_clean([""] * count, texts)


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("has_n", [False, True])
def test_single_tokens(has_n: bool) -> None:
    vocabulary = barcode_vocabulary(4, has_n=has_n)
    ids = torch.from_numpy(side_by_side(some_batch(), vocabulary, 200).ids)
    drawn = draws(*ids.shape)
    found = hide_single(ids, drawn, first=2, plain=256)
    last = vocabulary.words().index("TTTT")
    for row in range(len(ids)):
        for place in range(ids.shape[1]):
            token = int(ids[row, place])
            is_asked = 2 <= token <= last
            is_chosen = is_asked and bool(drawn[row, place] < 0.5)
            assert found.targets[row, place] == (token - 2 if is_asked else IGNORED)
            assert found.ids[row, place] == (0 if is_chosen else token)
            assert found.chosen[row, place] == is_chosen
    assert 0.45 < found.chosen.sum() / (found.targets != IGNORED).sum() < 0.55
    assert (ids == last).any()


@pytest.mark.parametrize("k", list(SPANS))
def test_spans(k: int) -> None:
    vocabulary = metaberta_vocabulary(k)
    ids = torch.from_numpy(overlapping(some_batch(), vocabulary, 220).ids)
    drawn = draws(3, *ids.shape)
    found = hide_spans(ids, drawn, k=k, first=5, plain=4**k, hidden=4)
    before, behind = SPANS[k]
    limit = 1 - 0.85 ** (1 / k)
    for row in range(len(ids)):
        middles = {
            place
            for place in range(ids.shape[1])
            if ids[row, place] >= 5 and drawn[0, row, place] < limit
        }
        begin = 0
        for place in range(ids.shape[1]):
            token = int(ids[row, place])
            near = range(place - behind, place - before + 1)
            is_chosen = token >= 5 and bool(middles & set(near))
            assert found.chosen[row, place] == is_chosen
            assert found.targets[row, place] == (token if is_chosen else IGNORED)
            if is_chosen and not (place and found.chosen[row, place - 1]):
                begin = place
            kind = float(drawn[1, row, begin])
            if not is_chosen or kind < 0.1:
                assert found.ids[row, place] == token
            elif kind < 0.2:
                assert found.ids[row, place] == 5 + int(drawn[2, row, place] * 4**k)
            else:
                assert found.ids[row, place] == 4


@pytest.mark.parametrize("k", list(SPANS))
def test_every_stretch_hides_a_base(k: int) -> None:
    """Some base stands in no k-mer that is shown; where all k of a stretch are in the sequence."""
    rng = np.random.default_rng(1)
    texts = ["".join(rng.choice(list("ACGT"), 190)).encode() for _ in range(40)]
    batch = SequenceBatch.from_clean([""] * len(texts), texts)
    ids = torch.from_numpy(overlapping(batch, metaberta_vocabulary(k), 200).ids)
    chosen = hide_spans(ids, draws(3, *ids.shape), k=k, first=5, plain=4**k, hidden=4).chosen
    for row in chosen[:, 1:-1].numpy():  # without [CLS] and [SEP]
        told = np.zeros(190, np.bool_)
        for place in np.flatnonzero(~row):
            told[place : place + k] = True
        edges = np.flatnonzero(np.diff(np.r_[0, row, 0]))
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            assert not told[begin : end + k - 1].all()
    assert 0.13 < chosen[:, k:-k].float().mean() < 0.17


def test_the_loss() -> None:
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(2, 3, 5)), np.array([[0, IGNORED, 4], [IGNORED] * 3])
    losses = [
        math.log(np.exp(logits[0, place]).sum()) - logits[0, place, word]
        for place, word in ((0, 0), (2, 4))
    ]
    found = token_loss(torch.from_numpy(logits), torch.from_numpy(targets))
    assert float(found) == pytest.approx(np.mean(losses), abs=1e-6)
    nothing = token_loss(torch.from_numpy(logits), torch.full((2, 3), IGNORED))
    assert float(nothing) == 0
