"""The ledger adds up over batches."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.dna.batch import SequenceBatch
from seqsearch.libraries.ledger import EXAMPLES, Ledger
from seqsearch.libraries.records import LibraryRecords, first_problem

problems = st.sampled_from([None, "too short", "too long"])


@settings(deadline=None)
@given(batches=st.lists(st.lists(problems, max_size=9), max_size=5))
def test_counts_are_those_of_a_loop(batches: list[list[str | None]]) -> None:
    ledger, number = Ledger(), 0
    expected: dict[str, list[str]] = {}
    for batch in batches:
        ids = [f"r{number + i}" for i in range(len(batch))]
        number += len(batch)
        records = LibraryRecords(
            SequenceBatch.from_clean(ids, [b"A"] * len(ids)),
            {},
            pa.nulls(len(ids), pa.string()),
            pa.array(batch, pa.string()),
        )
        kept = ledger.admit(records)
        assert kept.tolist() == [i for i, problem in enumerate(batch) if problem is None]
        for name, problem in zip(ids, batch, strict=True):
            if problem is not None:
                expected.setdefault(problem, []).append(name)
    assert ledger.read == number
    assert ledger.kept == number - sum(map(len, expected.values()))
    assert ledger.dropped == {reason: len(ids) for reason, ids in expected.items()}
    assert ledger.examples == {reason: ids[:EXAMPLES] for reason, ids in expected.items()}
    assert len(ledger.lines()) == 1 + len(expected)


def test_lines_name_counts_reasons_and_examples() -> None:
    ledger = Ledger(
        read=1_240,
        kept=1_230,
        dropped={"no name": 9, "empty": 1},
        examples={"no name": ["a", "", "c", "d", "e"], "empty": ["x"]},
        notes=["as you know"],
    )
    assert ledger.lines() == [
        "1,240 records read, 1,230 kept",
        "9 dropped: no name (a, (no id), c, d, e, ...)",
        "1 dropped: empty (x)",
        "as you know",
    ]
    assert ledger.to_json()["dropped"] == {"no name": 9, "empty": 1}


def test_the_first_problem_counts() -> None:
    none = pa.nulls(3, pa.string())
    first = pa.array([None, "one", None])
    second = pa.array(["two", "two", None])
    assert first_problem(none, first, second).to_pylist() == ["two", "one", None]
