"""What the tests of the commands share."""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from seqsearch.cli.main import main


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


Command = Callable[..., Answer]
Hashes = Callable[[Path], dict[str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """A function that runs `seqsearch ...` in this process; `stdin` is what is piped in."""

    def run(*words: str | Path, stdin: bytes = b"") -> Answer:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["seqsearch", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin))))
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfd.readouterr()
        return Answer(left.value.code or 0, out, err)

    return run


@pytest.fixture
def fails(command: Command) -> Command:
    """A function that runs a command that must end with one line of error; returns that line."""

    def run(*words: str | Path, status: int = 1, stdin: bytes = b"") -> str:
        answer = command(*words, stdin=stdin)
        assert answer.out == ""
        assert answer.err.startswith("Error: ")
        assert answer.err.count("\n") == 1
        assert answer.status == status
        return answer.err.removeprefix("Error: ").rstrip("\n")

    return run


@pytest.fixture
def hashes() -> Hashes:
    """A function that returns the SHA-256 of every file of a folder, by path inside it."""

    def of(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }

    return of


@pytest.fixture
def bees(tiny_index: Path, tmp_path: Path) -> Path:
    """A copy of the index of three bees, to be changed."""
    return shutil.copytree(tiny_index, tmp_path / "bees")


@pytest.fixture
def bee_run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of a run of two queries against it."""
    return shutil.copytree(tiny_run, tmp_path / "bee_run")


@pytest.fixture
def more_bees(tmp_path: Path) -> Path:
    """A library of two other bees, lineages in the headers."""
    path = tmp_path / "more.fasta"
    path.write_text(
        ">d f__Apidae;g__Apis;s__Apis dorsata\nACGTTCGTTTGACCA\n"
        ">e f__Apidae;g__Bombus;s__Bombus hortorum\nGGATTACTCCTTAGA\n"
    )
    return path
