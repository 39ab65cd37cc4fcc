"""A table read in blocks says what it says in one piece; encodings are found wherever they show."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from seqsearch.libraries import side_table
from seqsearch.libraries.side_table import read_side_table

LINES = [
    "id\tfamily\tgenus\ttaxid",
    *(f"r{i}\tApidae\tGenus{i % 7}\t{i}" for i in range(60)),
    "r3\tApidae\tApis\t",  # two lineages, far from each other
    "r4\tApidae\tGenus4\t99",  # only another identifier
    "\tApidae\tApis\t",
    "short\tApidae",
    "n\tApidae\tN\u00e6via\t7",
]


def said(path: Path) -> tuple[object, ...]:
    side = read_side_table(path)
    lineage, external, problem = side.look_up(np.append(np.arange(len(side)), -1))
    names = {rank: column.to_pylist() for rank, column in lineage.items()}
    return names, external.to_pylist(), problem.to_pylist(), side.notes, side.first_id, side.ranks


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_blocks_of_any_size(encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes("\n".join(LINES).encode(encoding))
    names, external, problem, notes, first_id, ranks = whole = said(path)
    monkeypatch.setattr(side_table, "BLOCK", 64)
    assert said(path) == whole
    assert names["genus"] == [*(f"Genus{i % 7}" for i in range(60)), "N\u00e6via", None]
    assert external == [*map(str, range(60)), "7", None]
    assert [i for i, one in enumerate(problem) if one is not None] == [3]
    assert problem[3] == "the id has two lineages in the table"
    assert notes == [
        "1 rows of the table have not 4 fields and were left out, the first: 'short\\tApidae'",
        "1 rows of the table have no id and were left out",
    ]
    assert (first_id, ranks) == ("r0", ("family", "genus"))


def test_ids_are_found(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,genus\na,Apis\nb,Bombus\n")
    side = read_side_table(path)
    assert len(side) == 2
    assert side.find(pa.array(["b", "x", "a", ""])).tolist() == [1, -1, 0, -1]


def test_a_table_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_text("id\tgenus\n")
    names, external, problem, notes, first_id, _ = said(path)
    assert (names, external, problem, notes, first_id) == (
        {"genus": [None]},
        [None],
        [None],
        [],
        "",
    )


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("id\tgenus\na\tApis\n",))
    writer.start()
    assert said(pipe)[0] == {"genus": ["Apis", None]}
    writer.join()
