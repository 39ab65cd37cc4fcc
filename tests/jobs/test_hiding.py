"""What a library hides from itself, counted by hand."""

from __future__ import annotations

import numpy as np

from seqsearch.jobs.hiding import MIXED, _agreed


def test_rows_agree_on_the_taxa_of_all_their_lines() -> None:
    taxa = np.array([[0, 4, 10], [0, 4, 11], [0, 5, 12], [0, 4, 10], [0, 4, 11]], np.int32)
    start = np.array([0, 2, 2, 3, 5, 5])  # the second row was taken out, and the last
    assert _agreed(taxa, start).tolist() == [
        [0, 4, MIXED], [-1, -1, -1], [0, 5, 12], [0, 4, MIXED], [-1, -1, -1],
    ]  # fmt: skip
    assert _agreed(taxa[:0], np.zeros(3, np.int64)).tolist() == [[-1] * 3] * 2
