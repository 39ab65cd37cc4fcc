"""Importers by name. A new format is a new file and a row here."""

from __future__ import annotations

from pathlib import Path

from seqsearch.dna.reading import read_sequences
from seqsearch.errors import InputError, SettingsError
from seqsearch.libraries.fasta_lineage import FastaLineage
from seqsearch.libraries.fasta_table import FastaTable
from seqsearch.libraries.records import Importer, Library

IMPORTERS: tuple[Importer, ...] = (FastaTable(), FastaLineage())


def open_library(
    path: str | Path, table: str | Path | None = None, format: str = "auto"
) -> Library:
    """Open a library file with the importer that it asks for.

    Parameters
    ----------
    path : str or Path
        The sequences.
    table : str or Path, optional
        Side table with the taxonomy.
    format : str
        Name of an importer, or "auto".

    Raises
    ------
    InputError
        The file cannot be read, or no importer recognises it.
    SettingsError
        There is no importer of that name.
    """
    table = Path(table) if table is not None else None
    if format != "auto":
        for importer in IMPORTERS:
            if importer.name == format:
                return importer.read(Path(path), table)
        raise SettingsError("format", format, "auto, " + ", ".join(i.name for i in IMPORTERS))
    if str(path) == "-" or Path(path).is_fifo():
        if table is None:
            advice = "name it with --format: " + " or ".join(i.name for i in IMPORTERS)
            raise InputError(path, "a pipe's format cannot be looked at", advice=advice)
        return FastaTable().read(Path(path), table)
    first = next(read_sequences(path, batch_size=1))
    header = f"{first.batch.ids[0].as_py()} {first.descriptions[0].as_py()}"
    for importer in IMPORTERS:
        if importer.recognises(header, table is not None):
            return importer.read(Path(path), table)
    raise InputError(
        str(path),
        "no taxonomy: the header has neither 'k__...;p__...' nor 'tax=d:...,p:...'",
        record=1,
        advice="give a table with --taxonomy FILE",
    )
