"""Tokens of sequences: k-mers side by side or overlapping, single nucleotides, as numbers.

What follows BarcodeBERT (non-overlapping) and MetaBERTa (overlapping) gives the numbers that their
published models were trained with; the sources are named where each is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from numba import njit

from seqsearch.dna.batch import SequenceBatch
from seqsearch.errors import SettingsError
from seqsearch.tables import Bool, Int32, Int64, UInt8

LONGEST = 8  # bases of a k-mer: its table then has 5^8 places
LETTERS = ("ACGT", "ACTG")  # BarcodeBERT's order, and MetaBERTa's


@dataclass(frozen=True)
class KmerVocabulary:
    """The numbers of k-mers: special tokens first, then k-mers in the order of their letters.

    Attributes
    ----------
    k : int
        Bases of a token, 1 to 8.
    letters : str
        One of `LETTERS`.
    specials : tuple of str
    unknown : str
        The special token of a k-mer without a number of its own.
    has_n : bool
        k-mers with N have numbers too, behind those without.

    Raises
    ------
    SettingsError
        k, letters or the unknown token are none of those.

    Examples
    --------
    >>> KmerVocabulary(2).words()[:4], KmerVocabulary(4).size
    (['[MASK]', '[UNK]', 'AA', 'AC'], 258)
    """

    k: int
    letters: str = "ACGT"
    specials: tuple[str, ...] = ("[MASK]", "[UNK]")
    unknown: str = "[UNK]"
    has_n: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.k <= LONGEST:
            raise SettingsError("k", self.k, f"1 to {LONGEST}")
        if self.letters not in LETTERS:
            raise SettingsError("letters", self.letters, " or ".join(LETTERS))
        if self.unknown not in self.specials:
            raise SettingsError("unknown", self.unknown, f"one of {', '.join(self.specials)}")

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return len(self.specials) + (5 if self.has_n else 4) ** self.k

    @property
    def plain(self) -> int:
        """How many k-mers are without N; their numbers come first behind the special tokens."""
        return 4**self.k

    def number(self, special: str) -> int:
        """Return the number of a special token."""
        return self.specials.index(special)

    def words(self) -> list[str]:
        """Return all tokens, in the order of their numbers."""
        made = ["".join(one) for one in product(self.letters, repeat=self.k)]
        if self.has_n:
            longer = ("".join(one) for one in product(f"{self.letters}N", repeat=self.k))
            made += [word for word in longer if "N" in word]
        return [*self.specials, *made]


@cache
def barcode_vocabulary(k: int, *, is_workshop: bool = False, has_n: bool = False) -> KmerVocabulary:
    """Return BarcodeBERT's vocabulary, of today or of its workshop paper.

    Two special tokens since the paper's third version (bioscan-ml/BarcodeBERT, datasets.py), where
    k-mers with N may have numbers; three before (Kari-Genomics-Lab/BarcodeBERT, MGPU_MLM_train.py).
    """
    if is_workshop:
        return KmerVocabulary(k, "ACGT", ("<MASK>", "<CLS>", "<UNK>"), "<UNK>", has_n)
    return KmerVocabulary(k, has_n=has_n)


@cache
def metaberta_vocabulary(k: int) -> KmerVocabulary:
    """Return MetaBERTa's vocabulary (EESI/MetaBERTa, training.py): T before G."""
    return KmerVocabulary(k, "ACTG", ("[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"))


def nucleotide_vocabulary() -> KmerVocabulary:
    """Return a vocabulary of single nucleotides, N among them."""
    return KmerVocabulary(1, has_n=True)


@dataclass(frozen=True)
class Tokens:
    """Tokens of some sequences, padded to one width.

    Attributes
    ----------
    ids : (n, width) int32
    lengths : (n,) int64
        How many of a row are no padding.
    """

    ids: Int32
    lengths: Int64

    @property
    def mask(self) -> Bool:
        """(n, width) bool: what is no padding."""
        return np.arange(self.ids.shape[1]) < self.lengths[:, None]


