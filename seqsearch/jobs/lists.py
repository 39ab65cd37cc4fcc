"""How an index is searched: exactly, or by inverted lists that are made and measured here."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqsearch.encoders.base import Encoder
from seqsearch.index.ann import LEAST_ROWS, Plan, make_lists, save_lists, unit
from seqsearch.index.codes import Codes, codes_of
from seqsearch.index.segments import Segment, sequences_of
from seqsearch.index.writer import IndexWriter
from seqsearch.jobs.nearest import Nearest
from seqsearch.tables import Float32, Int64
from seqsearch.training.augmentation import Augmentation, augment

EXACT = {"type": "exact"}
ASKED = 600  # disturbed references that recall is measured on
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
    if "folder" in earlier:
        listed = np.count_nonzero(live < Plan.from_dict(earlier).rows)
        if len(live) - listed <= UNLISTED * listed:
            return earlier
    asked = np.sort(np.random.default_rng(0).choice(live, min(ASKED, len(live)), replace=False))
    vectors = encoder.encode(
        augment(sequences_of(writer.segments, asked, named=False), DISTURBED, seed=0)
    )
    vectors = unit(vectors[vectors.any(axis=1)])
    leading, codes, near = _read_once(writer.segments, live, vectors, encoder.leading)
    made = make_lists(live, codes, leading, vectors, near)
    if made is None:
        return dict(EXACT)
    centers, lists, plan = made
    name = f"ann-{writer.number:04d}"
    save_lists(centers, lists, writer.folder / name)
    return plan.as_dict(name)


def _read_once(
    segments: list[Segment], live: Int64, queries: Float32, dim: int
) -> tuple[Float32, Codes, list[set[int]]]:
    """Read all vectors, for what lists are made of and measured by.

    Returns
    -------
    (m, dim) float32
        Leading dimensions of the live rows, of length 1.
    Codes
        Of the same rows.
    list of set of int
        Each query's ten nearest rows, by whole vectors; those as similar as the tenth are among
        them.
    """
    leading, codes, nearest = [], [], Nearest(len(queries), KEPT)
    for segment in segments:
        own = live[(live >= segment.first_row) & (live < segment.first_row + segment.rows)]
        for start in range(0, len(own), BLOCK):
            rows = own[start : start + BLOCK]
            block = unit(segment.vectors[rows - segment.first_row].astype(np.float32))
            leading.append(unit(block[:, :dim]))
            codes.append(codes_of(block, dim))
            nearest.look_at(queries @ block.T, rows)
    return np.concatenate(leading), Codes.concatenate(codes), _ten_nearest(nearest)


def _ten_nearest(nearest: Nearest) -> list[set[int]]:
    """Return for each query the rows that are as similar as its tenth, or more."""
    rows, products = nearest.found()
    is_near = (rows >= 0) & (products >= products[:, 9:10] - 1e-6)
    return [set(own[near].tolist()) for own, near in zip(rows, is_near, strict=True)]
