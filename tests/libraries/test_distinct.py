"""Distinct lines are numbered as a dictionary would."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsearch.libraries.distinct import DistinctLines

value = st.sampled_from([None, "", "a", "b", "ab", "a\t", "é"])
tables_strategy = st.lists(
    st.tuples(st.permutations(["x", "y", "z"]), st.lists(st.tuples(value, value), max_size=9)),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=80)
@given(tables=tables_strategy)
def test_numbers_are_those_of_a_dictionary(
    tables: list[tuple[list[str], list[tuple[str | None, str | None]]]],
) -> None:
    distinct, known = DistinctLines(), {}
    for names, lines in tables:  # each table has two of three columns, in any order
        columns = [pa.array([line[i] for line in lines], pa.string()) for i in range(2)]
        numbers = distinct.add(pa.table(columns, names=names[:2])).tolist()
        full = [{"x": None, "y": None, "z": None} | dict(zip(names, one)) for one in lines]  # noqa: B905
        keys = [tuple(one[name] for name in "xyz") for one in full]
        assert numbers == [known.setdefault(key, len(known)) for key in keys]
    assert len(distinct) == len(known)
    table = distinct.table()
    for name in set("xyz") - set(table.column_names):
        table = table.append_column(name, pa.nulls(len(table), pa.string()))
    assert [tuple(row[name] for name in "xyz") for row in table.to_pylist()] == list(known)
    assert distinct.table(since=1).num_rows == max(0, len(known) - 1)
