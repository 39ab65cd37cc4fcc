"""What the encoders in torch share: how one is made of tensors, and how it runs. Imports torch."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from inspect import get_annotations
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedModel

from seqsearch.devices.lane import Handed, Lane
from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.tokens import Tokens
from seqsearch.encoders.folder import config_hash, save_encoder
from seqsearch.encoders.tensors import Tensors, check_tensors, tensors_hash
from seqsearch.networks.whitening import PREFIX, Whitening
from seqsearch.tables import Bool, Float32, Int64
from seqsearch.threads import resolve_threads

# Encoded at once, padding with them: by a thread of a CPU, which is twice as fast where what is in
# work fits its caches, and by a GPU.
THREAD_BASES, GPU_BASES = 1 << 13, 1 << 19


class NetworkEncoder(ABC):
    """An encoder whose vectors a network makes of tokens.

    A vector is the mean over the tokens of a sequence, of all its pieces where it is cut into such
    (or read in several frames), normalised; then whitened, where a training of this package has
    found how. Sums of floats depend in their last bits on what stands beside a sequence in a batch
    and on the device, so vectors do too (a few 1e-7). They do not on the number of threads, but for
    networks of transformers' own.

    Parameters
    ----------
    model : PreTrainedModel
        In float32; it is put into its state for inference.
    label : str
        What it is called.
    threads : int
        Worker threads on the CPU; 0 means every core.
    whitening : Whitening, optional
        Published checkpoints have none.
    """

    family: ClassVar[str]
    model_class: ClassVar[type[PreTrainedModel]]
    config_class: ClassVar[type[PreTrainedConfig]]
    device: ClassVar[str] = "cpu"
    is_sum: ClassVar[bool] = True  # over tokens, so that a mean can be made of it
    added: ClassVar[Mapping[str, Any]] = {}  # settings that older folders lack: what they were then
    is_reentrant: ClassVar[bool] = True  # several threads may run the network at once
    is_strand_free: ClassVar[bool] = False
    # What has learned from pieces knows them, and what has not is not helped: tried on held-out
    # references, a power of .2 cost a pretrained network a point, a contrastive one fourteen.
    length_exponent: ClassVar[float] = 0.0

    def __init__(
        self,
        model: PreTrainedModel,
        label: str,
        threads: int = 0,
        whitening: Whitening | None = None,
    ) -> None:
        self.model, self.label, self.threads = model.train(False), label, threads
        self.whitening = whitening

    @classmethod
    def from_saved(cls, config: dict[str, Any], tensors: Tensors, threads: int = 0) -> Self:
        """Make the encoder of a configuration and its tensors; raises as `make_encoder`."""
        known = {**cls.added, **config}
        settings = {name: known[name] for name in get_annotations(cls.config_class)}
        return cls.of(settings, tensors, str(config["label"]), threads)

    @classmethod
    def of(cls, settings: dict[str, Any], tensors: Tensors, label: str, threads: int = 0) -> Self:
        """Make the encoder of the settings of its network.

        Raises
        ------
        ValueError
            A setting is odd, contradicts another one, or the tensors do not fit.
        """
        own = {name: one for name, one in tensors.items() if not name.startswith(PREFIX)}
        config: Any = cls.config_class(**settings)
        cls.check(config)
        with torch.device("meta"):  # nothing is drawn at random that is replaced at once
            model = cls.model_class(config)
        fill(model, own)
        whitening = _whitening({n: t for n, t in tensors.items() if n not in own}, config)
        return cls(model, label, threads, whitening)

    @classmethod
    def completed(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings of a network with those that follow from the others."""
        return dict(settings)

    @classmethod
    @abstractmethod
    def check(cls, config: Any) -> None:
        """Raise `ValueError` where settings of `config_class` contradict each other."""

    @property
    def name(self) -> str:
        """Label and dimensions."""
        return f"{self.label}-d{self.dim}"

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.model.config.hidden_size)

    @property
    def max_length(self) -> int | None:
        """Bases taken in at once; None: any."""
        return None

    @property
    def frames(self) -> int:
        """How many first bases, left out, change which tokens a sequence has: 1 where none do."""
        return 1

    @property
    def leading(self) -> int:
        """First dimensions that find relatives by themselves."""
        return self.dim

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of what decides the vectors.

        Settings that older folders lack count only where they are not as they were then, so that
        the hash in an index stays that of the encoder in it.
        """
        config, then = self.as_config(), self.added.items()
        counted = {name: one for name, one in config.items() if (name, one) not in then}
        return config_hash(counted | {"tensors": tensors_hash(self.as_tensors())})

    def encode(self, batch: SequenceBatch) -> Float32:
        """Return (n, dim) float32, L2-normalised; zeros where a sequence has nothing to be seen."""
        torch.set_num_threads(resolve_threads(self.threads))
        return self._here.fetch(self._here.make(batch))

    @cached_property
    def _here(self) -> NetworkMaker:
        return NetworkMaker(self, "cpu")

    def maker(self, device: str) -> NetworkMaker:
        """Return what makes its vectors on a device; see `PlaceableEncoder`."""
        return NetworkMaker(self, device)

    def cut(self, batch: SequenceBatch) -> tuple[SequenceBatch, Int64]:
        """Return what the network takes in at once, and (p,) int64 whose it is, ascending."""
        return batch, np.arange(len(batch))

    def averaged(self, batch: SequenceBatch) -> tuple[SequenceBatch, Int64]:
        """Return what vectors are means over, and (p,) int64 whose it is, ascending."""
        return self.cut(batch)

    def widths(self, batch: SequenceBatch) -> Int64:
        """Return (n,) int64: bases that each sequence takes in the network, padding with them."""
        return batch.lengths

    @abstractmethod
    def tokens(self, batch: SequenceBatch) -> Tokens:
        """Return the tokens of sequences that `encodable` says have some."""

    @abstractmethod
    def summed(self, model: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor:
        """Return (n, dim) float32: the sums over the tokens that are no padding.

        Parameters
        ----------
        model : PreTrainedModel
            This one's, on the device of the tokens.
        ids : (n, width) int32
        mask : (n, width) bool
        """

    @abstractmethod
    def encodable(self, batch: SequenceBatch) -> Bool:
        """Return (n,) bool: whether a sequence holds anything that this encoder can see."""

    @abstractmethod
    def why_not(self) -> str:
        """Say what a sequence lacks that is not encodable."""

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`, which AutoModel reads too."""
        save_encoder(folder, self.as_config(), self.as_tensors())

    def as_config(self) -> dict[str, Any]:
        """Return what `config.json` holds."""
        config = self.model.config
        return {
            "family": self.family,
            "label": self.label,
            "model_type": config.model_type,
            "architectures": [type(self.model).__name__],
            "dtype": "float32",
            **{name: getattr(config, name) for name in get_annotations(self.config_class)},
        }

    def as_tensors(self) -> Tensors:
        """Return what `model.safetensors` holds."""
        found = {name: one.detach().cpu().numpy() for name, one in self.model.state_dict().items()}
        if self.whitening is not None:
            beside = self.whitening.state_dict(prefix=PREFIX)
            found |= {name: one.cpu().numpy() for name, one in beside.items()}
        return found


