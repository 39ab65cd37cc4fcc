"""How reliability is printed: a short table, or every bin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

BAR = 50  # columns
WAYS = {"aligned": "with alignment", "vectors": "without (--align 0)"}
MIXES = {"default": "default prior", "even": "every scenario as often"}
NOT_MEASURED = "reliability not measured (seqsearch index calibrate measures it)"


def short_lines(measured: dict[str, Any] | None) -> Iterator[str]:
    """Yield one line a rank, with alignment."""
    if measured is None:
        yield NOT_MEASURED
        return
    yield f"reliability {_whose(measured)}, genera held out (--reliability: every bin)"
    tables = measured["aligned"]
    scenarios = [name for name in tables if name not in MIXES]
    lacks = [name.removesuffix(" hidden") for name in scenarios]
    widths = [max(9, len(name) + 2) for name in lacks]
    yield f"{'':12}{'default prior':>33}     ECE, every scenario as often; hidden:"
    yield (
        f"{'rank':12}{'queries':>9}{'ECE':>7}{'named %':>9}{'right %':>9}{'all':>8}"
        + "".join(f"{name:>{width}}" for name, width in zip(lacks, widths, strict=True))
    )
    for rank, even in tables["even"].items():
        default = tables["default"].get(rank)
        errors = [tables[name].get(rank) for name in scenarios]
        yield (
            f"{rank:12}{_of_default(default)}{even['ece']:8.3f}"
            + "".join(
                f"{_number(one and one['ece'], 3):>{width}}"
                for one, width in zip(errors, widths, strict=True)
            )
        )
    yield f"{'':12}named: with a probability of {measured['named_at']} and more; right: of these"


def long_lines(measured: dict[str, Any] | None) -> Iterator[str]:
    """Yield every bin of both mixes, with alignment and without."""
    if measured is None:
        yield NOT_MEASURED
        return
    yield f"reliability {_whose(measured)}, genera held out; # share right, | probability"
    for way, how in WAYS.items():
        for mix, name in MIXES.items():
            for rank, table in measured[way][mix].items():
                yield ""
                yield f"{rank}, {how}, {name}: {table['queries']:,} queries, ECE {table['ece']:.3f}"
                yield from _bars(table.get("bins"))


def _bars(bins: dict[str, list[float]] | None) -> Iterator[str]:
    if bins is None:
        yield "  no name is right"
        return
    yield f"{'p':>8}{'right':>8}{'queries':>9}"
    for p, right, queries in zip(bins["p"], bins["right"], bins["queries"], strict=True):
        bar = list(f"{'#' * round(right * BAR):{BAR + 1}}")
        bar[round(p * BAR)] = "|"
        yield f"{p:8.3f}{right:8.3f}{queries:9,}  {''.join(bar).rstrip()}"


def _whose(measured: dict[str, Any]) -> str:
    others = measured["libraries"]
    return f"of {', '.join(others)} together" if others else "of this library"


def _of_default(table: dict[str, Any] | None) -> str:
    if table is None:
        return " " * 34
    named, right = 100 * table["named"], table["right"]
    share = _number(None if right is None else 100 * right, 1)
    return f"{table['queries']:9,}{table['ece']:7.3f}{named:9.1f}{share:>9}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
