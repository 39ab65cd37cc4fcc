"""A tokenizer for transformers with the numbers of dna/tokens.py. Imports transformers."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizer

from seqsearch.dna.tokens import KmerVocabulary


class KmerTokenizer(PreTrainedTokenizer):
    """Cuts text into k-mers; for those who train with transformers, one sequence at a time.

    Parameters
    ----------
    k, letters, specials, unknown, has_n
        As `KmerVocabulary` takes them.
    step : int
        Bases from one k-mer to the next: k, or 1.
    first, last : str, optional
        Special tokens before and behind a sequence.
    **settings
        What transformers' tokenizers take.

    Examples
    --------
    >>> KmerTokenizer(k=2, step=2)("AAACA")["input_ids"]
    [2, 3]
    """

    def __init__(
        self,
        k: int = 4,
        letters: str = "ACGT",
        specials: tuple[str, ...] = ("[MASK]", "[UNK]"),
        unknown: str = "[UNK]",
        has_n: bool = False,
        step: int = 4,
        first: str | None = None,
        last: str | None = None,
        **settings: Any,
    ) -> None:
        self._vocabulary = KmerVocabulary(k, letters, tuple(specials), unknown, has_n)
        self._words = self._vocabulary.words()
        self._numbers = {word: number for number, word in enumerate(self._words)}
        self._step, self._first, self._last = step, first, last
        own = {"k": k, "letters": letters, "specials": list(specials), "unknown": unknown}
        own |= {"has_n": has_n, "step": step, "first": first, "last": last}
        settings |= {"unk_token": unknown, "pad_token": _named("PAD", specials, unknown)}
        settings |= {"mask_token": _named("MASK", specials, unknown)}
        settings |= {"model_input_names": ["input_ids", "attention_mask"]}
        super().__init__(**own, **settings)  # type: ignore[no-untyped-call]

    @property
    def vocab_size(self) -> int:
        """How many tokens there are."""
        return len(self._words)

    def get_vocab(self) -> dict[str, int]:
        """Return the number of each token."""
        return dict(self._numbers)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Return the tokens between the first and the last special one; pairs are put together."""
        before, behind = (
            [] if token is None else [self._numbers[token]] for token in (self._first, self._last)
        )
        return [*before, *token_ids_0, *(token_ids_1 or []), *behind]

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        k = self._vocabulary.k
        return [text[i : i + k] for i in range(0, len(text) - k + 1, self._step)]

    def _convert_token_to_id(self, token: str) -> int:
        return self._numbers.get(token, self._numbers[self._vocabulary.unknown])

    def _convert_id_to_token(self, index: int) -> str:
        return self._words[index]


def tokenizer_of(
    vocabulary: KmerVocabulary, step: int, first: str | None = None, last: str | None = None
) -> KmerTokenizer:
    """Return the tokenizer of a vocabulary."""
    return KmerTokenizer(
        vocabulary.k,
        vocabulary.letters,
        vocabulary.specials,
        vocabulary.unknown,
        vocabulary.has_n,
        step,
        first,
        last,
    )


def _named(name: str, specials: tuple[str, ...], otherwise: str) -> str:
    return next((one for one in specials if one.strip("[]<>") == name), otherwise)
