"""Speed beside megablast and VSEARCH: the same queries, references, threads and machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from pyarrow import csv

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.digests import digests
from seqsearch.dna.reading import read_sequences
from seqsearch.errors import SettingsError
from seqsearch.evaluation.bench import read_run
from seqsearch.evaluation.measure import measure
from seqsearch.evaluation.peers import BenchLibrary
from seqsearch.tables import one_array
from seqsearch.training.augmentation import Augmentation, augment

FEW = 50  # queries of the run that start-up is read from
MUTATED = Augmentation(crop=0.0, substitutions=0.03, indels=0.002)
Answers = dict[str, str]  # query to the genus that was found


@dataclass(frozen=True)
class Job:
    """What is compared, where, and on how many threads.

    Attributes
    ----------
    library : BenchLibrary
    work : Path
        Folder for indexes and answers.
    threads : int
    """

    library: BenchLibrary
    work: Path
    threads: int


@dataclass(frozen=True)
class Speed:
    """What one tool took.

    Attributes
    ----------
    tool : str
    queries : int
    startup_s : float
        Seconds that do not grow with the queries: from a run with `FEW` of them.
    queries_per_s : float
        Behind start-up.
    genus_right : float
        Percent of the queries that every tool was asked, and whose genus is in the library.
    """

    tool: str
    queries: int
    startup_s: float
    queries_per_s: float
    genus_right: float


Command = Callable[[Job, Path], list[str]]


def compare_speeds(job: Job, *, ours: int, theirs: int, tools: Sequence[str]) -> Iterator[Speed]:
    """Yield the speed of each tool.

    Parameters
    ----------
    job : Job
    ours, theirs : int
        Distinct queries of each run of seqsearch, and of the others, which would take all day.
    tools : sequence of str
        Of `TOOLS`.

    Raises
    ------
    CommandError
        A tool is not installed, or fails.
    SettingsError
        Queries are as few as those that tell the start-up.
    """
    for setting, count in (("ours", ours), ("theirs", theirs)):
        if count <= FEW:
            raise SettingsError(setting, count, f"more than {FEW}")
    job.work.mkdir(parents=True, exist_ok=True)
    if not all(tool.startswith("seqsearch") for tool in tools):
        _write(job.work / "references.fasta", _all(job.library.references))
    queries = distinct_queries(_all(job.library.reads), max(ours, theirs))
    truth = dict(zip(*(job.library.truth[c].to_pylist() for c in ("id", "genus")), strict=True))
    known = set(_genera(job).values())
    for tool in tools:
        prepare, command, answers = TOOLS[tool]
        if prepare(job):
            measure(prepare(job))
        count = ours if tool.startswith("seqsearch") else theirs
        seconds = []
        for size in (FEW, count):
            file = job.work / f"queries-{size}.fasta"
            _write(file, queries.slice(0, size))
            seconds.append(min(measure(command(job, file)).wall_s for _ in range(2)))
        found = answers(job)
        asked = queries.slice(0, min(ours, theirs)).ids.to_pylist()  # the same for every tool
        asked = [name for name in asked if truth.get(name) in known]
        right = sum(found.get(name) == truth[name] for name in asked)
        startup, rate = start_and_rate(seconds[0], seconds[1], count)
        yield Speed(tool, count, startup, rate, 100 * right / len(asked))


def start_and_rate(few: float, many: float, count: int) -> tuple[float, float]:
    """Return the seconds of the start and the queries a second after it.

    Both are nan where `FEW` queries took no less time than `count` did: noise is no speed.

    >>> start_and_rate(3.0, 4.0, FEW + 100)
    (2.5, 100.0)
    """
    if many <= few:
        return float("nan"), float("nan")
    rate = (count - FEW) / (many - few)
    return max(few - FEW / rate, 0.0), rate


def distinct_queries(batch: SequenceBatch, count: int, seed: int = 0) -> SequenceBatch:
    """Return `count` different sequences: those of a batch, then mutated copies of them.

    >>> batch = SequenceBatch.from_clean(["a", "b"], [b"ACGT" * 99, b"GATTACA" * 50])
    >>> found = distinct_queries(batch, 5)
    >>> found.ids.to_pylist()
    ['a', 'b', 'a_1', 'b_1', 'a_2']
    """
    own = np.sort(np.unique(digests(batch)[:, 0], return_index=True)[1])
    batch = batch.take(own)
    parts, number = [batch], 0
    while sum(map(len, parts)) < count:
        number += 1
        ids = pc.binary_join_element_wise(batch.ids, str(number), "_")
        copies = augment(batch, MUTATED, seed + number)
        parts.append(SequenceBatch(one_array(ids), copies.bytes, copies.offsets))
    return SequenceBatch.concatenate(parts).slice(0, min(count, sum(map(len, parts))))


def write_distinct(reads: Path, count: int, path: Path) -> None:
    """Write `count` different queries to a FASTA: those of a file, then mutated copies."""
    _write(path, distinct_queries(_all(reads), count))


def _all(path: Path) -> SequenceBatch:
    return SequenceBatch.concatenate([reads.batch for reads in read_sequences(path, 100_000)])


def _write(path: Path, batch: SequenceBatch) -> None:
    with path.open("w") as file:
        for start in range(0, len(batch), 100_000):
            some = batch.slice(start, min(start + 100_000, len(batch)))
            lines = zip(some.ids.to_pylist(), some.strings().to_pylist(), strict=True)
            file.writelines(f">{name}\n{text}\n" for name, text in lines)


def _genera(job: Job) -> Answers:
    tabs = csv.ParseOptions(delimiter="\t")
    table = csv.read_csv(job.library.taxonomy, parse_options=tabs)
    return dict(zip(*(table[c].to_pylist() for c in ("id", "genus")), strict=True))


def _build(job: Job) -> list[str]:
    if (job.work / "index").exists():
        return []
    library = [str(job.library.references), "--taxonomy", str(job.library.taxonomy)]
    build = [sys.executable, "-m", "seqsearch", "index", "build", *library, "--quiet"]
    return [*build, "-o", str(job.work / "index"), "--threads", str(job.threads)]


def _query(align: int) -> Command:
    def command(job: Job, file: Path) -> list[str]:
        query = [sys.executable, "-m", "seqsearch", "query", str(job.work / "index"), str(file)]
        query += ["-o", str(job.work / "run"), "--overwrite", "--quiet", "--min-confidence", "0"]
        return [*query, "--align", str(align), "--threads", str(job.threads)]

    return command


def _assigned(job: Job) -> Answers:
    answers, *_ = read_run(job.work / "run")
    return dict(zip(*(answers[c].to_pylist() for c in ("id", "genus")), strict=True))


def _make_database(job: Job) -> list[str]:
    make = ["makeblastdb", "-in", str(job.work / "references.fasta"), "-dbtype", "nucl"]
    return [*make, "-out", str(job.work / "blast")]


def _megablast(job: Job, file: Path) -> list[str]:
    blast = ["blastn", "-task", "megablast", "-query", str(file), "-db", str(job.work / "blast")]
    blast += ["-outfmt", "6", "-max_target_seqs", "10", "-num_threads", str(job.threads)]
    return [*blast, "-out", str(job.work / "hits.tsv")]


def _vsearch(job: Job, file: Path) -> list[str]:
    search = ["vsearch", "--usearch_global", str(file), "--db", str(job.work / "references.fasta")]
    search += ["--id", "0.5", "--strand", "both", "--maxaccepts", "10", "--maxrejects", "64"]
    return [*search, "--threads", str(job.threads), "--blast6out", str(job.work / "hits.tsv")]


def _first_hits(job: Job) -> Answers:
    """Return the genus of each query's best hit: by bits, where VSEARCH gives 0 by identity."""
    genera = _genera(job)
    best: dict[str, tuple[float, str]] = {}
    for line in (job.work / "hits.tsv").read_text().splitlines():
        name, reference, identity, *_, bits = line.split("\t")
        score = float(bits) or float(identity)
        if score > best.get(name, (-1.0, ""))[0]:
            best[name] = score, genera[reference]
    return {name: genus for name, (_, genus) in best.items()}


TOOLS: dict[str, tuple[Callable[[Job], list[str]], Command, Callable[[Job], Answers]]] = {
    "megablast": (_make_database, _megablast, _first_hits),
    "vsearch": (lambda _: [], _vsearch, _first_hits),
    "seqsearch": (_build, _query(20), _assigned),
    "seqsearch --align 0": (_build, _query(0), _assigned),
}
