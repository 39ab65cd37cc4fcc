"""A labelled set small enough to train on in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqsearch.training.labelled import LabelledSet, read_labelled


@pytest.fixture(scope="session")
def labelled(index_folder: Path) -> LabelledSet:
    return read_labelled(index_folder)
