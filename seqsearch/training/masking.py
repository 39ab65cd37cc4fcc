"""What pretraining hides of tokens, and the loss of guessing it. Pure functions of tensors.

Everything random is an argument: draws, uniform from 0 to 1, one for each token.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

IGNORED = -100  # a target that no loss looks at, as torch has it
KEPT, SWAPPED = (
    0.1,
    0.2,
)  # of a hidden stretch: up to the first shown as it is, to the second random


@dataclass(frozen=True)
class Hidden:
    """Tokens of which some are hidden.

    Attributes
    ----------
    ids : (n, length) int64
        What the network sees.
    targets : (n, length) int64
        What it should say; `IGNORED` where it is not asked.
    chosen : (n, length) bool
        What was drawn to be hidden.
    """

    ids: Tensor
    targets: Tensor
    chosen: Tensor


def hide_single(
    ids: Tensor, draws: Tensor, *, first: int, plain: int, hidden: int = 0, share: float = 0.5
) -> Hidden:
    """Hide single tokens, and ask for all of them, as BarcodeBERT does.

    Half of the k-mers become [MASK]; the loss is over hidden and shown ones alike, but not over
    special tokens (padding is one) or k-mers with N (bioscan-ml/BarcodeBERT, pretraining.py; where
    k-mers with N have numbers, that code leaves out TTTT with them, which counts here).

    Parameters
    ----------
    ids : (n, length) int
    draws : (n, length) float
        Uniform from 0 to 1.
    first, plain : int
        Number of the first k-mer, and how many are without N.
    hidden : int
        Number of [MASK].
    share : float
        How much is hidden.

    Returns
    -------
    Hidden
        Targets count from the first k-mer.
    """
    asked = (ids >= first) & (ids < first + plain)
    chosen = asked & (draws < share)
    targets = (ids - first).masked_fill(~asked, IGNORED)
    return Hidden(ids.masked_fill(chosen, hidden).long(), targets.long(), chosen)


def hide_spans(
    ids: Tensor, draws: Tensor, *, k: int, first: int, plain: int, hidden: int, share: float = 0.15
) -> Hidden:
    """Hide stretches of overlapping k-mers, and ask for those, as MetaBERTa does.

    A base stands in k overlapping k-mers, so any of them that is shown tells it. Around every k-mer
    drawn, those from (k - 1) // 2 before to k // 2 behind it are hidden too, k in all: one base
    stands in these alone (EESI/MetaBERTa, KmerDataCollatorForLanguageModeling: its MASK_LIST). Four
    fifths of the stretches become [MASK], a tenth random k-mers, and a tenth stays (Devlin et al.
    2019), each stretch as a whole, for one k-mer that stays in it would tell its base. MetaBERTa's
    code draws the middles at the share, which hides 62 % for k = 6; here the share is that of
    hidden k-mers.

    Parameters
    ----------
    ids : (n, length) int
    draws : (3, n, length) float
        Uniform from 0 to 1: for the middles, what becomes of a stretch, and the random k-mers.
    k : int
        Bases of a token.
    first, plain : int
        Number of the first k-mer, and how many there are; tokens below it are special.
    hidden : int
        Number of [MASK].
    share : float
        How much is hidden.

    Returns
    -------
    Hidden
        Targets are numbers of tokens; what is not hidden is not asked.
    """
    usual = ids >= first
    middle = usual & (draws[0] < 1 - (1 - share) ** (1 / k))
    chosen = _around(middle, (k - 1) // 2, k // 2) & usual
    kind = draws[1].gather(1, _starts(chosen))
    swapped = chosen & (kind >= KEPT) & (kind < SWAPPED)
    shown = ids.masked_fill(chosen & (kind >= SWAPPED), hidden)
    shown = torch.where(swapped, first + (draws[2] * plain).to(ids.dtype), shown)
    return Hidden(shown.long(), ids.masked_fill(~chosen, IGNORED).long(), chosen)


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return () float: the mean cross-entropy of the tokens that are asked for; 0 where none is.

    Parameters
    ----------
    logits : (..., words) float
    targets : (...) int64
        As in `Hidden`.
    """
    losses = functional.cross_entropy(
        logits.float().flatten(0, -2), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return losses / (targets != IGNORED).sum().clamp_min(1)


def _around(middle: Tensor, before: int, behind: int) -> Tensor:
    """Return (n, length) bool: what is true, and so many places before and behind it."""
    padded = functional.pad(middle.float(), (behind, before))
    return functional.max_pool1d(padded[:, None], before + behind + 1, 1)[:, 0] > 0


def _starts(chosen: Tensor) -> Tensor:
    """Return (n, length) int64: where the stretch of true places begins that a place is in."""
    place = torch.arange(chosen.shape[1], device=chosen.device).expand_as(chosen)
    begins = chosen & ~functional.pad(chosen, (1, 0))[:, :-1]
    return place.masked_fill(~begins, 0).cummax(1).values
