"""k-mers of files and indexes, counted and listed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.csv as pc
import pytest

from seqsearch.analytics.kmers import zipf_exponent
from seqsearch.dna.reading import read_sequences
from seqsearch.errors import FolderError, InputError, SettingsError
from seqsearch.jobs.counting import count_kmers

TAB = pc.ParseOptions(delimiter="\t")


def plain_counts(path: Path, k: int) -> Counter[str]:
    """Every overlapping k-mer of A, C, G and T, one by one."""
    found: Counter[str] = Counter()
    for reads in read_sequences(path):
        for i in range(len(reads)):
            text = reads.batch.sequence(i)
            words = [text[at : at + k] for at in range(len(text) - k + 1)]
            found.update(word for word in words if set(word) <= set("ACGT"))
    return found


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    path = tmp_path / "odd.fasta"
    path.write_text(">a\nACGTNACGTTAC\nacgu\n>b\nAC\n>c\nMKVLEQ\n>d\nRYACGGGGGGG\n")
    return path


@pytest.mark.parametrize("lengths", [[3], [1, 2, 6]])
def test_counts_are_those_of_a_plain_loop(
    library_files: Path, tmp_path: Path, lengths: list[int]
) -> None:
    path = library_files / "references.fasta"
    counted = count_kmers([path], tmp_path / "kmers.tsv", lengths)
    lines = pc.read_csv(tmp_path / "kmers.tsv", parse_options=TAB).to_pylist()
    for k, one in zip(lengths, counted, strict=True):
        expected, own = plain_counts(path, k), [line for line in lines if line["k"] == k]
        assert {line["kmer"]: line["count"] for line in own} == expected
        ordered = sorted(expected, key=lambda word: (-expected[word], word))
        assert [line["kmer"] for line in own] == ordered
        assert [line["rank"] for line in own] == list(range(1, len(own) + 1))
        assert sum(line["share"] for line in own) == pytest.approx(1)
        assert sum(line["zipf"] for line in own) == pytest.approx(1)
        assert one.exponent == zipf_exponent(np.sort(list(expected.values()))[::-1])


def test_other_letters_are_counted_apart_and_bad_records_not_at_all(
    odd: Path, tmp_path: Path
) -> None:
    (one,) = count_kmers([odd], tmp_path / "kmers.tsv", [3])
    # Read: 14 of a, of which 3 hold the N; 9 of d, of which 2 hold R or Y; b is too short.
    assert (int(one.counts.sum()), one.unknown) == (11 + 7, 5)


def test_an_index_counts_every_sequence_once(
    index_folder: Path, library_files: Path, tmp_path: Path
) -> None:
    texts: set[str] = set()
    for reads in read_sequences(library_files / "references.fasta"):
        texts.update(reads.batch.strings().to_pylist())
    unique = tmp_path / "unique.fasta"
    unique.write_text("".join(f">{i}\n{text}\n" for i, text in enumerate(sorted(texts))))
    (index,) = count_kmers([index_folder], tmp_path / "index.tsv", [4])
    (file,) = count_kmers([unique], tmp_path / "file.tsv", [4])
    assert index.counts.tolist() == file.counts.tolist()
    (both,) = count_kmers([index_folder, odd_copy(tmp_path)], tmp_path / "both.tsv", [4])
    assert int((both.counts - index.counts).sum()) == 1


def odd_copy(folder: Path) -> Path:
    path = folder / "one.fasta"
    path.write_text(">a\nACGTN\n")
    return path


def test_refused(odd: Path, tmp_path: Path) -> None:
    out = tmp_path / "kmers.tsv"
    with pytest.raises(SettingsError, match=r"^k is 9: expected 1 to 8$"):
        count_kmers([odd], out, [9])
    with pytest.raises(SettingsError, match=r"^k is \[3, 3\]: expected every length once$"):
        count_kmers([odd], out, [3, 3])
    with pytest.raises(InputError, match=r"no sequence holds 8 known bases in a row$"):
        count_kmers([odd_copy(tmp_path)], out, [8])
    assert not out.exists()
    out.write_text("mine")
    with pytest.raises(FolderError, match="this file exists"):
        count_kmers([odd], out, [3])


def test_a_figure_beside_the_table(odd: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="figures need matplotlib, of the extra report")
    count_kmers([odd], tmp_path / "kmers.tsv", [2, 3], plot=tmp_path / "kmers.png")
    assert (tmp_path / "kmers.png").read_bytes().startswith(b"\x89PNG")
