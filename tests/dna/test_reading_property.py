"""Any records, however they are wrapped, ended, packed and cut into blocks, are read the same."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser
from Bio.SeqIO.QualityIO import FastqGeneralIterator
from hypothesis import given, settings
from hypothesis import strategies as st
from xopen import xopen

from seqsearch.dna import reading
from seqsearch.dna.reading import Reads, read_sequences
from seqsearch.errors import InputError

SOUND, EMPTY, NOT_DNA = 0, 1, 2
CODES = "ACGTRYSWKMBDHVN"
GAPS = "-.~ \t"
UNKNOWN = "XxIi?"
FOREIGN = "EFLPQZJO*5é;>"

Record = tuple[str, str, str]  # id, description, sequence as written
Read = tuple[str, str, str, int]  # id, description, clean sequence, defect


def zstd(data: bytes) -> bytes:
    target = io.BytesIO()
    with xopen(target, "wb", format="zst") as handle:
        handle.write(data)
    return target.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd,
}


def cleaned(written: str) -> tuple[str, int]:
    """The slow, plain meaning of cleaning: clean sequence and defect."""
    clean = ""
    is_foreign = False
    for letter in written:
        if letter in GAPS:
            continue
        if letter in UNKNOWN:
            clean += "N"
        elif letter in "Uu":
            clean += "T"
        elif letter.upper() in CODES and letter.isascii():
            clean += letter.upper()
        else:
            is_foreign = True
    return clean, NOT_DNA if is_foreign else SOUND if clean else EMPTY


def as_read(record: Record) -> Read:
    return (record[0], record[1], *cleaned(record[2]))


def reads_of(batch: Reads) -> list[Read]:
    return [
        (batch.batch.ids[i].as_py(), batch.descriptions[i].as_py(), batch.batch.sequence(i), defect)
        for i, defect in enumerate(batch.defects.tolist())
    ]


def batched(reads: list[Read], batch_size: int, batch_bases: int) -> list[list[Read]]:
    """A batch closes with so many sequences, or with the one that reaches so many bases."""
    batches: list[list[Read]] = [[]]
    for read in reads:
        batches[-1].append(read)
        if len(batches[-1]) == batch_size or sum(len(r[2]) for r in batches[-1]) >= batch_bases:
            batches.append([])
    return [batch for batch in batches if batch]


def read_in_blocks(path: Path, block: int, **sizes: int) -> list[list[Read]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK", block)
        batches = list(read_sequences(path, **sizes))
    assert [batch.first for batch in batches] == [
        sum(map(len, batches[:i])) for i in range(len(batches))
    ]
    fractions = [batch.fraction for batch in batches]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] <= fractions[-1] <= 1
    return [reads_of(batch) for batch in batches]


WORDS = st.text("abcXYZ019_|;=.:,-é日'\"[]()>@+", max_size=9)
ids = WORDS.filter(lambda word: not word.startswith(">"))
# A header without an id has no description: its first word would be the id.
headers = st.one_of(
    st.tuples(ids.filter(bool), st.lists(WORDS.filter(bool), max_size=3).map("  ".join)),
    st.just(("", "")),
)
dna = st.text(CODES + CODES.lower() + "Uu" + UNKNOWN + GAPS, max_size=60)
any_text = st.text(CODES + FOREIGN + GAPS, max_size=30).filter(lambda s: not s.startswith(">"))
records = st.lists(
    st.tuples(headers, st.one_of(dna, dna, any_text)).map(lambda r: (*r[0], r[1])),
    min_size=1,
    max_size=12,
)
sizes = st.fixed_dictionaries(
    {"batch_size": st.integers(1, 14), "batch_bases": st.sampled_from([1, 40, 100, 1 << 20])}
)
blocks = st.one_of(st.integers(8, 90), st.just(1 << 20))
line_ends = st.sampled_from(["\n", "\r\n", "\r"])


def wrapped(sequence: str, width: int) -> list[str]:
    lines = [sequence[i : i + width] for i in range(0, len(sequence), width)]
    return [" " + line if line.startswith(">") else line for line in lines]


@settings(deadline=None, max_examples=200)
@given(
    records=records,
    sizes=sizes,
    block=blocks,
    end=line_ends,
    packing=st.sampled_from(sorted(PACKINGS)),
    width=st.integers(1, 70),
    has_mark=st.booleans(),
    indent=st.sampled_from(["", " "]),
    blank=st.integers(0, 2),
    has_last_end=st.booleans(),
)
def test_fasta_is_read_as_it_was_written(
    records: list[Record],
    sizes: dict[str, int],
    block: int,
    end: str,
    packing: str,
    width: int,
    has_mark: bool,
    indent: str,
    blank: int,
    has_last_end: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    lines = [""] * blank
    for name, description, sequence in records:
        lines += [f">{indent}{name} {description}", *wrapped(sequence, width), *[""] * blank]
    text = end.join(lines) + (end if has_last_end else "")
    path = tmp_path_factory.mktemp("fasta") / "records"
    path.write_bytes(PACKINGS[packing]((b"\xef\xbb\xbf" if has_mark else b"") + text.encode()))

    found = read_in_blocks(path, block, **sizes)

    expected = [as_read(record) for record in records]
    assert found == batched(expected, **sizes)
    parsed = list(SimpleFastaParser(io.StringIO(text, newline=None)))
    assert [(" ".join(read[:2]).strip()) for batch in found for read in batch] == [
        title.strip() for title, _ in parsed
    ]
    assert [read[2:] for batch in found for read in batch] == [cleaned(s) for _, s in parsed]


fastq_dna = st.text(CODES + CODES.lower() + "Uu" + UNKNOWN + "-.E*", max_size=60)
fastq_records = st.lists(
    st.tuples(headers, fastq_dna, st.randoms(use_true_random=False)), min_size=1, max_size=12
)


@settings(deadline=None, max_examples=200)
@given(
    records=fastq_records,
    sizes=sizes,
    block=blocks,
    end=line_ends,
    packing=st.sampled_from(sorted(PACKINGS)),
    has_mark=st.booleans(),
    repeats_title=st.booleans(),
    blank=st.integers(0, 2),
    has_last_end=st.booleans(),
)
def test_fastq_is_read_as_it_was_written(
    records: list[tuple[tuple[str, str], str, object]],
    sizes: dict[str, int],
    block: int,
    end: str,
    packing: str,
    has_mark: bool,
    repeats_title: bool,
    blank: int,
    has_last_end: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    lines = [""] * blank
    for (name, description), sequence, random in records:
        title = f"{name} {description}".strip()
        # Qualities may look like record signs.
        quality = "".join(random.choice("@+!~IJK>5") for _ in sequence)
        lines += [f"@{title}", sequence, "+" + title * repeats_title, quality, *[""] * blank]
    # Without its end, an empty quality line is no line.
    needs_end = has_last_end or not records[-1][1]
    text = end.join(lines) + (end if needs_end else "")
    path = tmp_path_factory.mktemp("fastq") / "records"
    path.write_bytes(PACKINGS[packing]((b"\xef\xbb\xbf" if has_mark else b"") + text.encode()))

    found = read_in_blocks(path, block, **sizes)

    expected = [as_read((*header, sequence)) for header, sequence, _ in records]
    assert found == batched(expected, **sizes)
    if blank == 0 and all(sequence for _, sequence, _ in records):  # Biopython reads no others
        parsed = list(FastqGeneralIterator(io.StringIO(text, newline=None)))
        assert [read[2:] for batch in found for read in batch] == [
            cleaned(sequence) for _, sequence, _ in parsed
        ]


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 8),
    bad=st.integers(0, 7),
    length=st.integers(1, 30),
    block=st.integers(8, 80),
    end=st.sampled_from(["\n", "\r\n"]),
    blank=st.integers(0, 2),
    line_of_fault=st.sampled_from([0, 2, 3]),
)
def test_the_place_of_a_fastq_error_depends_on_no_block(
    count: int,
    bad: int,
    length: int,
    block: int,
    end: str,
    blank: int,
    line_of_fault: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    bad = min(bad, count - 1)
    lines = [""] * blank
    for i in range(count):
        record = [f"@r{i}", "A" * length, "+", "I" * length]
        if i == bad:
            at = blank + i * (4 + blank) + line_of_fault + 1
            record[line_of_fault] = {0: "r", 2: "-", 3: "I" * (length + 1)}[line_of_fault]
        lines += record + [""] * blank
    if line_of_fault == 0 and bad == 0:
        lines[blank] = "@r0"  # else it would not be FASTQ at all
        lines[blank + 2], at = "-", blank + 3
    path = tmp_path_factory.mktemp("faulty") / "reads.fastq"
    path.write_bytes((end.join(lines) + end).encode())
    with pytest.raises(InputError) as caught:
        read_in_blocks(path, block)
    assert (caught.value.line, caught.value.record) == (at, bad + 1)
