"""What stands on a network while it guesses hidden tokens; no encoder keeps it. Imports torch."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class TokenHead(nn.Module):
    """Dropout and one layer, as BarcodeBERT has (BertForTokenClassification).

    Parameters
    ----------
    hidden : int
    words : int
        Tokens to choose from.
    dropout : float
    """

    def __init__(self, hidden: int, words: int, dropout: float) -> None:
        super().__init__()
        self.dropout, self.classifier = nn.Dropout(dropout), nn.Linear(hidden, words)
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, states: Tensor) -> Tensor:
        """Return (..., words) float."""
        return cast(Tensor, self.classifier(self.dropout(states)))


class TiedHead(nn.Module):
    """A layer, GELU and normalisation, then the vectors of the tokens themselves, as RoBERTa has.

    Parameters
    ----------
    words : torch.nn.Embedding
        The network's own, (tokens, hidden); it stays the network's.
    eps : float
        Of the normalisation.
    """

    def __init__(self, words: nn.Embedding, eps: float) -> None:
        super().__init__()
        hidden = words.embedding_dim
        self.dense, self.layer_norm = nn.Linear(hidden, hidden), nn.LayerNorm(hidden, eps=eps)
        self.bias = nn.Parameter(torch.zeros(words.num_embeddings))
        nn.init.normal_(self.dense.weight, std=0.02)
        nn.init.zeros_(self.dense.bias)
        self._words = [words]  # in a list, so that its weight is not this module's a second time

    def forward(self, states: Tensor) -> Tensor:
        """Return (..., tokens) float."""
        states = self.layer_norm(functional.gelu(self.dense(states)))
        return functional.linear(states, self._words[0].weight, self.bias)
