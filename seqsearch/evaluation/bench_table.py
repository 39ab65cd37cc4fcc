"""Results of a bench as aligned text, at most 120 columns wide, and as TSV."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from seqsearch.evaluation.bench import COLUMNS, MEAN, OURS, BenchResult, column_value
from seqsearch.evaluation.best_peer import BEST, Beside
from seqsearch.scoring.bootstrap import Difference
from seqsearch.tables import whole_file

LABEL_WIDTH = 24
CELL_WIDTH = 12
RANGE_WIDTH = 13
TSV_COLUMNS = ("library", "method", "measure", "value", "queries", "difference", "low", "high", "p")
SHORTER = (
    ("vsearch best hit, species at >= ", "vsearch, sp. >= "),
    (" % identity", " %"),
    (", gaps filled", " filled"),
    ("vsearch global", "vsearch"),
)
LEGEND = """\
seen, new sp., genus, family: the set of queries (new: the library lacks it); below, the rank.
A peer's cell: its percent right, then ours less its own in percentage points, with ^ (v) where
ours is significantly above (below): the 95 % interval of a bootstrap over taxa excludes zero.
per genus: the mean over true genera.
mean of five: over all cells but the last. wrong named: percent of the species names given that
are wrong. new named: percent of the unseen species that are given a species name.
Peers' q/s and build seconds are from another machine."""


def text_of(result: BenchResult) -> str:
    """Return three aligned tables: per query, the intervals, and per genus.

    Each peer's row has its own percent right and then ours less the peer's, marked `^` or `v`
    where the interval excludes zero.
    """
    blocks = [
        _heading(result),
        _percentages(result, macro=False),
        _intervals(result),
        _percentages(result, macro=True),
        _reliability(result),
    ]
    return "\n\n".join("\n".join(line.rstrip() for line in lines) for lines in blocks if lines)


def text_beside(beside: Beside) -> str:
    """Return a table of ours beside each library's best peer, and of all libraries."""
    label = LABEL_WIDTH + 6
    lines = _header("ours - best peer", CELL_WIDTH, label=label)
    named = [(f"{n}: {short_name(p)}", result) for n, (p, result) in beside.libraries.items()]
    for name, result in [*named, ("all queries", beside.pooled)]:
        cells = "".join(
            f"{_percent(column_value(result.scores[OURS], column, macro=False))}"
            f"{_marked(result.micro[column][BEST])}".rjust(CELL_WIDTH)
            for column in COLUMNS
        )
        lines.append(f"{name:<{label}}{cells}")
    below = ", ".join(beside.below()) or "none"
    lines += [
        "",
        f"mean of the libraries' means of five: {_signed(beside.mean_difference())} points",
        f"significantly below in: {below}",
    ]
    return "\n".join(line.rstrip() for line in lines)


def write_tsv(results: Sequence[BenchResult], path: Path) -> None:
    """Write every figure, one a row; an empty field where a measure has no such number.

    Columns: library, method, measure, value, queries; then ours less this method: difference,
    low, high (percentage points, 95 % interval) and p.
    """
    with whole_file(path) as temporary, temporary.open("w") as handle:
        handle.write("\t".join(TSV_COLUMNS) + "\n")
        for result in results:
            for row in _rows(result):
                handle.write("\t".join(map(_field, row)) + "\n")


def short_name(method: str) -> str:
    """Return a peer's name, short enough for its column.

    >>> short_name("vsearch best hit, species at >= 98.5 % identity")
    'vsearch, sp. >= 98.5 %'
    """
    for long, short in SHORTER:
        method = method.replace(long, short)
    return method


def _heading(result: BenchResult) -> list[str]:
    lines = [f"== {result.name}: {len(result.marks.subset):,} queries"]
    if result.costs is not None:
        costs = result.costs
        lines.append(
            f"   {costs.queries_per_s:,.0f} q/s after {costs.startup_s:.2f} s start-up "
            f"(query {costs.query_s:.1f} s in all, peak {costs.query_peak_mib:,.0f} MiB); "
            f"built in {costs.build_s:.1f} s (peak {costs.build_peak_mib:,.0f} MiB)"
        )
    return lines


