"""An open index: sequences in, named rows out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.reading import BATCH_BASES, Reads, clean_sequences, read_sequences
from seqsearch.dna.windows import Windows
from seqsearch.encoders.base import Encoder, devices_under
from seqsearch.errors import SettingsError
from seqsearch.index.store import IndexStore
from seqsearch.jobs.importing import Progress, silent
from seqsearch.jobs.inspecting import describe_index, encoder_of
from seqsearch.jobs.judging import Judge
from seqsearch.jobs.opened_run import Run
from seqsearch.jobs.pipeline import Clock, Searched, search_all
from seqsearch.jobs.placing import devices_for
from seqsearch.jobs.querying import QueryFiles, query_files
from seqsearch.search.calls import draw
from seqsearch.search.retrieve import Retriever, open_retriever
from seqsearch.search.rules import check_rule, open_rule
from seqsearch.settings import QuerySettings

Sequences = str | Path | Sequence[str] | dict[str, str] | SequenceBatch


class Index:
    """An index in memory, ready to answer; use as a context manager, or `close` it.

    Attributes
    ----------
    store : IndexStore
    encoder : Encoder
    devices : tuple of str
        GPUs that encode and search; none: the CPU.
    opened_s : float
        Seconds that opening and loading took.
    """

    def __init__(self, store: IndexStore, encoder: Encoder, threads: int) -> None:
        self.store, self.encoder, self.threads = store, encoder, threads
        self.devices = devices_under(encoder)  # where it is searched too
        self.opened_s = 0.0
        self._retrievers: dict[str | None, Retriever] = {}

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ranks(self) -> tuple[str, ...]:
        """The library's ranks, highest first."""
        return self.store.manifest.ranks

    def describe(self) -> dict[str, Any]:
        """Return what the index is made of."""
        return describe_index(self.store.folder)

    def classify(self, sequences: Sequences, **options: Any) -> pa.Table:
        """Name sequences, in memory.

        Parameters
        ----------
        sequences : path, list of str, dict of str to str, or SequenceBatch
            A FASTA or FASTQ file, sequences, or sequences by id.
        **options
            Fields of `QuerySettings`: min_confidence, rule, strand, taxon, candidates ...

        Returns
        -------
        pyarrow.Table
            One row per query, columns as in assignments.parquet (docs/scores.md explains them).

        Examples
        --------
        >>> index = open_index(getfixture("tiny_index"))
        >>> table = index.classify({"mine": "ACGTACGTTTGACCA", "junk": "MKV"}, min_confidence=0)
        >>> table["verdict"].to_pylist()
        ['identified', 'invalid']
        """
        settings = QuerySettings(threads=self.threads, **options)
        tables = [
            self._draw(found, settings)
            for found in self._search(_reads_of(sequences, settings.batch_size), settings, Clock())
        ]
        return pa.concat_tables(tables).combine_chunks()

    def query(
        self,
        files: str | Path | Sequence[str | Path],
        out: str | Path,
        *,
        overwrite: bool = False,
        unassigned_out: str | Path | None = None,
        progress: Progress = silent,
        **options: Any,
    ) -> Run:
        """Name the sequences of files into a run folder, going on with an unfinished one.

        Parameters
        ----------
        files : path or list of paths
            FASTA or FASTQ of any compression; "-" is standard input.
        out : path
            Run folder.
        overwrite : bool
            Replace another run that is there.
        unassigned_out : path, optional
            FASTA of the queries that were given no name.
        **options
            Fields of `QuerySettings`.

        Raises
        ------
        InputError
            A file cannot be read. Parts that were committed stay, and the run can be resumed.
        FolderError
            Something else is in the way.
        """
        settings = QuerySettings(threads=self.threads, **options)
        self.load(settings.taxon)
        self._check(settings)
        given = [files] if isinstance(files, (str, Path)) else list(files)
        job = QueryFiles(
            [str(file) for file in given],
            Path(out),
            overwrite,
            None if unassigned_out is None else Path(unassigned_out),
        )
        return Run(query_files(self.store, self.opened_s, self._search, job, settings, progress))

    def load(self, taxon: str | None = None) -> None:
        """Load now what the first search would load."""
        start = time.perf_counter()
        self.retriever(taxon)
        _ = self.store.taxonomy, self.store.votes, self._judge
        self.opened_s += time.perf_counter() - start

    def close(self) -> None:
        """Close the catalog."""
        self.store.close()

    def _search(
        self, reads: Iterable[tuple[int, Reads]], settings: QuerySettings, clock: Clock
    ) -> Iterator[Searched]:
        retriever = self.retriever(settings.taxon)
        self._check(settings)
        return search_all(
            reads, self.encoder, self.store, retriever, self._judge, self.windows, settings, clock
        )

    def _check(self, settings: QuerySettings) -> None:
        """Raise `SettingsError` unless prior and rule are of ranks of this index."""
        self._judge.check(settings)
        check_rule(settings, self.ranks)

    @cached_property
    def _judge(self) -> Judge:
        return Judge(self.store)

    @cached_property
    def windows(self) -> Windows:
        """How long queries are cut."""
        return Windows.of(self.store.lengths[self.store.live_rows])

    def retriever(self, taxon: str | None = None) -> Retriever:
        """Return what searches the index, or the rows below a taxon; loaded once."""
        if taxon not in self._retrievers:
            rows = None if taxon is None else self.store.rows_below(taxon)
            self._retrievers[taxon] = open_retriever(self.store, self.threads, rows, self.devices)
            self.store.expect_random_reads()
        return self._retrievers[taxon]

    def _draw(self, found: Searched, settings: QuerySettings) -> pa.Table:
        hits = found.hits.table()
        needed = hits.filter(pc.equal(hits["hit"], 0)) if settings.rule is None else hits
        refs = self.store.catalog.refs(needed["reference"].to_numpy())
        return draw(
            found.queries,
            hits,
            found.calls.table(self.ranks),
            refs,
            self.ranks,
            is_single(self.store),
            settings.min_confidence,
            open_rule(settings, self.ranks, refs),
        )


