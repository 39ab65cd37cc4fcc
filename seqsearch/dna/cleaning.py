"""From the bytes of a FASTA or FASTQ file to clean DNA, compiled, without the GIL."""

from __future__ import annotations

import numpy as np
from numba import njit

from seqsearch.tables import Int64, UInt8

SKIPPED, FOREIGN = 0, 1  # what a byte of a sequence line may be, beside a base
SOUND, EMPTY, NOT_DNA = 0, 1, 2  # defect of a record
DEFECTS = (
    "",
    "empty sequence",
    "not DNA: letters or signs that no nucleotide code has (is it a protein?)",
)
NO_RECORD_SIGN, NO_PLUS_LINE, QUALITY_LENGTH, CUT_SHORT = 1, 2, 3, 4  # FASTQ problems
FASTQ_PROBLEMS = {
    NO_RECORD_SIGN: "a FASTQ record must begin with '@'",
    NO_PLUS_LINE: "the third line of a FASTQ record must begin with '+'",
    QUALITY_LENGTH: "sequence and quality differ in length",
    CUT_SHORT: "the last FASTQ record is cut short",
}


def _base_table() -> UInt8:
    """(256,) uint8: the clean base for each byte, or `SKIPPED` or `FOREIGN`."""
    table = np.full(256, FOREIGN, np.uint8)
    for letter in b"ACGTRYSWKMBDHVN":
        table[letter] = table[letter + 32] = letter
    for given, clean in ((b"Uu", b"T"), (b"XxIi?", b"N")):  # X, ? and inosine: any base
        for letter in given:
            table[letter] = clean[0]
    for sign in b" \t\r\n\v\f-.~":  # white space and the gap signs of alignments
        table[sign] = SKIPPED
    return table


BASES = _base_table()


@njit(nogil=True, cache=True)
def _clean(
    raw: UInt8,
    span: tuple[int, int],
    table: UInt8,
    bases: UInt8,
    written: int,
    defects: UInt8,
    record: int,
) -> int:
    """Append the bases of a span of `raw`; mark the record's defect; returns the new end."""
    for j in range(span[0], span[1]):
        base = table[raw[j]]
        if base > FOREIGN:
            bases[written] = base
            written += 1
        elif base == FOREIGN:
            defects[record] = NOT_DNA
    return written


@njit(nogil=True, cache=True)
def count_fasta(chunk: UInt8) -> int:
    """Count the lines of a chunk that begin with ">"."""
    count = 0
    at_line_start = True
    for byte in chunk:
        if at_line_start and byte == 62:
            count += 1
        at_line_start = byte == 10
    return count


@njit(nogil=True, cache=True)
def parse_fasta(
    chunk: UInt8, table: UInt8, headers: Int64, bases: UInt8, offsets: Int64, defects: UInt8
) -> int:
    """Clean the records of a chunk that begins with ">" and ends at a record's end.

    Fills `headers` (n, 2) with where the header texts start and end, `bases` and `offsets`
    (n + 1) with the clean DNA, `defects` (n). Returns how many bases were written.
    """
    record, written, i, size = -1, 0, 0, len(chunk)
    while i < size:
        end = i
        if chunk[i] == 62:
            record += 1
            offsets[record] = written
            while end < size and chunk[end] != 10:
                end += 1
            headers[record, 0], headers[record, 1] = i + 1, end
        else:
            while end < size and chunk[end] != 10:
                end += 1
            written = _clean(chunk, (i, end), table, bases, written, defects, record)
        i = end + 1
    offsets[record + 1] = written
    for r in range(record + 1):
        if defects[r] == SOUND and offsets[r + 1] == offsets[r]:
            defects[r] = EMPTY
    return written


@njit(nogil=True, cache=True)
def parse_fastq(
    chunk: UInt8,
    is_last: bool,
    table: UInt8,
    headers: Int64,
    bases: UInt8,
    offsets: Int64,
    defects: UInt8,
) -> tuple[int, int, int, int]:
    """Clean the complete four-line records of a chunk; arrays as for `parse_fasta`.

    Returns (records, bytes used, lines used, problem); a problem stops it at the record before.
    Only the file's last record is complete without its final newline, if its quality is.
    """
    record, written, i, lines, size = 0, 0, 0, 0, len(chunk)
    ends = np.empty(4, np.int64)
    while i < size:
        if chunk[i] == 10 or (chunk[i] == 13 and i + 1 < size and chunk[i + 1] == 10):
            i += 1 if chunk[i] == 10 else 2  # a blank line between records
            lines += 1
            continue
        at = i
        for line in range(4):
            if at >= size and not (is_last and line == 3 and at == size and chunk[at - 1] == 10):
                return record, i, lines, CUT_SHORT
            while at < size and chunk[at] != 10:
                at += 1
            if at == size and not is_last:
                return record, i, lines, CUT_SHORT
            ends[line] = at
            at += 1
        if chunk[i] != 64:
            return record, i, lines, NO_RECORD_SIGN
        if chunk[ends[1] + 1] != 43:
            return record, i, lines + 2, NO_PLUS_LINE
        length = ends[1] - ends[0] - (1 if chunk[ends[1] - 1] == 13 else 0)
        quality = ends[3] - ends[2] - (1 if chunk[ends[3] - 1] == 13 else 0)
        if length != quality:
            cut = ends[3] == size and quality < length
            return record, i, lines + 3, CUT_SHORT if cut else QUALITY_LENGTH
        headers[record, 0], headers[record, 1] = i + 1, ends[0]
        offsets[record] = written
        written = _clean(chunk, (ends[0] + 1, ends[1]), table, bases, written, defects, record)
        if defects[record] == SOUND and written == offsets[record]:
            defects[record] = EMPTY
        record += 1
        offsets[record] = written
        i = min(at, size)
        lines += 4
    return record, i, lines, 0


@njit(nogil=True, cache=True)
def clean_bases(raw: UInt8, starts: Int64, table: UInt8, bases: UInt8, defects: UInt8) -> Int64:
    """Clean sequences that lie side by side in `raw`; returns their (n + 1) int64 offsets."""
    offsets = np.zeros(len(starts), np.int64)
    written = 0
    for record in range(len(starts) - 1):
        span = (starts[record], starts[record + 1])
        written = _clean(raw, span, table, bases, written, defects, record)
        if defects[record] == SOUND and written == offsets[record]:
            defects[record] = EMPTY
        offsets[record + 1] = written
    return offsets


@njit(nogil=True, cache=True)
def split_headers(
    chunk: UInt8, headers: Int64, ids: UInt8, id_ends: Int64, rests: UInt8, rest_ends: Int64
) -> None:
    """Copy each header's first word to `ids` and what follows it to `rests`, packed.

    `id_ends` and `rest_ends` (n + 1) receive offsets into them, from 0.
    """
    in_ids, in_rests = 0, 0
    for record in range(len(headers)):
        i, end = headers[record, 0], headers[record, 1]
        while end > i and chunk[end - 1] <= 32:
            end -= 1
        while i < end and chunk[i] <= 32:
            i += 1
        while i < end and chunk[i] > 32:
            ids[in_ids] = chunk[i]
            in_ids += 1
            i += 1
        while i < end and chunk[i] <= 32:
            i += 1
        while i < end:
            rests[in_rests] = chunk[i]
            in_rests += 1
            i += 1
        id_ends[record + 1], rest_ends[record + 1] = in_ids, in_rests
