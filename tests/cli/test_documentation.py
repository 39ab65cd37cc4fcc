"""Every command and every long option is described for users."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from seqsearch.cli.main import app

ROOT = Path(__file__).resolve().parents[2]


def commands(command: Any, path: str = "seqsearch") -> Iterator[tuple[str, Any]]:
    """Yield every command with its whole name."""
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{path} {name}")
    if not hasattr(command, "commands"):
        yield path, command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.fixture(scope="module")
def text() -> str:
    files = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return "\n".join(path.read_text() for path in files)


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_documented(name: str, text: str) -> None:
    assert re.search(rf"{name}\b", text)


@pytest.mark.parametrize("name", COMMANDS)
def test_long_options_are_documented(name: str, text: str) -> None:
    missing = []
    for option in COMMANDS[name].params:
        names = [n for n in (*option.opts, *option.secondary_opts) if n.startswith("--")]
        known = any(re.search(rf"(?<![\w-]){n}(?![\w-])", text) for n in names)
        if names and not known and not option.hidden:
            missing.append(names)
    assert missing == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_and_says_what_each_option_does(name: str) -> None:
    assert f"Example: {name}" in COMMANDS[name].help
    for option in COMMANDS[name].params:
        assert option.help or not option.opts[0].startswith("-") or option.hidden


def test_documented_commands_exist(text: str) -> None:
    """What stands behind `seqsearch` in code is a command of it."""
    known = {word for name in COMMANDS for word in (name, name.rsplit(" ", 1)[0])}
    for found in re.findall(r"^    (seqsearch(?: [a-z]+)+)", text, re.MULTILINE):
        words = found.split()
        assert {" ".join(words[:2]), " ".join(words[:3])} & known, found
