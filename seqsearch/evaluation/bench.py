"""Build, classify and score the libraries of a bench folder, through the real command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from seqsearch.errors import FolderError
from seqsearch.evaluation.measure import measure
from seqsearch.evaluation.peers import LIBRARIES, BenchLibrary, read_library
from seqsearch.evaluation.reliability import Bin, species_reliability
from seqsearch.scoring.bootstrap import Difference, differences
from seqsearch.scoring.marks import CELLS, FIVE_CELLS, RANKS, Cell, Marks, Score, mark, pool, score
from seqsearch.settings import DEFAULT_ENCODER

OURS = "seqsearch"
MEAN = "mean of five"
COLUMNS: dict[str, tuple[Cell, ...]] = {cell.name: (cell,) for cell in CELLS} | {MEAN: FIVE_CELLS}


@dataclass(frozen=True)
class BenchSettings:
    """What is measured, and how.

    Attributes
    ----------
    data : pathlib.Path
        The bench folder.
    libraries : tuple of str
        Names of its libraries.
    fragments : bool
        Ask the questions cut to 250 nt instead of the whole ones.
    align : int
        Best candidates aligned, a query.
    encoder : str
        Name or path of the encoder.
    beside : tuple of str
        More encoders, each a row beside the peers.
    threads : int
        Threads of each command; the peers had two.
    calibrate : bool
        Calibrate indexes while they are built: names at a confidence of 0 are the same without, and
        slow encoders take long for it.
    program : tuple of str
        What starts the command line.
    """

    data: Path
    libraries: tuple[str, ...] = LIBRARIES
    fragments: bool = False
    align: int = 0
    encoder: str = DEFAULT_ENCODER
    beside: tuple[str, ...] = ()
    threads: int = 2
    calibrate: bool = True
    program: tuple[str, ...] = (sys.executable, "-m", "seqsearch")


@dataclass(frozen=True)
class Costs:
    """What building an index and asking all questions took.

    Attributes
    ----------
    build_s, query_s : float
        Seconds of each command from start to end.
    startup_s : float
        Seconds of the query command before the first read, the interpreter's start included.
    queries_per_s : float
        Queries a second from the first read to the last row written.
    build_peak_mib, query_peak_mib : float
        Peak resident memory of each command.
    """

    build_s: float
    query_s: float
    startup_s: float
    queries_per_s: float
    build_peak_mib: float
    query_peak_mib: float


@dataclass(frozen=True)
class PeerCosts:
    """What `peers.tsv` says of a peer's speed, on another machine.

    Attributes
    ----------
    queries_per_s, build_s : float
        Queries a second, and seconds to prepare the references.
    """

    queries_per_s: float
    build_s: float


@dataclass(frozen=True)
class BenchResult:
    """All figures of one library, or of several pooled.

    Attributes
    ----------
    name : str
        The library, or the pooled libraries' names joined by "+".
    marks : Marks
        The answers of `OURS` and of every peer, marked.
    scores : mapping of method to Score
        `OURS` first.
    micro, macro : mapping of column to mapping of peer to Difference
        Ours less the peer, for each of `COLUMNS`.
    costs : Costs or None
        Ours; None when pooled.
    peer_costs : mapping of peer to PeerCosts
        Empty when pooled.
    reliability : tuple of Bin
        How often our species names are right; empty when pooled.
    """

    name: str
    marks: Marks
    scores: Mapping[str, Score]
    micro: Mapping[str, Mapping[str, Difference]]
    macro: Mapping[str, Mapping[str, Difference]]
    costs: Costs | None
    peer_costs: Mapping[str, PeerCosts]
    reliability: tuple[Bin, ...] = ()


def run_library(settings: BenchSettings, name: str, folder: Path) -> BenchResult:
    """Build one library, ask its questions and score the answers beside the peers'.

    The index and the run stay in `folder / name`, as `index` and `run`; those of other encoders
    beside them, numbered.

    Raises
    ------
    FolderError
        If the bench folder lacks a file or the run folder is not one.
    CommandError
        If a command fails.
    """
    library = read_library(settings.data, name, fragments=settings.fragments)
    answers, costs = _build_and_ask(settings, library, folder / name)
    others = {}
    for number, encoder in enumerate(settings.beside, start=1):
        other = replace(settings, encoder=encoder)
        others[f"{OURS}, {Path(encoder).name}"], _ = _build_and_ask(
            other, library, folder / f"{name}-{number}"
        )
    marks = mark(library.truth, {OURS: answers, **others, **library.peers})
    peer_costs = {
        peer: PeerCosts(library.figure(peer, "q/s"), library.figure(peer, "build_s"))
        for peer in library.peers
    }
    bins = species_reliability(library.truth, answers)
    return replace(summarise(name, marks, costs, peer_costs), reliability=bins)


def pool_results(results: Sequence[BenchResult]) -> BenchResult:
    """Score the queries of several libraries as one set; taxa stay apart per library."""
    name = "+".join(result.name for result in results)
    return summarise(name, pool([result.marks for result in results]), None, {})


def summarise(
    name: str, marks: Marks, costs: Costs | None, peer_costs: Mapping[str, PeerCosts]
) -> BenchResult:
    """Count and compare everything in `marks`."""
    return BenchResult(
        name=name,
        marks=marks,
        scores={method: score(marks, method) for method in marks.methods},
        micro={column: differences(marks, OURS, cells) for column, cells in COLUMNS.items()},
        macro={
            column: differences(marks, OURS, cells, macro=True) for column, cells in COLUMNS.items()
        },
        costs=costs,
        peer_costs=peer_costs,
    )


def column_value(scored: Score, column: str, *, macro: bool) -> float:
    """Return a method's percent right in one of `COLUMNS`."""
    return scored.mean(COLUMNS[column], macro=macro)


