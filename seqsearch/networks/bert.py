"""BERT's layers, under the names that its checkpoints have. Imports torch.

Devlin et al. 2019, with absolute positions; or with positions relative to the query (Shaw et al.
2018; "relative_key", which transformers had up to version 4), where each score gains the product of
the query with a learned vector of the distance. Nothing but parameters is kept on a module, because
from_pretrained makes modules on no device first, and would leave all else there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedModel, initialization
from transformers.modeling_outputs import BaseModelOutput

from seqsearch.networks.whitening import PREFIX

LAYER = re.compile(r"encoder\.layer\.(\d+)\.")


class BertNetwork(PreTrainedModel):  # type: ignore[no-untyped-call]  # a hook of its base
    """Tokens in, a vector for each out.

    Parameters
    ----------
    config : PreTrainedConfig
        With the settings of transformers' BertConfig, and `position_embedding_type`: absolute, or
        relative_key, whose vectors are drawn with the deviation `distance_range`.
    """

    # What encoders have beside it; not a ClassVar, for it is none in transformers.
    _keys_to_ignore_on_load_unexpected = [PREFIX]  # noqa: RUF012

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.encoder = nn.ModuleDict({"layer": layers})
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """Draw weights as BERT does, those of distances as widely as the configuration says."""
        if isinstance(module, Distances):
            initialization.normal_(module.weight, std=self.config.distance_range)
        else:
            super()._init_weights(module)  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **_: Any,
    ) -> BaseModelOutput:
        """Return what stands after the last layer, and after each one where that is wanted.

        Parameters
        ----------
        input_ids : (n, length) int
        attention_mask : (n, length), optional
            0 where nothing is to be seen.
        """
        states = self.states(input_ids, attention_mask)
        kept = tuple(states) if output_hidden_states else None
        return BaseModelOutput(last_hidden_state=states[-1], hidden_states=kept)

    def states(
        self, ids: Tensor, mask: Tensor | None = None, layers: int | None = None
    ) -> list[Tensor]:
        """Return what stands after the embeddings and after each of the first layers.

        Parameters
        ----------
        ids : (n, length) int
        mask : (n, length), optional
            0 where nothing is to be seen.
        layers : int, optional
            How many; all if not given.

        Returns
        -------
        list of (n, length, hidden) float
        """
        found = [self.embeddings(ids)]
        hidden = None
        if mask is not None:
            kind = found[0].dtype
            hidden = torch.zeros_like(mask, dtype=kind)
            hidden = hidden.masked_fill(mask == 0, torch.finfo(kind).min)[:, None, None, :]
        for layer in list(cast(nn.ModuleList, self.encoder["layer"]))[:layers]:
            found.append(layer(found[-1], hidden))
        return found


class Distances(nn.Embedding):
    """A vector for each distance between two places."""


class Embeddings(nn.Module):
    """Vectors of tokens; of absolute positions, where there are such."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.position_embeddings = None
        if config.position_embedding_type == "absolute":
            self.position_embeddings = nn.Embedding(
                config.max_position_embeddings, config.hidden_size
            )
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, ids: Tensor) -> Tensor:
        """Return (n, length, hidden) float."""
        found = self.word_embeddings(ids) + self.token_type_embeddings.weight[0]
        if self.position_embeddings is not None:
            found = found + self.position_embeddings.weight[: ids.shape[1]]
        return cast(Tensor, self.dropout(self.LayerNorm(found)))


