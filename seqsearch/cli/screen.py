"""What commands print: progress on a terminal, tables, JSON."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Report = Callable[[str, int, float | None], None]


def _silent(_stage: str, _done: int, _fraction: float | None) -> None:
    pass


@contextmanager
def progress(quiet: bool, unit: str = "sequences") -> Iterator[Report]:
    """Give a progress function: a bar with rate and ETA on a terminal, silent elsewhere.

    What follows a comma in a stage's name (a loss, say) may change from call to call.
    """
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
        TextColumn(f"{{task.fields[done]:,}} {unit}"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}
        before: dict[str, int] = {}  # done at the start, by an earlier run

        def report(stage: str, done: int, fraction: float | None) -> None:
            described, stage = stage, stage.partition(",")[0]
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=None, done=0, rate=0.0)
                before[stage] = done if fraction is None else 0
            elapsed = bar.tasks[tasks[stage]].elapsed or 0
            bar.update(
                tasks[stage],
                description=described,
                total=None if fraction is None else 1.0,
                completed=fraction or 0.0,
                done=done,
                rate=(done - before[stage]) / elapsed if elapsed else 0.0,
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
    """Print a table; where it is wider than the terminal, one line a value instead."""
    texts = [[_shown(value) for value in row] for row in rows]
    widths = [max(map(len, column)) + 3 for column in zip(columns, *texts, strict=True)]
    if sys.stdout.isatty() and sum(widths) > shutil.get_terminal_size().columns:
        _say_records(columns, texts)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for position, name in enumerate(columns):
        is_number = bool(rows) and all(isinstance(row[position], (int, float)) for row in rows)
        table.add_column(Text(name), justify="right" if is_number else "left", no_wrap=True)
    for row in texts:
        table.add_row(*map(Text, row))
    Console(width=sum(widths) + 3).print(table)


def _say_records(columns: list[str], texts: list[list[str]]) -> None:
    """Print rows below each other, empty values left out."""
    width = max(map(len, columns))
    for number, row in enumerate(texts, start=1):
        print(f"-- row {number}")
        for name, text in zip(columns, row, strict=True):
            if text:
                print(f"{name:{width}}  {text}")


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
