"""Overlap alignments of one query with references: costs, where they end, and the way back.

Rows are the query, columns a reference; D(i, j) is the least cost of an alignment that ends behind
base i and base j. Edits cost 1; the longer sequence's ends are free; bases of the shorter that hang
over an end of the longer cost half. On the right that is added at the end. On the left it is a
rising border: rounded down at first (D(2, 0) = D(3, 0) = 1), as bit vectors count whole edits. A
way back that leaves an odd number of bases there is half an edit dearer than it seemed; then the
matrix is filled again with the border rounded up. If the cost is the same, an even overhang does as
well, and its way back stands; if not, the first one was the best, plus its half.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from seqsearch.dna.digests import UInt64
from seqsearch.search.lanes import AT, BEST, COST, DROP, LANES, LENGTH, SYMBOLS, WORDS, fill
from seqsearch.tables import Int32, Int64, UInt8

FIELDS = 9
HALVES, MATCHES, MISMATCHES, GAPS, OPENS, QUERY_START, QUERY_END, REF_START, REF_END = range(FIELDS)
MATCH, NEUTRAL, MISMATCH, INSERTION, DELETION = range(1, 6)  # columns of an alignment
STORED = 1 << 22  # words kept of matrices (32 MiB a thread); above, some columns are filled twice
MOST = 1 << 32  # cells of a matrix; above, a pair is not aligned
# Where the border rises from row to row.
ROUNDED_DOWN, ROUNDED_UP = np.uint64(0xAAAAAAAAAAAAAAAA), np.uint64(0x5555555555555555)
_EVERY_SECOND, _PAIRS = ROUNDED_UP, np.uint64(0x3333333333333333)
_NIBBLES, _BYTES = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)


@njit(nogil=True, cache=True)
def align_range(
    queries: UInt8,
    query_offsets: Int64,
    references: UInt8,
    reference_offsets: Int64,
    places: Int64,
    found: Int32,
    start: int,
    stop: int,
) -> None:
    """Align the queries `start` to `stop`, each with its references.

    Parameters
    ----------
    queries, references : uint8
        Sets of bases (one bit each for A, C, G, T), with int64 offsets of the sequences.
    places : (n, c) int64
        References of each query; -1: none.
    found : (n, c, FIELDS) int32
        Filled where a reference is given and the matrix has at most `MOST` cells.
    """
    store = np.empty(0, np.uint64)
    order = np.empty(places.shape[1], np.int64)
    again = np.empty(places.shape[1], np.int64)
    second = np.empty((places.shape[1], FIELDS), np.int32)
    for i in range(start, stop):
        query = queries[query_offsets[i] : query_offsets[i + 1]]
        count = _by_length(places[i], reference_offsets, len(query), order)
        if count == 0:
            continue
        match = _matches(query)
        store = _align(
            query, match, references, reference_offsets, places[i], order[:count], False,
            found[i], store,
        )  # fmt: skip
        odd = 0
        for c in order[:count]:
            one = found[i, c]
            size = reference_offsets[places[i, c] + 1] - reference_offsets[places[i, c]]
            left = one[QUERY_START] if len(query) <= size else one[REF_START]
            if left % 2 == 1:
                again[odd] = c
                odd += 1
        if odd == 0:
            continue
        store = _align(
            query, match, references, reference_offsets, places[i], again[:odd], True,
            second, store,
        )  # fmt: skip
        for c in again[:odd]:
            if second[c, HALVES] == found[i, c, HALVES]:
                found[i, c] = second[c]
            else:
                found[i, c, HALVES] += 1


@njit(nogil=True, cache=True)
def path_of(query: UInt8, reference: UInt8) -> UInt8:
    """Return the kinds of the columns of the best alignment of two sequences from end to end.

    Of the stretches that an overlap alignment lies between, this is its path: walking back, both
    matrices decide alike in every cell of it, as they differ by a constant there and the values
    beside it are no smaller here.
    """
    match, rows, size = _matches(query), len(query), len(reference)
    stride = size if size * len(match) * WORDS <= STORED else math.ceil(math.sqrt(size))
    store = np.empty((stride, len(match) * WORDS), np.uint64)
    texts = np.zeros((size, LANES), np.uint8)
    texts[:, 0] = reference
    steps = np.ones((2, LANES), np.uint64)  # no end is free
    state = np.zeros((len(match), WORDS), np.uint64)
    state[:, :LANES] = ~np.uint64(0)
    ends = np.zeros((5, LANES), np.int64)
    marks = np.empty(((size - 1) // stride + 1, len(match), WORDS), np.uint64)
    for part in range(len(marks)):
        marks[part] = state
        first = part * stride
        last = min(first + stride, size)
        _fill_part(match, texts, steps, rows, first, last, state, store, ends, stride)
    ends[AT] = size
    kinds = np.zeros(rows + size, np.uint8)
    last_rows = np.full(LANES, rows, np.int64)
    _walk_back(query, match, texts, steps, marks, store, ends, last_rows, 1, kinds)
    return kinds[: np.count_nonzero(kinds)][::-1]


@njit(nogil=True, cache=True)
def _by_length(places: Int64, offsets: Int64, rows: int, order: Int64) -> int:
    """Order the references that can be aligned by length: lanes beside each other end together."""
    count = 0
    for c in range(len(places)):
        if places[c] < 0:
            continue
        size = offsets[places[c] + 1] - offsets[places[c]]
        if size == 0 or rows == 0 or size * rows > MOST:
            continue
        at = count
        while at > 0:
            other = places[order[at - 1]]
            if offsets[other + 1] - offsets[other] <= size:
                break
            order[at] = order[at - 1]
            at -= 1
        order[at] = c
        count += 1
    return count


@njit(nogil=True, cache=True)
def _matches(query: UInt8) -> UInt64:
    """Return (blocks, SYMBOLS) uint64: which rows agree with each set of bases."""
    match = np.zeros(((len(query) + 63) // 64, SYMBOLS), np.uint64)
    for i in range(len(query)):
        bit = np.uint64(1) << np.uint64(i & 63)
        for base in range(4):
            if query[i] >> base & 1:
                match[i >> 6, 1 << base] |= bit
    for block in range(len(match)):
        for symbol in range(1, SYMBOLS):
            lowest = symbol & -symbol
            match[block, symbol] = match[block, lowest] | match[block, symbol ^ lowest]
    return match


@njit(nogil=True, cache=True)
def _align(
    query: UInt8,
    match: UInt64,
    references: UInt8,
    offsets: Int64,
    places: Int64,
    chosen: Int64,
    is_up: bool,
    found: Int32,
    store: UInt64,
) -> UInt64:
    """Align the chosen references, eight at a time; returns `store`, grown where needed."""
    blocks = len(match)
    spans = np.empty((LANES, 2), np.int64)
    for first in range(0, len(chosen), LANES):
        lanes = min(LANES, len(chosen) - first)
        columns = 0
        for lane in range(lanes):
            place = places[chosen[first + lane]]
            spans[lane, 0], spans[lane, 1] = offsets[place], offsets[place + 1]
            columns = max(columns, spans[lane, 1] - spans[lane, 0])
        stride = columns  # columns kept at once
        if columns * blocks * WORDS > STORED:
            stride = math.ceil(math.sqrt(columns))
        if len(store) < stride * blocks * WORDS:
            store = np.empty(stride * blocks * WORDS, np.uint64)
        room = store[: stride * blocks * WORDS].reshape(stride, blocks * WORDS)
        results = _align_lanes(query, match, references, spans[:lanes], columns, is_up, room)
        for lane in range(lanes):
            found[chosen[first + lane]] = results[lane]
    return store


@njit(nogil=True, cache=True)
def _align_lanes(
    query: UInt8,
    match: UInt64,
    references: UInt8,
    spans: Int64,
    columns: int,
    is_up: bool,
    store: UInt64,
) -> Int32:
    """Align up to eight references, shortest first; returns (lanes, FIELDS) int32."""
    lanes, rows, blocks, stride = len(spans), len(query), len(match), len(store)
    texts = np.zeros((columns, LANES), np.uint8)
    steps = np.zeros((2, LANES), np.uint64)
    state = np.zeros((blocks, WORDS), np.uint64)
    ends = np.zeros((5, LANES), np.int64)
    for lane in range(lanes):
        size = spans[lane, 1] - spans[lane, 0]
        ends[LENGTH, lane] = size
        for j in range(size):
            texts[j, lane] = references[spans[lane, 0] + j]
        if rows <= size:  # the query may hang over
            state[:, lane] = ROUNDED_UP if is_up else ROUNDED_DOWN
            ends[COST, lane] = 2 * ((rows + is_up) // 2)
        else:
            steps[0 if is_up else 1, lane] = 1
            ends[COST, lane] = size
            ends[DROP, lane] = 1
    ends[BEST] = ends[COST]
    marks = np.empty(((columns - 1) // stride + 1, blocks, WORDS), np.uint64)
    last_rows = np.full(LANES, rows, np.int64)
    column = done = 0
    while column < columns:
        if column % stride == 0:
            marks[column // stride] = state
        until = min(column - column % stride + stride, ends[LENGTH, done])
        _fill_part(match, texts, steps, rows, column, until, state, store, ends, stride)
        column = until
        while done < lanes and ends[LENGTH, done] == column:
            _end_in_column(state, done, rows, ends, last_rows)
            done += 1
    nothing = np.empty(0, np.uint8)
    return _walk_back(query, match, texts, steps, marks, store, ends, last_rows, lanes, nothing)


@njit(nogil=True, cache=True)
def _fill_part(
    match: UInt64,
    texts: UInt8,
    steps: UInt64,
    rows: int,
    first: int,
    last: int,
    state: UInt64,
    store: UInt64,
    ends: Int64,
    stride: int,
) -> None:
    fill(match, texts, steps, (rows - 1) & 63, first, last, state, store[first % stride :], ends)


@njit(nogil=True, cache=True)
def _end_in_column(state: UInt64, lane: int, rows: int, ends: Int64, last_rows: Int64) -> None:
    """See whether ending behind the reference's last base, in a row above the last, is cheaper.

    A block of 64 rows is passed over where even its rises could not make it so.
    """
    overhang = 1 - ends[DROP, lane]  # half edits a row that is left out
    cost, best = ends[COST, lane], ends[BEST, lane]
    for block in range(len(state) - 1, -1, -1):
        size = min(64, rows - 64 * block)
        within = ~np.uint64(0) >> np.uint64(64 - size)
        rises, falls = state[block, lane] & within, state[block, LANES + lane] & within
        ups, downs = _ones(rises), _ones(falls)
        if cost - (2 - overhang) * ups >= best:
            cost += overhang * size - 2 * (ups - downs)
            continue
        for i in range(size - 1, -1, -1):
            up, down = rises >> np.uint64(i) & np.uint64(1), falls >> np.uint64(i) & np.uint64(1)
            cost += overhang - 2 * (np.int64(up) - np.int64(down))
            if cost < best:
                best = cost
                ends[BEST, lane], ends[AT, lane] = best, ends[LENGTH, lane]
                last_rows[lane] = 64 * block + i


@njit(nogil=True, cache=True)
def _ones(word: np.uint64) -> int:
    """Count the bits that are 1 (Knuth, The Art of Computer Programming 4A, 7.1.3)."""
    word = word - (word >> np.uint64(1) & _EVERY_SECOND)
    word = (word & _PAIRS) + (word >> np.uint64(2) & _PAIRS)
    word = (word + (word >> np.uint64(4))) & _NIBBLES
    return int((word * _BYTES) >> np.uint64(56))


@njit(nogil=True, cache=True)
def _walk_back(
    query: UInt8,
    match: UInt64,
    texts: UInt8,
    steps: UInt64,
    marks: UInt64,
    store: UInt64,
    ends: Int64,
    last_rows: Int64,
    lanes: int,
    kinds: UInt8,
) -> Int32:
    """Follow each lane's best alignment from its end to its start; returns (lanes, FIELDS).

    `kinds`, if it has room, receives the columns of the first lane's alignment, last one first.
    """
    found = np.zeros((lanes, FIELDS), np.int32)
    for lane in range(lanes):
        found[lane, HALVES] = ends[BEST, lane]
        found[lane, QUERY_START] = found[lane, QUERY_END] = last_rows[lane]
        found[lane, REF_START] = found[lane, REF_END] = ends[AT, lane]
    last = np.zeros(LANES, np.uint8)
    written = np.zeros(1, np.int64)
    stride = len(store)
    spare = ends.copy()
    for part in range(len(marks) - 1, -1, -1):
        first = part * stride
        if part < len(marks) - 1:  # the last one is in the store still
            _fill_part(
                match, texts, steps, len(query), first, first + stride, marks[part], store, spare,
                stride,
            )  # fmt: skip
        for lane in range(lanes):
            last[lane] = _walk(
                query, texts[:, lane], store, first, lane, last[lane], found[lane],
                kinds if lane == 0 else kinds[:0], written,
            )  # fmt: skip
    return found


@njit(nogil=True, cache=True)
def _walk(
    query: UInt8,
    text: UInt8,
    store: UInt64,
    first: int,
    lane: int,
    last: int,
    found: Int32,
    kinds: UInt8,
    written: Int64,
) -> int:
    """Walk back to column `first` or to an end; returns the kind of the column seen last.

    Of ways that cost the same, the one that keeps the diagonal is taken.
    """
    i, j = found[QUERY_START], found[REF_START]
    while i > 0 and j > first:
        kind = _kind(query[i - 1], text[j - 1], store[j - 1 - first], i - 1, lane)
        if kind == MATCH:
            found[MATCHES] += 1
        elif kind == MISMATCH:
            found[MISMATCHES] += 1
        elif kind != NEUTRAL:
            found[GAPS] += 1
            found[OPENS] += kind != last
        if len(kinds):
            kinds[written[0]] = kind
            written[0] += 1
        i -= kind != DELETION
        j -= kind != INSERTION
        last = kind
    found[QUERY_START], found[REF_START] = i, j
    return last


@njit(nogil=True, cache=True, inline="always")
def _kind(base: int, other: int, stored: UInt64, row: int, lane: int) -> int:
    """Return what the best alignment that ends in a cell ends with."""
    if base & other:
        is_known = base & (base - 1) == 0 and other & (other - 1) == 0
        return MATCH if is_known else NEUTRAL
    at, bit = (row >> 6) * WORDS + lane, np.uint64(row & 63)
    if stored[at] >> bit & np.uint64(1) == 0:
        return MISMATCH
    if stored[at + LANES] >> bit & np.uint64(1):
        return INSERTION
    return DELETION
