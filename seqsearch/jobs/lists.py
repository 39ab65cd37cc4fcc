"""How an index is searched: exactly, or by inverted lists that are made and measured here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqsearch.encoders.base import Encoder
from seqsearch.index.ann import BITS, BLOCK, CODES, InvertedLists, Lists, Plan, save_lists
from seqsearch.index.codes import WORD, Codes, codes_of
from seqsearch.index.segments import Segment, pieces_of, spans_of
from seqsearch.index.sketch import MULTIPLE, Sketch
from seqsearch.index.spans import Spans
from seqsearch.index.vectors import unit
from seqsearch.index.writer import IndexWriter
from seqsearch.jobs.nearest import Nearest
from seqsearch.tables import ArrayWriter, Float32, Int64, delete, mapped_array
from seqsearch.threads import resolve_threads
from seqsearch.training.augmentation import Augmentation, augment

EXACT = {"type": "exact"}
LEAST_ROWS = 10_000  # with fewer, exact search is as fast
RECALL = 0.99  # of the ten nearest, to be reached by a plan
ASKED = 600  # disturbed references that recall is measured on
DISTURBED = Augmentation(crop=0.5, shortest=200, substitutions=0.1, indels=0.01)
UNLISTED = 0.25  # share of the listed that may join them in memory
MOST_UNLISTED = 20_000  # vectors that do: some two seconds each time that an index is opened
KEPT = 50  # nearest of a query that ties with its tenth are looked for among
TRAINED = 40  # rows a list that its centre is found from
MOST_LISTS = 8192  # more cost more to find than they spare
BEST = 66  # rows compared in full as plans are measured: a query's 50 candidates, and some
COMPARED = (256, 512, 1024, 2048, 4096, 8192)
PROBES = (2, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512)
READ = 2  # what a byte read here and there costs beside one that is scanned, in time


@dataclass(frozen=True)
class Question:
    """What plans are measured by.

    Attributes
    ----------
    queries : (q, d) float32
        Of length 1.
    near : list of set of int
        Vectors that are as similar to each query as its exact tenth, by whole vectors.
    """

    queries: Float32
    near: list[set[int]]

    def recall(self, found: Int64) -> float:
        """Return the share of the ten nearest that is among the vectors found."""
        shares = [
            min(10, len(wanted & set(own))) / min(10, len(wanted))
            for wanted, own in zip(self.near, found.tolist(), strict=True)
        ]
        return float(np.mean(shares))


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
        question = Question(queries, self._fill(lists, queries, folder))
        codes = Codes(*(mapped_array(folder / name) for name in CODES))
        searched = InvertedLists(self._sketch, lists, [(0, codes)], ~self._is_live)
        found = self._tuned(searched, lists.count, codes.bytes_each, question)
        if found is None:
            return None
        save_lists(lists, self._sketch, folder)
        probes, compared, recall = found
        rows, width = len(self._spans), self._sketch.width
        return Plan(width, lists.count, probes, compared, rows, round(recall, 4))

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

    def _fill(self, lists: Lists, queries: Float32, folder: Path) -> list[set[int]]:
        """Put vectors into lists, write their codes, and find what is nearest to each query.

        Returns
        -------
        list of set of int
            Each query's ten nearest, by whole vectors; those as similar as the tenth are among
            them.
        """
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
        return _ten_nearest(nearest)

    def _tuned(
        self, searched: InvertedLists, lists: int, size: int, question: Question
    ) -> tuple[int, int, float] | None:
        """Return probes, rows compared by codes and recall of the cheapest plan that reaches it."""
        best, cheapest = None, np.inf
        scanned = self._sketch.width / MULTIPLE * BITS / 8 * len(self._live) / lists
        for compared in (c for c in COMPARED if c < len(self._live) / 2):
            for probes in (p for p in PROBES if p < lists / 2):
                cost = probes * scanned + READ * compared * size
                if cost >= cheapest:
                    break
                found = searched.search(question.queries, BEST, probes, compared, self._threads)
                recall = question.recall(found)
                if recall >= RECALL:
                    best, cheapest = (probes, compared, recall), cost
                    break
        return best


def _blocks(segments: list[Segment], numbers: Int64) -> Iterator[tuple[Int64, Float32]]:
    """Yield ascending numbers of vectors and these, some thousands at a time."""
    for segment in segments:
        first = segment.first_vector
        own = numbers[(numbers >= first) & (numbers < first + len(segment.vectors))]
        for start in range(0, len(own), BLOCK):
            some = own[start : start + BLOCK]
            yield some, segment.vectors.take(some - first)
        segment.vectors.release()


def _ten_nearest(nearest: Nearest) -> list[set[int]]:
    """Return for each query the vectors that are as similar as its tenth, or more."""
    numbers, products = nearest.found()
    is_near = (numbers >= 0) & (products >= products[:, 9:10] - 1e-6)
    return [set(own[near].tolist()) for own, near in zip(numbers, is_near, strict=True)]
