"""Byte-pair encoding of DNA, trained on a library (Sennrich et al. 2016). Imports transformers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Split
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.tokens import Tokens
from seqsearch.errors import SettingsError

SPECIALS = ("[MASK]", "[UNK]")  # as BarcodeBERT's k-mers have them
BASES = "ACGT"


def train_pairs(batches: Iterable[SequenceBatch], size: int) -> Tokenizer:
    """Learn which neighbours are joined into tokens, the most frequent first.

    Tokens reach over no unknown base; a run of these is one [UNK]. Every sequence counts once, and
    is held in memory meanwhile.

    Parameters
    ----------
    batches : iterable of SequenceBatch
        A library.
    size : int
        Tokens, the special ones with them; fewer where the library has no more pairs.

    Raises
    ------
    SettingsError
        Fewer tokens than bases and special ones.

    Examples
    --------
    >>> made = train_pairs([SequenceBatch.from_clean(["a"], [b"ACACACGT"])], size=7)
    >>> made.encode("ACACNNT").tokens
    ['AC', 'AC', '[UNK]', 'T']
    """
    least = len(SPECIALS) + len(BASES)
    if size < least:
        raise SettingsError("size", size, f"{least} or more tokens")
    tokenizer = Tokenizer(BPE(unk_token=SPECIALS[1], fuse_unk=True))
    tokenizer.pre_tokenizer = Split(Regex(f"[^{BASES}]+"), "isolated")
    trainer = BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIALS),
        initial_alphabet=list(BASES),
        limit_alphabet=len(BASES),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(batches), trainer)
    return tokenizer


def pairs_from(text: str) -> Tokenizer:
    """Make a tokenizer of the text that `Tokenizer.to_str` gives.

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # what the library raises is a plain Exception
        raise ValueError(f"not byte pairs ({error})") from error


def pair_tokens(batch: SequenceBatch, tokenizer: Tokenizer, most: int) -> Tokens:
    """Return the tokens of sequences, padded with [UNK].

    Parameters
    ----------
    batch : SequenceBatch
    tokenizer : Tokenizer
    most : int
        Tokens of a sequence; those behind them are left out.
    """
    found = [one.ids[:most] for one in tokenizer.encode_batch(batch.strings().to_pylist())]
    lengths = np.fromiter(map(len, found), np.int64, len(found))
    ids = np.full((len(found), int(lengths.max(initial=0))), SPECIALS.index("[UNK]"), np.int32)
    ids[np.arange(ids.shape[1]) < lengths[:, None]] = [number for row in found for number in row]
    return Tokens(ids, lengths)


def for_transformers(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """Return the tokenizer as transformers has it."""
    mask, unknown = SPECIALS
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, mask_token=mask, unk_token=unknown, pad_token=unknown
    )


def _texts(batches: Iterable[SequenceBatch]) -> Iterator[list[str]]:
    for batch in batches:
        yield batch.strings().to_pylist()
