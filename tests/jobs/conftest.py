"""A workbench for the jobs: libraries and reads written, built and queried in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Bio.Seq import Seq

from seqsearch.dna.simulation import SimulatedLibrary
from seqsearch.jobs.build import build_index
from seqsearch.jobs.opened import open_index
from seqsearch.jobs.opened_run import Run
from seqsearch.settings import BuildSettings

Read = tuple[str, str]  # id, sequence


@dataclass(frozen=True)
class Record:
    """One reference: a row of the table, a record of the FASTA."""

    name: str
    sequence: str
    lineage: dict[str, str] = field(default_factory=dict)


@dataclass
class Workbench:
    """Writes under `folder`, every file with a number of its own."""

    folder: Path
    files: int = 0

    def path(self, name: str) -> Path:
        self.files += 1
        return self.folder / f"{self.files:03d}-{name}"

    def reads(self, reads: Iterable[Read], name: str = "reads") -> Path:
        """A FASTA; files of one `name` are one sample."""
        folder = self.path("files")
        folder.mkdir()
        path = folder / f"{name}.fasta"
        path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in reads))
        return path

    def library(self, records: Sequence[Record], name: str = "library") -> tuple[Path, Path]:
        """A FASTA and its table; files of one `name` are one source."""
        folder = self.path("files")
        folder.mkdir()
        ranks = list(dict.fromkeys(rank for record in records for rank in record.lineage))
        fasta, table = folder / f"{name}.fasta", folder / f"{name}.tsv"
        fasta.write_text("".join(f">{r.name}\n{r.sequence}\n" for r in records))
        lines = {"\t".join([r.name, *(r.lineage.get(k, "") for k in ranks)]) for r in records}
        table.write_text("\n".join(["\t".join(["id", *ranks]), *sorted(lines)]) + "\n")
        return fasta, table

    def index(self, *libraries: tuple[Path, Path], **settings: Any) -> Path:
        out = self.path("index")
        fasta, tables = [one for one, _ in libraries], [two for _, two in libraries]
        chosen = BuildSettings(**{"calibrate": False, **settings})
        build_index(fasta, out, taxonomy=tables, settings=chosen)
        return out

    def query(self, index: Path, reads: Path, threads: int = 2, **options: Any) -> Run:
        with open_index(index, threads=threads) as opened:
            return opened.query(reads, self.path("run"), **options)

    @staticmethod
    def findings(run: Run) -> dict[str, list[dict[str, Any]]]:
        """All that a run says, without the numbers that tell only where something stood."""
        queries = run.folder.dataset("queries").to_table().to_pylist()
        query_id = {row.pop("query"): row["query_id"] for row in queries}
        refs = run.refs().to_pylist()
        reference = {row.pop("reference"): row for row in refs}
        hits, calls = run.hits().to_pylist(), run.calls().to_pylist()
        for row in hits:
            row["reference"] = reference[row["reference"]]
        for row in hits + calls:
            row["query"] = query_id[row["query"]]
        answers = run.assignments().drop_columns(["query"]).to_pylist()
        return {
            "answers": sorted(answers, key=lambda row: row["query_id"]),
            "queries": sorted(queries, key=lambda row: row["query_id"]),
            "hits": sorted(hits, key=lambda row: (row["query"], row["hit"])),
            "calls": sorted(calls, key=lambda row: (row["query"], row["rank"])),
        }


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


@pytest.fixture(scope="module")
def module_bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """For what several tests of a file compare with."""
    return Workbench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="session")
def records(library: SimulatedLibrary) -> list[Record]:
    """The references of the simulated library, some sequences with several labels, some gaps."""
    batch, table = library.references, library.reference_table().to_pylist()
    result = []
    for i, row in enumerate(table):
        name = row.pop("id")
        row["phylum"] = "Phylum2" if row["order"] == "Order2" else "Phylum1"
        if i % 11 == 0:
            del row["species"]
        if i % 13 == 0:
            del row["family"]
        result.append(Record(name, batch.sequence(i), row))
        if i % 17 == 0:  # the same sequence under the next record's name
            other = dict(table[(i + 1) % len(table)])
            other.pop("id", None)
            other["phylum"] = "Phylum2" if other["order"] == "Order2" else "Phylum1"
            result.append(Record(f"{name}-again", batch.sequence(i), other))
    return result


@pytest.fixture(scope="session")
def reads(library: SimulatedLibrary, records: list[Record]) -> list[Read]:
    """Queries of the simulated library, some turned or cut, and copies of shared references.

    And some that are no good.
    """
    rng = np.random.default_rng(6)
    batch = library.queries
    result = []
    for i in rng.permutation(len(batch))[:70]:
        text = batch.sequence(int(i))
        if i % 3 == 0:
            text = str(Seq(text).reverse_complement())
        if i % 5 == 0:
            text = text[200:450]
        result.append((batch.ids[int(i)].as_py(), text))
    shared = [record for record in records if record.name.endswith("-again")]
    result += [(f"copy{i}", record.sequence) for i, record in enumerate(shared[:6])]
    bad = [("short", "ACGT"), ("empty", ""), ("unknown", "N" * 50), ("protein", "MKVLEEQQ")]
    strange = [("poly", "A" * 100), ("random", "".join(rng.choice(list("ACGT"), 300)))]
    for at, read in enumerate(bad + strange):
        result.insert(3 + 10 * at, read)
    return result
