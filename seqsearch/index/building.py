"""A build on its way: what is built, and how far it has come, so that it can go on when cut off."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from seqsearch.index.spill import Mark
from seqsearch.tables import make_folder, write_json

FOLDER = "building"  # inside the index folder
STATE = "build.json"


@dataclass(frozen=True)
class Steps:
    """What is done of a build, and on disk.

    Attributes
    ----------
    sources : tuple of dict
        Libraries read, with their ledgers.
    ranks : tuple of tuple of str
        Those that each of them has names at.
    mark : Mark
        What of them is spilled.
    rows : int
        Unique sequences, once they are written with their labels; else 0.
    vectors, encoded : int
        How many vectors they get, and how many of these are there.
    """

    sources: tuple[dict[str, Any], ...] = ()
    ranks: tuple[tuple[str, ...], ...] = ()
    mark: Mark = field(default_factory=Mark)
    rows: int = 0
    vectors: int = 0
    encoded: int = 0

    def __str__(self) -> str:
        if self.rows:
            return f"{self.encoded:,} of {self.vectors or self.rows:,} vectors written"
        return f"{len(self.sources):,} libraries read" if self.sources else "nothing read yet"


class Building:
    """The working folder of a build inside the index folder.

    Parameters
    ----------
    index : Path
    plan : dict
        Everything that decides the index. A build that was cut off goes on if it had the same one;
        anything else is left to the writer to delete.
    """

    def __init__(self, index: Path, plan: dict[str, Any]) -> None:
        self.folder = index / FOLDER
        self.plan = json.loads(json.dumps(plan))
        found = _read(index)
        is_same = found is not None and found[0] == self.plan
        self.steps = found[1] if found is not None and is_same else Steps()
        self.is_resumed = self.steps != Steps()

    def note(self, **changes: Any) -> None:
        """Write down what has been done; it must be on disk, not only written."""
        make_folder(self.folder)
        self.steps = replace(self.steps, **changes)
        write_json({"plan": self.plan, "steps": asdict(self.steps)}, self.folder / STATE)


def unfinished(index: Path) -> str:
    """Say how far the build in a folder has come; "" where there is none."""
    found = _read(index)
    if found is not None:
        return str(found[1])
    return str(Steps()) if (index / FOLDER).is_dir() else ""


def _read(index: Path) -> tuple[dict[str, Any], Steps] | None:
    try:
        state = json.loads((index / FOLDER / STATE).read_text())
        steps = state["steps"]
        mark = Mark(**steps.pop("mark"))
        sources, ranks = tuple(steps.pop("sources")), tuple(map(tuple, steps.pop("ranks")))
        return state["plan"], Steps(sources, ranks, mark, **steps)
    except (OSError, ValueError, KeyError, TypeError):  # none, or nothing to go on from
        return None
