"""What commands print: progress on a terminal, tables, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Report = Callable[[str, int, float | None], None]


def _silent(_stage: str, _done: int, _fraction: float | None) -> None:
    pass


@contextmanager
def progress(quiet: bool) -> Iterator[Report]:
    """Give a progress function: a bar with rate and ETA on a terminal, silent elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(),
        TextColumn("{task.fields[done]:,} sequences"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, fraction: float | None) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=None, done=0, rate=0.0)
            elapsed = bar.tasks[tasks[stage]].elapsed or 0
            bar.update(
                tasks[stage],
                total=None if fraction is None else 1.0,
                completed=fraction or 0.0,
                done=done,
                rate=done / elapsed if elapsed else 0.0,
            )

        yield report


def say(text: str, quiet: bool = False) -> None:
    """Print a line."""
    if not quiet:
        print(text)


def warn(text: str, quiet: bool = False) -> None:
    """Print a line on standard error."""
    if not quiet:
        print(f"Warning: {text}", file=sys.stderr)


def say_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def say_table(columns: list[str], rows: list[list[Any]]) -> None:
    """Print a table; it is cut to the terminal, but never where it is piped."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for position, name in enumerate(columns):
        is_number = bool(rows) and all(isinstance(row[position], (int, float)) for row in rows)
        table.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else 100_000).print(table)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