def _percentages(result: BenchResult, *, macro: bool) -> list[str]:
    title = "% right, per genus" if macro else "% right, per query"
    extra = [("wrong", "named"), ("new", "named")]
    if macro:
        extra = [("q/s", ""), ("build", "s")] if result.peer_costs else []
    lines = _header(title, CELL_WIDTH, extra)
    for method, score in result.scores.items():
        cells = ""
        for column in COLUMNS:
            value = column_value(score, column, macro=macro)
            found = (result.macro if macro else result.micro)[column].get(method)
            cells += f"{_percent(value) + _marked(found):>{CELL_WIDTH}}"
        last = _speed(result, method) if macro else _naming(result, method)
        lines.append(f"{short_name(method):<{LABEL_WIDTH}}{cells}{last}")
    return lines


def _intervals(result: BenchResult) -> list[str]:
    lines = _header("ours - peer, 95 %", RANGE_WIDTH)
    for method in result.scores:
        if method != OURS:
            ranges = "".join(
                f"{_range(result.micro[column][method]):>{RANGE_WIDTH}}" for column in COLUMNS
            )
            lines.append(f"{short_name(method):<{LABEL_WIDTH}}{ranges}")
    return lines


def _reliability(result: BenchResult) -> list[str]:
    """Return a line a column: percent right (names given), by what stood beside the name."""
    lines = []
    for column in dict.fromkeys(found.column for found in result.reliability):
        bins = [found for found in result.reliability if found.column == column and found.queries]
        shown = "; ".join(f"{b.low:g}-{b.high:g}: {b.right:.1f} ({b.queries:,})" for b in bins)
        lines.append(f"% of species names right, by {column}: {shown}")
    return lines


def _header(
    title: str, width: int, extra: Sequence[tuple[str, str]] = (), label: int = LABEL_WIDTH
) -> list[str]:
    """Return two lines: sets above ranks."""
    pairs = [("mean", "of five") if name == MEAN else name.split("/") for name in COLUMNS]
    lines = []
    for line, start in enumerate((title, "")):
        names = (pair[line].replace("unseen_species", "new sp.") for pair in pairs)
        cells = "".join(f"{name.replace('unseen_', 'new '):>{width}}" for name in names)
        ends = "".join(f"{pair[line]:>6}" for pair in extra)
        lines.append(f"{start:<{label}}{cells}{ends}")
    return lines


def _naming(result: BenchResult, method: str) -> str:
    score = result.scores[method]
    return f"{_percent(score.wrong_of_species_named):>6}{_percent(score.unseen_species_named):>6}"


def _speed(result: BenchResult, method: str) -> str:
    if method == OURS and result.costs is not None:
        return f"{result.costs.queries_per_s:>6.0f}{result.costs.build_s:>6.1f}"
    if method in result.peer_costs:
        costs = result.peer_costs[method]
        return f"{costs.queries_per_s:>6.0f}{costs.build_s:>6.1f}"
    return ""


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else "100" if value >= 99.95 else f"{value:.1f}"


def _marked(found: Difference | None) -> str:
    """Return a difference with its mark, seven characters wide whether there is one or not."""
    if found is None or math.isnan(found.value):
        return " " * 7
    mark = "v" if found.below else "^" if found.above else " "
    return f" {_signed(found.value):>5}{mark}"


def _range(found: Difference) -> str:
    return "-" if math.isnan(found.low) else f"{_signed(found.low)}..{_signed(found.high)}"


def _signed(points: float) -> str:
    return f"{round(points, 1) + 0.0:+.1f}"  # adding zero makes -0.0 positive


def _rows(result: BenchResult) -> Iterator[tuple[object, ...]]:
    for method, score in result.scores.items():
        for column, cells in COLUMNS.items():
            queries = score.cells[cells[0]].queries if len(cells) == 1 else None
            for macro, found in ((False, result.micro), (True, result.macro)):
                value = column_value(score, column, macro=macro)
                name = f"{column}, macro" if macro else column
                ends = _ends(found[column], method)
                yield (result.name, method, name, value, queries, *ends)
        others = {
            "wrong of species named": score.wrong_of_species_named,
            "unseen_species->species named": score.unseen_species_named,
            **_costs_of(result, method),
        }
        for name, value in others.items():
            yield (result.name, method, name, value, *[None] * 5)


def _ends(found: Mapping[str, Difference], method: str) -> tuple[float | None, ...]:
    if method not in found:
        return (None,) * 4
    each = found[method]
    return each.value, each.low, each.high, each.p


def _costs_of(result: BenchResult, method: str) -> dict[str, float]:
    costs = result.costs if method == OURS else result.peer_costs.get(method)
    return asdict(costs) if costs is not None else {}


def _field(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)
