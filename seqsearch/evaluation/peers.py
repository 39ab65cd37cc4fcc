"""A library of a bench folder: its files, its truth, and other tools' answers to its queries.

A bench folder has one folder a library: `ref.fasta.gz` and `ref.tax.tsv` are the references,
`query.fasta.gz` and `query.tax.tsv` the questions with their answers, `query_250.fasta.gz` the
same questions cut to 250 nt. `peers.tsv` has other tools' figures, `peers_calls.tsv.gz` every
answer behind them; both again for the fragments, with `_250` in the name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from seqsearch.errors import FolderError, InputError
from seqsearch.scoring.marks import RANKS

LIBRARIES = ("coi", "its", "16s", "28s", "12s")

# These rows of peers.tsv have no answers of their own: they are the best hit's answers, with
# the species left out where the identity is lower.
CUT = re.compile(r"vsearch best hit, species at >= ([\d.]+) % identity")
CUT_FROM = "vsearch global top1"


@dataclass(frozen=True)
class BenchLibrary:
    """One library of a bench folder.

    Attributes
    ----------
    name : str
        Its folder's name.
    references, taxonomy, reads : pathlib.Path
        The files that a tool is given.
    truth : table of id, set and ranks
        One row a query.
    peers : mapping of method to table of id and ranks
        Every answer of each peer.
    figures : table
        `peers.tsv` as it stands: `method`, `q/s`, `build_s` and percentages.
    """

    name: str
    references: Path
    taxonomy: Path
    reads: Path
    truth: pa.Table
    peers: Mapping[str, pa.Table]
    figures: pa.Table

    def figure(self, method: str, column: str) -> float:
        """Return one number of `peers.tsv`."""
        at = self.figures["method"].to_pylist().index(method)
        return float(self.figures[column][at].as_py())


def read_library(data: Path, name: str, *, fragments: bool = False) -> BenchLibrary:
    """Read one library of a bench folder; with `fragments`, its questions cut to 250 nt.

    Raises
    ------
    FolderError
        If the folder or one of its files is missing.
    InputError
        If a peer has figures but no answers.
    """
    folder, suffix = data / name, "_250" if fragments else ""
    if not folder.is_dir():
        raise FolderError(folder, "no such bench library", advice="give the bench folder (--data)")
    figures = _read_tsv(folder / f"peers{suffix}.tsv")
    calls = _read_tsv(folder / f"peers_calls{suffix}.tsv.gz")
    return BenchLibrary(
        name=name,
        references=_present(folder / "ref.fasta.gz"),
        taxonomy=_present(folder / "ref.tax.tsv"),
        reads=_present(folder / f"query{suffix}.fasta.gz"),
        truth=_read_tsv(folder / "query.tax.tsv"),
        peers={
            method: _answers_of(calls, method, folder) for method in figures["method"].to_pylist()
        },
        figures=figures,
    )


def _answers_of(calls: pa.Table, method: str, folder: Path) -> pa.Table:
    cut = CUT.fullmatch(method)
    answers = calls.filter(pc.equal(calls["method"], CUT_FROM if cut else method))
    if not len(answers):
        raise InputError(folder, f"no answers of {method!r}, which has figures")
    if cut is None:
        return answers
    near = pc.greater_equal(answers["identity"], float(cut[1]))
    species = pc.if_else(near.fill_null(False), answers["species"], "")
    return answers.set_column(answers.column_names.index("species"), "species", species)


def _read_tsv(path: Path) -> pa.Table:
    """Read a table whose names stay text whatever they look like, and "" stays ""."""
    text = dict.fromkeys(("id", "set", "method", *RANKS), pa.string())
    return pcsv.read_csv(
        _present(path),
        parse_options=pcsv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=pcsv.ConvertOptions(column_types=text),
    )


def _present(path: Path) -> Path:
    if not path.is_file():
        raise FolderError(path, "this file of the bench library is missing")
    return path
