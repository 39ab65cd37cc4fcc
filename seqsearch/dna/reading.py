"""FASTA and FASTQ files of any compression, streamed as batches of clean DNA.

Memory is bounded by a batch and a block of the file, unless one record is longer.
"""

from __future__ import annotations

import lzma
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from xopen import xopen

from seqsearch.dna import cleaning
from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.cleaning import BASES, FASTQ_PROBLEMS
from seqsearch.errors import InputError
from seqsearch.tables import Int64, UInt8, one_array

BLOCK = 4 << 20  # bytes read at once; small enough to stay in cache, large enough to amortise
BATCH_BASES = 16 << 20  # a batch closes here even if it has few sequences

_COMPRESSIONS = {
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
}
_CONTAINERS = {
    b"PK\x03\x04": "a zip archive (or .qza)",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"%PDF": "a PDF document",
}


@dataclass(frozen=True)
class Reads:
    """One batch of a file, with what the sequences do not say.

    Attributes
    ----------
    batch : SequenceBatch
        The clean sequences; a record with a defect keeps what was clean of it.
    descriptions : (n,) pyarrow string
        What follows the id in the header.
    defects : (n,) uint8
        Positions in `cleaning.DEFECTS`; 0 is sound.
    path : str
        The file, "-" for standard input.
    first : int
        How many records of the file came before.
    fraction : float or None
        How much of the file has been read, in (0, 1]; None where its size is unknown.
    """

    batch: SequenceBatch
    descriptions: pa.StringArray
    defects: UInt8
    path: str
    first: int
    fraction: float | None

    def __len__(self) -> int:
        return len(self.batch)

    def slice(self, start: int, stop: int) -> Reads:
        """Return the records `start` to `stop`."""
        return Reads(
            self.batch.slice(start, stop),
            self.descriptions.slice(start, stop - start),
            self.defects[start:stop],
            self.path,
            self.first + start,
            self.fraction,
        )


def read_sequences(
    path: str | Path, batch_size: int = 4096, batch_bases: int = BATCH_BASES
) -> Iterator[Reads]:
    """Yield the records of a FASTA or FASTQ file in batches, in the file's order.

    Plain, gz, bz2, xz or zst, told by content, not by name; "-" is standard input. Sequences come
    out upper case with U as T, without gaps and white space; blank lines, wrapped lines and any
    line ending are read. Where a batch ends depends on the records only.

    Raises
    ------
    InputError
        No such file, no permission, a folder, empty, neither FASTA nor FASTQ, or cut short.
    """
    name = str(path)
    held: list[Reads] = []
    sequences = bases = first = 0
    before = 0.0  # fraction of the file before this piece
    for piece in _pieces(name):
        records, behind = len(piece), piece.fraction
        while len(piece):
            ends = np.cumsum(piece.batch.lengths)
            room = int(np.searchsorted(ends, batch_bases - bases)) + 1
            taken = min(batch_size - sequences, room, len(piece))
            held.append(piece.slice(0, taken))
            sequences, bases = sequences + taken, bases + int(ends[taken - 1])
            piece = piece.slice(taken, len(piece))
            if sequences == batch_size or bases >= batch_bases:
                share = 1 - len(piece) / records
                read = None if behind is None else before + (behind - before) * share
                yield replace(_joined(held, first), fraction=read)
                first += sequences
                held, sequences, bases = [], 0, 0
        before = behind or 0.0
    if held:
        yield _joined(held, first)


def clean_sequences(sequences: list[str], ids: list[str] | None = None) -> Reads:
    """Clean sequences given as text, as reading a file would.

    Examples
    --------
    >>> reads = clean_sequences(["acg-u", "MKV*"])
    >>> reads.batch.sequence(0), reads.defects.tolist()
    ('ACGT', [0, 2])
    """
    encoded = [sequence.encode("utf-8") for sequence in sequences]
    starts = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(sequence) for sequence in encoded], out=starts[1:])
    raw = np.frombuffer(b"".join(encoded), np.uint8)
    bases = np.empty(len(raw), np.uint8)
    defects = np.zeros(len(encoded), np.uint8)
    offsets = cleaning.clean_bases(raw, starts, BASES, bases, defects)
    names = pa.array([str(i + 1) for i in range(len(encoded))] if ids is None else ids, pa.string())
    batch = SequenceBatch(names, bases[: offsets[-1]], offsets)
    return Reads(batch, pa.array([""] * len(encoded), pa.string()), defects, "", 0, None)


