"""`library audit`, `index build --exclude` and `index info --resolvability`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqsearch.index.manifest import read_manifest

COLUMNS = "ref_id source problem rank name suggested confidence nearest identity evidence action"


@pytest.fixture
def twins(tmp_path: Path) -> Path:
    """Four records; two are the same sequence of two genera."""
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGT"), 200)) for _ in range(3)]
    names = ["Apis;s__Apis mellifera", "Bombus;s__Bombus hortorum", "Osmia;s__Osmia rufa"]
    lines = [f">r{i} f__Apidae;g__{names[i]}\n{texts[i]}\n" for i in range(3)]
    path = tmp_path / "twins.fasta"
    path.write_text("".join(lines) + f">r9 f__Apidae;g__{names[1]}\n{texts[0]}\n")
    return path


def test_an_audit_is_listed_edited_and_heeded(
    twins: Path, tmp_path: Path, command: Any, fails: Any
) -> None:
    table, index = tmp_path / "audit.tsv", tmp_path / "index"
    answer = command("library", "audit", twins, "-o", table)
    assert (answer.status, answer.err) == (0, "")
    assert "conflicting" in answer.out
    assert answer.out.endswith(f"{table}: 3 flags\n")
    lines = [line.split("\t") for line in table.read_text().splitlines()]
    assert lines[0] == COLUMNS.split()
    assert [(line[0], line[2], line[7]) for line in lines[1:]] == [
        ("r0", "mislabelled", "r9"),
        ("r0", "conflicting", ""),
        ("r9", "conflicting", ""),
    ]
    assert fails("library", "audit", twins, "-o", table) == (
        f"{table}: this file exists; give --overwrite to replace it"
    )
    assert command("library", "audit", twins, "-o", table, "--overwrite", "-q").out == ""
    found = json.loads(command("library", "audit", twins, "-o", table, "--overwrite", "--json").out)
    assert found["problems"] == {
        "mislabelled": {"exclude": 0, "check": 1},
        "conflicting": {"exclude": 0, "check": 2},
    }

    words = ["index", "build", twins, "-o", index, "--exclude", table]
    assert "4 records read, 4 kept" in command(*words).out
    table.write_text(table.read_text().replace("is also Apis\tcheck", "is also Apis\texclude"))
    answer = command(*words, "--overwrite")
    assert "4 records read, 3 kept" in answer.out
    assert "1 dropped: excluded by the user (r9)" in answer.out
    assert read_manifest(index).counts["records"] == 3


def test_files_that_are_no_audit(twins: Path, tmp_path: Path, fails: Any) -> None:
    words = ["index", "build", twins, "-o", tmp_path / "index", "--exclude"]
    assert fails(*words, twins) == (
        f"{twins}: has no column ref_id; expected a table as of library audit"
    )
    assert "not a table of records to exclude" in fails(*words, tmp_path / "none.tsv")
    assert "no such file" in fails("library", "audit", tmp_path / "no", "-o", tmp_path / "a.tsv")
    assert not (tmp_path / "index" / "manifest.json").exists()


def test_what_an_index_can_tell_apart(
    twins: Path, tmp_path: Path, command: Any, fails: Any
) -> None:
    index = tmp_path / "index"
    command("index", "build", twins, "-o", index, "--no-calibrate")
    assert fails("index", "info", index, "--resolvability") == (
        f"{index}: its resolvability was not measured; seqsearch index calibrate {index}"
    )
    answer = command("index", "calibrate", index)
    assert answer.out == (
        f"{index} is calibrated (state 2); too small for probabilities of its own\n"
    )
    answer = command("index", "info", index, "--resolvability")
    assert answer.out.startswith(
        "3 species: 2 share a sequence with another one; of 1 with several sequences 0 have"
    )
    assert "Apis" in answer.out
    assert "Osmia" not in answer.out
    described = json.loads(command("index", "info", index, "--resolvability", "--json").out)
    assert described["counts"] == {"taxa": 3, "sharing": 2, "several": 1, "with_gap": 0}
    assert described["rank"] == "species"
    statement = "SELECT name, shared_with FROM resolvability WHERE len(shared_with) > 0"
    answer = command("sql", index, statement, "--csv")
    assert answer.out.splitlines()[1:] == [
        '"Apis mellifera","[""Bombus hortorum""]"',
        '"Bombus hortorum","[""Apis mellifera""]"',
    ]
