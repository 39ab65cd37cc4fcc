"""Speeds beside those of other tools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from seqsearch.errors import SettingsError
from seqsearch.evaluation.peers import BenchLibrary
from seqsearch.evaluation.speed import FEW, Job, compare_speeds, start_and_rate


def test_as_many_queries_as_tell_the_start_tell_no_speed(tmp_path: Path) -> None:
    none, path = pa.table({}), tmp_path / "none"
    job = Job(BenchLibrary("none", path, path, path, none, {}, none), tmp_path / "work", 1)
    for ours, theirs in ((FEW, FEW + 1), (FEW + 1, FEW)):
        with pytest.raises(SettingsError, match="expected more than 50"):
            next(compare_speeds(job, ours=ours, theirs=theirs, tools=["seqsearch"]))
    assert not (tmp_path / "work").exists()


def test_noise_is_no_speed() -> None:
    for many in (3.0, 2.9):
        assert np.isnan(start_and_rate(3.0, many, FEW + 100)).all()
    assert start_and_rate(0.1, 1.1, FEW + 10) == (0.0, 10.0)  # never before the start