def read_run(run: Path) -> tuple[pa.Table, float, float]:
    """Read a run folder for scoring.

    Returns
    -------
    table of id, similarity, p_species, and those of `RANKS` that the library has
    float
        Seconds from the first read to the end.
    float
        Queries a second while searching.

    Raises
    ------
    FolderError
        If a file, column or entry is missing.
    """
    assignments, record = run / "assignments.parquet", run / "run.json"
    for path in (assignments, record):
        if not path.is_file():
            raise FolderError(path, "the run folder lacks this file")
    wanted = (*RANKS, "similarity", "p_species")
    columns = [name for name in wanted if name in pq.read_schema(assignments).names]
    answers = pq.read_table(assignments, columns=["query_id", *columns])
    entries = json.loads(record.read_text())
    try:
        timings = entries["timings"]
        rate = entries["counts"]["queries"] / timings["search_wall_s"]
        busy = timings["search_wall_s"] + timings["finish_s"]
    except (KeyError, ZeroDivisionError) as error:
        raise FolderError(record, f"timings or counts are incomplete ({error!r})") from error
    return answers.rename_columns(["id", *columns]), busy, rate


def _build_and_ask(
    settings: BenchSettings, library: BenchLibrary, folder: Path
) -> tuple[pa.Table, Costs]:
    folder.mkdir(parents=True, exist_ok=True)
    index, run = str(folder / "index"), folder / "run"
    common = ["--threads", str(settings.threads), "--quiet"]
    build = measure(
        [
            *(*settings.program, "index", "build", str(library.references)),
            *("--taxonomy", str(library.taxonomy), "-o", index, "--encoder", settings.encoder),
            *([] if settings.calibrate else ["--no-calibrate"]),
            *common,
        ]
    )
    query = measure(
        [
            *(*settings.program, "query", index, str(library.reads), "-o", str(run)),
            *("--min-confidence", "0", "--align", str(settings.align)),
            *common,
        ]
    )
    answers, busy, rate = read_run(run)
    return answers, Costs(
        build_s=build.wall_s,
        query_s=query.wall_s,
        startup_s=query.wall_s - busy,
        queries_per_s=rate,
        build_peak_mib=build.peak_mib,
        query_peak_mib=query.peak_mib,
    )
