"""hf:REPO: any encoder of the Hugging Face hub that transformers runs by itself. Imports torch.

Code from a hub is never run and pickles are never read; a repository that needs either is refused.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from huggingface_hub.errors import LocalEntryNotFoundError, StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.tokens import Tokens, has_known, nucleotide_vocabulary
from seqsearch.encoders.folder import CONFIG, WEIGHTS, check_no_code, check_no_pickle
from seqsearch.encoders.network import NetworkEncoder, fill, masked_sum
from seqsearch.encoders.tensors import Tensors
from seqsearch.errors import SettingsError
from seqsearch.tables import Bool

OWN = ("family", "label", "tokenizer", "most_tokens")  # beside the settings of the network
TEXT = (".json", ".txt")  # files of a tokenizer; others are no text
MOST = 4096  # tokens, where neither network nor tokenizer has a limit
PASSING = ("_name_or_path", "transformers_version")  # not of the network
COUNTS_BEHIND_PADDING = ("roberta", "xlm-roberta", "camembert", "esm")
PROBES = ("ACGTTGCAACGT", "GGATCCTAGGAT")  # a tokenizer that is for DNA knows a part of them
# What transformers raises over what it cannot read; RuntimeError for misshapen tensors.
UNREADABLE = (OSError, ValueError, RuntimeError, SafetensorError, StrictDataclassError)
POOLERS = ("pooler.",)  # many a checkpoint lacks one, and no vector comes of it


class HubEncoder(NetworkEncoder):
    """A network of the hub: the mean over the last layer's tokens that are no padding.

    Parameters
    ----------
    model : PreTrainedModel
    tokenizer : dict
        The tokenizer's files: name to text.
    label : str
    threads : int
    most : int
        Tokens of a sequence; the rest is cut off.

    Raises
    ------
    ValueError
        Tokenizer and model do not match, or the tokenizer does not know DNA.
    """

    family: ClassVar[str] = "hf"
    model_class = PreTrainedModel
    config_class = PreTrainedConfig
    is_reentrant: ClassVar[bool] = False  # some keep what they computed last (rotations of ESM)

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: dict[str, str],
        label: str,
        threads: int = 0,
        most: int = MOST,
    ) -> None:
        super().__init__(model, label, threads)
        self._files, self._most = tokenizer, most
        self._tokenizer = _tokenizer_of(tokenizer)
        check_match(self._tokenizer, model.config)

    @classmethod
    def from_hub(cls, name: str, threads: int = 0) -> HubEncoder:
        """Fetch an encoder, or take it from the cache.

        Parameters
        ----------
        name : str
            `OWNER/NAME`, with `@REVISION` behind it for one version of it, or a folder.

        Raises
        ------
        SettingsError
            It cannot be reached, needs code of its own, has no safetensors, lacks tensors, or its
            tokenizer is not its model's.
        FolderError
            A folder has its tensors only in a pickle.
        """
        place, _, revision = name.partition("@")
        given = {"revision": revision or None, "trust_remote_code": False}
        try:
            found, _ = PreTrainedConfig.get_config_dict(place, revision=given["revision"])
            check_no_code(found)
            with _no_bars():
                model, report = AutoModel.from_pretrained(
                    place,
                    use_safetensors=True,
                    output_loading_info=True,
                    dtype=torch.float32,
                    **given,
                )
            tokenizer = AutoTokenizer.from_pretrained(place, **given)
        except UNREADABLE as error:
            if Path(place).is_dir():
                check_no_pickle(Path(place))
            if isinstance(error.__cause__, LocalEntryNotFoundError):  # nor is it in the cache
                raise SettingsError(
                    "encoder",
                    f"hf:{name}",
                    "one fetched before, for the hub cannot be reached",
                ) from error
            raise _refused(name, "one that transformers reads by itself", error) from error
        lacking = sorted(key for key in report["missing_keys"] if not key.startswith(POOLERS))
        if lacking:
            raise SettingsError(
                "encoder", f"hf:{name}", f"one with all tensors of its network (no {lacking[0]})"
            )
        label = f"hf:{place}@{getattr(model.config, '_commit_hash', None) or revision or 'local'}"
        most = _most_tokens(model.config, tokenizer)
        with tempfile.TemporaryDirectory() as folder:
            tokenizer.save_pretrained(folder)
            paths = [path for path in sorted(Path(folder).iterdir()) if path.suffix in TEXT]
            files = {path.name: path.read_text() for path in paths}
        try:
            return cls(model, files, label, threads, most)
        except ValueError as error:
            raise _refused(name, "one for DNA", error) from error

    @classmethod
    def from_saved(cls, config: dict[str, Any], tensors: Tensors, threads: int = 0) -> HubEncoder:
        """Make the encoder of a configuration and its tensors; raises as `make_encoder`."""
        settings = {name: value for name, value in config.items() if name not in OWN}
        network = AutoConfig.for_model(settings.pop("model_type"), **settings)
        model = AutoModel.from_config(network, dtype=torch.float32)  # type: ignore[no-untyped-call]
        fill(model, tensors)
        label, most = str(config["label"]), int(config["most_tokens"])
        return cls(model, config["tokenizer"], label, threads, most)

    @classmethod
    def check(cls, config: Any) -> None:
        """Raise nothing: transformers checks its own settings."""

    def as_config(self) -> dict[str, Any]:
        """Return what `config.json` holds."""
        network = json.loads(self.model.config.to_json_string(use_diff=False))
        settings = {name: value for name, value in network.items() if name not in PASSING}
        return {
            "family": self.family,
            "label": self.label,
            "most_tokens": self._most,
            "tokenizer": self._files,
            **settings,
        }

    def save(self, folder: Path) -> None:
        """Write `config.json`, `model.safetensors`, and the tokenizer's files for transformers."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self._files.items():
            (folder / name).write_text(text)
        super().save(folder)

    def tokens(self, batch: SequenceBatch) -> Tokens:
        """Return what the tokenizer makes of sequences, its special tokens with it."""
        made = self._tokenizer(
            batch.strings().to_pylist(),
            padding=True,
            truncation=True,
            max_length=self._most,
            return_tensors="np",
        )
        return Tokens(made["input_ids"].astype(np.int32), made["attention_mask"].sum(1))

    def summed(self, model: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor:
        """Return (n, dim) float32: the sums over the last layer; see `NetworkEncoder`."""
        found = model(input_ids=ids.long(), attention_mask=mask.long())
        return masked_sum(cast(Tensor, found.last_hidden_state), mask)

    def encodable(self, batch: SequenceBatch) -> Bool:
        """Return (n,) bool: whether any base is known."""
        longest = int(batch.lengths.max(initial=0))
        return has_known(batch, nucleotide_vocabulary(), 1, longest)

    def why_not(self) -> str:
        """Say what a sequence lacks that is not encodable."""
        return "no known base"


def check_match(tokenizer: Any, config: PreTrainedConfig) -> None:
    """Raise `ValueError` where a tokenizer is not that of a model, or makes nothing of DNA."""
    largest, known = max(tokenizer.get_vocab().values()), getattr(config, "vocab_size", None)
    if known is not None and largest >= known:
        raise ValueError(
            f"tokenizer and model do not match: tokens go up to {largest}, "
            f"the model has {known} of them"
        )
    if tokenizer.pad_token is None:
        raise ValueError("its tokenizer has no token for padding")
    one, other = tokenizer(list(PROBES))["input_ids"]
    if one == other:
        raise ValueError(f"its tokenizer does not tell {PROBES[0]} from {PROBES[1]}")


def _refused(name: str, expected: str, error: Exception) -> SettingsError:
    line = " ".join(str(error).split())
    return SettingsError("encoder", f"hf:{name}", f"{expected} ({line})")


def _tokenizer_of(files: dict[str, str]) -> Any:
    """Make a tokenizer of its files.

    Raises
    ------
    ValueError
        It asks for code of its own, or a name is no plain file's.
    """
    check_no_code(json.loads(files.get("tokenizer_config.json", "{}")))
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            if Path(name).name != name or name in (CONFIG, WEIGHTS):
                raise ValueError(f"{name!r} is not the name of a tokenizer's file")
            (Path(folder) / name).write_text(text)
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, padding_side="right")


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep transformers from drawing progress bars, which it does on any terminal or pipe."""
    was = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if was:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _most_tokens(config: PreTrainedConfig, tokenizer: Any) -> int:
    """Return how many tokens a network takes; RoBERTa's kin count positions from behind padding."""
    places = getattr(config, "max_position_embeddings", None) or MOST
    if config.model_type in COUNTS_BEHIND_PADDING:
        places -= (config.pad_token_id or 0) + 1
    return int(min(places, tokenizer.model_max_length, MOST))
