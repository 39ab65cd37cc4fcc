"""Libraries become rows: what is kept, under which labels and ranks, and what the ledger says."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from seqsearch.errors import InputError, SettingsError
from seqsearch.index.manifest import read_manifest
from seqsearch.index.segments import live_label_blocks
from seqsearch.index.spill import LABEL_FIELDS
from seqsearch.index.store import IndexStore
from seqsearch.jobs.build import build_index
from seqsearch.jobs.importing import paired
from seqsearch.jobs.opened import open_index
from seqsearch.settings import BuildSettings

SPECTRUM = BuildSettings(encoder="spectrum")

A, B, C = "ACGTACGTTTGACCA", "GGATTACACCTTAGA", "TTGACCATTGACGGG"


def build(folder: Path, *libraries: str, tables: tuple[str, ...] = ()) -> dict[str, Any]:
    """Build an index of FASTA texts; what it holds."""
    fastas, sides = [], []
    for i, text in enumerate(libraries):
        (folder / f"lib{i}.fasta").write_text(text)
        fastas.append(folder / f"lib{i}.fasta")
    for i, text in enumerate(tables):
        (folder / f"lib{i}.tsv").write_text(text)
        sides.append(folder / f"lib{i}.tsv")
    build_index(fastas, folder / "index", taxonomy=sides or None, settings=SPECTRUM)
    store = IndexStore.open(folder / "index")
    refs = store.catalog.refs(store.live_rows).to_pylist()
    fields = (*LABEL_FIELDS, *store.manifest.ranks)
    blocks = live_label_blocks(store.segments, store.removed, fields)
    labels = pa.concat_tables(blocks, promote_options="default").to_pylist()
    assert store.sequences(store.live_rows).ids.to_pylist() == [ref["ref_id"] for ref in refs]
    store.close()
    return {"manifest": store.manifest, "refs": refs, "labels": labels}


def test_identical_sequences_share_a_row_and_keep_their_labels(tmp_path: Path) -> None:
    built = build(
        tmp_path,
        f">b g__Apis;s__Apis mellifera\n{A}\n>x g__Bombus\n{B}\n>a g__Apis;s__Apis cerana\n"
        f"{A.lower()}\n>b g__Apis;s__Apis mellifera\n{A.replace('T', 'u')}\n",
    )
    assert built["manifest"].counts["rows"] == 2
    assert built["manifest"].counts["records"] == 3  # the last says nothing new
    first, second = built["refs"]
    assert (first["ref_id"], first["labels"], first["lineage"]) == ("a", ["a", "b"], "Apis")
    assert (second["ref_id"], second["labels"]) == ("x", ["x"])
    assert {(r["row"], r["ref_id"], r["species"]) for r in built["labels"]} == {
        (0, "b", "Apis mellifera"),
        (0, "a", "Apis cerana"),
        (1, "x", None),
    }


def test_ranks_without_any_name_go_and_ranks_of_all_libraries_stay(tmp_path: Path) -> None:
    built = build(
        tmp_path,
        f">a\n{A}\n>b\n{B}\n",
        f">c\n{C}\n",
        tables=(
            "id\tkingdom\tfamily\tgenus\na\tAnimalia\t\tApis\nb\tAnimalia\tNA\tBombus\n",
            "id\tphylum\tgenus\tsubgenus\nc\tArthropoda\tOsmia\tOsmia\n",
        ),
    )
    assert built["manifest"].ranks == ("kingdom", "phylum", "genus", "subgenus")
    assert [ref["lineage"] for ref in built["refs"]] == [
        "Animalia;Apis",
        "Animalia;Bombus",
        "Arthropoda;Osmia;Osmia",
    ]


def test_the_ledger_goes_with_the_index(tmp_path: Path) -> None:
    build(
        tmp_path,
        f">a g__Apis\n{A}\n>short g__Apis\nACGTACG\n>n g__Apis\n{'N' * 30}\n>bare\n{B}\n",
    )
    manifest = read_manifest(tmp_path / "index")
    source = manifest.sources[0]
    assert (source["source"], source["format"]) == ("lib0.fasta", "fasta-lineage")
    assert (source["records"], source["kept"]) == (4, 1)
    assert source["ledger"]["dropped"] == {
        "no stretch of 8 bases without an unknown one (too short, or N)": 2,
        "no lineage in the header": 1,
    }


def test_a_library_of_which_nothing_is_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no record can be used: 2 dropped: no name at any rank"):
        build(tmp_path, f">a k__\n{A}\n>b k__NA\n{B}\n")
    assert not (tmp_path / "index" / "manifest.json").exists()


def test_libraries_and_tables_are_paired() -> None:
    one, two, side, other = Path("1"), Path("2"), Path("t"), Path("u")
    assert paired("1", None) == [(one, None)]
    assert paired(["1", "2"], None) == [(one, None), (two, None)]
    assert paired(["1", "2"], "t") == [(one, side), (two, side)]
    assert paired(["1", "2"], ["t"]) == [(one, side), (two, side)]
    assert paired(["1", "2"], ["t", "u"]) == [(one, side), (two, other)]
    with pytest.raises(SettingsError, match="expected no table, one for all, or 3, one each"):
        paired(["1", "2", "3"], ["t", "u"])
    with pytest.raises(SettingsError, match="at least one file"):
        paired([], None)


def test_names_of_the_field_reach_the_answers(tmp_path: Path) -> None:
    names = ["Clostridium sensu stricto 2", "[Clostridium] x", "'Nostoc' \"sp.\"", "A; B, C|D"]
    texts = [A, B, C, "GATTTTGACGACGCA"]
    fasta = "".join(f">r{i}\n{text}\n" for i, text in enumerate(texts))
    table = "id\tgenus\n" + "".join(f"r{i}\t{name}\n" for i, name in enumerate(names))
    build(tmp_path, fasta, tables=(table,))
    with open_index(tmp_path / "index") as index:
        answers = index.classify(texts, min_confidence=0)
        run = index.query(tmp_path / "lib0.fasta", tmp_path / "run", min_confidence=0)
    assert answers["genus"].to_pylist() == names
    assert run.sql("SELECT genus FROM assignments ORDER BY query")["genus"].to_pylist() == names
    with (tmp_path / "run" / "assignments.tsv").open(newline="") as handle:
        assert [line["genus"] for line in csv.DictReader(handle, delimiter="\t")] == names
