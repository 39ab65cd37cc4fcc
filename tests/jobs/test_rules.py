"""Names by a rule: in memory, in runs, drawn again, read without their index."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqsearch.errors import FolderError, SettingsError
from seqsearch.jobs.opened import open_index
from seqsearch.jobs.opened_run import Run, open_run
from seqsearch.settings import QuerySettings

RULE = "species>=97,genus>=94,family>=88,coverage>=50"


@pytest.fixture(scope="module")
def index(module_bench, records) -> Path:
    return module_bench.index(module_bench.library(records))


@pytest.fixture(scope="module")
def file(module_bench, reads) -> Path:
    return module_bench.reads(reads)


@pytest.fixture(scope="module")
def by_rule(module_bench, index, file) -> Run:
    return module_bench.query(index, file, batch_size=13, rule=RULE, within=1.0)


def files_of(run: Run) -> tuple[bytes, ...]:
    return tuple((run.path / f"assignments.{kind}").read_bytes() for kind in ("tsv", "parquet"))


def test_every_kind_of_verdict_but_novel(by_rule) -> None:
    verdicts = by_rule.state["counts"]["verdicts"]
    assert {"identified", "partial", "ambiguous", "invalid"} <= set(verdicts)
    assert "novel" not in verdicts
    table = by_rule.assignments()
    assert table["novel_rank"].null_count == len(table)
    assert table["p_species"].null_count < len(table)
    names = [row["species"] for row in table.to_pylist() if row["verdict"] == "ambiguous"]
    assert set(names) == {None}


def test_identical_sequences_of_two_names_are_ambiguous(by_rule) -> None:
    copies = [row for row in by_rule.assignments().to_pylist() if row["query_id"][:4] == "copy"]
    labels = {ref["ref_id"]: ref["lineages"] for ref in by_rule.refs().to_pylist()}
    several = [
        row
        for row in copies
        if len({tuple(one["names"]) for one in labels[row["best_ref"]] if one["names"][-1]}) > 1
    ]
    assert several
    assert all(row["identity"] == 1 for row in copies)
    assert {row["verdict"] for row in several} == {"ambiguous"}


def test_drawn_again_is_queried_again(module_bench, index, file, by_rule) -> None:
    plain = module_bench.query(index, file, batch_size=13)
    before, state = files_of(plain), open_run(plain.path).state["settings"]
    assert state["rule"] is None
    gone = shutil.move(index, index.with_name("moved"))  # the run is enough
    try:
        table = open_run(plain.path).call(rule=RULE, within=1.0)
    finally:
        shutil.move(gone, index)
    assert table.equals(by_rule.assignments())
    assert files_of(plain) == files_of(by_rule)
    for part in ("counts", "settings"):
        assert open_run(plain.path).state[part] == by_rule.state[part]
    plain.call()
    assert files_of(plain) == before
    assert open_run(plain.path).state["settings"] == state


def test_a_rule_for_sequences_in_memory(index, file, by_rule) -> None:
    with open_index(index) as opened:
        table = opened.classify(file, rule=RULE, within=1.0)
        assert table.to_pylist() == by_rule.assignments().to_pylist()
        with pytest.raises(SettingsError, match="not 'tribe'"):
            opened.classify(file, rule="tribe>=95")


def test_the_order_of_the_library_changes_nothing(module_bench, records, file, by_rule) -> None:
    order = np.random.default_rng(5).permutation(len(records))
    index = module_bench.index(module_bench.library([records[i] for i in order]))
    other = module_bench.query(index, file, rule=RULE, within=1.0)
    assert module_bench.findings(other) == module_bench.findings(by_rule)


def test_names_are_those_of_all_labels_of_the_nearest(by_rule) -> None:
    """The lowest common ancestor, hit by hit, of the run's own tables."""
    refs = {row["reference"]: row["lineages"] for row in by_rule.refs().to_pylist()}
    hits: dict[int, list[dict[str, Any]]] = {}
    for hit in by_rule.hits().to_pylist():
        hits.setdefault(hit["query"], []).append(hit)
    ranks, cuts = by_rule.folder.ranks, QuerySettings(rule=RULE).cuts
    named = 0
    for row in by_rule.assignments().to_pylist():
        counted = [
            hit
            for hit in hits.get(row["query"], [])
            if hit["identity"] is not None and hit["query_coverage"] >= 0.5
        ]
        best = max((hit["identity"] for hit in counted), default=0)
        near = [hit for hit in counted if hit["identity"] >= best - 0.01 - 1e-7]
        paths = [one["names"] for hit in near for one in refs[hit["reference"]] or []]
        reached = [r for r in ranks if 100 * best >= cuts.get(r, 101) - 1e-5]
        expected: dict[str, str | None] = dict.fromkeys(ranks)
        for at, rank in enumerate(ranks[: ranks.index(reached[-1]) + 1 if reached else 0]):
            said = {path[at] for path in paths if any(path[at:])}
            if len(said) != 1 or row["verdict"] == "off_target":
                break
            expected[rank] = said.pop()
        assert {rank: row[rank] for rank in ranks} == expected
        named += expected["genus"] is not None
    assert named > 20


def test_what_a_run_refuses(module_bench, index, file, by_rule, reads) -> None:
    unaligned = module_bench.query(index, module_bench.reads(reads[:5]), align=0)
    with pytest.raises(SettingsError, match="align is 0: expected 1 or more: a rule needs"):
        unaligned.call(rule=RULE)
    before = files_of(by_rule)
    with pytest.raises(SettingsError, match="expected ranks of this library"):
        by_rule.call(rule="tribe>=95")
    with pytest.raises(SettingsError, match="expected none beside a rule"):
        by_rule.call(0.5, rule=RULE)
    assert files_of(by_rule) == before


def test_an_unfinished_run_goes_on_with_its_own_rule_only(
    module_bench, index, file, by_rule
) -> None:
    class StoppedError(Exception):
        pass

    def progress(stage: str, done: int, fraction: float | None) -> None:
        if done:
            raise StoppedError

    out = module_bench.path("run")
    with open_index(index, threads=2) as opened:
        with pytest.raises(StoppedError):
            opened.query(file, out, progress=progress, batch_size=13, rule=RULE, within=1.0)
        for other in ({}, {"rule": RULE}, {"rule": "species>=97"}):
            with pytest.raises(FolderError, match="an unfinished run with other settings is here"):
                opened.query(file, out, batch_size=13, **other)
        run = opened.query(file, out, batch_size=13, rule=RULE, within=1.0)
    assert files_of(run) == files_of(by_rule)


def test_composition_counts_the_names_of_the_rule(by_rule) -> None:
    from seqsearch.analytics.queries import named_query

    rows = by_rule.sql(named_query("composition")).to_pylist()
    counted = {(row["rank"], row["name"]): row["queries"] for row in rows}
    expected: dict[tuple[str, str], int] = {}
    for row in by_rule.assignments().to_pylist():
        for rank in by_rule.folder.ranks:
            if row[rank]:
                expected[rank, row[rank]] = expected.get((rank, row[rank]), 0) + 1
    assert counted == expected
    assert by_rule.sql("SELECT rule FROM runs").to_pylist() == [{"rule": RULE}]
