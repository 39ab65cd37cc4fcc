"""cnn: the convolutional network that BarcodeBERT's paper compares itself with. Imports torch.

Facts are from bioscan-ml/BarcodeBERT (baselines/cnn/cnn_utils.py): a barcode is an image of 660 by
5, one column for each of A, C, G, T and N; what it lacks in length is zero.
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np
import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.tokens import Tokens, has_known, nucleotide_vocabulary, side_by_side
from seqsearch.encoders.network import NetworkEncoder, Published
from seqsearch.networks.whitening import PREFIX
from seqsearch.tables import Bool, Int64

HEAD = ("fc2.weight", "fc2.bias")
COLUMNS = 5
FIRST = 2  # number of the token A; C, G, T and N follow
UNKNOWN = 1  # number of the token of any other letter, taken for N


@strict
class CnnConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]  # a hook of its base
    """Settings of a network, with the paper's as defaults.

    Attributes
    ----------
    bases : int
        What is looked at of a sequence, at least 27.
    channels : list of int
        Of each convolution.
    hidden_size : int
        Length of a vector.
    """

    model_type = "seqsearch-cnn"

    bases: int = 660
    channels: list[int] | tuple[int, ...] = (64, 32, 16)
    hidden_size: int = 500


class CnnModel(PreTrainedModel):  # type: ignore[no-untyped-call]  # a hook of its base
    """The network; what transformers' AutoModel makes of an encoder's folder."""

    config_class = CnnConfig
    base_model_prefix = "cnn"
    # What encoders have beside it; not a ClassVar, for it is none in transformers.
    _keys_to_ignore_on_load_unexpected = [PREFIX]  # noqa: RUF012

    def __init__(self, config: CnnConfig) -> None:
        super().__init__(config)
        one, two, three = config.channels
        self.conv1, self.bn1 = _convolution(1, one), nn.BatchNorm2d(one)
        self.conv2, self.bn2 = _convolution(one, two), nn.BatchNorm2d(two)
        self.conv3, self.bn3 = _convolution(two, three), nn.BatchNorm2d(three)
        flat = three * COLUMNS * (config.bases // 27)
        self.bn4, self.fc1 = nn.BatchNorm1d(flat), nn.Linear(flat, config.hidden_size)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """Draw weights as torch does, and so the paper's code."""
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.BatchNorm1d, nn.Linear)):
            module.reset_parameters()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> BaseModelOutputWithPooling:
        """Return the vectors, `pooler_output` (n, hidden).

        Parameters
        ----------
        input_ids : (n, bases) int
            Of `nucleotide_vocabulary`.
        attention_mask : (n, bases), optional
            0 behind the end of a sequence.
        """
        found = input_ids.masked_fill(input_ids == UNKNOWN, FIRST + COLUMNS - 1) - FIRST
        if attention_mask is not None:
            found = found.masked_fill(attention_mask == 0, -1)
        image = (found[:, None, :, None] == torch.arange(COLUMNS, device=found.device)).float()
        for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            image = functional.max_pool2d(norm(functional.relu(conv(image))), (3, 1))
        vectors = self.fc1(self.bn4(image.flatten(1)))
        return BaseModelOutputWithPooling(pooler_output=vectors)


def _convolution(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, (3, 1), padding=(1, 0))


AutoConfig.register(CnnConfig.model_type, CnnConfig)
AutoModel.register(CnnConfig, CnnModel)


class Cnn(NetworkEncoder):
    """The network without its last layer: what stands before the last tanh."""

    family: ClassVar[str] = "cnn"
    model_class = CnnModel
    config_class = CnnConfig
    is_sum = False

    @classmethod
    def check(cls, config: CnnConfig) -> None:
        """Raise `ValueError` where nothing would be left of a sequence."""
        if config.bases < 27 or len(config.channels) != 3:
            raise ValueError("a cnn has 27 bases or more and three convolutions")

    @classmethod
    def recognises(cls, published: Published) -> bool:
        """Whether a checkpoint is the paper's network."""
        return {"conv1.weight", "bn4.weight", "fc1.weight"} <= published.tensors.keys()

    @classmethod
    def from_published(cls, published: Published, label: str) -> tuple[Cnn, list[str]]:
        """Make the encoder of a checkpoint; also return which tensors it does not need.

        Raises
        ------
        ValueError
            Tensors are missing, of another model, or misshapen.
        """
        tensors, aside = published.pick("", HEAD)
        names = [f"conv{number}.weight" for number in (1, 2, 3)]
        missing = [name for name in names if name not in tensors]
        if missing:
            raise ValueError(f"the tensors do not fit: {missing[0]} is missing")
        flat = [name for name in (*names, "fc1.weight") if not tensors[name].ndim]
        if flat:
            raise ValueError(f"the tensors do not fit: {flat[0]} is a single number")
        settings = {
            "channels": [len(tensors[name]) for name in names],
            "hidden_size": len(tensors["fc1.weight"]),
        }
        return cls.of(settings, tensors, label), aside

    @property
    def config(self) -> CnnConfig:
        """Settings of the network."""
        return cast(CnnConfig, self.model.config)

    @property
    def max_length(self) -> int:
        """Bases taken in; the rest of a sequence is cut off."""
        return self.config.bases

    def widths(self, batch: SequenceBatch) -> Int64:
        """Return (n,) int64: what each sequence takes, however short it is."""
        return np.full(len(batch), self.config.bases)

    def tokens(self, batch: SequenceBatch) -> Tokens:
        """Return the bases of sequences as numbers."""
        return side_by_side(batch, nucleotide_vocabulary(), self.config.bases, is_full=True)

    def summed(self, model: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor:
        """Return (n, dim) float32: the vectors, which are no sums here."""
        return cast(Tensor, model(ids, mask).pooler_output)

    def encodable(self, batch: SequenceBatch) -> Bool:
        """Return (n,) bool: whether any base is known."""
        return has_known(batch, nucleotide_vocabulary(), 1, self.config.bases)

    def why_not(self) -> str:
        """Say what a sequence lacks that is not encodable."""
        return f"no known base among the first {self.config.bases}"
