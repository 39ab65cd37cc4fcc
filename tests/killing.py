"""Jobs in forked children that die at a moment of choice; `test_crash.py` runs this file.

    python killing.py < requests > answers        # one JSON object a line, both ways

A request names a job, the folder it works in, and when the child is killed: `after` so many
seconds, or `before` its nth change of the disk (neither: not at all). The children come from one
process that has loaded and compiled everything, so a kill costs milliseconds. They stay on the
CPU: a forked process cannot use a GPU that its parent used.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqsearch.jobs.build import add_to_index, build_index, remove_from_index
from seqsearch.jobs.opened import open_index
from seqsearch.jobs.opened_run import open_run
from seqsearch.settings import BuildSettings

BATCH_SIZE = 2  # queries a part
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")  # audit events


def build(folder: Path, library: str = "old", overwrite: bool = False) -> None:
    fasta, table = folder / f"{library}.fasta", folder / f"{library}.tsv"
    settings = BuildSettings(device="cpu", threads=1)
    index = folder / "index"
    build_index(fasta, index, taxonomy=table, overwrite=overwrite, settings=settings)


def add(folder: Path) -> None:
    add_to_index(folder / "index", folder / "more.fasta", taxonomy=folder / "more.tsv", threads=1)


def remove(folder: Path) -> None:
    ids = [line.split("\t")[0] for line in (folder / "old.tsv").read_text().splitlines()[1:]]
    remove_from_index(folder / "index", ids[::2], threads=1)


def query(folder: Path, overwrite: bool = False) -> None:
    with open_index(folder / "index", threads=1, device="cpu") as index:
        index.query(
            folder / "queries.fasta",
            folder / "run",
            overwrite=overwrite,
            batch_size=BATCH_SIZE,
            unassigned_out=folder / "rest.fasta",
        )


JOBS: dict[str, Callable[[Path], None]] = {
    "build": build,
    "add": add,
    "remove": remove,
    "query": query,
    "call": lambda folder: open_run(folder / "run").call(0.3),
    "query again": lambda folder: query(folder, overwrite=True),
    "overwrite": lambda folder: build(folder, "other", overwrite=True),
}


def count_changes(before: int | None) -> list[int]:
    """Count the process's changes of the disk from now on; kill it before the nth.

    A change is a file opened for writing, renamed or deleted, or a folder made or deleted. What is
    written into an open file, and an fsync, make no other state: they happen between two changes.
    """
    done = [0]

    def step() -> None:
        done[0] += 1
        if done[0] == before:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        is_writing = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if is_writing or event in CHANGES:
            step()

    sys.addaudithook(hook)
    return done


def in_child(job: str, folder: Path, before: int | None, answers: int) -> None:
    """Do a job, write what came of it to a pipe, and leave."""
    steps = count_changes(before)
    answer: dict[str, Any] = {"end": "done"}
    try:
        JOBS[job](folder)
    except Exception as error:  # noqa: BLE001  told to the test
        answer = {"end": "error", "error": f"{type(error).__name__}: {error}"}
    os.write(answers, json.dumps({**answer, "steps": steps[0]}).encode())
    os._exit(0)


def run(job: str, folder: str, after: float | None = None, before: int | None = None) -> Any:
    """Do a job in a child; returns how it ended, after how many changes and seconds."""
    reading, writing = os.pipe()
    start = time.perf_counter()
    child = os.fork()
    if not child:
        in_child(job, Path(folder), before, writing)
    os.close(writing)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    seconds = time.perf_counter() - start
    with os.fdopen(reading, "rb") as handle:
        text = handle.read()
    return {**json.loads(text or '{"end": "killed"}'), "seconds": seconds}


def main() -> None:
    """Warm up in the folder given, then answer requests."""
    folder = Path(sys.argv[1])
    for job in JOBS.values():
        job(folder)
    say("ready")
    for line in sys.stdin:
        say(json.dumps(run(**json.loads(line))))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