def _joined(pieces: list[Reads], first: int) -> Reads:
    if len(pieces) == 1:
        only = pieces[0]
        return replace(only, first=first)
    return Reads(
        SequenceBatch.concatenate([piece.batch for piece in pieces]),
        one_array(pa.chunked_array([piece.descriptions for piece in pieces], pa.string())),
        np.concatenate([piece.defects for piece in pieces]),
        pieces[0].path,
        first,
        pieces[-1].fraction,
    )


def _pieces(name: str) -> Iterator[Reads]:
    """Yield the records of each block of a file, however many they are."""
    with _opened(name) as raw, _unpacked(raw, name) as handle:
        size = None if name == "-" else Path(name).stat().st_size
        rest, lines = _beginning(handle, name)
        is_fasta = rest.startswith(b">")
        block, done, is_last = BLOCK, 0, False
        while not is_last:  # an empty rest says only that a record ended with its block
            more = handle.read(block)
            chunk, is_last = rest + more, not more
            piece, used, lines_used = _parse(chunk, is_fasta, is_last, name, done, lines)
            if len(piece):
                yield replace(piece, fraction=min(1.0, raw.tell() / size) if size else None)
            block = BLOCK if used else block * 2  # a record longer than a block
            rest = chunk[used:]
            done, lines = done + len(piece), lines + lines_used


