"""`--rule` and `--within` of `query` and `call`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

RULE = "species>=97,genus>=90"


def column(run: Path, name: str) -> list[Any]:
    return pq.read_table(run / "assignments.parquet")[name].to_pylist()


def test_query_by_rule(tiny_index: Path, reads: list[Path], tmp_path: Path, command: Any) -> None:
    run = tmp_path / "run"
    answer = command("query", tiny_index, *reads, "-o", run, "--rule", RULE)
    assert answer.status == 0
    assert answer.out.splitlines()[-1] == f"{run}/assignments.tsv (named by {RULE})"
    assert column(run, "verdict")[:3] == ["identified", "identified", "ambiguous"]
    assert column(run, "taxon")[:3] == ["Apis mellifera", "Bombus terrestris", "Apis"]
    assert column(run, "reason")[2] == "2 species are within 0.5 % of the best identity"
    assert column(run, "alternatives")[2] == "Apis cerana (0.50); Apis mellifera (0.50)"
    assert column(run, "verdict")[4] == "invalid"
    header = (run / "assignments.tsv").read_text().splitlines()[0].split("\t")
    assert header == pq.read_schema(run / "assignments.parquet").names


def test_call_by_rule_and_back(bee_run: Path, command: Any) -> None:
    before = (bee_run / "assignments.tsv").read_bytes()
    state = json.loads((bee_run / "run.json").read_text())["settings"]
    assert (state["rule"], state["within"]) == (None, 0.5)
    answer = command("call", bee_run, "--rule", "genus>=90", "--within", "2")
    assert answer.status == 0
    assert answer.out.splitlines()[-1] == f"{bee_run}/assignments.tsv (named by genus>=90)"
    assert column(bee_run, "reason") == ["the rule names nothing below genus"] * 2
    changed = json.loads((bee_run / "run.json").read_text())["settings"]
    assert changed == {**state, "rule": "genus>=90", "within": 2.0}
    assert command("call", bee_run, "--quiet").status == 0
    assert (bee_run / "assignments.tsv").read_bytes() == before
    assert json.loads((bee_run / "run.json").read_text())["settings"] == state


def test_a_run_without_alignments_has_no_identities(
    tiny_index: Path, reads: list[Path], tmp_path: Path, command: Any, fails: Any
) -> None:
    run = tmp_path / "run"
    query = ("query", tiny_index, reads[0], "-o", run, "--align", "0", "--quiet")
    expected = "align is 0: expected 1 or more: a rule needs identities"
    assert fails(*query, "--rule", RULE, status=2) == expected
    assert not run.exists()
    assert command(*query).status == 0
    assert fails("call", run, "--rule", RULE, status=2) == expected
