"""Fixtures of the tests and of the examples in docstrings."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqsearch.dna.simulation import SimulatedLibrary, simulate_library
from seqsearch.jobs.build import build_index
from seqsearch.jobs.demo import write_library
from seqsearch.jobs.opened import open_index
from seqsearch.settings import BuildSettings

# Similarities of an untrained encoder can be worked out by hand.
SPECTRUM = BuildSettings(encoder="spectrum", calibrate=False)
SHARED = Path(__file__).resolve().parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real libraries beside the repository; users have none."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real libraries in {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def library() -> SimulatedLibrary:
    """A simulated library of some 360 references."""
    return simulate_library(families=10, seed=7)


@pytest.fixture(scope="session")
def library_files(library: SimulatedLibrary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with references.fasta, references.tsv, queries.fasta and queries.tsv."""
    folder = tmp_path_factory.mktemp("library")
    write_library(folder, library)
    return folder


@pytest.fixture(scope="session")
def index_folder(library_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of `library_files`; do not change it."""
    folder = tmp_path_factory.mktemp("indexes") / "simulated"
    build_index(
        library_files / "references.fasta",
        folder,
        taxonomy=library_files / "references.tsv",
        settings=SPECTRUM,
    )
    return folder


@pytest.fixture(scope="session")
def tiny_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of three bees, made to be read in examples."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "ref.fasta").write_text(
        ">a f__Apidae;g__Apis;s__Apis mellifera\nACGTACGTTTGACCA\n"
        ">b f__Apidae;g__Apis;s__Apis cerana\nACGTACGTTAGGCCA\n"
        ">c f__Apidae;g__Bombus;s__Bombus terrestris\nGGATTACACCTTAGA\n"
    )
    build_index(folder / "ref.fasta", folder / "index", settings=SPECTRUM)
    return folder / "index"


@pytest.fixture(scope="session")
def tiny_run(tiny_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two queries against `tiny_index`."""
    folder = tmp_path_factory.mktemp("tiny_run")
    (folder / "reads.fasta").write_text(">q1\nACGTACGTTTGACCA\n>q2\nGGATTACACCTT\n")
    with open_index(tiny_index) as index:
        return index.query(folder / "reads.fasta", folder / "run").path
