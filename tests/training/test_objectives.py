"""Losses against loops over pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from seqsearch.training.objectives import batch_hard_triplet, hierarchical_supcon  # noqa: E402


def vectors_and_lineage(seed: int, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    family = rng.integers(0, 3, n)
    species = family * 10 + rng.integers(0, 2, n)
    lineage = np.stack([family, np.where(rng.random(n) < 0.3, -1, species)], axis=1)
    return vectors @ vectors.T, lineage


def slow_supcon(s: np.ndarray, lineage: np.ndarray, weights: list[float], t: float) -> float:
    total = 0.0
    for rank, weight in enumerate(weights):
        taxon = lineage[:, rank]
        known = [i for i in range(len(taxon)) if taxon[i] >= 0]
        losses = []
        for i in known:
            others = [j for j in known if j != i]
            positives = [j for j in others if taxon[j] == taxon[i]]
            if positives:
                below = sum(math.exp(s[i, j] / t) for j in others)
                losses.append(
                    -np.mean([math.log(math.exp(s[i, p] / t) / below) for p in positives])
                )
        if losses:
            total += weight * float(np.mean(losses))
    return total


def slow_triplet(s: np.ndarray, lineage: np.ndarray, weights: list[float], margin: float) -> float:
    total = 0.0
    for rank, weight in enumerate(weights):
        taxon = lineage[:, rank]
        losses = []
        for i in range(len(taxon)):
            pos = [s[i, j] for j in range(len(taxon)) if j != i and taxon[j] == taxon[i] >= 0]
            neg = [s[i, j] for j in range(len(taxon)) if taxon[j] >= 0 and taxon[j] != taxon[i]]
            if taxon[i] >= 0 and pos and neg:
                losses.append(max(0.0, margin + max(neg) - min(pos)))
        if losses:
            total += weight * float(np.mean(losses))
    return total


@pytest.mark.parametrize("seed", range(5))
def test_losses_are_those_of_the_definitions(seed: int) -> None:
    similarity, lineage = vectors_and_lineage(seed)
    weights = [0.4, 1.0]
    given = (torch.tensor(similarity), torch.tensor(lineage), torch.tensor(weights))
    supcon = hierarchical_supcon(*given, temperature=0.2)
    assert float(supcon) == pytest.approx(slow_supcon(similarity, lineage, weights, 0.2), rel=1e-5)
    triplet = batch_hard_triplet(*given, margin=0.3)
    assert float(triplet) == pytest.approx(
        slow_triplet(similarity, lineage, weights, 0.3), rel=1e-5
    )


def test_without_positives_there_is_no_loss_and_no_nan() -> None:
    similarity = torch.eye(3, requires_grad=True)
    lineage, weights = torch.tensor([[0], [1], [-1]]), torch.tensor([1.0])
    for loss in (
        hierarchical_supcon(similarity * 1.0, lineage, weights, 0.1),
        batch_hard_triplet(similarity * 1.0, lineage, weights, 0.1),
    ):
        assert float(loss) == 0


def test_gradients_are_finite_where_labels_are_missing() -> None:
    similarity, lineage = vectors_and_lineage(9)
    s = torch.tensor(similarity, dtype=torch.float32, requires_grad=True)
    hierarchical_supcon(s * 1.0, torch.tensor(lineage), torch.tensor([1.0, 1.0]), 0.1).backward()
    assert s.grad is not None
    assert torch.isfinite(s.grad).all()
    assert s.grad.abs().sum() > 0
