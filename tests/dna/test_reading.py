"""What FASTA and FASTQ files look like in the field, and how their faults are told."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from xopen import xopen

from seqsearch.dna import reading
from seqsearch.dna.cleaning import DEFECTS
from seqsearch.dna.reading import Reads, clean_sequences, read_sequences
from seqsearch.errors import InputError


def write(folder: Path, text: str | bytes, name: str = "reads") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read_all(path: str | Path, **sizes: int) -> list[tuple[str, str, str, int]]:
    return [
        (batch.batch.ids[i].as_py(), batch.descriptions[i].as_py(), batch.batch.sequence(i), defect)
        for batch in read_sequences(path, **sizes)
        for i, defect in enumerate(batch.defects.tolist())
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (">a\nACGT\n", [("a", "", "ACGT", 0)]),
        (">a\nacgt", [("a", "", "ACGT", 0)]),
        (">a\rAC\r>b x\rGT\n>c\nT", [("a", "", "AC", 0), ("b", "x", "GT", 0), ("c", "", "T", 0)]),
        (">a\nACGU\n", [("a", "", "ACGT", 0)]),
        (">a\nAC-GT.~ A\tC\n", [("a", "", "ACGTAC", 0)]),
        (">a\nacgtryswkmbdhvn\n", [("a", "", "ACGTRYSWKMBDHVN", 0)]),
        (">a\nAX?iC\n", [("a", "", "ANNNC", 0)]),
        ("\n\n>a\n\nAC\n\n\nGT\n\n>b\nGG\n", [("a", "", "ACGT", 0), ("b", "", "GG", 0)]),
        (">a\r\nAC\r\nGT\r\n>b\r\nGG\r\n", [("a", "", "ACGT", 0), ("b", "", "GG", 0)]),
        (">a x\rAC\rGT\r>b\rGG\r", [("a", "x", "ACGT", 0), ("b", "", "GG", 0)]),
        ("@a x\rACGT\r+\rIIII\r@b\rGG\r+\rII", [("a", "x", "ACGT", 0), ("b", "", "GG", 0)]),
        ("\ufeff>a\nACGT\n", [("a", "", "ACGT", 0)]),
        ("\ufeff@a\nACGT\n+\nIIII\n", [("a", "", "ACGT", 0)]),
        ("> a  two words \nACGT\n", [("a", "two words", "ACGT", 0)]),
        (">a\ttab\nACGT\n", [("a", "tab", "ACGT", 0)]),
        (">\nACGT\n>  \nGG\n", [("", "", "ACGT", 0), ("", "", "GG", 0)]),
        (">a\nACGT\n>a\nACGT\n", [("a", "", "ACGT", 0)] * 2),
        (">a>b c>d\nACGT\n", [("a>b", "c>d", "ACGT", 0)]),
        (">a\n>b\n-.-\n>c\nAC\n", [("a", "", "", 1), ("b", "", "", 1), ("c", "", "AC", 0)]),
        (">a\nMKVLE\n>b\nACGT1\n", [("a", "", "MKV", 2), ("b", "", "ACGT", 2)]),
        ("@a\nACGT\n+a\n@@@@\n@b\nGG\n+\n++\n", [("a", "", "ACGT", 0), ("b", "", "GG", 0)]),
        ("@a\nAC\n+\nII\n\n\n@b\nGG\n+\nII\n\n", [("a", "", "AC", 0), ("b", "", "GG", 0)]),
        ("@a\n\n+\n\n@b\nGG\n+\nII\n", [("a", "", "", 1), ("b", "", "GG", 0)]),
    ],
)  # fmt: skip
def test_forms_of_the_field(
    text: str, expected: list[tuple[str, str, str, int]], tmp_path: Path
) -> None:
    assert read_all(write(tmp_path, text)) == expected


def test_defects_have_words() -> None:
    assert DEFECTS[1] == "empty sequence"
    assert "protein" in DEFECTS[2]


def test_headers_that_are_no_utf8_are_latin1(tmp_path: Path) -> None:
    path = write(tmp_path, ">caf\xe9 Mu\xdfe\nAC\n>b \u65e5\nGG\n".encode("utf-8"))
    assert [read[:2] for read in read_all(path)] == [("caf\xe9", "Mu\xdfe"), ("b", "\u65e5")]
    path = write(tmp_path, b">caf\xe9 Mu\xdfe\nAC\n>\xe6 \xe6\xf8\nGG\n>c x\nTT\n")
    assert [read[:2] for read in read_all(path)] == [
        ("caf\xe9", "Mu\xdfe"),
        ("\xe6", "\xe6\xf8"),
        ("c", "x"),
    ]


def test_latin1_ids_that_together_look_like_utf8(tmp_path: Path) -> None:
    # \xc3 ends one id and \xa9 begins the next: side by side they would be UTF-8.
    path = write(tmp_path, b">a\xc3\nAC\n>\xa9b\nGG\n")
    assert [read[0] for read in read_all(path)] == ["a\xc3", "\xa9b"]


@pytest.mark.parametrize("name", ["reads.fasta", "reads.gz", "reads.zst"])
@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_compression_is_told_by_content(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with xopen(path, "wb", format=kind) as handle:
        handle.write(b">a\nACGT\n")
    assert read_all(path) == [("a", "", "ACGT", 0)]


def test_a_plain_file_may_have_any_name(tmp_path: Path) -> None:
    assert read_all(write(tmp_path, ">a\nACGT\n", "reads.gz")) == [("a", "", "ACGT", 0)]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files_that_were_joined(pack: object, tmp_path: Path) -> None:
    joined = pack(b">a\nAC\n>b\nG") + pack(b"G\n>c\nTT\n")
    path = write(tmp_path, joined)
    assert [read[0::2] for read in read_all(path)] == [("a", "AC"), ("b", "GG"), ("c", "TT")]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input(pack: object) -> None:
    program = (
        "from seqsearch.dna.reading import read_sequences\n"
        "for batch in read_sequences('-', batch_size=2):\n"
        "    print(batch.path, batch.first, batch.fraction, batch.batch.ids.to_pylist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pack(b">a\nAC\n>b\nGG\n>c\nTT\n"),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().splitlines() == ["- 0 None ['a', 'b']", "- 2 None ['c']"]


def test_faults_of_standard_input_are_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"@a\nACGT\n+\nIII\n@")))
    monkeypatch.setattr(sys, "stdin", stream)
    with pytest.raises(
        InputError, match=r"^standard input, line 4, record 1: sequence and quality"
    ):
        list(read_sequences("-"))


def fastq(count: int) -> tuple[str, list[tuple[str, str, str, int]]]:
    rng = np.random.default_rng(3)
    expected = []
    text = ""
    for i in range(count):
        sequence = "".join(rng.choice(list("ACGT"), int(rng.integers(1, 30))))
        text += f"@r{i}\n{sequence}\n+\n{'I' * len(sequence)}\n"
        expected.append((f"r{i}", "", sequence, 0))
    return text, expected


@pytest.mark.parametrize("packing", ["plain", "gz"])
def test_records_that_end_with_their_block(
    packing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, expected = fastq(12)
    path = write(tmp_path, gzip.compress(text.encode()) if packing == "gz" else text)
    fasta = write(tmp_path, "".join(f">{r[0]}\n{r[2]}\n" for r in expected), "fasta")
    for block in range(8, len(text) + 2):
        monkeypatch.setattr(reading, "BLOCK", block)
        assert read_all(path) == expected, block
        assert read_all(fasta) == expected, block


def test_a_record_longer_than_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK", 16)
    long = "ACGGT" * 2_000
    path = write(tmp_path, f">a\nAC\n>long\n{long}\n>b\nGG\n")
    assert [read[2] for read in read_all(path)] == ["AC", long, "GG"]
    path = write(tmp_path, f"@long\n{long}\n+\n{'I' * len(long)}\n@b\nGG\n+\nII\n")
    assert [read[2] for read in read_all(path)] == [long, "GG"]


def test_batches_close_by_count_or_by_bases(tmp_path: Path) -> None:
    path = write(tmp_path, "".join(f">r{i}\n{'ACGT' * (i + 1)}\n" for i in range(6)))
    by_count = list(read_sequences(path, batch_size=4))
    assert [(batch.first, len(batch)) for batch in by_count] == [(0, 4), (4, 2)]
    by_bases = list(
        read_sequences(path, batch_bases=13)
    )  # 4 8 12 | 16 | 20 | 24, after reaching 13
    assert [batch.batch.lengths.tolist() for batch in by_bases] == [[4, 8, 12], [16], [20], [24]]
    assert [batch.first for batch in by_bases] == [0, 3, 4, 5]


def test_a_slice_knows_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, "".join(f">r{i} d{i}\n{'ACGT' * i}\n" for i in range(5)))
    batch = next(read_sequences(path)).slice(1, 4)
    assert batch.first == 1
    assert batch.batch.ids.to_pylist() == ["r1", "r2", "r3"]
    assert batch.descriptions.to_pylist() == ["d1", "d2", "d3"]
    assert batch.batch.strings().to_pylist() == ["ACGT", "ACGT" * 2, "ACGT" * 3]


GOOD = "@r1\nACGT\n+\nIIII\n"


@pytest.mark.parametrize(
    ("text", "line", "record", "problem"),
    [
        (GOOD + "r2\nACGT\n+\nIIII\n", 5, 2, "must begin with '@'"),
        (GOOD + ">r2\nACGT\n", 5, 2, "is cut short"),
        (GOOD + "\n\n@r2\nACGT\nIIII\n@r3\n", 9, 2, r"must begin with '\+'"),
        (GOOD + "@r2\nACGT\n+\nIII\n" + GOOD, 8, 2, "differ in length"),
        (GOOD + "@r2\nACGT\n+\nIIIII\n" + GOOD, 8, 2, "differ in length"),
        (GOOD + "@r2\nACGT\n+\nII", 8, 2, "is cut short"),
        (GOOD + "@r2\nACGT\n+\n", 8, 2, "is cut short"),
        (GOOD + "@r2\nACGT\n", 5, 2, "is cut short"),
        (GOOD + "@r2\nAC", 5, 2, "is cut short"),
        (GOOD + "@r2", 5, 2, "is cut short"),
        ("\n" + GOOD + "@r2\nAC\nGT\n+\nIIII\n", 8, 2, r"must begin with '\+'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("block", [16, 1 << 20])
def test_fastq_faults_name_line_and_record(
    text: str,
    line: int,
    record: int,
    problem: str,
    end: str,
    block: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "BLOCK", block)
    path = write(tmp_path, text.replace("\n", end))
    with pytest.raises(InputError, match=problem) as caught:
        list(read_sequences(path))
    assert (caught.value.path, caught.value.line, caught.value.record) == (str(path), line, record)
    assert f"{path}, line {line}, record {record}: " in str(caught.value)


def test_good_records_before_a_fault_are_given(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + GOOD + "@r3\nACGT\n+\nIII\n")
    batches = read_sequences(path, batch_size=1)
    with pytest.raises(InputError, match="record 3"):
        assert [len(batch) for batch in batches] == [1, 1]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"\n \n\r\n", "nothing but blank lines"),
        (b"\n\nACGT\n", "line 3: neither FASTA nor FASTQ: it begins with 'ACGT'"),
        (b"\r\rACGT\r", "line 3: neither FASTA nor FASTQ: it begins with 'ACGT'"),
        (b"\x01\x00\x02", "a binary file"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"%PDF-1.7", "a PDF document"),
        (b"a" * 257 + b"ustar" + b"0" * 100, "a tar archive"),
    ],
)
def test_what_is_no_sequence_file_is_told(content: bytes, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        list(read_sequences(write(tmp_path, content)))


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_compressed_files_cut_short(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    text = "".join(f">r{i}\n{''.join(rng.choice(list('ACGT'), 80))}\n" for i in range(400))
    path = tmp_path / "reads"
    with xopen(path, "wb", format=kind) as handle:
        handle.write(text.encode())
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(InputError, match=f"the {kind} data are (cut short|damaged)"):
        list(read_sequences(path))


def test_text_is_cleaned_as_files_are(tmp_path: Path) -> None:
    written = ["acgu", "AC-G T", "", "MKV*", "NNN", "x?I", "ACG\u00e9", "--"]
    given = clean_sequences(written, [f"r{i}" for i in range(len(written))])
    path = write(tmp_path, "".join(f">r{i}\n{s}\n" for i, s in enumerate(written)))
    file: Reads = next(read_sequences(path))
    assert given.batch.ids.equals(file.batch.ids)
    assert given.batch.strings().equals(file.batch.strings())
    assert given.defects.tolist() == file.defects.tolist() == [0, 0, 1, 2, 0, 0, 2, 1]
    assert clean_sequences(written).batch.ids.to_pylist() == list("12345678")
