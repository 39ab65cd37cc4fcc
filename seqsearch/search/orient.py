"""On which strand a query lies to a reference, by the words that they share."""

from __future__ import annotations

import numpy as np
from numba import njit

from seqsearch.dna.batch import SequenceBatch
from seqsearch.runs.results import Int8
from seqsearch.tables import Int64, UInt8
from seqsearch.threads import resolve_threads, spread

WORD = 8
SAMPLED = 128  # words of a reference that are looked at, evenly spaced
DECISIVE = 3.0  # standard deviations of a difference of two counts (Poisson) that decides


def orient(
    queries: SequenceBatch,
    references: SequenceBatch,
    places: Int64,
    threads: int = 0,
    decisive: float = DECISIVE,
) -> Int8:
    """Tell the strand of each query relative to its references.

    Parameters
    ----------
    queries, references : SequenceBatch
    places : (n, c) int64
        References of each query, as positions in `references`; -1: none.
    threads : int
        0 means every core.
    decisive : float
        Standard deviations by which the strands' counts must differ; 0: any difference decides.

    Returns
    -------
    (n, c) int8
        1: as it is; -1: as its reverse complement; 0: the words do not tell, or no reference.

    Examples
    --------
    >>> text = "ACGTTGCAGGATCCATTAGACCTGATTACAGGCATCGGCTAT"
    >>> turned = "ATAGCCGATGCCTGTAATCAGGTCTAATGGATCCTGCAACGT"
    >>> pair = SequenceBatch.from_clean(["as is", "turned"], [text.encode(), turned.encode()])
    >>> orient(pair, pair.slice(0, 1), np.zeros((2, 1), np.int64)).ravel().tolist()
    [1, -1]
    """
    signs = np.zeros(places.shape, np.int8)

    def task(start: int, stop: int) -> None:
        _orient(
            queries.bytes,
            queries.offsets,
            references.bytes,
            references.offsets,
            places,
            decisive,
            signs,
            start,
            stop,
        )

    spread(task, len(queries), resolve_threads(threads))
    return signs


def agreed(signs: Int8) -> Int8:
    """Return (n,) int8: the strand on which all references of a query agree that tell one, or 0.

    Examples
    --------
    >>> agreed(np.array([[1, 0], [-1, -1], [0, 0], [1, -1]], np.int8)).tolist()
    [1, -1, 0, 0]
    """
    is_plus, is_minus = (signs > 0).any(axis=1), (signs < 0).any(axis=1)
    found = np.zeros(len(signs), np.int8)
    found[is_plus & ~is_minus], found[is_minus & ~is_plus] = 1, -1
    return found


def _code_table() -> UInt8:
    codes = np.full(256, 4, np.uint8)
    for code, base in enumerate(b"ACGT"):
        codes[base] = code
    return codes


CODES = _code_table()
UNKNOWN = 4


@njit(nogil=True, cache=True)
def _orient(
    queries: UInt8,
    query_offsets: Int64,
    references: UInt8,
    reference_offsets: Int64,
    places: Int64,
    decisive: float,
    signs: Int8,
    start: int,
    stop: int,
) -> None:
    has_word = np.zeros(4**WORD, np.uint8)
    for i in range(start, stop):
        query = queries[query_offsets[i] : query_offsets[i + 1]]
        _mark(query, has_word, 1)
        for c in range(places.shape[1]):
            place = places[i, c]
            if place < 0:
                continue
            text = references[reference_offsets[place] : reference_offsets[place + 1]]
            plus, minus = _shared(text, has_word)
            if abs(plus - minus) >= decisive * np.sqrt(plus + minus) and plus != minus:
                signs[i, c] = 1 if plus > minus else -1
        _mark(query, has_word, 0)


@njit(nogil=True, cache=True)
def _mark(query: UInt8, has_word: UInt8, value: int) -> None:
    """Set the flag of every word of a query."""
    word, known = 0, 0
    for base in query:
        code = CODES[base]
        known = 0 if code == UNKNOWN else known + 1
        word = (word << 2 | (code & 3)) & (4**WORD - 1)
        if known >= WORD:
            has_word[word] = value


@njit(nogil=True, cache=True)
def _shared(text: UInt8, has_word: UInt8) -> tuple[int, int]:
    """Count sampled words of a reference that the query has, as they are and turned."""
    plus = minus = 0
    room = len(text) - WORD + 1
    for sample in range(min(SAMPLED, max(room, 0))):
        first = sample * room // min(SAMPLED, room)
        word, turned, is_known = 0, 0, True
        for j in range(WORD):
            code = CODES[text[first + j]]
            is_known &= code != UNKNOWN
            word = word << 2 | (code & 3)
            turned |= (3 - (code & 3)) << (2 * j)
        if is_known:
            plus += has_word[word]
            minus += has_word[turned]
    return plus, minus
