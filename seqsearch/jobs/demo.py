"""The demo: a simulated library with known answers, through the whole main job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.simulation import SimulatedLibrary, simulate_library
from seqsearch.errors import FolderError
from seqsearch.jobs.assigning import tsv_lines
from seqsearch.jobs.build import build_index
from seqsearch.jobs.importing import Progress, silent
from seqsearch.jobs.opened import open_index
from seqsearch.scoring.marks import RANKS, Cell, mark, score
from seqsearch.settings import BuildSettings
from seqsearch.tables import whole_file

FILES = ("references.fasta", "references.tsv", "queries.fasta", "queries.tsv")
HIDDEN = {"seen": "species", "unseen_species": "genus", "unseen_genus": "family"}


@dataclass(frozen=True)
class DemoResult:
    """What the demo did.

    Attributes
    ----------
    references, queries : int
    accuracy : list of (set, rank, queries, percent right)
    verdicts : str
    files : dict of str to Path
    """

    references: int
    queries: int
    accuracy: list[tuple[str, str, int, float]]
    verdicts: str
    files: dict[str, Path]


def run_demo(
    out: str | Path,
    *,
    families: int = 40,
    seed: int = 1,
    threads: int = 0,
    overwrite: bool = False,
    progress: Progress = silent,
) -> DemoResult:
    """Simulate a library, build its index, query it, and score the answers.

    Raises
    ------
    FolderError
        There are files in the way and not `overwrite`.
    """
    folder = Path(out)
    if not overwrite and any((folder / name).exists() for name in (*FILES, "index", "run")):
        raise FolderError(folder, "a demo is here", advice="give --overwrite, or another folder")
    folder.mkdir(parents=True, exist_ok=True)
    library = simulate_library(families, seed=seed)
    write_library(folder, library)
    build_index(
        folder / FILES[0],
        folder / "index",
        taxonomy=folder / FILES[1],
        marker="simulated",
        overwrite=overwrite,
        settings=BuildSettings(threads=threads),
        progress=progress,
    )
    with open_index(folder / "index", threads=threads) as index:
        run = index.query(
            folder / FILES[2],
            folder / "run",
            overwrite=overwrite,
            min_confidence=0.0,
            progress=progress,
        )
    accuracy = list(_accuracy(library.query_table(), run.assignments()))
    run.call(0.8)
    verdicts = ", ".join(f"{n:,} {v}" for v, n in run.state["counts"]["verdicts"].items())
    files = {"references": folder / FILES[0], "queries": folder / FILES[2]}
    files |= {"index": folder / "index", "run": folder / "run"}
    return DemoResult(len(library.references), len(library.queries), accuracy, verdicts, files)


def write_library(folder: Path, library: SimulatedLibrary) -> None:
    """Write references and queries as FASTA, and their names as TSV: `FILES`."""
    _write_fasta(folder / FILES[0], library.references)
    _write_tsv(folder / FILES[1], library.reference_table())
    _write_fasta(folder / FILES[2], library.queries)
    _write_tsv(folder / FILES[3], library.query_table())


def _accuracy(truth: pa.Table, answers: pa.Table) -> Iterator[tuple[str, str, int, float]]:
    """Yield percent right at the ranks that the library still knows, by query set."""
    named = answers.select(["query_id", *RANKS]).rename_columns(["id", *RANKS])
    cells = [
        Cell(subset, rank, "genus" if lowest == "species" else "family")
        for subset, lowest in HIDDEN.items()
        for rank in RANKS[: RANKS.index(lowest) + 1]
    ]
    scored = score(mark(truth, {"seqsearch": named}), "seqsearch", cells)
    for cell in cells:
        found = scored.cells[cell]
        yield cell.subset, cell.rank, found.queries, round(found.micro, 1)


def _write_fasta(path: Path, batch: SequenceBatch) -> None:
    ids, sequences = batch.ids.to_pylist(), batch.strings().to_pylist()
    with whole_file(path) as temporary:
        records = (f">{name}\n{sequence}\n" for name, sequence in zip(ids, sequences, strict=True))
        temporary.write_text("".join(records))


def _write_tsv(path: Path, table: pa.Table) -> None:
    with whole_file(path) as temporary:
        header = "\t".join(table.column_names) + "\n"
        temporary.write_bytes(header.encode() + tsv_lines(table))