class NetworkMaker:
    """Makes the vectors of a network on one device.

    Parameters
    ----------
    encoder : NetworkEncoder
    device : str
        As torch names it.
    """

    def __init__(self, encoder: NetworkEncoder, device: str) -> None:
        self._encoder, self._lane = encoder, Lane(device)
        self._model, self._whitening = encoder.model, encoder.whitening
        if self._lane.is_gpu:
            with self._lane.working():
                self._model = copy.deepcopy(encoder.model).to(self._lane.device)
                if encoder.whitening is not None:
                    self._whitening = copy.deepcopy(encoder.whitening).to(self._lane.device)

    def make(self, batch: SequenceBatch) -> Handed:
        """Return (n, dim) float32 for another lane; does not wait until it is complete."""
        kept = np.flatnonzero(self._encoder.encodable(batch))
        pieces, owner = self._encoder.averaged(batch.take(kept))
        with self._lane.working(), torch.no_grad():
            vectors = torch.zeros((len(batch), self._encoder.dim), device=self._lane.device)
            if len(kept):
                counts = self._lane.upload(np.bincount(owner, minlength=len(kept)))
                # No division by the number of tokens: the mean has the direction of the sum.
                sums = torch.segment_reduce(self._sums(pieces), "sum", lengths=counts)
                vectors[self._lane.upload(kept)] = directions(sums, self._whitening)
            return self._lane.hand_over(vectors)

    def fetch(self, made: Handed) -> Float32:
        """Copy vectors to the host."""
        with self._lane.working():
            return self._lane.take(made).cpu().numpy()

    def _sums(self, pieces: SequenceBatch) -> Tensor:
        """Return (p, dim) float32; pieces of about one length go through the network together."""
        sums = torch.empty((len(pieces), self._encoder.dim), device=self._lane.device)

        def look(rows: Int64, tokens: Tokens) -> None:
            ids, mask = self._lane.upload(tokens.ids), self._lane.upload(tokens.mask)
            with torch.no_grad():  # threads begin without it
                sums[self._lane.upload(rows)] = self._encoder.summed(self._model, ids, mask)

        if self._lane.is_gpu or not self._encoder.is_reentrant:
            most = GPU_BASES if self._lane.is_gpu else THREAD_BASES * torch.get_num_threads()
            for part in self._parts(pieces, most):
                look(*part)
            return sums
        # Each thread its own: several at one product wait for each other, very long where other
        # programs keep the cores busy.
        with ThreadPoolExecutor(
            resolve_threads(self._encoder.threads), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            parts = self._parts(pieces, THREAD_BASES)
            for done in [pool.submit(look, *part) for part in parts]:
                done.result()
        return sums

    def _parts(self, pieces: SequenceBatch, most: int) -> Iterator[tuple[Int64, Tokens]]:
        """Yield rows of pieces, and their tokens, which make at most so many bases."""
        widths = self._encoder.widths(pieces)
        order = np.argsort(widths, kind="stable")
        for start, stop in groups(widths[order], most):
            rows = order[start:stop]
            yield rows, self._encoder.tokens(pieces.take(rows))


def fill(model: PreTrainedModel, tensors: Tensors) -> None:
    """Put tensors in the place of a model's own.

    Raises
    ------
    ValueError
        Some are missing, of another model, or of another shape or type; they are named.
    """
    expected = {
        name: (str(one.dtype).removeprefix("torch."), tuple(one.shape))
        for name, one in model.state_dict().items()
    }
    check_tensors(tensors, expected)
    copied = {name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}
    model.load_state_dict(copied, assign=True)


def _whitening(tensors: Tensors, config: Any) -> Whitening | None:
    if not tensors:
        return None
    dim = int(config.hidden_size)
    expected = {"centre": ("float32", (dim,)), "axes": ("float32", (dim, dim))}
    check_tensors(tensors, {PREFIX + name: about for name, about in expected.items()})
    return Whitening(*(torch.from_numpy(tensors[PREFIX + name].copy()) for name in expected))


def directions(sums: Tensor, whitening: Whitening | None) -> Tensor:
    """Return (n, dim) float32 of length 1: where sums point, whitened where that is known."""
    found = functional.normalize(sums)
    return found if whitening is None else whitening(found)


def masked_sum(states: Tensor, mask: Tensor) -> Tensor:
    """Return (n, d): sums over the places where `mask` (n, length) is true."""
    return torch.einsum("nld,nl->nd", states, mask.to(states.dtype))


def groups(widths: Int64, most: int) -> Iterator[tuple[int, int]]:
    """Yield from where to where ascending widths make at most so many bases, padding with them.

    >>> list(groups(np.array([2, 2, 5, 6, 40]), most=12))
    [(0, 2), (2, 4), (4, 5)]
    """
    start = 0
    while start < len(widths):
        stop = start + 1
        while stop < len(widths) and (stop + 1 - start) * widths[stop] <= most:
            stop += 1
        yield start, stop
        start = stop


@dataclass(frozen=True)
class Published:
    """A checkpoint as its authors' code wrote it.

    Attributes
    ----------
    tensors : dict
        By their published names; numbers in float32.
    config : dict
        Settings of the network, as transformers' configurations name them; empty if there are none.
    training : dict
        Settings of the training, as its command line named them; empty if there are none.
    words : list of str, optional
        The vocabulary file beside it.
    heads : int, optional
        Attention heads, if the user says how many.
    """

    tensors: Tensors
    config: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    words: Sequence[str] | None = None
    heads: int | None = None

    def pick(self, prefix: str, aside: Collection[str]) -> tuple[Tensors, list[str]]:
        """Return the tensors under a prefix, without it, and the names of those left out.

        Parameters
        ----------
        prefix : str
        aside : collection of str
            Names of tensors that an encoder does not need: heads, numbers of positions.

        Raises
        ------
        ValueError
            A tensor is neither under the prefix nor to be left out.
        """
        names = [name for name in self.tensors if name not in aside]
        odd = [name for name in names if not name.startswith(prefix)]
        if odd:
            raise ValueError(f"the tensors do not fit: {odd[0]} is not of this model")
        picked = {name.removeprefix(prefix): self.tensors[name] for name in names}
        return picked, [name for name in self.tensors if name in aside]

    def heads_of(self, told: int | None) -> int:
        """Return how many attention heads there are; `told` is what the checkpoint says.

        Raises
        ------
        ValueError
            Nobody says it, or the user says something else.
        """
        if told is None and self.heads is None:
            raise ValueError("how many attention heads it has is not in it; give --heads")
        if told is not None and self.heads not in (None, told):
            raise ValueError(f"it has {told} attention heads, not {self.heads}")
        return int(told or self.heads or 0)
