"""How an index is searched: exactly, or by inverted lists that are made and measured here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from seqsearch.encoders.base import Encoder
from seqsearch.index.ann import BLOCK, InvertedLists
from seqsearch.index.codes import WORD, Codes, codes_of
from seqsearch.index.effort import Plan
from seqsearch.index.lists import CODES, Lists, save_lists
from seqsearch.index.segments import Segment, pieces_of, spans_of
from seqsearch.index.sketch import Sketch
from seqsearch.index.spans import Spans
from seqsearch.index.vectors import unit
from seqsearch.index.writer import IndexWriter
from seqsearch.jobs.nearest import Nearest
from seqsearch.jobs.tuning import RECALL, Question, tuned_effort
from seqsearch.tables import ArrayWriter, Float32, Int64, delete, mapped_array
from seqsearch.threads import resolve_threads
from seqsearch.training.augmentation import Augmentation, augment

EXACT = {"type": "exact"}
LEAST_ROWS = 10_000  # with fewer, exact search is as fast
ASKED = 600  # disturbed references that recall is measured on
# As far from all that is near to them as a query of a new family is (a tenth of substitutions gives
# queries that are found with a third of the effort which those of the COI bench take).
DISTURBED = Augmentation(crop=0.5, shortest=200, substitutions=0.15, indels=0.01)
UNLISTED = 0.25  # share of the listed that may join them in memory
MOST_UNLISTED = 20_000  # vectors that do: some two seconds each time that an index is opened
KEPT = 80  # nearest of a query that ties with the last one wanted are looked for among
TRAINED = 40  # rows a list that its centre is found from
MOST_LISTS = 8192  # more cost more to find than they spare
MOST_EXACT = 100_000  # vectors that are compared one by one rather than found at a lower recall


def search_plan(
    writer: IndexWriter,
    encoder: Encoder,
    removed: Int64,
    earlier: dict[str, Any],
    threads: int = 0,
) -> dict[str, Any]:
    """Decide how the next state is searched; makes inverted lists where they serve.

    Lists of an earlier state go on serving until much is not in them.

    Parameters
    ----------
    writer : IndexWriter
        With all segments of the next state.
    encoder : Encoder
    removed : (r,) int64
        Rows taken out.
    earlier : dict
        `ann` of the state before, or what the user chose.
    threads : int

    Returns
    -------
    dict
        `ann` of the next state.
    """
    total = sum(segment.rows for segment in writer.segments)
    spans = spans_of(writer.segments)
    live = spans.numbers_of(np.setdiff1d(np.arange(total), removed))
    if earlier.get("chosen") == "exact" or len(live) < LEAST_ROWS:
        return {**EXACT, **({"chosen": "exact"} if "chosen" in earlier else {})}
    if "folder" in earlier:
        listed = np.count_nonzero(live < Plan.from_dict(earlier).rows)
        if len(live) - listed <= min(UNLISTED * listed, MOST_UNLISTED):
            return earlier
    folder = writer.folder / f"ann-{writer.number:04d}"
    folder.mkdir()
    maker = _Maker(writer.segments, spans, live, encoder, resolve_threads(threads))
    plan = maker.make(folder)
    if plan is None:
        delete(folder)
        return dict(EXACT)
    return plan.as_dict(folder.name)


class _Maker:
    """Makes inverted lists of the live vectors of segments, reading them once."""

    def __init__(
        self, segments: list[Segment], spans: Spans, live: Int64, encoder: Encoder, threads: int
    ) -> None:
        self._segments, self._spans, self._live = segments, spans, live
        self._threads = threads
        self._is_live = np.zeros(len(spans), np.bool_)
        self._is_live[live] = True
        self._encoder = encoder
        self._sketch = Sketch.draw(encoder.dim, encoder.leading)

    def make(self, folder: Path) -> Plan | None:
        """Write lists to a folder, and find the cheapest way to search them that misses little.

        None where exact search serves better.
        """
        queries = self._disturbed()
        lists = self._trained()
        nearest = self._fill(lists, queries, folder)
        codes = Codes(*(mapped_array(folder / name) for name in CODES))
        searched = InvertedLists(self._sketch, lists, [(0, codes)], ~self._is_live)
        question = Question.of(queries, nearest, searched, self._vectors)
        tuned = tuned_effort(searched, codes.bytes_each, question, self._threads)
        if tuned.recall < RECALL and len(self._live) < MOST_EXACT:
            return None
        save_lists(lists, self._sketch, folder)
        return Plan(
            self._sketch.width, lists.count, tuned.effort, len(self._spans),
            round(tuned.lists, 1), round(tuned.vectors, 1), round(tuned.recall, 4),
        )  # fmt: skip

    def _vectors(self, numbers: Int64) -> Float32:
        """Return the vectors of ascending numbers."""
        return np.concatenate([unit(own) for _, own in _blocks(self._segments, numbers)])

    def _disturbed(self) -> Float32:
        """Return vectors of references, or windows, with substitutions, half of them cut."""
        chosen = np.random.default_rng(0).choice(
            self._live, min(ASKED, len(self._live)), replace=False
        )
        whole = pieces_of(self._segments, *self._spans.stretches(np.sort(chosen)))
        vectors = self._encoder.encode(augment(whole, DISTURBED, seed=0))
        return unit(vectors[vectors.any(axis=1)])

    def _trained(self) -> Lists:
        """Find the centres of the lists from a sample."""
        count = min(MOST_LISTS, 2 ** int(np.log2(4 * np.sqrt(len(self._live)))))
        size = min(len(self._live), TRAINED * count)
        chosen = np.random.default_rng(1).choice(self._live, size, replace=False)
        sketches = [
            self._sketch.of(unit(vectors), self._threads)
            for _, vectors in _blocks(self._segments, np.sort(chosen))
        ]
        return Lists.train(np.concatenate(sketches), count, self._threads)

    def _fill(self, lists: Lists, queries: Float32, folder: Path) -> Nearest:
        """Put vectors into lists, write their codes, and find what is nearest to each query."""
        nearest = Nearest(len(queries), KEPT)
        leading = self._encoder.leading
        words = -(-(self._encoder.dim - leading) // WORD)
        count = len(self._spans)
        shapes = ((count, leading), (count, 2), (count, 2, words))
        kinds = (np.int8, np.float32, np.uint64)
        with ExitStack() as stack:
            files = [
                stack.enter_context(ArrayWriter(folder / name, np.dtype(kind), shape))
                for name, kind, shape in zip(CODES, kinds, shapes, strict=True)
            ]
            # What is taken out has codes too, so that a number says where codes are.
            for numbers, vectors in _blocks(self._segments, np.arange(count)):
                block = unit(vectors)
                codes = codes_of(block, leading)
                files[0].append(codes.numbers)
                files[1].append(codes.scales)
                files[2].append(codes.signs)
                kept = self._is_live[numbers]
                own, block = numbers[kept], block[kept]
                lists.add(self._sketch.of(block, self._threads), own, self._threads)
                nearest.look_at(queries @ block.T, own, threads=self._threads)
        return nearest


def _blocks(segments: list[Segment], numbers: Int64) -> Iterator[tuple[Int64, Float32]]:
    """Yield ascending numbers of vectors and these, some thousands at a time."""
    for segment in segments:
        first = segment.first_vector
        own = numbers[(numbers >= first) & (numbers < first + len(segment.vectors))]
        for start in range(0, len(own), BLOCK):
            some = own[start : start + BLOCK]
            yield some, segment.vectors.take(some - first)
        segment.vectors.release()
