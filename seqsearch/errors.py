"""Every error that seqsearch raises on purpose: one base class, values kept as attributes."""

from __future__ import annotations

from pathlib import Path


class SeqsearchError(Exception):
    """Base of all errors below; `str(error)` is one line that says what to do."""


class SettingsError(SeqsearchError, ValueError):
    """A setting is out of its range or contradicts another one.

    Attributes
    ----------
    setting : str
        Name of the setting as the user wrote it.
    value : object
        What was given.
    """

    def __init__(self, setting: str, value: object, expected: str) -> None:
        self.setting, self.value, self.expected = setting, value, expected
        super().__init__(f"{setting} is {value!r}: expected {expected}")


class InputError(SeqsearchError):
    """A file of the user's cannot be read as what it should be.

    Attributes
    ----------
    path : str
        The file, "-" for standard input.
    line, record : int or None
        Where in the file, counted from 1.
    """

    def __init__(
        self,
        path: str | Path,
        problem: str,
        *,
        line: int | None = None,
        record: int | None = None,
        advice: str = "",
    ) -> None:
        self.path, self.problem, self.line, self.record = str(path), problem, line, record
        where = f", line {line}" if line is not None else ""
        where += f", record {record}" if record is not None else ""
        shown = "standard input" if self.path == "-" else self.path
        super().__init__(f"{shown}{where}: {problem}" + (f"; {advice}" if advice else ""))


class FolderError(SeqsearchError):
    """An index or run folder is missing, in the way, unfinished, or damaged.

    Attributes
    ----------
    path : pathlib.Path
        The folder, or the file in it that is wrong.
    """

    def __init__(self, path: str | Path, problem: str, *, advice: str = "") -> None:
        self.path, self.problem = Path(path), problem
        super().__init__(f"{path}: {problem}" + (f"; {advice}" if advice else ""))


class QueryError(SeqsearchError):
    """An SQL statement failed or is not allowed."""


class MissingExtraError(SeqsearchError, ImportError):
    """A feature needs an optional dependency that is not installed.

    Attributes
    ----------
    extra : str
        Name of the extra that brings it.
    """

    def __init__(self, what: str, extra: str) -> None:
        self.what, self.extra = what, extra
        super().__init__(f"{what} is not installed: pip install 'seqsearch[{extra}]'")
