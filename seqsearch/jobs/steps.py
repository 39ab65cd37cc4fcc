"""The long steps of a build: reading and encoding, from where an earlier one was cut off."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from seqsearch.analytics.audit import NOTHING_EXCLUDED, read_excluded
from seqsearch.dna.windows import Windows
from seqsearch.encoders.base import Encoder
from seqsearch.index.building import Building
from seqsearch.index.segments import cut_rows, write_rows, write_vectors
from seqsearch.index.spill import Spill
from seqsearch.index.writer import IndexWriter
from seqsearch.jobs.importing import Imported, Progress, import_libraries, with_repeats
from seqsearch.libraries.names import merged_ranks
from seqsearch.memory import Memory


@dataclass(frozen=True)
class Inputs:
    """What is read.

    Attributes
    ----------
    pairs : list of (Path, Path or None)
        Libraries and their tables.
    format : str
    exclude : str, Path or None
        Table of records to leave out.
    """

    pairs: list[tuple[Path, Path | None]]
    format: str
    exclude: str | Path | None

    def stamps(self) -> dict[str, Any]:
        """Return what tells whether inputs are the ones of a build that was cut off.

        Size and time of change, as rsync and make have it: hashing a large library takes as long
        as a good part of reading it, which is what going on saves. A pipe is never the same again.
        """
        return {
            "format": self.format,
            "libraries": [[_stamp(path) for path in pair if path] for pair in self.pairs],
            "exclude": None if self.exclude is None else _stamp(Path(self.exclude)),
        }


def _stamp(path: Path) -> list[Any]:
    if not path.is_file():
        return [str(path), uuid4().hex]
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def read_inputs(
    writer: IndexWriter,
    building: Building,
    inputs: Inputs,
    encoder: Encoder,
    memory: Memory,
    progress: Progress,
) -> None:
    """Read libraries and write all of the new segment but its vectors, as far as that is to do.

    Raises
    ------
    InputError
        A file cannot be read, or nothing of a library can be used.
    """
    steps = building.steps
    if steps.rows:
        return
    excluded = NOTHING_EXCLUDED if inputs.exclude is None else read_excluded(inputs.exclude)
    building.note()  # what is there from now on is this build's
    with closing(Spill(building.folder, writer.new_segment, memory, steps.mark)) as spill:

        def note(imported: Imported) -> None:
            building.note(ranks=imported.ranks, sources=imported.sources, mark=spill.flush())

        before = Imported(steps.ranks, steps.sources)
        pairs, format = inputs.pairs, inputs.format
        found = import_libraries(pairs, format, encoder, spill, progress, excluded, before, note)
        sources = with_repeats(found.sources, spill)
        spill.finish()
        write_rows(writer.new_segment, spill, merged_ranks(found.ranks))
        building.note(sources=sources, rows=len(spill))
        spill.delete()


def encode_segment(
    writer: IndexWriter,
    encoder: Encoder,
    windows: Windows,
    chosen: str,
    progress: Progress,
    building: Building | None = None,
) -> None:
    """Write the vectors of the new segment, from where an earlier writer was cut off.

    Parameters
    ----------
    writer : IndexWriter
    encoder : Encoder
    windows : Windows
        How long sequences are cut; the same when it goes on.
    chosen : str
        How vectors are stored: one of `vectors.KINDS`, or "auto".
    progress : function
    building : Building, optional
        Where it is noted how far it has come.
    """
    done = building.steps.encoded if building else 0
    count = cut_rows(writer.new_segment, windows)
    kind = writer.kind_of_vectors(chosen, count, encoder.dim)

    def note(vectors: int) -> None:
        if building is not None:
            building.note(vectors=count, encoded=vectors)

    def report(vectors: int, of: int) -> None:
        progress("encode", vectors, vectors / of)

    write_vectors(writer.new_segment, encoder.encode, encoder.dim, kind, done, report, note)
