"""Counting the k-mers of libraries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa

from seqsearch.analytics.kmers import KmerCounts, expected_shares
from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.reading import read_sequences
from seqsearch.dna.tokens import KmerVocabulary, count_overlapping
from seqsearch.errors import InputError, SettingsError
from seqsearch.index.manifest import CURRENT
from seqsearch.index.store import IndexStore
from seqsearch.jobs.assigning import tsv_lines
from seqsearch.jobs.importing import Progress, silent
from seqsearch.plots.figures import figure_class, save
from seqsearch.plots.zipf import Ranked, draw
from seqsearch.tables import check_output, whole_file

AT_ONCE = 4096  # sequences of an index


def count_kmers(
    files: Sequence[str | Path],
    out: str | Path,
    lengths: Sequence[int],
    *,
    plot: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> list[KmerCounts]:
    """Count the overlapping k-mers of sequences, as they are written, and list them by rank.

    Parameters
    ----------
    files : sequence of path
        FASTA, FASTQ, or index folders (whose references are counted once each).
    out : path
        TSV with k, rank, kmer, count, share (of the k-mers of that length) and zipf (the share that
        the law expects).
    lengths : sequence of int
        Bases of a k-mer, 1 to 8.
    plot : path, optional
        PNG of all curves.
    overwrite : bool
        Replace what is there.
    progress : function

    Raises
    ------
    SettingsError
        A length is out of range, or given twice.
    InputError, FolderError
        A file cannot be read, holds no such k-mer, or may not be written.
    MissingExtraError
        A plot was asked for, and matplotlib is not installed.
    """
    if len(set(lengths)) < len(lengths) or not lengths:
        raise SettingsError("k", list(lengths), "every length once")
    vocabularies = [KmerVocabulary(k) for k in lengths]
    check_output(Path(out), overwrite)
    if plot is not None:
        check_output(Path(plot), overwrite)
        figure_class()
    totals = [np.zeros(one.size, np.int64) for one in vocabularies]
    done = 0
    for batch, fraction in _batches(files):
        for vocabulary, total in zip(vocabularies, totals, strict=True):
            total += count_overlapping(batch, vocabulary)
        done += len(batch)
        progress("count", done, fraction)
    counted = [_counts(*one) for one in zip(vocabularies, totals, strict=True)]
    for one in counted:
        if not len(one.order):
            raise InputError(files[0], f"no sequence holds {one.k} known bases in a row")
    tables = [_table(*one) for one in zip(vocabularies, counted, strict=True)]
    table = pa.concat_tables(tables).combine_chunks()
    with whole_file(Path(out)) as temporary:
        header = "\t".join(table.column_names) + "\n"
        temporary.write_bytes(header.encode() + tsv_lines(table))
    if plot is not None:
        names = ", ".join(Path(file).name for file in files)
        save(draw([_curve(one) for one in counted], f"k-mers of {names}"), plot)
    return counted


def _batches(files: Sequence[str | Path]) -> Iterator[tuple[SequenceBatch, float | None]]:
    """Yield sequences, and how much of their file has been read."""
    for file in files:
        if (Path(file) / CURRENT).is_file():
            with closing(IndexStore.open(file)) as store:
                rows = store.live_rows
                for start in range(0, len(rows), AT_ONCE):
                    own = rows[start : start + AT_ONCE]
                    yield store.sequences(own, named=False), (start + len(own)) / len(rows)
            continue
        for reads in read_sequences(file):
            yield reads.batch.take(np.flatnonzero(reads.defects == 0)), reads.fraction


def _counts(vocabulary: KmerVocabulary, total: np.ndarray) -> KmerCounts:
    specials = len(vocabulary.specials)
    unknown = int(total[vocabulary.number(vocabulary.unknown)])
    return KmerCounts(vocabulary.k, total[specials:], unknown)


def _fitted(counted: KmerCounts) -> np.ndarray | None:
    if counted.exponent is None:
        return None
    return expected_shares(counted.exponent, len(counted.order))


def _table(vocabulary: KmerVocabulary, counted: KmerCounts) -> pa.Table:
    words = pa.array(vocabulary.words()[len(vocabulary.specials) :])
    count, fitted = counted.counts[counted.order], _fitted(counted)
    size = len(count)
    return pa.table(
        {
            "k": np.full(size, counted.k),
            "rank": np.arange(1, size + 1),
            "kmer": words.take(pa.array(counted.order)),
            "count": count,
            "share": count / count.sum(),
            "zipf": pa.nulls(size, pa.float64()) if fitted is None else pa.array(fitted),
        }
    )


def _curve(counted: KmerCounts) -> Ranked:
    count = counted.counts[counted.order]
    exponent = "none" if counted.exponent is None else f"{counted.exponent:.2f}"
    return Ranked(f"k = {counted.k}, exponent {exponent}", count / count.sum(), _fitted(counted))
