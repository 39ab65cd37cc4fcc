"""metaberta: RoBERTa over overlapping k-mers, with relative positions (MetaBERTa). Imports torch.

Facts are from EESI/MetaBERTa (pipeline/training.py, embedding.py, KmerTokenizer.py), with one
change: padding is neither seen by the network nor part of the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import get_annotations
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.tokens import (
    KmerVocabulary,
    Tokens,
    has_known,
    metaberta_vocabulary,
    overlapping,
)
from seqsearch.dna.windows import pieces
from seqsearch.encoders.network import NetworkEncoder, Published, masked_sum
from seqsearch.networks.bert import BertNetwork, check_heads, sizes_of
from seqsearch.networks.hub import KmerTokenizer, tokenizer_of
from seqsearch.tables import Bool, Int64

KMERS = range(3, 7)
FIRST_DISTANCES = "encoder.layer.0.attention.self.distance_embedding.weight"
HEAD = (
    "lm_head.bias",
    "lm_head.dense.weight",
    "lm_head.dense.bias",
    "lm_head.layer_norm.weight",
    "lm_head.layer_norm.bias",
    "lm_head.decoder.weight",
    "lm_head.decoder.bias",
)
UNUSED = (  # RoBERTa has absolute positions too, but does not look at them here
    "roberta.embeddings.position_embeddings.weight",
    "roberta.embeddings.position_ids",
    "roberta.embeddings.token_type_ids",
    "roberta.pooler.dense.weight",
    "roberta.pooler.dense.bias",
)


@strict
class MetaBertaConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]  # a hook of its base
    """Settings of a network, with the defaults of the paper's 6-mer model.

    Attributes
    ----------
    k : int
        Bases of a token, 3 to 6.
    bases : int
        Bases of a piece; longer sequences are cut into several.
    distance_range : float
        Standard deviation of the vectors of distances before anything is learned.
    """

    model_type = "metaberta"

    k: int = 6
    bases: int = 200
    vocab_size: int = 4101
    hidden_size: int = 2048
    num_hidden_layers: int = 8
    num_attention_heads: int = 4
    intermediate_size: int = 512
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 200
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    distance_range: float = 0.02
    layer_norm_eps: float = 1e-12
    position_embedding_type: str = "relative_key"

    def vocabulary(self) -> KmerVocabulary:
        """Return the numbers of its tokens."""
        return metaberta_vocabulary(self.k)


class MetaBertaModel(BertNetwork):  # type: ignore[no-untyped-call]  # a hook of its base
    """The network; what transformers' AutoModel makes of an encoder's folder."""

    config_class = MetaBertaConfig
    base_model_prefix = "roberta"


AutoConfig.register(MetaBertaConfig.model_type, MetaBertaConfig)
AutoModel.register(MetaBertaConfig, MetaBertaModel)
AutoTokenizer.register(MetaBertaConfig, KmerTokenizer)  # type: ignore[no-untyped-call]


class MetaBerta(NetworkEncoder):
    """MetaBERTa: the mean over the last layer but one, [CLS] and [SEP] with it, of all pieces."""

    family: ClassVar[str] = "metaberta"
    model_class = MetaBertaModel
    config_class = MetaBertaConfig
    added: ClassVar[Mapping[str, Any]] = {"distance_range": 0.02}

    @classmethod
    def completed(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings of a network with the number of its tokens."""
        k = int(settings.get("k", MetaBertaConfig.k))
        if k not in KMERS:
            raise ValueError(f"k is {k}, MetaBERTa's k-mers have 3 to 6 bases")
        return {**settings, "vocab_size": metaberta_vocabulary(k).size}

    @classmethod
    def check(cls, config: MetaBertaConfig) -> None:
        """Raise `ValueError` where tokens and network do not match, or heads and dimensions."""
        check_heads(config)
        size = config.vocabulary().size
        if size != config.vocab_size:
            raise ValueError(
                f"tokens and network do not match: k {config.k} makes {size} tokens, "
                f"the network has {config.vocab_size}"
            )
        longest = config.bases - config.k + 3
        if not 3 <= longest <= config.max_position_embeddings:
            raise ValueError(
                f"tokens and network do not match: pieces of {config.bases} bases make {longest} "
                f"tokens, the network has {config.max_position_embeddings} positions"
            )

    @classmethod
    def recognises(cls, published: Published) -> bool:
        """Whether a checkpoint is RoBERTa's with relative positions."""
        return any(
            name.startswith("roberta.encoder.layer.") and name.endswith("distance_embedding.weight")
            for name in published.tensors
        )

    @classmethod
    def from_published(cls, published: Published, label: str) -> tuple[MetaBerta, list[str]]:
        """Make the encoder of a checkpoint; also return which tensors it does not need.

        Raises
        ------
        ValueError
            It is of no MetaBERTa that this version knows; the sentence says why.
        """
        tensors, aside = published.pick("roberta.", (*HEAD, *UNUSED))
        if FIRST_DISTANCES not in tensors:
            raise ValueError(f"the tensors do not fit: {FIRST_DISTANCES} is missing")
        sizes = sizes_of(tensors)
        settings = sizes | _network_settings(published.config)
        settings["k"] = _k_of(sizes["vocab_size"])
        distances = tensors[FIRST_DISTANCES]
        told = sizes["hidden_size"] // distances.shape[1]
        settings["num_attention_heads"] = published.heads_of(told)
        settings["bases"] = min(
            MetaBertaConfig.bases, settings["max_position_embeddings"] + settings["k"] - 3
        )
        words = metaberta_vocabulary(settings["k"]).words()
        if published.words is not None and list(published.words) != words:
            raise ValueError(
                f"tokens and network do not match: its vocabulary file has {len(published.words)} "
                f"tokens, which are not the {len(words)} of k {settings['k']} in their order"
            )
        return cls.of(settings, tensors, label), aside

    @property
    def config(self) -> MetaBertaConfig:
        """Settings of the network."""
        return cast(MetaBertaConfig, self.model.config)

    def cut(self, batch: SequenceBatch) -> tuple[SequenceBatch, Int64]:
        """Return pieces that do not overlap, and whose they are; too short a rest is left out."""
        size, lengths = self.config.bases, batch.lengths
        counts = np.maximum((lengths - self.config.k) // size + 1, 0)
        owner = np.repeat(np.arange(len(batch)), counts)
        start = (np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)) * size
        return pieces(batch, owner, start, np.minimum(start + size, lengths[owner])), owner

    def tokens(self, batch: SequenceBatch) -> Tokens:
        """Return every k-mer of pieces, between [CLS] and [SEP]."""
        config = self.config
        return overlapping(batch, config.vocabulary(), config.max_position_embeddings)

    def summed(self, model: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor:
        """Return (n, dim) float32: sums over the last layer but one; see `NetworkEncoder`."""
        layers = self.config.num_hidden_layers - 1
        return masked_sum(cast(BertNetwork, model).states(ids, mask, layers)[-1], mask)

    def tokenizer(self) -> KmerTokenizer:
        """Return what gives transformers the same tokens."""
        config = self.config
        return tokenizer_of(config.vocabulary(), 1, "[CLS]", "[SEP]")

    def save(self, folder: Path) -> None:
        """Write `config.json`, `model.safetensors`, and the tokenizer for transformers."""
        self.tokenizer().save_pretrained(folder)
        super().save(folder)

    def encodable(self, batch: SequenceBatch) -> Bool:
        """Return (n,) bool: whether a sequence has a known k-mer."""
        return has_known(batch, self.config.vocabulary(), 1, int(batch.lengths.max(initial=0)))

    def why_not(self) -> str:
        """Say what a sequence lacks that is not encodable."""
        return f"no stretch of {self.config.k} bases without an unknown one (too short, or N)"


def _k_of(size: int) -> int:
    for k in KMERS:
        if size == 4**k + 5:
            return k
    raise ValueError(
        f"tokens and network do not match: {size} tokens are no k-mers with 5 special ones"
    )


def _network_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a configuration of transformers gives.

    Raises
    ------
    ValueError
        It is of another network.
    """
    expected = {"hidden_act": "gelu", "position_embedding_type": "relative_key"}
    for name, value in expected.items():
        if config.get(name, value) != value:
            raise ValueError(f"{name} is {config[name]!r}, MetaBERTa has {value!r}")
    own = get_annotations(MetaBertaConfig).keys() - {
        "k",
        "bases",
        "num_attention_heads",
        "distance_range",
    }
    return {name: config[name] for name in own if name in config}