def side_by_side(
    batch: SequenceBatch,
    vocabulary: KmerVocabulary,
    bases: int,
    *,
    starts: Int64 | None = None,
    is_full: bool = False,
) -> Tokens:
    """Cut sequences into k-mers that do not overlap, as BarcodeBERT does.

    Sequences are cut to `bases` and padded with N; a k-mer that the end of a sequence cuts off is
    padding (bioscan-ml/BarcodeBERT, datasets.py).

    Parameters
    ----------
    batch : SequenceBatch
    vocabulary : KmerVocabulary
    bases : int
        What is looked at of a sequence.
    starts : (n,) int64, optional
        Bases left out at the beginning, for another reading frame; training draws 0 to k - 1.
    is_full : bool
        Pad to the k-mers of `bases`, however short the sequences are.

    Examples
    --------
    >>> batch = SequenceBatch.from_clean(["a", "b"], [b"AAACANC", b"CC"])
    >>> tokens = side_by_side(batch, KmerVocabulary(2), bases=6)
    >>> tokens.ids.tolist(), tokens.lengths.tolist()
    ([[2, 3, 1], [7, 1, 1]], [3, 1])
    """
    k = vocabulary.k
    skipped = np.zeros(len(batch), np.int64) if starts is None else starts
    seen = np.clip(batch.lengths - skipped, 0, bases)
    lengths = seen // k
    width = bases // k if is_full else int(lengths.max(initial=0))
    ids = np.empty((len(batch), width), np.int32)
    first = batch.offsets[:-1] + skipped
    codes, table = codes_of(vocabulary.letters), table_of(vocabulary)
    unknown = vocabulary.number(vocabulary.unknown)
    _side_by_side(batch.bytes, first, first + seen, codes, table, k, unknown, ids)
    return Tokens(ids, lengths)


def overlapping(batch: SequenceBatch, vocabulary: KmerVocabulary, most: int) -> Tokens:
    """Read every k-mer of sequences, between [CLS] and [SEP], as MetaBERTa does.

    Parameters
    ----------
    batch : SequenceBatch
    vocabulary : KmerVocabulary
        With the special tokens [CLS], [SEP] and [PAD].
    most : int
        Tokens of a row, special ones with them; the k-mers behind them are left out.

    Examples
    --------
    >>> batch = SequenceBatch.from_clean(["a", "b"], [b"AAAAC", b"AA"])
    >>> tokens = overlapping(batch, metaberta_vocabulary(3), most=200)
    >>> tokens.ids.tolist(), tokens.lengths.tolist()
    ([[3, 5, 5, 6, 1], [3, 1, 2, 2, 2]], [5, 2])
    """
    k = vocabulary.k
    counts = np.clip(batch.lengths - k + 1, 0, most - 2)
    width = int(counts.max(initial=0)) + 2
    ids = np.full((len(batch), width), vocabulary.number("[PAD]"), np.int32)
    codes, table = codes_of(vocabulary.letters), table_of(vocabulary)
    unknown = vocabulary.number(vocabulary.unknown)
    _overlapping(batch.bytes, batch.offsets, counts, codes, table, k, unknown, ids[:, 1:])
    ids[:, 0] = vocabulary.number("[CLS]")
    ids[np.arange(len(batch)), counts + 1] = vocabulary.number("[SEP]")
    return Tokens(ids, counts + 2)


def count_overlapping(batch: SequenceBatch, vocabulary: KmerVocabulary) -> Int64:
    """Return (vocabulary.size,) int64: how often every k-mer stands in sequences, overlapping.

    k-mers that the vocabulary does not have are counted under its unknown token.

    Examples
    --------
    >>> batch = SequenceBatch.from_clean(["a", "b"], [b"AAAACN", b"A"])
    >>> count_overlapping(batch, KmerVocabulary(2))[:4].tolist()
    [0, 1, 3, 1]
    """
    counts = np.zeros(vocabulary.size, np.int64)
    codes, table = codes_of(vocabulary.letters), table_of(vocabulary)
    unknown = vocabulary.number(vocabulary.unknown)
    _count(batch.bytes, batch.offsets, codes, table, vocabulary.k, unknown, counts)
    return counts


