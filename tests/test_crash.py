"""A job killed at any moment leaves a readable index and a run that goes on.

Jobs run in processes of their own (`killing.py`) and get a real SIGKILL: before every single change
they make to the disk, on a small library, and at random moments of their time on a larger one.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqsearch.dna.simulation import SimulatedLibrary
from seqsearch.errors import FolderError
from seqsearch.index.building import FOLDER, STATE
from seqsearch.index.manifest import CURRENT, check_hashes, read_manifest
from seqsearch.index.segments import live_label_blocks
from seqsearch.index.spill import LABEL_FIELDS
from seqsearch.index.store import IndexStore
from seqsearch.jobs.demo import _write_fasta, _write_tsv
from seqsearch.jobs.inspecting import verify_index
from seqsearch.runs.folder import PARTS, RunFolder

JOBS = ("build", "overwrite", "add", "remove", "query", "query again", "call")
CAME = r"nothing read yet|\d libraries read|\d+ of \d+ vectors written"
NO_INDEX = (
    r"no such index",
    r"not an index \(no manifest\.json\)",
    r"the build of this index was cut off; run index build again",
    (
        rf"no index yet: its build is running, or was cut off \(({CAME})\); "
        "give the same index build again, and it goes on"
    ),
)
WORKERS = 2


class Killer:
    """A process that does jobs in children and kills them."""

    def __init__(self, warm: Path) -> None:
        # Threads of OpenMP and BLAS would not survive the forks.
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("killing.py")), str(warm)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **one_thread},
        )
        assert self.process.stdout.readline() == "ready\n"

    def run(self, job: str, folder: Path, **moment: float | int | None) -> dict[str, Any]:
        request = {"job": job, "folder": str(folder), **moment}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@dataclass
class Stage:
    """What a job finds (`before`), and what it leaves when nobody kills it (`after`)."""

    root: Path
    killers: queue.Queue[Killer]
    is_thorough: bool  # also let references find themselves

    def before(self, job: str) -> Path:
        return self.root / "before" / job

    def after(self, job: str) -> Path:
        return self.root / "after" / job

    def kill(self, job: str, folder: Path, **moment: float | int) -> dict[str, Any]:
        """Do a job in a copy of what it finds, kill it, and check what is left."""
        killer = self.killers.get()
        try:
            shutil.copytree(self.before(job), folder)
            end = killer.run(job, folder, **moment)
            assert end["end"] in ("killed", "done"), end
            CHECKS[job](self, job, folder, killer)
            shutil.rmtree(folder)
            return end
        finally:
            self.killers.put(killer)

    def kill_all(self, job: str, folder: Path, moments: list[dict[str, Any]]) -> list[str]:
        with ThreadPoolExecutor(WORKERS) as pool:
            ends = pool.map(
                lambda n: self.kill(job, folder / str(n), **moments[n])["end"], range(len(moments))
            )
            return list(ends)


def write_files(files: Path, library: SimulatedLibrary, stride: int, queries: int) -> None:
    """Write every `stride`th reference, in three overlapping libraries, and queries."""
    files.mkdir(parents=True)
    everything = np.arange(0, len(library.references), stride)
    for name, rows in (
        ("old", everything[::2]),
        ("more", everything[::3]),
        ("other", everything[::-2]),
    ):
        _write_fasta(files / f"{name}.fasta", library.references.take(rows))
        _write_tsv(files / f"{name}.tsv", library.reference_table().take(rows))
    _write_fasta(files / "queries.fasta", library.queries.slice(0, queries))


@pytest.fixture(scope="module")
def killers(
    library: SimulatedLibrary, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[queue.Queue[Killer]]:
    folders = [tmp_path_factory.mktemp("warm") / "files" for _ in range(WORKERS)]
    for folder in folders:
        write_files(folder, library, 14, 4)
    free: queue.Queue[Killer] = queue.Queue()
    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(Killer, folders))
    for killer in found:
        free.put(killer)
    yield free
    for killer in found:
        killer.close()


def play(stage: Stage) -> Stage:
    """Do every job once, and keep what was before and after it."""
    killer = stage.killers.get()
    needed = {"query again": "query", "call": "query", "build": None}
    for job in JOBS:
        if job != "build":
            shutil.copytree(stage.after(needed.get(job, "build")), stage.before(job))
        shutil.copytree(stage.before(job), stage.after(job))
        assert killer.run(job, stage.after(job))["end"] == "done"
    stage.killers.put(killer)
    return stage


@pytest.fixture(scope="module")
def small(library: SimulatedLibrary, killers: queue.Queue[Killer], tmp_path_factory: Any) -> Stage:
    """26 references, 4 queries in 2 parts."""
    stage = Stage(tmp_path_factory.mktemp("small"), killers, is_thorough=False)
    write_files(stage.before("build"), library, 14, 4)
    return play(stage)


@pytest.fixture(scope="module")
def larger(library: SimulatedLibrary, killers: queue.Queue[Killer], tmp_path_factory: Any) -> Stage:
    """360 references, 40 queries in 20 parts."""
    stage = Stage(tmp_path_factory.mktemp("larger"), killers, is_thorough=True)
    write_files(stage.before("build"), library, 1, 40)
    return play(stage)


def files_in(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def content(index: Path) -> list[tuple[Any, ...]]:
    """Every record of an index with its lineage and sequence, sorted."""
    store = IndexStore.open(index)
    texts = store.sequences(store.live_rows).strings().to_pylist()
    text_of = dict(zip(store.live_rows.tolist(), texts, strict=True))
    fields = (*LABEL_FIELDS, *store.manifest.ranks)
    labels = pa.concat_tables(
        live_label_blocks(store.segments, store.removed, fields), promote_options="default"
    )
    lines = labels.drop_columns(["source"]).to_pylist()
    store.close()
    return sorted((text_of[line.pop("row")], *map(str, line.values())) for line in lines)


def assert_only_its_own_files(index: Path) -> None:
    """Every file is named by a manifest; the next writer takes away temporary ones.

    And the note of how far a build has come, where it was killed just when it was done.
    """
    named = {".lock", CURRENT}
    kept = list((index / "manifests").glob("[0-9]*.json"))
    named |= {f"manifests/{path.name}" for path in kept}
    for path in (index / CURRENT, *kept):
        named |= set(json.loads(path.read_text())["files"])
    left = {name for name in files_in(index) if not name.endswith(".tmp")}
    assert left - {f"{FOLDER}/{STATE}"} == named


def assert_sound(stage: Stage, index: Path) -> None:
    check_hashes(index, read_manifest(index))
    if stage.is_thorough:
        verify_index(index, threads=1)


def check_build(stage: Stage, job: str, folder: Path, killer: Killer) -> None:
    """No index, and it says so, or a whole one; building again makes or finds it."""
    index = folder / "index"
    if (index / CURRENT).exists():
        assert_sound(stage, index)
        expected = f"FolderError: {index}: this index exists; give --overwrite to replace it"
    else:
        with pytest.raises(FolderError) as caught:
            IndexStore.open(index)
        assert re.fullmatch("|".join(NO_INDEX), str(caught.value).removeprefix(f"{index}: "))
        expected = None
    assert killer.run("build", folder).get("error") == expected
    assert content(index) == content(stage.after("build") / "index")
    assert_sound(stage, index)
    assert_only_its_own_files(index)


def check_change(stage: Stage, job: str, folder: Path, killer: Killer) -> None:
    """The old index, byte for byte, or the whole new one; the job can be done again."""
    index, old = folder / "index", read_manifest(stage.before(job) / "index")
    manifest = read_manifest(index)
    is_new = manifest != old
    assert_sound(stage, index)
    if is_new:
        assert content(index) == content(stage.after(job) / "index")
    error = killer.run(job, folder).get("error")
    if job == "remove" and is_new:
        assert "expected ids of references in this index (none removed)" in error
    else:
        assert error is None
    assert content(index) == content(stage.after(job) / "index")
    assert_sound(stage, index)
    assert_only_its_own_files(index)


def parts_of(run: RunFolder) -> dict[Path, tuple[int, int]]:
    """Inode and time of change of every file of the committed parts."""
    files = [run.part_file(kind, i) for i in range(run.parts_done()) for kind in PARTS]
    return {f: (f.stat().st_ino, f.stat().st_mtime_ns) for f in files}


def assert_same_answers(folder: Path, expected: Path) -> None:
    for name in ("run/assignments.tsv", "rest.fasta"):
        assert (folder / name).read_bytes() == (expected / name).read_bytes()
    for name in ("run/assignments.parquet", "run/refs.parquet"):
        assert pq.read_table(folder / name).equals(pq.read_table(expected / name))
    assert files_in(folder / "run") == files_in(expected / "run")


def check_query(stage: Stage, job: str, folder: Path, killer: Killer) -> None:
    """Committed parts are whole and stay as they are; the same query goes on and ends the same."""
    path, expected = folder / "run", stage.after("query")
    uninterrupted = RunFolder.open(expected / "run")
    committed: dict[Path, tuple[int, int]] = {}
    advice = "give --overwrite to query again, or draw new assignments with call"
    finished = f"FolderError: {path}: this run is finished; {advice}"
    rest = f"FolderError: {folder / 'rest.fasta'}: this file exists; give --overwrite to replace it"
    allowed: tuple[str | None, ...] = (None,)
    try:
        run = RunFolder.open(path)
    except FolderError as missing:  # killed before it began, or while the old run was cleared away
        assert str(missing) in (f"{path}: no such run", f"{path}: not a run (no run.json)")  # noqa: PT017
        if job == "query again":
            allowed = (None, rest)
    else:
        committed = parts_of(run)
        for number in range(run.parts_done()):
            for kind in PARTS:
                part = run.read_part(kind, number)
                assert part.equals(uninterrupted.read_part(kind, number))
        if run.is_finished:
            allowed = (finished, rest)
    error = killer.run("query", folder).get("error")
    assert error in allowed
    if error is not None and not committed:
        assert killer.run("query again", folder)["end"] == "done"
    assert RunFolder.open(path).is_finished
    assert committed.items() <= parts_of(RunFolder.open(path)).items()
    assert_same_answers(folder, expected)


def check_call(stage: Stage, job: str, folder: Path, killer: Killer) -> None:
    """Either assignments are the old or the new ones, whole; drawing again ends the same."""
    old, new = stage.before("call") / "run", stage.after("call") / "run"
    name = "assignments.tsv"
    assert (folder / "run" / name).read_bytes() in (
        (old / name).read_bytes(),
        (new / name).read_bytes(),
    )
    table = pq.read_table(folder / "run" / "assignments.parquet")
    known = [pq.read_table(run / "assignments.parquet") for run in (old, new)]
    assert any(table.equals(one) for one in known)
    assert RunFolder.open(folder / "run").is_finished
    assert killer.run("call", folder)["end"] == "done"
    assert_same_answers(folder, stage.after("call"))
    assert RunFolder.open(folder / "run").state["settings"]["min_confidence"] == 0.3


Check = Callable[[Stage, str, Path, Killer], None]
CHECKS: dict[str, Check] = {
    "build": check_build,
    "overwrite": check_change,
    "add": check_change,
    "remove": check_change,
    "query": check_query,
    "query again": check_query,
    "call": check_call,
}


@pytest.mark.parametrize("job", JOBS)
def test_killed_before_any_change_of_the_disk(job: str, small: Stage, tmp_path: Path) -> None:
    killer = small.killers.get()
    folder = shutil.copytree(small.before(job), tmp_path / "counted")
    steps = killer.run(job, folder)["steps"]
    small.killers.put(killer)
    ends = small.kill_all(job, tmp_path, [{"before": n + 1} for n in range(steps + 1)])
    assert ends == ["killed"] * steps + ["done"]


def kill_at_random(stage: Stage, folder: Path, kills: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ends = []
    for job, count in zip(JOBS, np.bincount(np.arange(kills) % len(JOBS)), strict=True):
        killer = stage.killers.get()
        duration = killer.run(job, shutil.copytree(stage.before(job), folder / job / "timed"))[
            "seconds"
        ]
        stage.killers.put(killer)
        moments = (np.arange(count) + rng.random(count)) / count * duration
        ends += stage.kill_all(job, folder / job, [{"after": float(m)} for m in moments])
    assert len(ends) == kills
    assert ends.count("killed") > kills // 2


def test_killed_at_random_moments(larger: Stage, tmp_path: Path) -> None:
    kill_at_random(larger, tmp_path, 14, seed=1)


@pytest.mark.slow
def test_killed_at_100_random_moments(larger: Stage, tmp_path: Path) -> None:
    kill_at_random(larger, tmp_path, 100, seed=2)
