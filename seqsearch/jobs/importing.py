"""Libraries become records, and what is kept of them is spilled under its names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from seqsearch.analytics.audit import NOTHING_EXCLUDED, Excluded
from seqsearch.encoders.base import Encoder
from seqsearch.errors import InputError, SettingsError
from seqsearch.index.spill import Spill
from seqsearch.libraries.ledger import Ledger
from seqsearch.libraries.records import Library, LibraryRecords, first_problem, problems_where
from seqsearch.libraries.registry import open_library
from seqsearch.tables import sha256_of
from seqsearch.threads import prefetch

Progress = Callable[[str, int, float | None], None]


def silent(stage: str, done: int, fraction: float | None) -> None:
    """Report no progress.

    A progress function is given the stage's name, how many sequences are done, and the fraction
    of the whole where it is known.
    """


@dataclass(frozen=True)
class Imported:
    """What libraries were read.

    Attributes
    ----------
    ranks : tuple of tuple of str
        Ranks at which any record has a name, highest first, of each library.
    sources : tuple of dict
        One a library, with its ledger.
    """

    ranks: tuple[tuple[str, ...], ...] = ()
    sources: tuple[dict[str, Any], ...] = ()


def paired(
    libraries: Sequence[str | Path] | str | Path, tables: Sequence[str | Path] | str | Path | None
) -> list[tuple[Path, Path | None]]:
    """Pair libraries with taxonomy tables: none, one for all, or one each."""
    paths = [libraries] if isinstance(libraries, (str, Path)) else list(libraries)
    given = [tables] if isinstance(tables, (str, Path)) else list(tables or [])
    if not paths:
        raise SettingsError("libraries", [], "at least one file")
    if len(given) not in (0, 1, len(paths)):
        raise SettingsError(
            "taxonomy", [str(g) for g in given], f"no table, one for all, or {len(paths)}, one each"
        )
    side = given * len(paths) if len(given) == 1 else given or [None] * len(paths)  # type: ignore[list-item]
    return [
        (Path(path), Path(table) if table is not None else None)
        for path, table in zip(paths, side, strict=True)
    ]


def import_libraries(
    pairs: Sequence[tuple[Path, Path | None]],
    format: str,
    encoder: Encoder,
    spill: Spill,
    progress: Progress = silent,
    excluded: Excluded = NOTHING_EXCLUDED,
    before: Imported | None = None,
    after_each: Callable[[Imported], None] | None = None,
) -> Imported:
    """Read libraries, and spill what can be used and is not excluded.

    Parameters
    ----------
    before : Imported, optional
        The first of the libraries, which were read and spilled earlier.
    after_each : function, optional
        Told what has been read after each library.

    Raises
    ------
    InputError
        A file cannot be read, or nothing of a library can be used.
    """
    imported = before or Imported()
    for path, table in pairs[len(imported.sources) :]:
        library = open_library(path, table, format)
        ranks, ledger = _spilled(library, encoder, spill, excluded, progress)
        if not ledger.kept:
            raise InputError(str(path), "no record can be used: " + "; ".join(ledger.lines()[1:4]))
        source = _source(library, ledger)
        imported = Imported((*imported.ranks, ranks), (*imported.sources, source))
        if after_each is not None:
            after_each(imported)
    return imported


def with_repeats(sources: Sequence[dict[str, Any]], spill: Spill) -> tuple[dict[str, Any], ...]:
    """Return sources, the last with a note of what repeats in all libraries that were spilled."""
    *first, last = sources
    ledger = {**last["ledger"], "notes": last["ledger"]["notes"] + spill.repeats()}
    return (*first, {**last, "ledger": ledger})


def _spilled(
    library: Library, encoder: Encoder, spill: Spill, excluded: Excluded, progress: Progress
) -> tuple[tuple[str, ...], Ledger]:
    """Spill a library's usable records; returns the ranks with any name, and the ledger."""
    ledger, named = Ledger(), set[str]()
    for records in prefetch(library.records):
        kept = ledger.admit(
            _with_excluded(_with_encodable(records, encoder), excluded, library.path.name)
        )
        take = pa.array(kept)
        batch = records.batch.take(kept)
        columns = {
            "ref_id": batch.ids,
            "source": pa.repeat(library.path.name, len(kept)),
            "accession": pa.nulls(len(kept), pa.string()),
            "external_id": records.external_id.take(take),
        }
        lineage = {rank: names.take(take) for rank, names in records.lineage.items()}
        named.update(r for r, names in lineage.items() if names.null_count < len(names))
        spill.add(batch, pa.table({**columns, **lineage}))
        progress("import", ledger.read, None)
    ledger.notes.extend(library.notes)
    return tuple(rank for rank in library.ranks if rank in named), ledger


def _with_encodable(records: LibraryRecords, encoder: Encoder) -> LibraryRecords:
    """Add the problem of sequences that the encoder sees nothing of."""
    unseen = problems_where(~encoder.encodable(records.batch), encoder.why_not())
    problem = first_problem(records.problem, unseen)
    return LibraryRecords(records.batch, records.lineage, records.external_id, problem)


def _with_excluded(records: LibraryRecords, excluded: Excluded, source: str) -> LibraryRecords:
    """Add the problem of records that are to be left out."""
    listed = problems_where(
        excluded.of(records.batch.ids, source).to_numpy(zero_copy_only=False),
        "excluded by the user",
    )
    problem = first_problem(records.problem, listed)
    return LibraryRecords(records.batch, records.lineage, records.external_id, problem)


def _source(library: Library, ledger: Ledger) -> dict[str, Any]:
    return {
        "source": library.path.name,
        "path": str(library.path.resolve()),
        "format": library.format,
        "sha256": sha256_of(library.path) if library.path.is_file() else None,
        "taxonomy": [
            {"path": str(path.resolve()), "sha256": sha256_of(path)}
            for path in library.files[1:]
            if path.is_file()
        ],
        "records": ledger.read,
        "kept": ledger.kept,
        "ledger": ledger.to_json(),
    }
