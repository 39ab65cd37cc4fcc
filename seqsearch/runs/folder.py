"""A run folder: created or resumed, filled part by part, and read.

A part is committed by its file in calls/, which is written last. What a killed run leaves behind
is a folder whose committed parts are whole, and that the same run goes on with.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from seqsearch.errors import FolderError
from seqsearch.settings import QuerySettings
from seqsearch.tables import foreign_files, write_json, write_parquet

FORMAT_VERSION = 1
RUN_FILE = "run.json"
PARTS = ("queries", "hits", "calls")  # in the order they are written
REFS = "refs.parquet"
ASSIGNMENTS = "assignments"
_OWN = (
    r"run\.json",
    r"refs\.parquet",
    r"assignments\.(tsv|parquet)",
    r"(queries|hits|calls)(/part-\d{5,}\.parquet)?",
)


def check_target(path: Path) -> None:
    """Raise `FolderError` unless nothing but a run is in a folder."""
    if path.exists() and not path.is_dir():
        raise FolderError(path, "there is a file of this name", advice="choose another output")
    if not path.is_dir():
        return
    is_ours = (path / RUN_FILE).exists() or (path / ".lock").exists()
    foreign = foreign_files(path, _OWN if is_ours else ())
    if foreign:
        raise FolderError(
            path, f"has files that are no run's ({foreign[0]})", advice="choose another output"
        )


class RunFolder:
    """One run on disk.

    Attributes
    ----------
    path : Path
    state : dict
        What run.json holds: status, index, inputs, settings, counts, timings, warnings.
    """

    def __init__(self, path: Path, state: dict[str, Any]) -> None:
        self.path, self.state = path, state

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open an existing run, finished or not.

        Raises
        ------
        FolderError
            Not a run, or of another format version.
        """
        path = Path(path)
        file = path / RUN_FILE
        try:
            state = json.loads(file.read_text())
            version = state["format_version"]
            if version == FORMAT_VERSION:
                _check_state(state)
        except FileNotFoundError as error:
            what = "not a run (no run.json)" if path.exists() else "no such run"
            raise FolderError(path, what) from error
        except (ValueError, KeyError, TypeError) as error:
            raise FolderError(file, "run.json is damaged", advice="query again") from error
        if version != FORMAT_VERSION:
            raise FolderError(path, f"run format {version}, this version reads {FORMAT_VERSION}")
        return cls(path, state)

    @classmethod
    def start(cls, path: Path, about: dict[str, Any], overwrite: bool) -> RunFolder:
        """Create a run, or go on with an unfinished one of the same identity.

        Parameters
        ----------
        path : Path
        about : dict
            What run.json says from the start; `identity` in it (version, index, inputs' hashes,
            settings) is what makes two runs the same.
        overwrite : bool
            Replace another run that is there.

        Raises
        ------
        FolderError
            Something else is there, or another run and not `overwrite`.
        """
        check_target(path)
        if path.is_dir():
            if (path / RUN_FILE).exists() and not overwrite:
                return cls._resumed(path, about["identity"])
            _clear(path)
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, {"format_version": FORMAT_VERSION, "status": "unfinished", **about})
        run.state["created"] = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            for part in PARTS:
                (path / part).mkdir(exist_ok=True)
            run.save()
        except BaseException:
            run.discard_if_empty()
            raise
        return run

    @classmethod
    def _resumed(cls, path: Path, identity: dict[str, Any]) -> RunFolder:
        run = cls.open(path)
        if run.is_finished:
            raise FolderError(
                path,
                "this run is finished",
                advice="give --overwrite to query again, or draw new assignments with call",
            )
        for key, wanted in identity.items():
            if run.state["identity"].get(key) != json.loads(json.dumps(wanted)):
                raise FolderError(
                    path,
                    f"an unfinished run with other {key} is here",
                    advice="give --overwrite to replace it, or choose another output",
                )
        if None in run.state["identity"]["inputs"]:
            raise FolderError(
                path,
                "an unfinished run from standard input is here, which cannot be resumed",
                advice="give --overwrite to start again",
            )
        return run

    @property
    def is_finished(self) -> bool:
        """Whether every query has its call."""
        return bool(self.state["status"] == "finished")

    @property
    def ranks(self) -> tuple[str, ...]:
        """The library's ranks, highest first."""
        return tuple(self.state["index"]["ranks"])

    def parts_done(self) -> int:
        """How many parts are committed."""
        done = 0
        while self.part_file("calls", done).exists():
            done += 1
        return done

    def part_file(self, kind: str, number: int) -> Path:
        """Path of one part of queries, hits or calls."""
        return self.path / kind / f"part-{number:05d}.parquet"

    def write_part(self, number: int, tables: dict[str, pa.Table]) -> None:
        """Write the tables of one batch; the last of them commits it."""
        for kind in PARTS:
            write_parquet(tables[kind], self.part_file(kind, number))

    def read_part(self, kind: str, number: int, columns: list[str] | None = None) -> pa.Table:
        """Read one part.

        Raises
        ------
        FolderError
            It is missing or damaged.
        """
        path = self.part_file(kind, number)
        try:
            return pq.read_table(path, columns=columns)
        except (FileNotFoundError, pa.ArrowInvalid, OSError) as error:
            raise FolderError(
                path,
                "a part of the run is missing or damaged",
                advice="query again with --overwrite",
            ) from error

    def read_file(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Read refs.parquet or assignments.parquet.

        Raises
        ------
        FolderError
            It is not there yet, or damaged.
        """
        try:
            return pq.read_table(self.path / name, columns=columns)
        except FileNotFoundError as error:
            raise FolderError(
                self.path, f"has no {name}: the run is not finished", advice="query again"
            ) from error
        except (pa.ArrowInvalid, OSError) as error:
            raise FolderError(
                self.path / name, "the file is damaged", advice="query again with --overwrite"
            ) from error

    def dataset(self, kind: str) -> ds.Dataset:
        """Return the committed parts of queries, hits or calls as one dataset."""
        files = [str(self.part_file(kind, i)) for i in range(self.parts_done())]
        if not files:
            raise FolderError(self.path, "the run has no committed part yet", advice="query again")
        try:
            return ds.dataset(files, format="parquet")
        except (pa.ArrowInvalid, OSError):
            for number in range(len(files)):
                self.read_part(kind, number)  # says which
            raise

    def discard_if_empty(self) -> None:
        """Delete a run that has no part yet: an input turned out to be unusable."""
        if not self.parts_done():
            _clear(self.path)

    def save(self) -> None:
        """Write run.json."""
        write_json(self.state, self.path / RUN_FILE)


def _check_state(state: dict[str, Any]) -> None:
    """Raise KeyError, TypeError or ValueError unless everything that is read later is there."""
    QuerySettings(**state["settings"])
    _ = state["status"], state["created"], state["package_version"]
    _ = state["identity"]["inputs"], state["index"]["path"], state["index"]["id"]
    _ = [source["path"] for source in state["inputs"]], state["index"]["encoder"]
    _ = [state["index"]["taxa"][rank] for rank in state["index"]["ranks"]]


def _clear(path: Path) -> None:
    """Delete a run's own files, run.json first: without it the rest is no run."""
    (path / RUN_FILE).unlink(missing_ok=True)
    for entry in list(path.iterdir()):
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != ".lock":
            entry.unlink()