def is_single(store: IndexStore) -> tuple[bool, ...]:
    """Tell by rank whether the library has only one taxon there."""
    return tuple(store.manifest.counts[rank] == 1 for rank in store.manifest.ranks)


def open_index(path: str | Path, *, threads: int = 0, device: str = "auto") -> Index:
    """Open an index for searching.

    Parameters
    ----------
    path : path
        Index folder.
    threads : int
        0 means every core this process may use. Answers do not depend on it.
    device : str
        Where to encode and search: "auto" (GPUs, where they work), "cpu" or "cuda".

    Raises
    ------
    FolderError
        There is no index, or it is damaged.
    SettingsError, MissingExtraError
        A GPU was asked for, and none works here, or torch is not installed.

    Examples
    --------
    >>> with open_index(getfixture("tiny_index")) as index:
    ...     index.ranks
    ('family', 'genus', 'species')
    """
    start = time.perf_counter()
    store = IndexStore.open(path)
    index = Index(store, encoder_of(store, threads, devices_for(store, device)), threads)
    index.opened_s = time.perf_counter() - start
    return index


def _reads_of(sequences: Sequences, batch_size: int) -> Iterator[tuple[int, Reads]]:
    """Yield batches of reads with the number of their first query."""
    if isinstance(sequences, (str, Path)):
        for reads in read_sequences(sequences, batch_size):
            yield reads.first, reads
        return
    if isinstance(sequences, SequenceBatch):
        texts: list[str] = sequences.strings().to_pylist()
        ids: list[str] = sequences.ids.to_pylist()
    elif isinstance(sequences, dict):
        texts, ids = list(sequences.values()), list(sequences)
    else:
        texts, ids = list(sequences), [str(i + 1) for i in range(len(sequences))]
    if not all(isinstance(text, str) for text in (*texts, *ids)):
        raise SettingsError("sequences", "other objects", "sequences and ids as text")
    ends = np.cumsum([len(text) for text in texts])
    start, done = 0, 0
    while start < max(1, len(texts)):  # batches end where those of a file would
        room = int(np.searchsorted(ends, done + BATCH_BASES)) + 1
        stop = min(start + batch_size, room, len(texts))
        yield start, clean_sequences(texts[start:stop], ids[start:stop])
        done = int(ends[stop - 1]) if stop else 0
        start = max(stop, 1)
