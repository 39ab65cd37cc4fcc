"""How an index is searched: exactly, or by inverted lists that are made and measured here."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqsearch.encoders.base import Encoder
from seqsearch.index.ann import LEAST_ROWS, Plan, make_lists, save_lists
from seqsearch.index.segments import Segment, sequences_of
from seqsearch.index.writer import IndexWriter
from seqsearch.tables import Float32, Int64
from seqsearch.training.augmentation import Augmentation, augment

EXACT = {"type": "exact"}
ASKED = 300  # disturbed references that recall is measured on
DISTURBED = Augmentation(crop=0.5, shortest=200, substitutions=0.1, indels=0.01)
UNLISTED = 0.25  # share of the listed rows that may be searched exhaustively beside them
BLOCK = 8192
KEPT = 50  # nearest of a query that ties with its tenth are looked for among


def search_plan(
    writer: IndexWriter, encoder: Encoder, removed: Int64, earlier: dict[str, Any]
) -> dict[str, Any]:
    """Decide how the next state is searched; makes inverted lists where they serve.

    Lists of an earlier state go on serving until many rows are not in them.

    Parameters
    ----------
    writer : IndexWriter
        With all segments of the next state.
    encoder : Encoder
    removed : (r,) int64
        Rows taken out.
    earlier : dict
        `ann` of the state before, or what the user chose.

    Returns
    -------
    dict
        `ann` of the next state.
    """
    total = sum(segment.rows for segment in writer.segments)
    live = np.setdiff1d(np.arange(total), removed)
    if earlier.get("chosen") == "exact" or len(live) < LEAST_ROWS:
        return {**EXACT, **({"chosen": "exact"} if "chosen" in earlier else {})}
    if "file" in earlier:
        listed = np.count_nonzero(live < Plan.from_dict(earlier).rows)
        if len(live) - listed <= UNLISTED * listed:
            return earlier
    asked = np.sort(np.random.default_rng(0).choice(live, min(ASKED, len(live)), replace=False))
    vectors = encoder.encode(
        augment(sequences_of(writer.segments, asked, named=False), DISTURBED, seed=0)
    )
    vectors = vectors[vectors.any(axis=1)]
    leading, near = _leading_and_near(writer.segments, live, vectors, encoder.leading)
    queries = _unit(vectors[:, : encoder.leading])
    made = make_lists(leading, live, queries, near)
    if made is None:
        return dict(EXACT)
    name = f"ann-{writer.number:04d}.faiss"
    save_lists(made[0], writer.folder / name)
    return made[1].as_dict(name)


def _leading_and_near(
    segments: list[Segment], live: Int64, queries: Float32, dim: int
) -> tuple[Float32, list[set[int]]]:
    """Return (m, dim) leading dimensions of the rows, and each query's ten nearest by all of them.

    Rows as similar as the tenth are among the nearest.
    """
    leading = np.empty((len(live), dim), np.float32)
    best = np.full((len(queries), 0), -np.inf, np.float32)
    best_rows = np.empty((len(queries), 0), np.int64)
    done = 0
    for segment in segments:
        own = live[(live >= segment.first_row) & (live < segment.first_row + segment.rows)]
        for start in range(0, len(own), BLOCK):
            rows = own[start : start + BLOCK]
            block = _unit(segment.vectors[rows - segment.first_row].astype(np.float32))
            leading[done : done + len(rows)] = _unit(block[:, :dim])
            done += len(rows)
            products = np.concatenate([best, queries @ block.T], axis=1)
            numbers = np.concatenate(
                [best_rows, np.broadcast_to(rows, (len(queries), len(rows)))], axis=1
            )
            kept = np.argpartition(-products, min(KEPT, products.shape[1]) - 1, axis=1)[:, :KEPT]
            best = np.take_along_axis(products, kept, axis=1)
            best_rows = np.take_along_axis(numbers, kept, axis=1)
    tenth = -np.sort(-best, axis=1)[:, min(10, best.shape[1]) - 1]
    is_near = best >= tenth[:, None] - 1e-6
    return leading, [
        set(rows[near].tolist()) for rows, near in zip(best_rows, is_near, strict=True)
    ]


def _unit(vectors: Float32) -> Float32:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
