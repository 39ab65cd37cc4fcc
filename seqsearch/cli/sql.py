"""`seqsearch sql`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from seqsearch.cli.options import Json, Overwrite
from seqsearch.cli.screen import say, say_json, say_table
from seqsearch.errors import QueryError, SettingsError


def sql(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET... SELECT",
            help="Index and run folders, then the statement.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Run a named query.", show_default=False)
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List views and named queries.")] = False,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", help="Write a Parquet file.", show_default=False)
    ] = None,
    overwrite: Overwrite = False,
    limit_s: Annotated[float, typer.Option("--time-limit", help="Seconds; 0: none.")] = 0,
) -> None:
    """Ask SQL of indexes and runs; nothing can be changed or reached from it.

    Example: seqsearch sql runs/asvs "SELECT family, count(*) FROM assignments GROUP BY family"
    """
    from seqsearch.analytics.queries import named_query
    from seqsearch.analytics.views import run_sql

    if list_:
        _say_list()
        return
    given = list(words or [])
    if name is None and len(given) < 2:
        raise SettingsError(
            "sql", " ".join(given), "TARGET... and a statement, or TARGET... --name QUERY"
        )
    if parquet is not None:
        from seqsearch.tables import check_output

        check_output(parquet, overwrite)
    statement = named_query(name) if name is not None else given.pop()
    table = run_sql(given, statement, limit_s or None)
    if parquet is not None or csv:
        _write(table, parquet)
    elif json:
        say_json(table.to_pylist())
    else:
        say_table(table.column_names, [list(row.values()) for row in table.to_pylist()])
        say(f"{len(table):,} rows")


def _write(table: Any, parquet: Path | None) -> None:
    """Write a table as Parquet, or print it as CSV."""
    import pyarrow as pa
    from pyarrow.csv import write_csv

    from seqsearch.tables import write_parquet

    try:
        if parquet is not None:
            write_parquet(table, parquet)
        else:
            write_csv(_flat(table), sys.stdout.buffer)
    except pa.ArrowException as error:  # an interval, for one
        raise QueryError(f"{error}: cast that column to VARCHAR") from error


def _flat(table: Any) -> Any:
    """Lists and structs as JSON: CSV has no other place for them."""
    import json

    import pyarrow as pa

    for position, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            values = table[position].to_pylist()
            texts = [None if v is None else json.dumps(v, default=str) for v in values]
            table = table.set_column(position, field.name, pa.array(texts, pa.string()))
    return table


def _say_list() -> None:
    from seqsearch.analytics.queries import NAMED
    from seqsearch.analytics.views import VIEWS

    say("views:")
    for view, description in VIEWS.items():
        say(f"  {view:12} {description}")
    say("named queries (--name):")
    for name, query in NAMED.items():
        say(f"  {name:12} {query.description}")
