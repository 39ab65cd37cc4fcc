"""The audit: mistakes planted in a simulated library, and which of them it names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pytest

from seqsearch.analytics.audit import read_excluded
from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.simulation import simulate_library
from seqsearch.errors import InputError
from seqsearch.evaluation.audits import Planted, score, spoil_sequences, swap_names
from seqsearch.index.manifest import read_manifest
from seqsearch.jobs.auditing import audit_library, write_audit
from seqsearch.jobs.build import build_index
from seqsearch.settings import BuildSettings

ONE_LINE = "ref_id\tsource\tproblem\taction\n"


@pytest.fixture(scope="module")
def library() -> tuple[SequenceBatch, pa.Table]:
    simulated = simulate_library(families=20, seed=5)
    return simulated.references, simulated.reference_table()


def written(folder: Path, planted: Planted) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    fasta, table = folder / "library.fasta", folder / "library.tsv"
    lines = (f">{name}\n{planted.batch.sequence(i)}\n" for i, name in enumerate(ids_of(planted)))
    fasta.write_text("".join(lines))
    pcsv.write_csv(planted.names, table, pcsv.WriteOptions(delimiter="\t"))
    return fasta, table


def ids_of(planted: Planted) -> list[str]:
    names: list[str] = planted.batch.ids.to_pylist()
    return names


def audited(folder: Path, planted: Planted) -> pa.Table:
    fasta, table = written(folder, planted)
    return audit_library(fasta, taxonomy=table)


@pytest.fixture(scope="module")
def before(library: tuple[SequenceBatch, pa.Table], tmp_path_factory) -> pa.Table:
    return audited(tmp_path_factory.mktemp("before"), Planted(*library, {}))


def test_swapped_names_are_found(
    library: tuple[SequenceBatch, pa.Table], before: pa.Table, tmp_path: Path
) -> None:
    planted = swap_names(*library, pairs=10, seed=1)
    after = audited(tmp_path, planted)
    found = score("mislabelled", planted, before, after)
    assert found.planted == 20
    assert found.recall >= 0.8
    assert found.precision >= 0.8
    truth = dict(zip(ids_of(planted), library[1].to_pylist(), strict=True))
    for flag in after.to_pylist():
        if flag["problem"] == "mislabelled" and flag["ref_id"] in planted.ids["mislabelled"]:
            assert flag["suggested"] == truth[flag["ref_id"]][flag["rank"]]
            assert flag["name"] != flag["suggested"]
            assert flag["confidence"] >= 0.5
            assert f"are {flag['suggested']}, none {flag['name']} (" in flag["evidence"]
            assert truth[flag["nearest"]][flag["rank"]] == flag["suggested"]


def test_turned_mixed_and_foreign_records_are_found(
    library: tuple[SequenceBatch, pa.Table], before: pa.Table, tmp_path: Path
) -> None:
    foreign = simulate_library(families=2, seed=77).references
    planted = spoil_sequences(*library, foreign, count=8, seed=2)
    after = audited(tmp_path, planted)
    found = {problem: score(problem, planted, before, after) for problem in planted.ids}
    assert found["reversed"].recall == found["reversed"].precision == 1
    assert found["off_marker"].recall == found["off_marker"].precision == 1
    assert found["chimera"].recall >= 0.8
    assert found["chimera"].precision >= 0.5  # sister genera of a simulation are close


def test_one_sequence_with_two_names_is_shown(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGT"), 300)) for _ in range(3)]
    batch = SequenceBatch.from_clean(list("abcd"), [t.encode() for t in (*texts, texts[0])])
    names = pa.table(
        {
            "id": list("abcd"),
            "family": ["F"] * 4,
            "genus": ["A", "B", "C", "D"],
            "species": ["A a", "B b", "C c", "D d"],
        }
    )
    flags = audited(tmp_path, Planted(batch, names, {})).to_pylist()
    found = {flag["ref_id"]: flag for flag in flags if flag["problem"] == "conflicting"}
    assert set(found) == {"a", "d"}
    assert (found["a"]["rank"], found["a"]["name"], found["a"]["suggested"]) == ("genus", "A", "D")
    assert found["d"]["evidence"] == "the same sequence is also A"
    assert found["d"]["action"] == "check"


def test_what_an_audit_excludes_is_left_out_of_a_build(
    library: tuple[SequenceBatch, pa.Table], tmp_path: Path
) -> None:
    planted = swap_names(*library, pairs=10, seed=1)
    fasta, names = written(tmp_path / "files", planted)
    table = audit_library(fasta, taxonomy=names)
    write_audit(table, tmp_path / "audit.tsv")
    out = {flag["ref_id"] for flag in table.to_pylist() if flag["action"] == "exclude"}
    assert len(out & planted.ids["mislabelled"]) >= 10
    plain = BuildSettings(calibrate=False)
    change = build_index(
        fasta, tmp_path / "index", taxonomy=names, exclude=tmp_path / "audit.tsv", settings=plain
    )
    ledger = change.sources[0]["ledger"]
    assert ledger["dropped"] == {"excluded by the user": len(out)}
    assert read_manifest(tmp_path / "index").counts["records"] == len(planted.batch) - len(out)


def test_an_index_can_be_audited_itself(
    library: tuple[SequenceBatch, pa.Table], before: pa.Table, tmp_path: Path
) -> None:
    fasta, names = written(tmp_path / "files", Planted(*library, {}))
    build_index(fasta, tmp_path / "index", taxonomy=names)
    assert audit_library(tmp_path / "index").equals(before)


@pytest.mark.parametrize(
    ("text", "ids", "pairs"),
    [
        (ONE_LINE + "a\tx.fa\tmislabelled\texclude\nb\tx.fa\tchimera\tcheck\n", [], ["x.fa\ta"]),
        ("ref_id\tsource\na\tx.fa\n", [], ["x.fa\ta"]),
        ("ref_id\n1\n", ["1"], []),
        ("ref_id\r\n1\r\nNA\r\n", ["1", "NA"], []),
        (ONE_LINE, [], []),
    ],
)
def test_what_is_excluded(text: str, ids: list[str], pairs: list[str], tmp_path: Path) -> None:
    (tmp_path / "audit.tsv").write_text(text)
    found = read_excluded(tmp_path / "audit.tsv")
    assert (found.ids.to_pylist(), found.pairs.to_pylist()) == (ids, pairs)
    taken = found.of(pa.array(["a", "b", "1"]), "x.fa").to_pylist()
    assert taken == [bool(pairs), False, bool(ids)]


@pytest.mark.parametrize("text", ["name\nx\n", "", "a\tb\nc\n"])
def test_other_tables_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "audit.tsv").write_text(text)
    with pytest.raises(InputError, match=r"has no column ref_id|not a table of records to exclude"):
        read_excluded(tmp_path / "audit.tsv")
