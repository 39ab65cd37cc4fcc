"""FASTA with a side table: what is read from it, and every reason not to keep a record."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from seqsearch.errors import InputError, SettingsError
from seqsearch.libraries.ledger import Ledger
from seqsearch.libraries.registry import open_library
from seqsearch.libraries.side_table import read_side_table

Row = tuple[str, dict[str, str], str | None]  # id, names by rank, external id


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def import_all(fasta: Path, table: Path | None, format: str = "auto") -> tuple[list[Row], Ledger]:
    """Every kept record, and the ledger."""
    library = open_library(fasta, table, format)
    ledger, kept = Ledger(), []
    for records in library.records:
        for i in ledger.admit(records).tolist():
            names = {rank: names[i].as_py() for rank, names in records.lineage.items()}
            lineage = {rank: name for rank, name in names.items() if name is not None}
            kept.append((records.batch.ids[i].as_py(), lineage, records.external_id[i].as_py()))
    ledger.notes += library.notes
    return kept, ledger


FASTA = ">a first\nACGT\n>b\nACGA\n>c\nACGC\n"
BEE = {"family": "Apidae", "genus": "Apis", "species": "Apis mellifera"}
FLY = {"family": "Syrphidae", "genus": "Eristalis"}


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        (
            [
                "id\tfamily\tgenus\tspecies",
                "a\tApidae\tApis\tApis mellifera",
                "b\tSyrphidae\tEristalis\t",
            ],
            "\n",
        ),
        (
            ["id,family,genus,species", "a,Apidae,Apis,Apis mellifera", "b,Syrphidae,Eristalis,"],
            "\n",
        ),
        (
            [
                '"id","family","genus","species"',
                '"a","Apidae","Apis","Apis mellifera"',
                '"b","Syrphidae","Eristalis",""',
            ],
            "\n",
        ),
        (
            [
                "id\tfamily\tgenus\tspecies",
                '"a"\t"Apidae"\t"Apis"\t"Apis mellifera"',
                "b\tSyrphidae\tEristalis\tNA",
            ],
            "\n",
        ),
        (
            [
                "id\tfamily\tgenus\tspecies",
                "a\tApidae\tApis\tApis mellifera",
                "b\tSyrphidae\tEristalis\t-",
            ],
            "\r\n",
        ),
        (
            [
                "\ufeffid\tfamily\tgenus\tspecies",
                "a\tApidae\tApis\tApis mellifera",
                "b\tSyrphidae\tEristalis\tunclassified",
            ],
            "\n",
        ),
        (
            [
                "SeqID\tFamily\tnote\tGENUS\tSpecies",
                "a\tApidae\t?\tApis\t Apis mellifera ",
                "b\tSyrphidae\t?\tEristalis\t ",
            ],
            "\n",
        ),
        (
            [
                "Feature ID\tTaxon",
                "a\tf__Apidae; g__Apis; s__Apis mellifera",
                "b\tf__Syrphidae; g__Eristalis; s__",
            ],
            "\n",
        ),
        (["a\tf__Apidae; g__Apis; s__Apis mellifera", "b\tf__Syrphidae; g__Eristalis"], "\n"),
        (
            [
                "id\ttaxonomy",
                "a\tf__Apidae;g__Apis;s__Apis mellifera",
                "b\tf__Syrphidae;g__Eristalis;s__",
            ],
            "\n",
        ),
        (
            ["id,lineage", "a,f__Apidae;g__Apis;s__Apis mellifera", "b,f__Syrphidae;g__Eristalis"],
            "\n",
        ),
        (
            [
                "id,lineage",
                'a,"f__Apidae;g__Apis;s__Apis mellifera"',
                "b,f__Syrphidae;g__Eristalis",
            ],
            "\n",
        ),
        (
            [
                "id\ttaxonomy",
                "a\ttax=f:Apidae,g:Apis,s:Apis mellifera;",
                "b\ttax=f:Syrphidae,g:Eristalis;",
            ],
            "\n",
        ),
    ],
)
def test_tables_of_many_forms_say_the_same(lines: list[str], end: str, tmp_path: Path) -> None:
    fasta = write(tmp_path, "ref.fasta", ">a first\nACGT\n>b\nACGA\n")
    table = write(tmp_path, "ref.tax", "".join(line + end for line in lines))
    kept, ledger = import_all(fasta, table)
    assert kept == [("a", BEE, None), ("b", FLY, None)]
    assert (ledger.read, ledger.kept, ledger.dropped, ledger.notes) == (2, 2, {}, [])


def test_compressed_and_latin1_tables(tmp_path: Path) -> None:
    table = "id\tgenus\tspecies\na\tCaf\u00e9a\tCaf\u00e9a ar\u00e1bica\n"
    for name, data in (
        ("plain", table.encode()),
        ("gz", gzip.compress(table.encode())),
        ("latin1", table.encode("latin-1")),
    ):
        fasta = write(tmp_path, "ref.fasta", ">a\nACGT\n")
        kept, _ = import_all(fasta, write(tmp_path, name, data))
        assert kept == [("a", {"genus": "Caf\u00e9a", "species": "Caf\u00e9a ar\u00e1bica"}, None)]


NAMES = [
    "Clostridium sensu stricto 2",
    "[Clostridium] innocuum group",
    "'Candidatus Phytoplasma' sp.",
    'Bacillus "cereus" B-4',
    "Escherichia/Shigella",
    "Rubus (sect. Rubus) x y",
    "Burkholderia-Caballeronia-Paraburkholderia",
    "Nitzschia cf. pusilla; strain 7",
    "Apis, the bee",
    "Unknown soldier",
    "N\u00e6via m\u00f8rk",
    "d'Orbigny=1|2",
]


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_names_are_opaque(delimiter: str, tmp_path: Path) -> None:
    def field(name: str) -> str:
        return name if delimiter == "\t" else '"' + name.replace('"', '""') + '"'

    rows = [f"r{i}{delimiter}{field(name)}\n" for i, name in enumerate(NAMES)]
    table = write(tmp_path, "table", f"id{delimiter}species\n" + "".join(rows))
    fasta = write(tmp_path, "ref.fasta", "".join(f">r{i}\nACGT\n" for i in range(len(NAMES))))
    kept, ledger = import_all(fasta, table)
    assert [lineage["species"] for _, lineage, _ in kept] == NAMES
    assert ledger.dropped == {}


@pytest.mark.parametrize(
    "nothing",
    ["", " ", "NA", "n/a", "None", "null", "NaN", "-", "?", ".", "*", "Unknown", "unclassified",
     "Incertae sedis", "incertae_sedis", "unassigned", "uncultured", "environmental sample"],
)  # fmt: skip
def test_words_for_no_name_are_no_names(nothing: str, tmp_path: Path) -> None:
    fasta = write(tmp_path, "ref.fasta", ">a\nACGT\n")
    table = write(tmp_path, "table", f"id\tfamily\tgenus\tspecies\na\tApidae\t{nothing}\tApis x\n")
    kept, _ = import_all(fasta, table)
    assert kept == [("a", {"family": "Apidae", "species": "Apis x"}, None)]


def test_every_reason_to_drop_a_record_is_counted(tmp_path: Path) -> None:
    fasta = write(
        tmp_path,
        "ref.fasta",
        ">good\nACGT\n>empty\n>protein\nMKVLE\n>\nACGT\n>stranger\nACGT\n>two\nACGT\n"
        ">nameless\nACGT\n>same\nACGT\n>protein2\nEEE\n",
    )
    table = write(
        tmp_path,
        "table.tsv",
        "id\tfamily\tgenus\ngood\tApidae\tApis\nempty\tApidae\tApis\nprotein\tApidae\tApis\n"
        "two\tApidae\tApis\ntwo\tApidae\tBombus\nnameless\tNA\t\nsame\tApidae\tApis\n"
        "same\tApidae\tApis\nunused\tApidae\tApis\n\tApidae\tApis\nshort\tApidae\n"
        "long\tApidae\tApis\tmellifera\nprotein2\tApidae\tApis\n",
    )
    kept, ledger = import_all(fasta, table)
    assert [record[0] for record in kept] == ["good", "same"]
    assert (ledger.read, ledger.kept) == (9, 2)
    protein = "not DNA: letters or signs that no nucleotide code has (is it a protein?)"
    assert ledger.dropped == {
        "empty sequence": 1,
        protein: 2,
        "no id in the header": 1,
        "the id is not in the taxonomy table": 1,
        "the id has two lineages in the table": 1,
        "no name at any rank": 1,
    }
    assert ledger.examples == {
        "empty sequence": ["empty"],
        protein: ["protein", "protein2"],
        "no id in the header": [""],
        "the id is not in the taxonomy table": ["stranger"],
        "the id has two lineages in the table": ["two"],
        "no name at any rank": ["nameless"],
    }
    assert ledger.read == ledger.kept + sum(ledger.dropped.values())
    assert ledger.notes == [
        "2 rows of the table have not 3 fields and were left out, the first: 'short\\tApidae'",
        "1 rows of the table have no id and were left out",
        "1 ids of the table have no sequence",
    ]


def test_malformed_lineages_of_a_table_are_reasons_too(tmp_path: Path) -> None:
    fasta = write(tmp_path, "ref.fasta", ">a\nACGT\n>b\nACGT\n>c\nACGT\n>d\nACGT\n")
    table = write(
        tmp_path,
        "table",
        "id\ttaxonomy\na\tk__A;g__B\nb\tFungi;Ascomycota\nc\tk__A;k__B\nd\tk__;p__\n",
    )
    kept, ledger = import_all(fasta, table)
    assert kept == [("a", {"kingdom": "A", "genus": "B"}, None)]
    assert ledger.dropped == {
        "no lineage in the header": 1,
        "a rank letter in the lineage is unknown or stands twice": 1,
        "no name at any rank": 1,
    }


def test_external_ids_are_kept(tmp_path: Path) -> None:
    fasta = write(tmp_path, "ref.fasta", ">a\nACGT\n>b\nACGT\n")
    table = write(tmp_path, "table", "id\tspecies\ttaxid\na\tApis mellifera\t7460\nb\tApis\t\n")
    kept, _ = import_all(fasta, table)
    assert [record[2] for record in kept] == ["7460", None]


def test_ranks_run_from_the_highest_whatever_the_order_of_the_columns(tmp_path: Path) -> None:
    table = write(
        tmp_path, "table", "id\tspecies\tgenus\tfamily\na\tApis mellifera\tApis\tApidae\n"
    )
    assert read_side_table(table).ranks == ("family", "genus", "species")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("", "the file is empty"),
        ("\x00\x01", "a binary file"),
        ("name of it\tfamily\na\tApidae\n", "line 1: no taxonomy table: its columns are"),
        ("id\tcolour\na\tred\n", "it needs a column 'id' and columns named by rank"),
        ("id\tfamily\nx\tApidae\ny\tApidae\n", "none of its ids is in .*: the table has 'x'"),
    ],
)
def test_what_is_no_table_of_this_library_is_told(table: str, problem: str, tmp_path: Path) -> None:
    fasta = write(tmp_path, "ref.fasta", FASTA)
    with pytest.raises(InputError, match=problem):
        import_all(fasta, write(tmp_path, "table", table))


def test_formats_can_be_forced(tmp_path: Path) -> None:
    fasta = write(tmp_path, "ref.fasta", ">a g__Apis\nACGT\n")
    table = write(tmp_path, "table", "id\tgenus\na\tBombus\n")
    assert import_all(fasta, table)[0] == [("a", {"genus": "Bombus"}, None)]
    assert import_all(fasta, None)[0] == [("a", {"genus": "Apis"}, None)]
    assert import_all(fasta, table, "fasta-table")[0] == [("a", {"genus": "Bombus"}, None)]
    with pytest.raises(SettingsError, match="taxonomy is None: expected a table"):
        import_all(fasta, None, "fasta-table")
    with pytest.raises(SettingsError, match="expected nothing with --format fasta-lineage"):
        import_all(fasta, table, "fasta-lineage")
    with pytest.raises(SettingsError, match="format is 'bold': expected auto, fasta-table"):
        import_all(fasta, None, "bold")
    plain = write(tmp_path, "plain.fasta", FASTA)
    with pytest.raises(InputError, match=r"no taxonomy: .*; give a table with --taxonomy FILE"):
        import_all(plain, None)
