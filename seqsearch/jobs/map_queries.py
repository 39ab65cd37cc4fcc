"""Queries to be drawn on a map: those of a run, with the names they were given, or of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.reading import clean_sequences, read_sequences
from seqsearch.dna.strand import reverse_complement
from seqsearch.encoders.base import Encoder
from seqsearch.errors import FolderError, InputError
from seqsearch.runs.folder import ASSIGNMENTS, RunFolder
from seqsearch.search.orient import agreed, orient
from seqsearch.tables import Bool, Float32, Float64, Int64


@dataclass(frozen=True)
class MapQueries:
    """Queries that are drawn.

    Attributes
    ----------
    batch : SequenceBatch
    names : dict of str to (m,) pyarrow string
        What they were called, by rank; none for queries of a file.
    left_out : int
        Queries that were not drawn.
    """

    batch: SequenceBatch
    names: dict[str, pa.StringArray]
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.batch)

    def names_at(self, rank: str) -> pa.StringArray:
        """Return the names at a rank, null where there is none."""
        return self.names.get(rank, pa.nulls(len(self), pa.string()))

    def paths(self, ranks: Sequence[str]) -> list[str]:
        """Return the names from the highest rank down; "" where there is none."""
        columns = [self.names_at(rank) for rank in ranks]
        joined = pc.binary_join_element_wise(*columns, " > ", null_handling="skip")
        paths: list[str] = joined.to_pylist()
        return paths

    def vectors(
        self, encoder: Encoder, references: Float32, texts: Callable[[Int64], SequenceBatch]
    ) -> Float32:
        """Return (m, d) float32: their vectors, on the strand that the references lie on.

        Words of the references nearest to either strand tell it; where they do not, it is the
        nearer one.

        Parameters
        ----------
        encoder : Encoder
        references : (n, d) float32
            Vectors of what is drawn.
        texts : callable
            Sequences of some of these.
        """
        own = encoder.encode(self.batch)
        if encoder.is_strand_free:
            return own
        turned = encoder.encode(reverse_complement(self.batch))
        alike = [one @ references.T for one in (own, turned)]
        nearest, places = np.unique([one.argmax(axis=1) for one in alike], return_inverse=True)
        signs = agreed(orient(self.batch, texts(nearest), places.reshape(2, -1).T))
        is_nearer = alike[1].max(axis=1) > alike[0].max(axis=1)
        is_turned = np.where(signs == 0, is_nearer, signs < 0)
        return np.where(is_turned[:, None], turned, own)


NO_QUERIES = MapQueries(SequenceBatch.from_clean([], []), {})


def drawn_queries(source: str | Path, encoder: Encoder, most: int, seed: int) -> MapQueries:
    """Draw queries of a run or a file.

    Parameters
    ----------
    source : path
        Run folder, FASTA or FASTQ.
    encoder : Encoder
        Queries that it sees nothing of are left out.
    most : int
    seed : int

    Raises
    ------
    FolderError
        Not a run, or it keeps no sequences.
    InputError
        The file cannot be read, or none of its sequences can be encoded.
    """
    if not Path(source).is_dir():
        drawn = _Drawing(most, seed)
        for reads in read_sequences(source):
            drawn.add(reads.batch, (reads.defects == 0) & encoder.encodable(reads.batch))
        if not len(drawn.batch):
            raise InputError(source, f"no sequence can be drawn; {encoder.why_not()}")
        return MapQueries(drawn.batch, {}, drawn.seen - len(drawn.batch))
    run = RunFolder.open(source)
    advice = "give the file of the queries instead"
    if not run.state["settings"]["keep_sequences"]:
        raise FolderError(source, "keeps no sequences", advice=advice)
    drawn = _Drawing(most, seed)
    for batch, is_kept in _kept(run):
        drawn.add(batch, is_kept & encoder.encodable(batch))
    if not len(drawn.batch):
        raise FolderError(source, "has no query that can be drawn", advice=advice)
    assigned = run.read_file(f"{ASSIGNMENTS}.parquet", ["query", *run.ranks])
    at = pc.index_in(pa.array(drawn.number), pc.cast(assigned["query"], pa.int64()))
    names = {
        rank: pc.replace_with_mask(
            (column := assigned[rank].combine_chunks().take(at)),
            pc.fill_null(pc.equal(column, ""), fill_value=False),
            pa.scalar(None, pa.string()),
        )
        for rank in run.ranks
    }
    return MapQueries(drawn.batch, names, drawn.seen - len(drawn.batch))


def _kept(run: RunFolder) -> Iterator[tuple[SequenceBatch, Bool]]:
    """Yield the queries of a run, and whether they are sound and their sequence was kept."""
    for part in range(run.parts_done()):
        table = run.read_part("queries", part, ["query_id", "problem", "sequence"])
        texts = table["sequence"].fill_null("").to_pylist()
        reads = clean_sequences(texts, table["query_id"].to_pylist())
        is_sound = pc.is_null(table["problem"]).to_numpy() & (reads.defects == 0)
        yield reads.batch, is_sound


class _Drawing:
    """Some of all sequences that are added, each as probably, whatever batches they come in.

    Attributes
    ----------
    batch : SequenceBatch
        What is drawn, in the order in which it came.
    number : (m,) int64
        Place of each among all that were added.
    seen : int
    """

    def __init__(self, most: int, seed: int) -> None:
        self._most, self._rng = most, np.random.default_rng(seed)
        self._keys: Float64 = np.empty(0)
        self.batch, self.seen = NO_QUERIES.batch, 0
        self.number: Int64 = np.empty(0, np.int64)

    def add(self, batch: SequenceBatch, is_sound: Bool) -> None:
        """Add sequences, of which only sound ones can be drawn."""
        keys = self._rng.random(len(batch))
        sound = np.flatnonzero(is_sound)
        keys = np.concatenate([self._keys, keys[sound]])
        number = np.concatenate([self.number, self.seen + sound])
        both = SequenceBatch.concatenate([self.batch, batch.take(sound)])
        chosen = np.sort(np.argsort(keys, kind="stable")[: self._most])
        self.batch, self._keys, self.number = both.take(chosen), keys[chosen], number[chosen]
        self.seen += len(batch)