def has_known(batch: SequenceBatch, vocabulary: KmerVocabulary, step: int, bases: int) -> Bool:
    """Return (n,) bool: whether any k-mer, `step` bases apart, is of A, C, G and T alone."""
    result = np.zeros(len(batch), np.bool_)
    ends = batch.offsets[:-1] + np.minimum(batch.lengths, bases)
    codes = codes_of(vocabulary.letters)
    _has_known(batch.bytes, batch.offsets[:-1], ends, codes, vocabulary.k, step, result)
    return result


@cache
def codes_of(letters: str) -> UInt8:
    """(256,) uint8: place of a base among `letters`, 4 for N, 5 for anything else."""
    table = np.full(256, 5, np.uint8)
    for code, letter in enumerate(f"{letters}N".encode()):
        table[letter] = code
    table.flags.writeable = False
    return table


@cache
def table_of(vocabulary: KmerVocabulary) -> Int32:
    """(5^k,) int32: numbers of k-mers, which are read as numbers of base 5, first base highest."""
    codes = np.arange(5**vocabulary.k)
    has_n, plain, rest = np.zeros(len(codes), np.bool_), np.zeros_like(codes), codes.copy()
    for place in range(vocabulary.k):
        has_n |= rest % 5 == 4
        plain += (rest % 5) * 4**place
        rest //= 5
    start = len(vocabulary.specials)
    table = np.where(has_n, vocabulary.number(vocabulary.unknown), plain + start)
    if vocabulary.has_n:
        table[has_n] = start + vocabulary.plain + np.arange(has_n.sum())
    table = table.astype(np.int32)
    table.flags.writeable = False
    return table


@njit(nogil=True, cache=True)
def _side_by_side(
    bases: UInt8,
    first: Int64,
    end: Int64,
    codes: UInt8,
    table: Int32,
    k: int,
    unknown: int,
    ids: Int32,
) -> None:
    for i in range(len(ids)):
        at = first[i]
        for place in range(ids.shape[1]):
            code, is_known = 0, True
            for j in range(at, at + k):
                digit = codes[bases[j]] if j < end[i] else 4
                is_known &= digit < 5
                code = 5 * code + digit
            ids[i, place] = table[code] if is_known else unknown
            at += k


@njit(nogil=True, cache=True)
def _overlapping(
    bases: UInt8,
    offsets: Int64,
    counts: Int64,
    codes: UInt8,
    table: Int32,
    k: int,
    unknown: int,
    ids: Int32,
) -> None:
    highest = 5 ** (k - 1)
    for i in range(len(ids)):
        code, odd = 0, 0  # odd: bases since the last one that is in no table, as far as k
        at = offsets[i]
        for j in range(min(k - 1, offsets[i + 1] - at)):
            digit = codes[bases[at + j]]
            odd = k if digit > 4 else odd - 1
            code = 5 * code + min(digit, 4)
        for place in range(counts[i]):
            digit = codes[bases[at + place + k - 1]]
            odd = k if digit > 4 else odd - 1
            code = 5 * code + min(digit, 4)
            ids[i, place] = unknown if odd > 0 else table[code]
            code -= highest * min(codes[bases[at + place]], 4)


@njit(nogil=True, cache=True)
def _count(
    bases: UInt8, offsets: Int64, codes: UInt8, table: Int32, k: int, unknown: int, counts: Int64
) -> None:
    highest = 5 ** (k - 1)
    for i in range(len(offsets) - 1):
        code, odd = 0, 0
        for j in range(offsets[i], offsets[i + 1]):
            digit = codes[bases[j]]
            odd = k if digit > 4 else odd - 1
            code = 5 * (code % highest) + min(digit, 4)
            if j - offsets[i] >= k - 1:
                counts[unknown if odd > 0 else table[code]] += 1


@njit(nogil=True, cache=True)
def _has_known(
    bases: UInt8, first: Int64, ends: Int64, codes: UInt8, k: int, step: int, result: Bool
) -> None:
    for i in range(len(first)):
        for at in range(first[i], ends[i] - k + 1, step):
            known = 0
            for j in range(at, at + k):
                known += codes[bases[j]] < 4
            if known == k:
                result[i] = True
                break
