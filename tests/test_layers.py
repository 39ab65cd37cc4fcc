"""What a command must not import: torch anywhere in the base, anything slow for --help."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Runs a statement; importing a forbidden module ends the program, installed or not.
GUARD = """
import sys

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {forbidden!r}:
            print("imported " + name, file=sys.stderr)
            import os
            os._exit(9)

sys.meta_path.insert(0, Guard())
{statement}
imported = {{name.partition(".")[0] for name in sys.modules}} & {forbidden!r}
assert not imported, imported
"""
WHOLE_JOB = """
from pathlib import Path
import seqsearch
folder = Path({folder!r})
(folder / "ref.fasta").write_text(">a g__Apis;s__Apis mellifera\\nACGTACGTTTGACCA\\n")
seqsearch.build_index(folder / "ref.fasta", folder / "index")
seqsearch.verify_index(folder / "index")
with seqsearch.open_index(folder / "index") as index:
    run = index.query(folder / "ref.fasta", folder / "run")
    assert index.classify(["ACGTACGTTTGACCA"])["taxon"].to_pylist() == ["Apis mellifera"]
run.call(0.5)
counted = seqsearch.open_run(folder / "run").sql("SELECT count(*) AS n FROM hits")
assert counted["n"].to_pylist() == [1]
"""
HELP = """
from seqsearch.cli.main import main
sys.argv = ["seqsearch", *{arguments!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
SLOW = {"numpy", "pyarrow", "duckdb", "faiss", "numba", "sklearn", "scipy", "Bio", "torch"}
OPTIONAL = {"torch", "transformers", "accelerate", "plotly", "umap", "matplotlib"}


def run(statement: str, forbidden: set[str]) -> subprocess.CompletedProcess[str]:
    program = GUARD.format(statement=statement, forbidden=forbidden)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


def test_the_guard_guards() -> None:
    assert run("import numpy.linalg", {"numpy"}).returncode == 9
    assert run("import json", {"numpy"}).returncode == 0


def test_building_and_querying_need_no_extra(tmp_path: Path) -> None:
    done = run(WHOLE_JOB.format(folder=str(tmp_path)), OPTIONAL)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "assignments.tsv").is_file()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["query", "--help"]])
def test_help_imports_nothing_slow(arguments: list[str]) -> None:
    done = run(HELP.format(arguments=arguments), SLOW)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_importing_the_package_imports_nothing_slow() -> None:
    done = run("import seqsearch; seqsearch.__version__", SLOW)
    assert done.returncode == 0, done.stderr


def test_all_public_names_are_there() -> None:
    import seqsearch

    for name in seqsearch.__all__:
        assert getattr(seqsearch, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = seqsearch.nothing
