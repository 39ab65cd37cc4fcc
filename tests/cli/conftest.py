"""A run whose answers can be told by hand."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from seqsearch.jobs.opened import open_index


@pytest.fixture(scope="session")
def reads(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Reads of the three bees in two files.

    The first is Apis mellifera, the second Bombus terrestris turned round; the third is as near to
    both Apis, the fourth is like none, the fifth is too short.
    """
    folder = tmp_path_factory.mktemp("reads")
    one, two = folder / "one.fasta", folder / "two.fasta.gz"
    one.write_text(">q1;size=5 first read\nACGTACGTTTGACCA\n>q2\nTCTAAGGTGTAATCC\n")
    two.write_bytes(gzip.compress(b">q3;size=2\nACGTACGTT\n>q4\nTTTTTTTTTTTTTTT\n>q5\nACG\n"))
    return [one, two]


@pytest.fixture(scope="session")
def five_reads(
    tiny_index: Path, reads: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Their run; do not change it."""
    folder = tmp_path_factory.mktemp("five_reads") / "run"
    with open_index(tiny_index) as index:
        return index.query(reads, folder).path
