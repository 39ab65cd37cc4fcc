"""A map: references of an index, and queries among them, as a picture, a page and a table."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seqsearch.analytics.maps import (
    FEWEST,
    Silhouettes,
    check_method,
    cosine_silhouettes,
    even_sample,
    flat_silhouettes,
    projected,
)
from seqsearch.encoders.base import Encoder
from seqsearch.errors import FolderError, SettingsError
from seqsearch.index.store import IndexStore
from seqsearch.index.vectors import unit
from seqsearch.jobs.importing import Progress, silent
from seqsearch.jobs.inspecting import encoder_of
from seqsearch.jobs.map_files import check_target, write_map
from seqsearch.jobs.map_queries import NO_QUERIES, MapQueries, drawn_queries
from seqsearch.plots.maps import STYLES, Coloured, Picture
from seqsearch.settings import VERSION
from seqsearch.tables import (
    Float64,
    Int32,
    Int64,
    locked,
    one_array,
)
from seqsearch.taxonomy import Taxonomy

SAMPLE = 3000
METHODS = {"tsne": "t-SNE", "umap": "UMAP"}  # as they are written
LOWEST = 30  # references listed


@dataclass(frozen=True)
class MapSettings:
    """How a map is drawn.

    Attributes
    ----------
    rank : str or None
        Drawn evenly over its taxa, and scored; None: family, or the second lowest rank.
    colour : str or None
        The rank that colours; None: the same, or, where colours would be few, one above it.
    method : str
        "tsne" or "umap".
    sample : int
        References in the picture, at most; of queries half as many.
    seed : int
    threads : int
        For encoding queries; 0: every core.

    Raises
    ------
    SettingsError, MissingExtraError
        Out of range; umap-learn is not installed.
    """

    rank: str | None = None
    colour: str | None = None
    method: str = "tsne"
    sample: int = SAMPLE
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        check_method(self.method)
        if self.sample < FEWEST:
            raise SettingsError("sample", self.sample, f"{FEWEST} references or more")
        if self.seed < 0:
            raise SettingsError("seed", self.seed, "0 or more")


@dataclass(frozen=True)
class IndexMap:
    """A map that was drawn.

    Attributes
    ----------
    folder : Path
    about : dict
        What map.json holds.
    missing : str
        Why there is no map.png; "" where there is one.
    """

    folder: Path
    about: dict[str, Any]
    missing: str = ""


def map_index(
    index: str | Path,
    out: str | Path,
    *,
    queries: str | Path | None = None,
    settings: MapSettings | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> IndexMap:
    """Draw the space in which an index's references lie.

    Parameters
    ----------
    index : path
        Index folder.
    out : path
        Folder for map.html, map.png (with matplotlib), points.tsv, points.parquet and map.json.
    queries : path, optional
        Run folder, FASTA or FASTQ: drawn among the references.
    settings : MapSettings, optional
    overwrite : bool
        Replace a map that is there.
    progress : function

    Raises
    ------
    FolderError
        No index, too few references, no sequences in the run, or something is in the way.
    SettingsError
        There is no such rank.
    InputError
        The queries cannot be read, or none of them can be encoded.
    """
    chosen, folder = settings or MapSettings(), Path(out)
    check_target(folder, overwrite)
    with closing(IndexStore.open(index)) as store:
        _rank_of(store, chosen)  # a wrong one is told before anything takes long
        encoder = encoder_of(store, chosen.threads)
        asked = NO_QUERIES
        if queries is not None:
            progress("queries", 0, None)
            asked = drawn_queries(queries, encoder, chosen.sample // 2, chosen.seed)
        progress(METHODS[chosen.method], 0, None)
        drawn = _Drawn(store, chosen, asked, encoder)
        name = Path(index).resolve().name
        picture = drawn.picture(name, encoder.name)
        about = drawn.about(picture, Path(index), store)
        table = drawn.points(picture)
    with locked(folder, "map"):
        missing = write_map(folder, picture, table, about)
    return IndexMap(folder, about, missing)


def _rank_of(store: IndexStore, settings: MapSettings) -> int:
    """Return the place of the rank that is drawn evenly.

    Raises
    ------
    SettingsError
        This rank, or the one that colours, is not in the index.
    """
    ranks = store.manifest.ranks
    for setting, given in (("rank", settings.rank), ("colour", settings.colour)):
        if given is not None and given not in ranks:
            raise SettingsError(setting, given, f"one of {', '.join(ranks)}")
    if settings.rank is not None:
        return ranks.index(settings.rank)
    return ranks.index("family") if "family" in ranks else max(len(ranks) - 2, 0)


class _Drawn:
    """What is drawn, and where."""

    def __init__(
        self, store: IndexStore, settings: MapSettings, queries: MapQueries, encoder: Encoder
    ) -> None:
        self._settings, self._queries = settings, queries
        self._taxonomy: Taxonomy = store.taxonomy
        self._at = _rank_of(store, settings)
        self._live = store.live_rows
        if len(self._live) < FEWEST:
            raise FolderError(
                store.folder, f"has {len(self._live)} references; a map needs {FEWEST} or more"
            )
        everyone = store.catalog.agreed(store.rows)
        groups = self._lineages(everyone[self._live])[:, self._at]
        rows = self._live[even_sample(groups.astype(np.int64), settings.sample, settings.seed)]
        self.lineage = self._lineages(everyone[rows])
        self.records = np.bincount(groups[groups >= 0], minlength=len(self._taxonomy))
        self.ids = one_array(store.catalog.refs(rows)["ref_id"])
        vectors = unit(store.vectors(rows))
        self.taxa = self.lineage[:, self._at].astype(np.int64)
        self.found: Silhouettes = cosine_silhouettes(vectors, self.taxa)
        asked = vectors[:0]
        if len(queries):
            asked = queries.vectors(encoder, vectors, lambda some: store.sequences(rows[some]))
        together = np.concatenate([vectors, asked])
        places = np.asarray(projected(together, settings.method, settings.seed), np.float64)
        self.xy, self.query_xy = places[: len(rows)], places[len(rows) :]
        self.flat: Float64 = flat_silhouettes(self.xy, self.taxa)

    def _lineages(self, taxa: Int32) -> Int32:
        """(n, ranks) int32: the taxon at every rank, -1 for none."""
        if not len(self._taxonomy):
            return np.full((len(taxa), len(self._taxonomy.ranks)), -1, np.int32)
        return np.where(taxa[:, None] >= 0, self._taxonomy.lineage[taxa], -1)

    @property
    def rank(self) -> str:
        """The rank that is drawn evenly."""
        return self._taxonomy.ranks[self._at]

    def picture(self, index: str, encoder: str) -> Picture:
        """Return what is drawn."""
        ranks, places = {}, {}
        for position, rank in enumerate(self._taxonomy.ranks):
            order = _commonest(self.lineage[:, position], self.records)
            places[rank] = np.full(len(self._taxonomy) + 1, -1, np.int32)
            places[rank][order] = np.arange(len(order))
            taxa = places[rank][self.lineage[:, position]]
            ranks[rank] = Coloured(self._distinct(order, position), taxa)
        method, known = METHODS[self._settings.method], len(ranks[self.rank].names)
        title = f"{index}: {len(self.ids):,} of {len(self._live):,} references"
        if len(self._queries):
            title += f", {len(self._queries):,} queries"
        how = f"{method} by cosine of the vectors of {encoder}, seed {self._settings.seed}; "
        how += f"references drawn evenly over {known:,} taxa of the rank {self.rank}."
        apart = f"Silhouette by {self.rank}: {_shown(self.found.mean)} among the vectors, "
        apart += f"{_shown(_mean(self.flat))} in this picture."
        return Picture(
            title=title,
            notes=[how, apart],
            method=method,
            rank=self.rank,
            colour=self._settings.colour or _colouring(ranks, self._at),
            ranks=ranks,
            ids=self.ids.to_pylist(),
            xy=self.xy,
            score=self.found.score,
            flat=self.flat,
            rival=places[self.rank][self.found.rival],
            query_ids=self._queries.batch.ids.to_pylist(),
            query_paths=self._queries.paths(self._taxonomy.ranks),
            query_xy=self.query_xy,
        )

    def _distinct(self, taxa: Int64, position: int) -> list[str]:
        """Return names; those that stand in several places with the name above them."""
        names: list[str] = self._taxonomy.names_of(taxa).to_pylist()
        above = self._taxonomy.names_of(self._taxonomy.parent[taxa]).to_pylist()
        double = {name for name in names if names.count(name) > 1} if position else set()
        return [
            f"{name} ({parent or 'no name'})" if name in double else name
            for name, parent in zip(names, above, strict=True)
        ]

    def points(self, picture: Picture) -> pa.Table:
        """Return one row a point."""
        ranks, asked = self._taxonomy.ranks, self._queries
        names = {rank: self._taxonomy.names_of(self.lineage[:, i]) for i, rank in enumerate(ranks)}
        score, flat = (pa.array(one, mask=np.isnan(one)) for one in (self.found.score, self.flat))
        references = {
            "kind": pa.repeat("reference", len(self.ids)),
            "id": self.ids,
            "x": self.xy[:, 0],
            "y": self.xy[:, 1],
            "silhouette": score,
            "silhouette_in_picture": flat,
            "next": self._taxonomy.names_of(self.found.rival),
            **names,
        }
        size = len(asked)
        queries = {
            "kind": pa.repeat("query", size),
            "id": asked.batch.ids,
            "x": picture.query_xy[:, 0],
            "y": picture.query_xy[:, 1],
            "silhouette": pa.nulls(size, pa.float64()),
            "silhouette_in_picture": pa.nulls(size, pa.float64()),
            "next": pa.nulls(size, pa.string()),
            **{rank: asked.names_at(rank) for rank in ranks},
        }
        return pa.concat_tables([pa.table(references), pa.table(queries)]).combine_chunks()

    def about(self, picture: Picture, index: Path, store: IndexStore) -> dict[str, Any]:
        """Return what map.json says."""
        own = picture.ranks[self.rank]
        known = np.flatnonzero(~np.isnan(self.found.score))
        lowest = known[np.argsort(self.found.score[known], kind="stable")[:LOWEST]]
        return {
            "package_version": VERSION,
            "index": {"path": str(index.resolve()), "state": store.manifest.number},
            "encoder": store.manifest.encoder,
            "method": self._settings.method,
            "seed": self._settings.seed,
            "rank": self.rank,
            "coloured_by": picture.colour,
            "references": len(self.ids),
            "of": len(self._live),
            "queries": len(self._queries),
            "queries_left_out": self._queries.left_out,
            "silhouette": {
                "rank": self.rank,
                "points": len(known),
                "vectors_cosine": self.found.mean,
                "picture_euclidean": _mean(self.flat),
            },
            "taxa": self._groups(own),
            "lowest": [
                {
                    "id": picture.ids[i],
                    self.rank: own.names[own.taxa[i]],
                    "next": own.names[picture.rival[i]],
                    "silhouette": float(self.found.score[i]),
                    "silhouette_in_picture": float(self.flat[i]),
                }
                for i in lowest
            ],
        }

    def _groups(self, own: Coloured) -> list[dict[str, Any]]:
        """Return the taxa of the rank, with mean silhouettes, the least apart first."""
        known = ~np.isnan(self.found.score)
        taxa, size = own.taxa[known], len(own.names)
        counts = np.maximum(np.bincount(taxa, minlength=size), 1)
        means = [
            np.bincount(taxa, weights=one[known], minlength=size) / counts
            for one in (self.found.score, self.flat)
        ]
        order = [int(i) for i in np.argsort(means[0], kind="stable") if i in set(taxa.tolist())]
        return [
            {
                "name": own.names[i],
                "points": int(counts[i]),
                "silhouette": float(means[0][i]),
                "silhouette_in_picture": float(means[1][i]),
            }
            for i in order
        ]


def _commonest(taxa: Int32, records: Int64) -> Int64:
    """Return the distinct taxa, the commonest first: by points, then in the whole index."""
    known, points = np.unique(taxa[taxa >= 0], return_counts=True)
    return known[np.lexsort((known, -records[known], -points))].astype(np.int64)


def _colouring(ranks: dict[str, Coloured], at: int) -> str:
    """Return the lowest rank, from `at` up, at which half of the points have a colour."""
    names = list(ranks)
    for position in range(at, -1, -1):
        shown = ranks[names[position]]
        is_coloured = (shown.taxa >= 0) & (shown.taxa < len(STYLES))
        if len(shown.names) > 1 and 2 * is_coloured.sum() >= len(shown.taxa):
            return names[position]
    return names[at]


def _mean(score: Float64) -> float | None:
    return Silhouettes(score, np.empty(0, np.int64)).mean


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
