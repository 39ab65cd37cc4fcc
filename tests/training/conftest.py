"""A labelled set small enough to train on in a second."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from seqsearch.training.labelled import LabelledSet, read_labelled


@pytest.fixture(scope="session")
def labelled(index_folder: Path) -> LabelledSet:
    return read_labelled(index_folder)


@pytest.fixture(scope="session")
def two_processes() -> list[str]:
    """What starts a module twice, on one model."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*launch, "--nproc-per-node", "2", "-m"]