class Layer(nn.Module):
    """Attention and a feed-forward network, each added to what came in and normalised."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        size, wide = config.hidden_size, config.intermediate_size
        self.attention = nn.ModuleDict(
            {"self": Attention(config), "output": _closing(config, size)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(size, wide)})
        self.output = _closing(config, wide)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, states: Tensor, hidden: Tensor | None) -> Tensor:
        """Return (n, length, hidden) float."""
        attended = self.attention["self"](states, hidden)
        states = self._closed(cast(nn.ModuleDict, self.attention["output"]), attended, states)
        wide = functional.gelu(self.intermediate["dense"](states))
        return self._closed(self.output, wide, states)

    def _closed(self, closing: nn.ModuleDict, made: Tensor, states: Tensor) -> Tensor:
        return cast(Tensor, closing["LayerNorm"](self.dropout(closing["dense"](made)) + states))


class Attention(nn.Module):
    """Attention of several heads, with absolute or relative positions."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        size, self.heads = config.hidden_size, config.num_attention_heads
        self.farthest, self.dropout = (
            config.max_position_embeddings,
            config.attention_probs_dropout_prob,
        )
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        self.distance_embedding = None
        if config.position_embedding_type == "relative_key":
            self.distance_embedding = Distances(2 * self.farthest - 1, size // self.heads)

    def forward(self, states: Tensor, hidden: Tensor | None) -> Tensor:
        """Return (n, length, hidden) float.

        Parameters
        ----------
        states : (n, length, hidden) float
        hidden : (n, 1, 1, length) float or None
            What is added to scores: the least number where nothing is to be seen.
        """
        query, key, value = (
            part(states).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        added = hidden
        if self.distance_embedding is not None:
            near = _by_distance(query, self.distance_embedding.weight, self.farthest)
            # Kernels of GPUs want masks that stand in memory as they are counted.
            added = near.contiguous() if hidden is None else near + hidden
        dropout = self.dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(query, key, value, added, dropout)
        return seen.transpose(1, 2).flatten(2)


def _by_distance(query: Tensor, distances: Tensor, farthest: int) -> Tensor:
    """Return (n, heads, length, length) float: what the distance adds to each scaled score.

    The vector of query place minus key place stands in row `farthest` - 1 + distance. Products with
    all distances that occur come first, the farthest key first: so what a query needs, key by key,
    stands side by side, one place earlier for each query, and is looked at where it stands.
    Gathering it takes twice as long, and a vector for every pair `length` times the memory.
    """
    count, heads, length, size = query.shape
    rows = distances[farthest - length : farthest + length - 1].flip(0) / math.sqrt(size)
    products = query.flatten(0, 2) @ rows.T
    wide = len(rows)
    strides = (heads * length * wide, length * wide, wide - 1, 1)
    return products.as_strided((count, heads, length, length), strides, length - 1)


def _closing(config: PreTrainedConfig, width: int) -> nn.ModuleDict:
    norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
    return nn.ModuleDict({"dense": nn.Linear(width, config.hidden_size), "LayerNorm": norm})


def check_heads(config: Any) -> None:
    """Raise `ValueError` where heads cannot share the dimensions out among them."""
    heads, hidden = config.num_attention_heads, config.hidden_size
    if heads < 1 or hidden < 1 or hidden % heads:
        raise ValueError(f"{heads} attention heads cannot share {hidden} dimensions")


def sizes_of(tensors: Mapping[str, Any]) -> dict[str, int]:
    """Return the settings of a network that the shapes of its tensors tell: all but its heads.

    Raises
    ------
    ValueError
        A tensor that tells one is missing or misshapen.
    """
    first = "encoder.layer.0"
    distances = f"{first}.attention.self.distance_embedding.weight"
    positions = distances if distances in tensors else "embeddings.position_embeddings.weight"
    words, types = (f"embeddings.{name}_embeddings.weight" for name in ("word", "token_type"))
    wide = f"{first}.intermediate.dense.weight"
    missing = [name for name in (words, types, positions, wide) if name not in tensors]
    if missing:
        raise ValueError(f"the tensors do not fit: {missing[0]} is missing")
    flat = [name for name in (words, types, positions, wide) if tensors[name].ndim != 2]
    if flat:
        shape = list(tensors[flat[0]].shape)
        raise ValueError(f"the tensors do not fit: {flat[0]} is {shape}, expected two dimensions")
    farthest = int(tensors[positions].shape[0])
    numbers = {int(found[1]) for name in tensors if (found := LAYER.match(name))}
    return {
        "vocab_size": int(tensors[words].shape[0]),
        "hidden_size": int(tensors[words].shape[1]),
        "num_hidden_layers": max(numbers) + 1,
        "intermediate_size": int(tensors[wide].shape[0]),
        "max_position_embeddings": (farthest + 1) // 2 if positions == distances else farthest,
        "type_vocab_size": int(tensors[types].shape[0]),
    }
