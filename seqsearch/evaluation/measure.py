"""Wall time and peak memory of a command."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqsearch.errors import SeqsearchError

# Linux counts the memory of the process that forked into the peak of the one it became, so a
# child of this process (which holds tables and resamples) would never look smaller than it.
# A bare interpreter in between starts from next to nothing.
LAUNCHER = """
import json, os, sys, time
report, *command = sys.argv[1:]
start = time.perf_counter()
child = os.posix_spawnp(command[0], command, os.environ)
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - start
with open(report, "w") as handle:
    json.dump([os.waitstatus_to_exitcode(status), wall, usage.ru_maxrss], handle)
"""
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


class CommandError(SeqsearchError):
    """A measured command failed.

    Attributes
    ----------
    command : tuple of str
        As it was run.
    exit_code : int or None
        Its exit status (negative: the signal that ended it); None if it could not be started.
    said : str
        All that it wrote to standard error.
    """

    def __init__(self, command: Sequence[str], exit_code: int | None, said: str) -> None:
        self.command, self.exit_code, self.said = tuple(command), exit_code, said
        last = (said.strip().splitlines() or ["it wrote no error"])[-1]
        how = "could not be started" if exit_code is None else f"ended with {exit_code}"
        super().__init__(f"{' '.join(command)}: {how}: {last}")


@dataclass(frozen=True)
class Measurement:
    """What a command took.

    Attributes
    ----------
    wall_s : float
        Seconds from start to end, the interpreter's own start included.
    peak_mib : float
        Largest resident memory of the process or of one that it waited for, in MiB.
    """

    wall_s: float
    peak_mib: float


def measure(command: Sequence[str]) -> Measurement:
    """Run a command to its end and measure it (Linux and macOS).

    Raises
    ------
    CommandError
        If it cannot be started or does not exit with 0; the error has its last line.

    Examples
    --------
    >>> import sys
    >>> measure([sys.executable, "-c", "pass"]).peak_mib > 1
    True
    """
    with tempfile.TemporaryDirectory() as folder:
        report, errors = Path(folder, "report.json"), Path(folder, "errors.txt")
        with errors.open("w") as handle:
            subprocess.run(
                [sys.executable, "-I", "-S", "-c", LAUNCHER, str(report), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=handle,
                check=False,
            )
        said = errors.read_text(errors="replace")
        if not report.exists():
            raise CommandError(command, None, said)
        exit_code, wall, peak = json.loads(report.read_text())
    if exit_code != 0:
        raise CommandError(command, exit_code, said)
    return Measurement(wall, peak * MAXRSS_BYTES / 2**20)
