"""Losses over the similarities of a batch and its lineages."""

from __future__ import annotations

import torch
from torch import Tensor


def hierarchical_supcon(
    similarity: Tensor, lineage: Tensor, weights: Tensor, temperature: float
) -> Tensor:
    """Supervised contrastive loss (Khosla et al. 2020, eq. 2), summed over the ranks.

    Parameters
    ----------
    similarity : (n, n) float
        Cosines; the diagonal is not looked at.
    lineage : (n, ranks) int64
        Taxon at each rank; -1 unknown: neither anchor nor candidate at that rank.
    weights : (ranks,) float
    temperature : float

    Returns
    -------
    () float
        Sum over ranks of weight x mean over anchors of the mean, over their positives, of the
        negative log probability of the positive among all others.
    """
    logits = (similarity.float() / temperature).fill_diagonal_(float("-inf"))
    total = logits.new_zeros(())
    for rank, weight in enumerate(weights.tolist()):
        taxon = lineage[:, rank]
        known = taxon >= 0
        positive = (taxon[:, None] == taxon) & known
        positive.fill_diagonal_(False)
        count = positive.sum(1)
        anchors = (count > 0) & known
        if weight == 0 or not bool(anchors.any()):
            continue
        among = logits.masked_fill(~known, float("-inf"))[anchors]
        log_probability = among - among.logsumexp(1, keepdim=True)
        mean = log_probability.masked_fill(~positive[anchors], 0).sum(1) / count[anchors]
        total = total - weight * mean.mean()
    return total


def batch_hard_triplet(
    similarity: Tensor, lineage: Tensor, weights: Tensor, margin: float
) -> Tensor:
    """Triplet loss with the hardest positive and negative of the batch (Hermans et al. 2017).

    Parameters and result as `hierarchical_supcon`; `margin` is in units of cosine.
    """
    others = ~torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    total = similarity.new_zeros((), dtype=torch.float32)
    for rank, weight in enumerate(weights.tolist()):
        taxon = lineage[:, rank]
        known = (taxon >= 0)[:, None] & (taxon >= 0)
        positive = (taxon[:, None] == taxon) & known & others
        negative = (taxon[:, None] != taxon) & known
        anchors = positive.any(1) & negative.any(1)
        if weight == 0 or not bool(anchors.any()):
            continue
        near = similarity.float()[anchors]
        farthest = near.masked_fill(~positive[anchors], 2.0).amin(1)
        nearest = near.masked_fill(~negative[anchors], -2.0).amax(1)
        total = total + weight * (margin + nearest - farthest).clamp_min(0).mean()
    return total
