"""The audit of a library: which records are probably not what they say."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.analytics.audit import CHECK, EXCLUDE, Flag, table_of
from seqsearch.dna.frames import has_open_frame, is_coding
from seqsearch.encoders.base import Encoder
from seqsearch.index.manifest import CURRENT
from seqsearch.index.store import IndexStore
from seqsearch.jobs.assigning import tsv_lines
from seqsearch.jobs.build import Paths, build_index
from seqsearch.jobs.chimeras import find_chimeras
from seqsearch.jobs.importing import Progress, silent
from seqsearch.jobs.inspecting import encoder_of
from seqsearch.jobs.islands import Neighbours, islands
from seqsearch.jobs.selfsearch import AT_ONCE, Found, SelfSearch
from seqsearch.runs.results import MINUS
from seqsearch.settings import BuildSettings
from seqsearch.tables import Float32, Int64, to_numpy, whole_file

# Chosen on swapped names in COI (scripts/bench_audit.py).
LEAST = 0.5  # probability of the neighbours' name from which a record may be mislabelled
LONE = 0.95  # the same of a record whose own name has no other, and so cannot be near
SURE = 0.8  # from which it is to be left out


def audit_library(
    libraries: Paths,
    *,
    taxonomy: Paths | None = None,
    format: str = "auto",
    threads: int = 0,
    progress: Progress = silent,
) -> pa.Table:
    """Look for records that are probably not what they say; columns as of `Flag`.

    Parameters
    ----------
    libraries : path or list of paths
        Sequences with names, or one index folder.
    taxonomy : path or list of paths, optional
        Side tables: one for all libraries, or one each.
    format : str
        Name of an importer, or "auto".
    threads : int
    progress : function

    Raises
    ------
    InputError, FolderError
        As `build_index`.
    """
    given = [libraries] if isinstance(libraries, (str, Path)) else list(libraries)
    with ExitStack() as stack:
        folder = Path(given[0])
        if len(given) > 1 or not (folder / CURRENT).is_file():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "index"
            build_index(
                given,
                folder,
                taxonomy=taxonomy,
                format=format,
                settings=BuildSettings(threads=threads),
                progress=progress,
            )
        store = stack.enter_context(closing(IndexStore.open(folder)))
        return Audit(store, encoder_of(store, threads), threads, progress).run()


class Audit:
    """One audit of an index."""

    def __init__(
        self, store: IndexStore, encoder: Encoder, threads: int, progress: Progress
    ) -> None:
        self._store, self._encoder, self._threads = store, encoder, threads
        self._progress = progress
        self._search = SelfSearch(store, encoder, threads)
        self._names: list[str] = store.taxonomy.name.to_pylist()
        self._ranks = store.taxonomy.ranks
        self._labels = _Labels(store)
        self._edits: Float32 = np.full(len(self._search.rows), np.nan, np.float32)

    def run(self) -> pa.Table:
        """Return all flags."""
        markers = self._search.markers
        neighbours = Neighbours(self._store, self._encoder, markers, self._threads)
        flags: list[Flag] = []
        done = 0
        for found in self._search.whole():
            flags += self._mislabelled(found)
            flags += self._reversed(found, neighbours.least_score)
            self._edits[found.asked] = found.edits
            neighbours.add(self._search.rows[found.asked], found.candidates)
            done += len(found.asked)
            self._progress("audit", done, done / len(self._search.rows))
        flags += self._conflicting()
        flags += self._off_marker(neighbours)
        flags += self._chimeras()
        flags += self._without_frame()
        return table_of(flags)

    def _flags(
        self, record: int, problem: str, near: int | None = None, **other: object
    ) -> list[Flag]:
        """Return a flag for each label of a record; `near` is a row."""
        row, entry = self._search.rows[record], self._search.entries[record]
        own = self._labels.of(row, self._store.votes.taxon[entry])
        nearest = "" if near is None or near < 0 else self._labels.first(near, own)
        return [
            Flag(ref_id, source, problem, nearest=nearest, **other)  # type: ignore[arg-type]
            for ref_id, source in own
        ]

    def _mislabelled(self, found: Found) -> list[Flag]:
        """Flag records whose name none of the nearest bears, where another one is probable."""
        truth, sampling = self._search.hiding.truth[found.asked], self._search.hiding.sampling
        differs = (truth >= 0) & (found.taxa >= 0) & (truth != found.taxa)
        is_lone = sampling.records[np.maximum(truth, 0)] == 1
        least = np.where(is_lone, LONE, LEAST)
        is_odd = differs & (found.own == 0) & (found.probable.right >= least)
        flags = []
        for i in np.flatnonzero(is_odd.any(axis=1)).tolist():
            rank = int(is_odd[i].argmax())  # the highest
            own, other = int(truth[i, rank]), int(found.taxa[i, rank])
            p = float(found.probable.right[i, rank])
            elsewhere = int(sampling.records[own]) - 1
            compared = int(
                (found.candidates.rows[i, : found.candidates.scores.shape[1]] >= 0).sum()
            )
            flags += self._flags(
                int(found.asked[i]),
                "mislabelled",
                int(found.candidates.rows[i, 0]),
                rank=self._ranks[rank],
                name=self._names[own],
                suggested=self._names[other],
                confidence=p,
                identity=_known(found.identities[i]),
                evidence=(
                    f"{found.called[i, rank]} of the {compared} nearest are {self._names[other]}, "
                    f"none {self._names[own]} ({elsewhere:,} other records)"
                ),
                action=EXCLUDE if p >= SURE and elsewhere else CHECK,
            )
        return flags

    def _reversed(self, found: Found, least: float) -> list[Flag]:
        """Flag records that most of their nearest match as reverse complements.

        Below the score `least` any two sequences are as near, on either strand.
        """
        width = found.candidates.scores.shape[1]
        is_there = found.candidates.rows[:, :width] >= 0
        turned = ((found.candidates.strands[:, :width] == MINUS) & is_there).sum(axis=1)
        compared = is_there.sum(axis=1)
        flags = []
        is_near = found.candidates.scores[:, 0] >= least
        for i in np.flatnonzero(is_near & (turned > compared / 2)).tolist():
            flags += self._flags(
                int(found.asked[i]),
                "reversed",
                int(found.candidates.rows[i, 0]),
                identity=_known(found.identities[i]),
                evidence=f"{turned[i]} of the {compared[i]} nearest match its reverse complement",
            )
        return flags

    def _conflicting(self) -> Iterator[Flag]:
        """Flag records of one sequence whose names differ, at the highest rank where they do."""
        rows, truth = self._search.rows, self._search.hiding.truth
        start = np.flatnonzero(np.diff(rows, prepend=-1))
        stop = np.append(start[1:], len(rows))
        for first, end in zip(start[stop - start > 1], stop[stop - start > 1], strict=True):
            named = np.where(truth[first:end] >= 0, truth[first:end], np.iinfo(np.int32).max)
            lowest, highest = named.min(axis=0), truth[first:end].max(axis=0)
            differs = (highest >= 0) & (lowest != highest)
            if not differs.any():
                continue
            rank = int(differs.argmax())
            for record in range(first, end):
                own = int(truth[record, rank])
                others = {int(t) for t in truth[first:end, rank]} - {own, -1}
                if own < 0 or not others:
                    continue
                shown = ", ".join(sorted(self._names[taxon] for taxon in others))
                yield from self._flags(
                    record,
                    "conflicting",
                    rank=self._ranks[rank],
                    name=self._names[own],
                    suggested=shown,
                    identity=1.0,
                    evidence=f"the same sequence is also {shown}",
                )

    def _off_marker(self, neighbours: Neighbours) -> Iterator[Flag]:
        """Flag records that are like no other part of the library."""
        self._progress("audit: islands", 0, None)
        truth, rows = self._search.hiding.truth, self._search.rows
        found = islands(neighbours)
        is_alone = np.isin(rows, found.rows)
        among = np.bincount(truth[~is_alone][truth[~is_alone] >= 0], minlength=len(self._names))
        size = dict(zip(found.rows.tolist(), found.sizes.tolist(), strict=True))
        for record in np.flatnonzero(is_alone):
            # The lowest of its taxa that has records in the main part as well.
            known = [int(t) for t in truth[record] if t >= 0 and among[t]]
            near = known[-1] if known else -1
            like = (
                f"; {among[near]:,} other records of {self._names[near]} are not" if known else ""
            )
            yield from self._flags(
                int(record),
                "off_marker",
                evidence=(
                    f"{size[int(rows[record])]} records are like each other and like nothing else "
                    f"in the library{like}"
                ),
            )

    def _chimeras(self) -> Iterator[Flag]:
        """Flag records whose halves are of different taxa."""
        self._progress("audit: halves", 0, None)
        lengths = self._store.lengths[self._search.rows]
        for one in find_chimeras(self._search, lengths, self._edits):
            left, right = (self._names[taxon] for taxon in one.taxa)
            own = int(self._search.hiding.truth[one.record, one.rank])
            first, second = (_percent(identity) for identity in one.identities)
            yield from self._flags(
                one.record,
                "chimera",
                one.rows[1],
                rank=self._ranks[one.rank],
                name=self._names[own] if own >= 0 else "",
                suggested=f"{left} + {right}",
                confidence=one.probability,
                identity=_known(one.identities[1]),
                evidence=f"its first half is {left} ({first}), its second {right} ({second})",
            )

    def _without_frame(self) -> Iterator[Flag]:
        """Flag records without an open reading frame, if the library is of a coding marker.

        Of records much longer than most (a mitogenome has many genes) the marker is looked at.
        """
        live, markers = self._store.live_rows, self._search.markers
        sample = live[:: max(1, len(live) // AT_ONCE)]
        if not is_coding(markers.batch(sample)):
            return
        for start in range(0, len(live), AT_ONCE):
            rows = live[start : start + AT_ONCE]
            shut = rows[~has_open_frame(markers.batch(rows))]
            for record in np.flatnonzero(np.isin(self._search.rows, shut)):
                yield from self._flags(
                    int(record),
                    "stop_codons",
                    evidence=(
                        "stop codons in every reading frame: a pseudogene, a frameshift, or more "
                        "than the gene"
                    ),
                )


class _Labels:
    """The records of an index, by row and taxon."""

    def __init__(self, store: IndexStore) -> None:
        self._labels = store.catalog.labels()
        self._rows: Int64 = to_numpy(self._labels["row"])
        self._taxa = to_numpy(pc.fill_null(self._labels["taxon"], -1))

    def first(self, row: int, own: Sequence[tuple[str, str]]) -> str:
        """Return the alphabetically first ref_id of a row, one that is not `own` if it can."""
        start, stop = np.searchsorted(self._rows, [row, row + 1])
        ids: list[str] = self._labels["ref_id"][start:stop].to_pylist()
        others = [ref_id for ref_id in ids if ref_id not in {name for name, _ in own}]
        return (others or ids)[0]

    def of(self, row: int, taxon: int) -> Sequence[tuple[str, str]]:
        """Return ref_id and source of the records of a row that say a taxon."""
        start, stop = np.searchsorted(self._rows, [row, row + 1])
        at = start + np.flatnonzero(self._taxa[start:stop] == taxon)
        chosen = self._labels.take(pa.array(at))
        return list(zip(chosen["ref_id"].to_pylist(), chosen["source"].to_pylist(), strict=True))


def write_audit(table: pa.Table, path: Path) -> None:
    """Write flags as tab-separated text, probabilities and identities with 4 decimals."""
    for place, name in enumerate(table.column_names):
        if pa.types.is_floating(table[name].type):
            table = table.set_column(place, name, pc.round(table[name], 4))
    header = "\t".join(table.column_names) + "\n"
    with whole_file(path) as temporary:
        temporary.write_bytes(header.encode() + tsv_lines(table))


def _known(identity: float) -> float | None:
    """Return an identity, None where nothing was aligned."""
    return None if np.isnan(identity) else float(identity)


def _percent(identity: float) -> str:
    return "not aligned" if np.isnan(identity) else f"{100 * identity:.1f} %"
