"""Files of the user's are never written over unasked; what is named is worth its name."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from seqsearch.errors import FolderError, QueryError, SettingsError
from seqsearch.jobs.build import build_index
from seqsearch.jobs.opened import Index, open_index
from seqsearch.settings import BuildSettings

SPECTRUM = BuildSettings(encoder="spectrum")

APIS, BOMBUS = "ACGTACGTTTGACCATTGCAAGTC", "GGATTACACCTTAGACCTGTTTAA"


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    path = tmp_path / "reads.fasta"
    path.write_text(">q1\nACGTACGTTTGACCA\n>q2\nTTTTTTTTTTTTTTTT\n")
    return path


@pytest.fixture
def bees(tiny_index: Path) -> Index:
    return open_index(tiny_index)


def test_unassigned_out_spares_inputs_files_and_the_run(
    bees: Index, reads: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("a letter")
    run = tmp_path / "run"
    for output, problem in (
        (reads, "this file exists"),
        (mine, "this file exists"),
        (tmp_path, "this is a folder"),
        (tmp_path / "none" / "x.fa", "no such folder"),
        (run / "x.fa", "no such folder"),
    ):
        with pytest.raises(FolderError, match=problem):
            bees.query(reads, run, unassigned_out=output)
        assert not run.exists()
    with pytest.raises(FolderError, match="this is an input"):
        bees.query(reads, run, unassigned_out=reads, overwrite=True)
    assert mine.read_text() == "a letter"
    assert reads.read_text().startswith(">q1")
    found = bees.query(reads, run, unassigned_out=tmp_path / "rest.fa", min_confidence=0.9)
    assert (tmp_path / "rest.fa").read_text() == ">q2\nTTTTTTTTTTTTTTTT\n"
    with pytest.raises(FolderError, match="this is inside the run folder"):
        found.call(0.9, run / "x.fa")
    with pytest.raises(FolderError, match="this is an input"):
        found.call(0.9, reads, overwrite=True)


def test_a_pipe_is_read_once(bees: Index, reads: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    feeder = threading.Thread(target=lambda: pipe.write_bytes(reads.read_bytes()))
    feeder.start()
    run = bees.query(pipe, tmp_path / "run")
    feeder.join()
    assert run.assignments()["query_id"].to_pylist() == ["q1", "q2"]
    with pytest.raises(SettingsError, match="standard input once"):
        bees.query(["-", "-"], tmp_path / "other")


def test_a_rank_with_one_taxon_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "ref.fasta").write_text(
        f">a k__Animalia;g__Apis\n{APIS}\n>b k__Animalia;g__Bombus\n{BOMBUS}\n"
    )
    build_index(tmp_path / "ref.fasta", tmp_path / "index", settings=SPECTRUM)
    with open_index(tmp_path / "index") as index:
        sure, tied = index.classify([APIS, APIS[:12] + BOMBUS[12:]], align=0).to_pylist()
    assert (sure["verdict"], sure["kingdom"], sure["genus"]) == ("identified", "Animalia", "Apis")
    assert (tied["verdict"], tied["rank"], tied["kingdom"]) == ("ambiguous", None, None)


def test_a_name_from_afar_is_not_sure(tmp_path: Path) -> None:
    (tmp_path / "ref.fasta").write_text(
        f">unnamed f__Apidae;g__Apis\n{APIS}\n"
        f">far f__Apidae;g__Apis;s__Apis cerana\n{APIS[:14] + BOMBUS[14:]}\n"
        f">other f__Apidae;g__Bombus;s__Bombus terrestris\n{BOMBUS}\n"
    )
    build_index(tmp_path / "ref.fasta", tmp_path / "index", settings=SPECTRUM)
    with open_index(tmp_path / "index") as index:
        (exact,) = index.classify([APIS]).to_pylist()
    assert exact["similarity"] == 1
    assert (exact["rank"], exact["species"]) == ("genus", None)
    assert exact["p_species"] < 0.6
    assert exact["p_genus"] > 0.8


def test_one_sequence_of_two_species_is_ambiguous_whatever_stands_behind(tmp_path: Path) -> None:
    nearly = APIS[:-1] + "A"
    (tmp_path / "ref.fasta").write_text(
        f">a g__Apis;s__Apis cerana\n{APIS}\n>b g__Apis;s__Apis mellifera\n{APIS}\n"
        f">c g__Apis;s__Apis mellifera\n{nearly}\n>d g__Bombus;s__Bombus pratorum\n{BOMBUS}\n"
    )
    build_index(tmp_path / "ref.fasta", tmp_path / "index", settings=SPECTRUM)
    with open_index(tmp_path / "index") as index:
        (found,) = index.classify([APIS]).to_pylist()
    assert (found["verdict"], found["rank"]) == ("ambiguous", "genus")
    assert found["reason"] == "2 names tie for species"


def test_repeated_column_names_are_numbered(bees: Index, reads: Path, tmp_path: Path) -> None:
    run = bees.query(reads, tmp_path / "run")
    assert run.sql("SELECT 1 AS a, 2 AS a, 3 AS a").to_pylist() == [{"a": 1, "a_2": 2, "a_3": 3}]
    with pytest.raises(QueryError, match=r"no view sources here .*; views here: refs, taxa"):
        run.sql("SELECT * FROM sources")
