"""Bad input gives one line of error, or a row with a reason; nothing is lost or half-written."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from seqsearch.dna import reading
from seqsearch.runs.folder import RunFolder

EIGHT, ELEVEN = "8 bases", "11 bases"  # what the words of spectrum and of the default span
UNLEARNED = (  # what a build of few records says of its probabilities
    "calibration: too few records, or too few of them named alike, to learn from what answers "
    "are worth: probabilities are those that other libraries taught"
)
TOO_SHORT = "no stretch of 8 bases without an unknown one (too short, or N)"
NOT_DNA = "not DNA: letters or signs that no nucleotide code has (is it a protein?)"


def make_text(path: Path) -> None:
    path.write_text("hello there\nnobody here\n")


def make_binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 4)


def make_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inside.fasta", ">a\nACGTACGT\n")


def make_cut_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(b">a\nACGTACGTACGTACGTACGT\n" * 9)[:-12])


NEITHER = (
    ", line 1: neither FASTA nor FASTQ: it begins with 'hello there'; "
    "a record must begin with '>' or '@'"
)
UNREADABLE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (Path.touch, ": the file is empty"),
    "blank": (lambda p: p.write_text("\n \n\n"), ": the file holds nothing but blank lines"),
    "text": (make_text, NEITHER),
    "binary": (make_binary, ", line 1: a binary file; a record must begin with '>' or '@'"),
    "zip": (make_zip, ": this is a zip archive (or .qza); unpack it and give the FASTA inside"),
    "cut": (make_cut_gzip, ": the gz data are cut short; copy or download the file again"),
    "folder": (Path.mkdir, ": this is a folder; give the files in it"),
    "missing": (lambda path: None, ": no such file"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable_sequences(
    kind: str, bees: Path, more_bees: Path, tmp_path: Path, hashes: Any, fails: Any
) -> None:
    make, sentence = UNREADABLE[kind]
    bad, out = tmp_path / "bad.fasta", tmp_path / "out"
    make(bad)
    before = hashes(bees)
    expected = f"{bad}{sentence}"
    assert fails("index", "build", bad, "-o", out) == expected
    assert fails("index", "build", more_bees, bad, "-o", out) == expected
    assert fails("index", "build", bad, "-o", bees, "--overwrite") == expected
    assert fails("index", "add", bees, bad) == expected
    assert fails("query", bees, bad, "-o", out) == expected
    assert fails("query", bees, more_bees, bad, "-o", out) == expected
    assert not out.exists()
    assert hashes(bees) == before


TABLE_COLUMNS = (
    ", line 1: no taxonomy table: its columns are 'hello there'; it needs a column 'id' and "
    "columns named by rank (kingdom ... species), or a column 'taxonomy' with k__...;p__... "
    "lineages"
)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("empty", ": the file is empty"),
        ("blank", ": the file is empty"),
        ("text", TABLE_COLUMNS),
        ("binary", ": a binary file, not a table"),
        ("cut", ": the gz data are cut short; copy or download the file again"),
        ("folder", ": this is a folder; give the files in it"),
        ("missing", ": no such file"),
    ],
)
def test_unreadable_table(
    kind: str,
    sentence: str,
    bees: Path,
    more_bees: Path,
    tmp_path: Path,
    hashes: Any,
    fails: Any,
) -> None:
    table, out = tmp_path / "bad.tsv", tmp_path / "out"
    UNREADABLE[kind][0](table)
    before = hashes(bees)
    expected = f"{table}{sentence}"
    assert fails("index", "build", more_bees, "--taxonomy", table, "-o", out) == expected
    assert fails("index", "add", bees, more_bees, "--taxonomy", table) == expected
    assert not out.exists()
    assert hashes(bees) == before


def test_no_permission_to_read(
    bees: Path, more_bees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Any
) -> None:
    out, open_path = tmp_path / "out", Path.open

    def refusing(self: Path, *args: Any, **options: Any) -> Any:
        if self == more_bees:
            raise PermissionError(13, "Permission denied", str(self))
        return open_path(self, *args, **options)

    monkeypatch.setattr(Path, "open", refusing)
    expected = f"{more_bees}: no permission to read it"
    assert fails("index", "build", more_bees, "-o", out) == expected
    assert fails("query", bees, more_bees, "-o", out) == expected
    assert not out.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_no_permission(bees: Path, more_bees: Path, tmp_path: Path, fails: Any) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    for words in (("index", "build", more_bees), ("query", bees, more_bees)):
        assert fails(*words, "-o", folder / "out") == f"{folder / 'out'}: Permission denied"
    more_bees.chmod(0)
    expected = f"{more_bees}: no permission to read it"
    assert fails("index", "build", more_bees, "-o", tmp_path / "out") == expected


def test_a_folder_that_cannot_be_made(
    bees: Path, more_bees: Path, tmp_path: Path, fails: Any
) -> None:
    file = tmp_path / "file"
    file.touch()
    for words in (("index", "build", more_bees), ("query", bees, more_bees)):
        assert fails(*words, "-o", file / "out") == f"{file / 'out'}: Not a directory"
        there = f"{file}: there is a file of this name; choose another output"
        assert fails(*words, "-o", file) == there
        assert fails(*words, "-o", file, "--overwrite") == there


def test_reads_cut_short_half_way(
    index_folder: Path,
    library_files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hashes: Any,
    command: Any,
    fails: Any,
) -> None:
    monkeypatch.setattr(reading, "BLOCK", 2000)
    whole = gzip.compress((library_files / "queries.fasta").read_bytes()[:60_000])
    reads, run = tmp_path / "reads.fasta.gz", tmp_path / "run"
    reads.write_bytes(whole[: len(whole) // 2])
    query = ("query", index_folder, reads, "-o", run, "--batch-size", "5")
    sentence = f"{reads}: the gz data are cut short; copy or download the file again"
    assert fails(*query) == sentence
    before = hashes(run)
    done = RunFolder.open(run)
    assert not done.is_finished
    assert done.parts_done() > 2
    counted = json.loads(command("sql", run, "SELECT count(*) AS n FROM queries", "--json").out)
    assert counted == [{"n": 5 * done.parts_done()}]
    assert fails(*query) == sentence  # goes on, and fails at the same place
    assert hashes(run) == before

    reads.write_bytes(whole)
    advice = "give --overwrite to replace it, or choose another output"
    assert fails(*query) == f"{run}: an unfinished run with other inputs is here; {advice}"
    assert hashes(run) == before
    assert command(*query, "--overwrite").status == 0
    first = RunFolder.open(run).read_part("calls", 0)
    assert first.equals(done.read_part("calls", 0))


def test_fastq_cut_short(bees: Path, tmp_path: Path, fails: Any) -> None:
    reads = tmp_path / "reads.fastq"
    reads.write_text("@a\nACGTACGTTTGACCA\n+\nIIIIIIIIIIIIIII\n@b\nACGTACGT\n+\nIIII\n")
    problem = "line 8, record 2: sequence and quality differ in length"
    assert fails("query", bees, reads, "-o", tmp_path / "run") == f"{reads}, {problem}"
    assert not (tmp_path / "run").exists()


def rows_of(run: Path) -> list[tuple[str, str, str]]:
    table = pq.read_table(run / "assignments.parquet")
    return list(
        zip(*(table[c].to_pylist() for c in ("query_id", "verdict", "reason")), strict=True)
    )


def test_queries_that_cannot_be_searched_get_a_row_with_the_reason(
    bees: Path, tmp_path: Path, command: Any
) -> None:
    reads = tmp_path / "reads.fasta"
    long = np.random.default_rng(1).choice(np.frombuffer(b"ACGT", np.uint8), 10_000_000).tobytes()
    records = {
        "short": b"ACGTACG",
        "unknown": b"N" * 300,
        "gaps": b"ACGTNACGTNACGTN",
        "nothing": b"",
        "protein": b"MKVLAAGIVGLLLAQWERTYPQ",
        "good": b"ACGTACGTTTGACCA",
        "long": long,
    }
    reads.write_bytes(b"".join(b">%s\n%s\n" % (n.encode(), s) for n, s in records.items()))
    answer = command("query", bees, reads, "-o", tmp_path / "run", "--strand", "plus")
    assert answer.status == 0
    assert answer.err == "Warning: 5 of 7 queries are invalid (column reason says why)\n"
    rows = rows_of(tmp_path / "run")
    assert rows[:6] == [
        ("short", "invalid", TOO_SHORT),
        ("unknown", "invalid", TOO_SHORT),
        ("gaps", "invalid", TOO_SHORT),
        ("nothing", "invalid", "empty sequence"),
        ("protein", "invalid", NOT_DNA),
        ("good", "identified", ""),
    ]
    assert rows[6][:2] != ("long", "invalid")
    lengths = pq.read_table(tmp_path / "run" / "assignments.parquet")["length"].to_pylist()
    assert lengths[:4] + lengths[5:] == [7, 300, 15, 0, 15, 10_000_000]


def test_queries_that_are_all_proteins(bees: Path, tmp_path: Path, command: Any) -> None:
    reads = tmp_path / "reads.faa"
    reads.write_text(">p\nMKVLAAGIVGLLLAQ\n>q\nMEEPQSDPSVEPPLS\n")
    assert command("query", bees, reads, "-o", tmp_path / "run").status == 0
    assert rows_of(tmp_path / "run") == [("p", "invalid", NOT_DNA), ("q", "invalid", NOT_DNA)]


def test_a_library_of_proteins(bees: Path, tmp_path: Path, hashes: Any, fails: Any) -> None:
    library = tmp_path / "proteins.faa"
    library.write_text(">p k__A;g__B\nMKVLAAGIVGLLLAQ\n>q k__A;g__B\nMEEPQSDPSVEPPLS\n")
    expected = f"{library}: no record can be used: 2 dropped: {NOT_DNA} (p, q)"
    before = hashes(bees)
    assert fails("index", "build", library, "-o", tmp_path / "out") == expected
    assert fails("index", "add", bees, library) == expected
    assert not (tmp_path / "out").exists()
    assert hashes(bees) == before


def test_references_that_cannot_be_used_are_listed(tmp_path: Path, command: Any) -> None:
    library = tmp_path / "refs.fasta"
    records = {
        "one k__A;p__P;g__Homo;s__Homo one": "ACGTACGTACGTAAACCC",
        "two k__A;p__Q;g__Homo;s__Homo two": "ACGTTTTTACGTAAACGG",
        "gap k__A;g__Gap;s__Gap one": "GGGGTTTTACGTAAACGG",
        "high k__A": "CATCATCATCATCATCAT",
        "short k__A;p__P": "ACGT",
        "unknown k__A;p__P": "N" * 30,
        "nothing k__A;p__P": "",
        "protein k__A;p__P": "MKVLAAGIVGLLLAQWERTY",
        "nameless": "ACGTACGTAGGATTCA",
    }
    library.write_text("".join(f">{header}\n{s}\n" for header, s in records.items()))
    answer = command("index", "build", library, "-o", tmp_path / "index")
    counts = "1 kingdom, 2 phylum, 3 genus, 3 species"
    assert answer.status == 0
    assert answer.out.splitlines() == [
        "refs.fasta (fasta-lineage): 9 records read, 4 kept",
        f"  2 dropped: {TOO_SHORT.replace(EIGHT, ELEVEN)} (short, unknown)",
        "  1 dropped: empty sequence (nothing)",
        f"  1 dropped: {NOT_DNA} (protein)",
        "  1 dropped: no lineage in the header (nameless)",
        "taxonomy: 1 paths repaired or noted (all of them: index info --json)",
        "  1 names stand in several lineages and are kept apart: genus Homo",
        UNLEARNED,
        f"{tmp_path / 'index'}: 4 unique sequences of 4 records, {counts} (state 1)",
    ]
    lineages = command(
        "sql", tmp_path / "index", "SELECT ref_id, lineage FROM refs ORDER BY ref_id", "--json"
    )
    assert {row["ref_id"]: row["lineage"] for row in json.loads(lineages.out)} == {
        "gap": "A;Gap;Gap one",
        "high": "A",
        "one": "A;P;Homo;Homo one",
        "two": "A;Q;Homo;Homo two",
    }


def test_a_table_with_holes(tmp_path: Path, command: Any) -> None:
    fasta, table = tmp_path / "refs.fasta", tmp_path / "refs.tsv"
    fasta.write_text(
        ">a\nACGTACGTACGTAAACCC\n>b\nACGTACGTACGTAAACCT\n>q\nACGTACGTACGTAAACCG\n"
        ">c\nTTGTACGTACGTAAACCG\n"
    )
    table.write_text(
        "id\tphylum\tfamily\tspecies\n"
        "a\tP\tF\tG one\nb\tP\tF\tG one\nb\tP\tF\tG two\n"  # b has two lineages
        "c\tP\t\tG two\n"  # a gap
        "\tP\tF\tG three\nz\tP\tF\tG four\nw\tP\n"  # no id, no sequence, a short row
    )
    answer = command("index", "build", fasta, "--taxonomy", table, "-o", tmp_path / "index")
    counts = "1 phylum, 1 family, 2 species"
    assert answer.status == 0
    assert answer.out.splitlines() == [
        "refs.fasta (fasta-table): 4 records read, 2 kept",
        "  1 dropped: the id has two lineages in the table (b)",
        "  1 dropped: the id is not in the taxonomy table (q)",
        r"  1 rows of the table have not 4 fields and were left out, the first: 'w\tP'",
        "  1 rows of the table have no id and were left out",
        "  1 ids of the table have no sequence",
        UNLEARNED,
        f"{tmp_path / 'index'}: 2 unique sequences of 2 records, {counts} (state 1)",
    ]


def test_a_table_of_another_library(tmp_path: Path, fails: Any) -> None:
    fasta, table = tmp_path / "refs.fasta", tmp_path / "refs.tsv"
    fasta.write_text(">x\nACGTACGTACGTAAACCC\n")
    table.write_text("id\tphylum\ny\tP\n")
    expected = (
        f"{table}: none of its ids is in {fasta}: the table has 'y', the FASTA has 'x'; "
        "ids must be the first word of the FASTA headers"
    )
    assert fails("index", "build", fasta, "--taxonomy", table, "-o", tmp_path / "out") == expected


def test_no_taxonomy_at_all(tmp_path: Path, fails: Any) -> None:
    fasta = tmp_path / "refs.fasta"
    fasta.write_text(">x\nACGTACGTACGTAAACCC\n")
    expected = (
        f"{fasta}, record 1: no taxonomy: the header has neither 'k__...;p__...' nor "
        "'tax=d:...,p:...'; give a table with --taxonomy FILE"
    )
    assert fails("index", "build", fasta, "-o", tmp_path / "out") == expected
