"""FASTA with the lineage in the header: k__;p__ and SINTAX, in the forms libraries write."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from seqsearch.libraries.fasta_lineage import RANKS, parse_lineages
from seqsearch.libraries.ledger import Ledger
from seqsearch.libraries.registry import open_library


def import_all(fasta: Path) -> tuple[list[tuple[str, dict[str, str]]], Ledger]:
    library = open_library(fasta)
    assert library.format == "fasta-lineage"
    ledger, kept = Ledger(), []
    for records in library.records:
        for i in ledger.admit(records).tolist():
            names = {rank: names[i].as_py() for rank, names in records.lineage.items()}
            lineage = {rank: name for rank, name in names.items() if name is not None}
            kept.append((records.batch.ids[i].as_py(), lineage))
    return kept, ledger


ASCO = {"kingdom": "Fungi", "phylum": "Ascomycota", "genus": "Candida", "species": "Candida alba"}


@pytest.mark.parametrize(
    ("header", "name", "lineage"),
    [
        ("x1 k__Fungi;p__Ascomycota;g__Candida;s__Candida alba", "x1", ASCO),
        ("x1 k__Fungi; p__Ascomycota; g__Candida; s__Candida alba;", "x1", ASCO),
        ("x1\tk__Fungi;p__Ascomycota;c__;o__;f__;g__Candida;s__Candida alba", "x1", ASCO),
        ("x1|k__Fungi;p__Ascomycota;g__Candida;s__Candida alba", "x1", ASCO),
        ("x1;k__Fungi;p__Ascomycota;g__Candida;s__Candida alba", "x1", ASCO),
        ("A|x1|refs|k__Fungi;p__Ascomycota;g__Candida;s__Candida alba", "A|x1|refs", ASCO),
        ("x1 some words k__Fungi;p__Ascomycota;g__Candida;s__Candida alba", "x1", ASCO),
        ("x1;tax=k:Fungi,p:Ascomycota,g:Candida,s:Candida alba;", "x1", ASCO),
        ("x1;tax=k:Fungi,p:Ascomycota,g:Candida,s:Candida alba", "x1", ASCO),
        ("x1;tax=k:Fungi,p:Ascomycota,g:Candida,s:Candida alba;size=3;", "x1", ASCO),
        ("x1;size=3;tax=k:Fungi,p:Ascomycota,g:Candida,s:Candida alba;", "x1;size=3", ASCO),
        ("x1 tax=k:Fungi,p:Ascomycota,g:Candida,s:Candida alba;", "x1", ASCO),
        ("x1 d__Bacteria;g__[Clostridium];s__'C.' x 2 \"b\"", "x1",
         {"domain": "Bacteria", "genus": "[Clostridium]", "species": "'C.' x 2 \"b\""}),
        ("x1 d__Bacteria;g__Clostridium sensu stricto 2;s__NA", "x1",
         {"domain": "Bacteria", "genus": "Clostridium sensu stricto 2"}),
        ("x1;tax=d:Bacteria,g:Clostridium,s:sp. BOLD:AAA1;", "x1",
         {"domain": "Bacteria", "genus": "Clostridium", "species": "sp. BOLD:AAA1"}),
        ("x1;tax=d:Bacteria,f:Family XI,g:,s:uncultured;", "x1",
         {"domain": "Bacteria", "family": "Family XI"}),
        ("x1 s__Apis mellifera;t__DH4", "x1", {"species": "Apis mellifera", "strain": "DH4"}),
        ("x1 g__Candida_albicans_(f__)x", "x1", {"genus": "Candida_albicans_(f__)x"}),
    ],
)  # fmt: skip
def test_lineages_of_many_forms(
    header: str, name: str, lineage: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "ref.fasta"
    path.write_text(f">{header}\nACGT\n")
    kept, ledger = import_all(path)
    assert kept == [(name, lineage)]
    assert ledger.dropped == {}


def test_every_reason_to_drop_a_record_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "ref.fasta"
    path.write_text(
        ">good k__A;g__B\nACGT\n"
        ">bare\nACGT\n"
        ">words only here\nACGT\n"
        ">twice k__A;k__B\nACGT\n"
        ">letter k__A;x__B\nACGT\n"
        ">sintaxletter;tax=k:A,x:B;\nACGT\n"
        ">semicolons;tax=k:A;g:B;\nACGT\n"
        ">nameless k__;g__NA\nACGT\n"
        ">empty k__A\n\n"
        ">protein k__A\nMKVLE\n"
        ">k__A;g__B\nACGT\n"
        ">tax=k:A,g:B;\nACGT\n"
    )
    kept, ledger = import_all(path)
    assert kept == [("good", {"kingdom": "A", "genus": "B"})]
    assert (ledger.read, ledger.kept) == (12, 1)
    assert ledger.examples == {
        "no lineage in the header": ["bare", "words"],
        "a rank letter in the lineage is unknown or stands twice": [
            "twice",
            "letter",
            "sintaxletter",
        ],
        "SINTAX lineage with ';' between ranks: write ','": ["semicolons"],
        "no name at any rank": ["nameless"],
        "empty sequence": ["empty"],
        "not DNA: letters or signs that no nucleotide code has (is it a protein?)": ["protein"],
        "no id before the lineage": ["", ""],
    }
    assert {reason: len(ids) for reason, ids in ledger.examples.items()} == ledger.dropped


def test_all_letters_have_their_rank() -> None:
    text = ";".join(f"{letter}__{letter.upper()}a" for letter in "dkpcofgst")
    sintax = "tax=" + ",".join(f"{letter}:{letter.upper()}a" for letter in "dkpcofgst") + ";"
    for lineage, problem in (parse_lineages(pa.array([f"x {text}", f"x;{sintax}"])),):
        assert problem.null_count == 2
        assert {rank: names.to_pylist() for rank, names in lineage.items()} == {
            rank: [f"{letter.upper()}a"] * 2
            for rank, letter in zip(RANKS, "dkpcofgst", strict=True)
        }


def test_tags_behind_a_lineage_are_no_part_of_the_species() -> None:
    text = "RS_1 d__Bacteria;s__[Clostridium] coli [locus_tag=X 1] [location=1..2]"
    names, problem = parse_lineages(pa.array([text]))
    assert names["species"].to_pylist() == ["[Clostridium] coli"]
    assert problem.to_pylist() == [None]
