"""barcodebert: BERT over k-mers that stand side by side (BarcodeBERT). Imports torch.

Facts are from bioscan-ml/BarcodeBERT (pretraining.py, datasets.py) and, for checkpoints of the
workshop paper, from Kari-Genomics-Lab/BarcodeBERT (MGPU_MLM_train.py, bzsl/models/model.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
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
    PreTrainedTokenizerBase,
)

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.tokens import (
    LONGEST,
    KmerVocabulary,
    Tokens,
    barcode_vocabulary,
    has_known,
    nucleotide_vocabulary,
    side_by_side,
)
from seqsearch.dna.windows import pieces
from seqsearch.encoders.network import NetworkEncoder, Published, masked_sum
from seqsearch.networks.bert import BertNetwork, check_heads, sizes_of
from seqsearch.networks.hub import KmerTokenizer, tokenizer_of
from seqsearch.networks.pairs import for_transformers, pair_tokens, pairs_from
from seqsearch.tables import Bool, Int64

BASES = 660  # of a sequence, the rest is cut off
FIRST = 0  # the token that the workshop's code puts before all others
WORKSHOP_HEADS = 12  # of attention: transformers' default, which the workshop's code kept
KMERS = range(2, LONGEST + 1)
HEAD = ("classifier.weight", "classifier.bias")
WORKSHOP_HEAD = (
    "cls.predictions.bias",
    "cls.predictions.transform.dense.weight",
    "cls.predictions.transform.dense.bias",
    "cls.predictions.transform.LayerNorm.weight",
    "cls.predictions.transform.LayerNorm.bias",
    "cls.predictions.decoder.weight",
    "cls.predictions.decoder.bias",
)
UNUSED = (  # beside BERT's layers: numbers of positions, and a pooler that was not trained
    "bert.embeddings.position_ids",
    "bert.pooler.dense.weight",
    "bert.pooler.dense.bias",
)


@strict
class BarcodeBertConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]  # a hook of its base
    """Settings of a network, with the defaults of the paper's 4-mer model.

    Attributes
    ----------
    k, has_n, is_workshop
        As `barcode_vocabulary` takes them. Networks of the workshop paper see padding as any other
        token, and a first token of number 0.
    bases : int
        What is looked at of a sequence.
    has_all_frames : bool
        A vector is the mean over the tokens of all k reading frames, which takes k times as long;
        otherwise, as in the paper, of that which the first base begins.
    pairs : str
        Byte pairs in the place of k-mers, as the JSON of their tokenizer; empty: k-mers.
    """

    model_type = "barcodebert"

    k: int = 4
    has_n: bool = False
    is_workshop: bool = False
    bases: int = BASES
    has_all_frames: bool = False
    pairs: str = ""
    vocab_size: int = 258
    hidden_size: int = 768
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    intermediate_size: int = 3072
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    position_embedding_type: str = "absolute"

    def vocabulary(self) -> KmerVocabulary:
        """Return the numbers of its tokens."""
        return barcode_vocabulary(self.k, is_workshop=self.is_workshop, has_n=self.has_n)


class BarcodeBertModel(BertNetwork):  # type: ignore[no-untyped-call]  # a hook of its base
    """The network; what transformers' AutoModel makes of an encoder's folder."""

    config_class = BarcodeBertConfig
    base_model_prefix = "bert"


AutoConfig.register(BarcodeBertConfig.model_type, BarcodeBertConfig)
AutoModel.register(BarcodeBertConfig, BarcodeBertModel)
AutoTokenizer.register(BarcodeBertConfig, KmerTokenizer)  # type: ignore[no-untyped-call]


class BarcodeBert(NetworkEncoder):
    """BarcodeBERT: the mean over the last layer's tokens that are no padding."""

    family: ClassVar[str] = "barcodebert"
    model_class = BarcodeBertModel
    config_class = BarcodeBertConfig
    added: ClassVar[Mapping[str, Any]] = {"has_all_frames": False}

    @classmethod
    def completed(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings of a network with the number of its tokens."""
        given = {**settings, "vocab_size": 0}
        pairs = str(given.get("pairs", ""))
        if pairs:
            return given | {"vocab_size": _pairs(pairs).get_vocab_size()}
        config = BarcodeBertConfig(**given)
        return given | {"vocab_size": config.vocabulary().size}

    @classmethod
    def check(cls, config: BarcodeBertConfig) -> None:
        """Raise `ValueError` where tokens and network do not match, or heads and dimensions."""
        check_heads(config)
        size = _pairs(config.pairs).get_vocab_size() if config.pairs else config.vocabulary().size
        if size != config.vocab_size:
            made = "byte pairs make" if config.pairs else f"k {config.k} makes"
            raise ValueError(
                f"tokens and network do not match: {made} {size} tokens, "
                f"the network has {config.vocab_size}"
            )
        longest = config.bases // config.k + config.is_workshop
        if longest > config.max_position_embeddings and not config.pairs:
            raise ValueError(
                f"tokens and network do not match: {config.bases} bases make {longest} tokens, "
                f"the network has {config.max_position_embeddings} positions"
            )

    @classmethod
    def recognises(cls, published: Published) -> bool:
        """Whether a checkpoint is BERT's with absolute positions."""
        return "bert.embeddings.position_embeddings.weight" in published.tensors and not any(
            name.endswith("distance_embedding.weight") for name in published.tensors
        )

    @classmethod
    def from_published(cls, published: Published, label: str) -> tuple[BarcodeBert, list[str]]:
        """Make the encoder of a checkpoint; also return which tensors it does not need.

        Raises
        ------
        ValueError
            It is of no BarcodeBERT that this version knows; the sentence says why.
        """
        tensors, aside = published.pick("bert.", (*HEAD, *WORKSHOP_HEAD, *UNUSED))
        sizes = sizes_of(tensors)
        settings = sizes | _tokens_of(sizes["vocab_size"]) | _network_settings(published.config)
        _check_training(settings, published)
        told = published.config.get("num_attention_heads", published.training.get("n_heads"))
        if told is None and settings["is_workshop"]:
            told = WORKSHOP_HEADS
        settings["num_attention_heads"] = published.heads_of(told)
        settings["bases"] = int(published.training.get("max_len") or BASES)
        return cls.of(settings, tensors, label), aside

    @property
    def config(self) -> BarcodeBertConfig:
        """Settings of the network."""
        return cast(BarcodeBertConfig, self.model.config)

    @property
    def max_length(self) -> int:
        """Bases taken in; the rest of a sequence is cut off."""
        return self.config.bases

    @property
    def frames(self) -> int:
        """Reading frames of the k-mers."""
        return 1 if self.config.pairs else self.config.k

    def averaged(self, batch: SequenceBatch) -> tuple[SequenceBatch, Int64]:
        """Return sequences in every reading frame in which they have a token, where all count."""
        config = self.config
        if not config.has_all_frames:
            return self.cut(batch)
        owner = np.repeat(np.arange(len(batch)), self.frames)
        start = np.tile(np.arange(self.frames), len(batch))
        end = np.minimum(batch.lengths, config.bases)[owner]
        kept = (end - start >= config.k) | (start == 0)
        owner, start, end = owner[kept], start[kept], end[kept]
        return pieces(batch, owner, start, end), owner

    def widths(self, batch: SequenceBatch) -> Int64:
        """Return (n,) int64: bases of each sequence, or what it is padded to."""
        config = self.config
        if config.is_workshop:
            return np.full(len(batch), config.bases)
        return np.minimum(batch.lengths, config.bases)

    def tokens(self, batch: SequenceBatch) -> Tokens:
        """Return the k-mers of sequences, in the frame of their first base, or their byte pairs."""
        config = self.config
        if config.pairs:
            ends = np.minimum(batch.lengths, config.bases)
            seen = pieces(batch, np.arange(len(batch)), np.zeros_like(ends), ends)
            return pair_tokens(seen, _pairs(config.pairs), config.max_position_embeddings)
        found = side_by_side(batch, config.vocabulary(), config.bases, is_full=config.is_workshop)
        if not config.is_workshop:
            return found
        ids = np.pad(found.ids, ((0, 0), (1, 0)), constant_values=FIRST)
        return Tokens(ids, np.full(len(ids), ids.shape[1]))  # padding was seen in training too

    def summed(self, model: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor:
        """Return (n, dim) float32: the sums over the last layer; see `NetworkEncoder`."""
        return masked_sum(cast(BertNetwork, model).states(ids, mask)[-1], mask)

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Return what gives transformers the same tokens."""
        config = self.config
        if config.pairs:
            return for_transformers(_pairs(config.pairs))
        first = config.vocabulary().specials[FIRST] if config.is_workshop else None
        return tokenizer_of(config.vocabulary(), config.k, first)

    def save(self, folder: Path) -> None:
        """Write `config.json`, `model.safetensors`, and the tokenizer for transformers."""
        self.tokenizer().save_pretrained(folder)
        super().save(folder)

    def encodable(self, batch: SequenceBatch) -> Bool:
        """Return (n,) bool: whether a k-mer in a frame that counts, or base of pairs, is known."""
        config = self.config
        if config.pairs:
            return has_known(batch, nucleotide_vocabulary(), 1, config.bases)
        step = 1 if config.has_all_frames else config.k
        return has_known(batch, config.vocabulary(), step, config.bases)

    def why_not(self) -> str:
        """Say what a sequence lacks that is not encodable."""
        k = self.config.k
        if self.config.pairs:
            return f"no known base among the first {self.config.bases}"
        if self.config.has_all_frames:
            return f"no {k} bases without an unknown one (too short, or N)"
        return f"no {k} bases without an unknown one, from a multiple of {k} on (too short, or N)"


_pairs = cache(pairs_from)  # it is made of its text for every batch otherwise


def _tokens_of(size: int) -> dict[str, Any]:
    """Return the settings of the vocabulary of a size."""
    for k in KMERS:
        if size == 4**k + 2:
            return {"k": k, "has_n": False, "is_workshop": False}
        if size == 4**k + 3:
            return {"k": k, "has_n": False, "is_workshop": True}
        if size == 5**k + 2:
            return {"k": k, "has_n": True, "is_workshop": False}
    raise ValueError(
        f"tokens and network do not match: {size} tokens are no k-mers with 2 or 3 special ones "
        "(byte pairs are not read)"
    )


def _network_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a configuration of transformers gives.

    Raises
    ------
    ValueError
        It is of another network.
    """
    expected = {"hidden_act": "gelu", "position_embedding_type": "absolute"}
    for name, value in expected.items():
        if config.get(name, value) != value:
            raise ValueError(f"{name} is {config[name]!r}, BarcodeBERT has {value!r}")
    own = get_annotations(BarcodeBertConfig).keys() - {
        "k",
        "has_n",
        "is_workshop",
        "bases",
        "has_all_frames",
        "pairs",
    }
    return {name: config[name] for name in own if name in config}


def _check_training(settings: Mapping[str, Any], published: Published) -> None:
    """Raise `ValueError` where tensors and what is said of their training contradict each other."""
    k, training = settings["k"], published.training
    expected: dict[str, tuple[Any, ...]] = {
        "k_mer": (k,),
        "stride": (None, k),
        "tokenizer": ("kmer",),
        "tokenize_n_nucleotide": (settings["has_n"],),
    }
    for name, values in expected.items():
        if name in training and training[name] not in values:
            raise ValueError(
                f"tokens and network do not match: it was trained with {name} {training[name]!r}, "
                f"but its {settings['vocab_size']} tokens are of {values[-1]!r}"
            )
    head = published.tensors.get(HEAD[0])
    if head is not None and len(head) != 4**k:
        raise ValueError(
            f"tokens and network do not match: it predicts {len(head)} tokens, k {k} has {4**k}"
        )
