"""Words of sequences, counted into sparse rows: k-mers, and words with gaps (spaced seeds).

A pattern says which bases make a word: "11111111" is an 8-mer, "11011011011" takes two bases of
three, so that of a coding sequence one reading frame skips all third codon positions, where
relatives differ first (spaced words: Leimeister et al. 2014; spaced seeds: Ma et al. 2002).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit

from seqsearch.dna.batch import SequenceBatch
from seqsearch.errors import SettingsError
from seqsearch.tables import Bool, Int32, Int64, UInt8

HEAVIEST = 12  # counts are kept for all 4^12 words
LONGEST = 31  # bases, two bits each, in one integer


ROOT_BITS = 20  # of a root's fraction; 44 are left for sums


@dataclass(frozen=True)
class WordCounts:
    """Sparse rows: the distinct words of sequence i stand from `offsets[i]` to `offsets[i + 1]`.

    Attributes
    ----------
    offsets : (n + 1,) int64
    word : (offsets[-1],) int32
        Two bits a base, first base highest, A C G T = 0 1 2 3; in order of first appearance.
    count : (offsets[-1],) int32
    """

    offsets: Int64
    word: Int32
    count: Int32

    def __len__(self) -> int:
        return len(self.offsets) - 1


@cache
def vocabulary(weight: int, canonical: bool) -> Int32:
    """Return (4^weight,) int32, read-only: the number of each word of `weight` bases.

    With `canonical`, a word and its reverse complement share a number, and numbers run without
    gaps from 0, in the order of the smaller word of each pair.

    >>> int(vocabulary(2, canonical=True).max()) + 1  # 6 pairs and 4 palindromes
    10
    """
    words = np.arange(4**weight, dtype=np.int32)
    turned, rest = np.zeros_like(words), words.copy()
    for _ in range(weight):
        turned = (turned << 2) | (3 - (rest & 3))
        rest >>= 2
    smaller = np.minimum(words, turned) if canonical else words
    numbers = np.unique(smaller, return_inverse=True)[1].astype(np.int32)
    numbers.flags.writeable = False
    return numbers


@njit(nogil=True, cache=True)
def fixed_root(count: int) -> int:
    """Return the square root of a count in units of 2^-ROOT_BITS.

    Sums of whole numbers are the same in any order, so vectors made of them do not depend on the
    strand or on where a word stands.

    >>> fixed_root(4) == 2 << ROOT_BITS
    True
    """
    return int(np.round(np.sqrt(count) * (1 << ROOT_BITS)))


def weight_of(pattern: str) -> int:
    """Return how many bases make a word.

    >>> weight_of("11011011011")
    8

    Raises
    ------
    SettingsError
        Not a pattern of 1 and 0 that begins and ends with 1, of 2 to `HEAVIEST` bases, over
        `LONGEST` at most.
    """
    weight = pattern.count("1")
    is_pattern = set(pattern) <= {"0", "1"} and pattern[:1] == pattern[-1:] == "1"
    if not is_pattern or not 2 <= weight <= HEAVIEST or len(pattern) > LONGEST:
        expected = f"1s and 0s from 1 to 1, 2 to {HEAVIEST} of them 1, at most {LONGEST} long"
        raise SettingsError("pattern", pattern, expected)
    return weight


def check_canonical(pattern: str) -> None:
    """Raise `SettingsError` where a pattern's words have no reverse complement among them."""
    if pattern != pattern[::-1]:
        raise SettingsError("pattern", pattern, "the same read backwards, if canonical")


def count_words(
    batch: SequenceBatch, pattern: str, start: int = 0, stop: int | None = None
) -> WordCounts:
    """Count the words of sequences `start` to `stop`; words over an unknown base are left out.

    >>> counts = count_words(SequenceBatch.from_clean(["a"], [b"ACACNAC"]), "11")
    >>> counts.word.tolist(), counts.count.tolist()
    ([1, 4], [3, 1])
    """
    weight = weight_of(pattern)
    offsets = batch.offsets[start : (len(batch) if stop is None else stop) + 1]
    room = np.maximum(np.diff(offsets) - len(pattern) + 1, 0).sum()
    word, count = np.empty(room, np.int32), np.empty(room, np.int32)
    ends = np.zeros(len(offsets), np.int64)
    runs = _runs(pattern)
    _count(batch.bytes, offsets, BASE_CODES, len(pattern), weight, runs, ends, word, count)
    return WordCounts(ends, word[: ends[-1]], count[: ends[-1]])


def has_word(batch: SequenceBatch, pattern: str) -> Bool:
    """Return (n,) bool: whether a sequence has as many known bases in a row as a pattern has."""
    result = np.zeros(len(batch), np.bool_)
    _has_word(batch.bytes, batch.offsets, BASE_CODES, len(pattern), result)
    return result


@cache
def _runs(pattern: str) -> Int64:
    """(r, 2) int64: how far to shift the bits of the last bases, and which to keep then.

    One line for each run of 1s. A word is the sum of these pieces, first base highest.
    """
    lines = []
    end, below = len(pattern), 0  # bases behind the run, those of them that count
    for run in reversed(re.findall("1+|0+", pattern)):
        end -= len(run)
        if run[0] == "1":
            skipped = len(pattern) - end - len(run) - below
            lines.append([2 * skipped, ((1 << 2 * len(run)) - 1) << 2 * below])
            below += len(run)
    return np.array(lines, np.int64)


def _code_table() -> UInt8:
    table = np.full(256, 4, np.uint8)
    for code, letter in enumerate(b"ACGT"):
        table[letter] = code
    return table


BASE_CODES = _code_table()


@njit(nogil=True, cache=True)
def _has_word(bases: UInt8, offsets: Int64, codes: UInt8, length: int, result: Bool) -> None:
    for i in range(len(offsets) - 1):
        run = 0
        for at in range(offsets[i], offsets[i + 1]):
            run = run + 1 if codes[bases[at]] < 4 else 0
            if run == length:
                result[i] = True
                break


@njit(nogil=True, cache=True)
def _count(
    bases: UInt8,
    offsets: Int64,
    codes: UInt8,
    length: int,
    weight: int,
    runs: Int64,
    ends: Int64,
    word_of: Int32,
    count_of: Int32,
) -> None:
    place = np.zeros(1 << (2 * weight), np.int64)  # 1 + where a word stands; 0: not seen yet
    end = 0
    for i in range(len(offsets) - 1):
        first, last, run = end, 0, 0
        for at in range(offsets[i], offsets[i + 1]):
            code = codes[bases[at]]
            if code > 3:
                run = 0
                continue
            last = (last << 2) | code
            run += 1
            if run >= length:
                word = 0
                for r in range(len(runs)):
                    word |= (last >> runs[r, 0]) & runs[r, 1]
                if place[word] == 0:
                    word_of[end] = word
                    count_of[end] = 0
                    end += 1
                    place[word] = end
                count_of[place[word] - 1] += 1
        for j in range(first, end):
            place[word_of[j]] = 0
        ends[i + 1] = end