def _parse(
    chunk: bytes, is_fasta: bool, is_last: bool, name: str, done: int, lines: int
) -> tuple[Reads, int, int]:
    """Parse the complete records of a chunk; returns them, the bytes and the lines used."""
    if b"\r" in chunk and (is_fasta or b"\n" not in chunk):
        chunk = chunk.replace(b"\r", b"\n")  # old Macs' line ends; in FASTA, blank lines are none
    if is_fasta:
        used = len(chunk) if is_last else chunk.rfind(b"\n>") + 1
        view = np.frombuffer(chunk, np.uint8, used)
        arrays = _room(view, cleaning.count_fasta(view))
        cleaning.parse_fasta(view, BASES, *arrays)
        return _reads(view, len(arrays[0]), arrays, name, done), used, 0
    view = np.frombuffer(chunk, np.uint8)
    arrays = _room(view, len(view) // 4 + 1)
    records, used, lines_used, problem = cleaning.parse_fastq(view, is_last, BASES, *arrays)
    if problem and (is_last or problem != cleaning.CUT_SHORT):
        raise InputError(
            name, FASTQ_PROBLEMS[problem], line=lines + lines_used + 1, record=done + records + 1
        )
    return _reads(view, records, arrays, name, done), used, lines_used


def _room(view: UInt8, records: int) -> tuple[Int64, UInt8, Int64, UInt8]:
    """Empty arrays for headers, bases, offsets and defects of so many records."""
    return (
        np.empty((records, 2), np.int64),
        np.empty(len(view), np.uint8),
        np.zeros(records + 1, np.int64),
        np.zeros(records, np.uint8),
    )


def _reads(
    view: UInt8, records: int, arrays: tuple[Int64, UInt8, Int64, UInt8], name: str, done: int
) -> Reads:
    headers, bases, offsets, defects = arrays
    ids, id_ends = np.empty(len(view), np.uint8), np.zeros(records + 1, np.int64)
    rests, rest_ends = np.empty(len(view), np.uint8), np.zeros(records + 1, np.int64)
    cleaning.split_headers(view, headers[:records], ids, id_ends, rests, rest_ends)
    offsets = offsets[: records + 1]
    batch = SequenceBatch(_texts(ids, id_ends), bases[: offsets[-1]].copy(), offsets)
    return Reads(batch, _texts(rests, rest_ends), defects[:records], name, done, None)


def _texts(packed: UInt8, ends: Int64) -> pa.StringArray:
    """Return packed bytes as text; bytes that are no UTF-8 are read as Latin-1."""
    data = packed[: ends[-1]].tobytes()
    offsets = pa.py_buffer(ends.astype(np.int32))
    texts = pa.StringArray.from_buffers(len(ends) - 1, offsets, pa.py_buffer(data))
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        pieces = [data[a:b] for a, b in pairwise(ends)]
        return pa.array([_decoded(piece) for piece in pieces], pa.string())
    return texts


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _beginning(handle: BinaryIO, name: str) -> tuple[bytes, int]:
    """Read up to the first record sign; returns all from there on, and the lines before."""
    block = handle.read(BLOCK)
    if not block:
        raise InputError(name, "the file is empty")
    for signature, what in _CONTAINERS.items():
        if block.startswith(signature):
            raise InputError(name, f"this is {what}", advice="unpack it and give the FASTA inside")
    if block[257:262] == b"ustar":
        raise InputError(
            name, "this is a tar archive", advice="unpack it and give the FASTA inside"
        )
    start = block.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise InputError(name, "the file holds nothing but blank lines")
    blank = block[: len(block) - len(start)]
    lines = blank.count(b"\n") or blank.count(b"\r")
    if start[:1] not in (b">", b"@"):
        kind = "a binary file" if b"\0" in start[:4096] else "neither FASTA nor FASTQ"
        shown = "" if kind == "a binary file" else f": it begins with {_shown(start)}"
        raise InputError(
            name, f"{kind}{shown}", line=lines + 1, advice="a record must begin with '>' or '@'"
        )
    return start, lines


def _shown(text: bytes) -> str:
    first_line = text.splitlines()[0][:30]
    return repr(first_line.decode("utf-8", "replace"))


@contextmanager
def open_bytes(name: str) -> Iterator[BinaryIO]:
    """Open a file for reading bytes, whatever its compression; "-" is standard input.

    Raises
    ------
    InputError
        It cannot be opened, or (while it is read) its compressed data are damaged.
    """
    with _opened(name) as raw, _unpacked(raw, name) as handle:
        yield handle


@contextmanager
def _unpacked(raw: BufferedReader, name: str) -> Iterator[BinaryIO]:
    magic = raw.peek(8)[:8]
    kind = next((k for sign, k in _COMPRESSIONS.items() if magic.startswith(sign)), None)
    if kind is None:
        yield raw
        return
    damaged: tuple[type[Exception], ...] = (EOFError, zlib.error, lzma.LZMAError, OSError)
    try:
        with xopen(raw, "rb", threads=0, format=kind) as handle:
            yield handle
    except (*damaged, *_zstd_errors()) as error:
        cause = "cut short" if isinstance(error, EOFError) else f"damaged ({error})"
        raise InputError(
            name, f"the {kind} data are {cause}", advice="copy or download the file again"
        ) from error


@contextmanager
def _opened(name: str) -> Iterator[BufferedReader]:
    if name == "-":
        yield sys.stdin.buffer  # type: ignore[misc]
        return
    try:
        handle = Path(name).open("rb")  # noqa: SIM115  closed below, where errors are the user's
    except FileNotFoundError as error:
        looks_like_dna = len(name) > 20 and set(name.upper()) <= set("ACGTUN")
        if looks_like_dna:
            advice = "give sequences as a list or a dict"
            raise InputError(name[:80], "no such file", advice=advice) from error
        raise InputError(name, "no such file") from error
    except IsADirectoryError as error:
        raise InputError(name, "this is a folder", advice="give the files in it") from error
    except PermissionError as error:
        raise InputError(name, "no permission to read it") from error
    except OSError as error:
        raise InputError(name[:80], error.strerror or str(error)) from error
    with handle:
        yield handle


def _zstd_errors() -> tuple[type[Exception], ...]:
    """The error that xopen's Zstandard library raises; it is optional there too."""
    try:
        from backports.zstd import ZstdError  # noqa: PLC0415  in the standard library from 3.14
    except ImportError:
        return ()
    return (ZstdError,)
