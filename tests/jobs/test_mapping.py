"""Maps of an index: what is drawn, where it lies, and what is said about it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import silhouette_samples

from seqsearch.errors import FolderError, InputError, MissingExtraError, SettingsError
from seqsearch.index.store import IndexStore
from seqsearch.jobs.map_queries import drawn_queries
from seqsearch.jobs.mapping import IndexMap, MapSettings, map_index
from seqsearch.jobs.opened import open_index

QUICK = MapSettings(sample=120, seed=4)


@pytest.fixture(scope="module")
def run(index_folder: Path, library_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with open_index(index_folder, threads=2) as index:
        out = tmp_path_factory.mktemp("run") / "run"
        return index.query(library_files / "queries.fasta", out, min_confidence=0).path


@pytest.fixture(scope="module")
def drawn(index_folder: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> IndexMap:
    out = tmp_path_factory.mktemp("maps") / "map"
    return map_index(index_folder, out, queries=run, settings=QUICK)


def points_of(drawn: IndexMap, kind: str) -> list[dict[str, Any]]:
    table = pq.read_table(drawn.folder / "points.parquet")
    return [row for row in table.to_pylist() if row["kind"] == kind]


def test_points_are_references_of_the_index_with_their_names(drawn: IndexMap, library: Any) -> None:
    rows = points_of(drawn, "reference")
    assert len({row["id"] for row in rows}) == len(rows) == 120
    names = {row["id"]: row for row in library.reference_table().to_pylist()}
    for row in rows:
        assert {rank: row[rank] for rank in ("order", "family", "genus", "species")} == {
            rank: names[row["id"]][rank] for rank in ("order", "family", "genus", "species")
        }


def test_points_of_one_species_lie_nearer_than_others(drawn: IndexMap) -> None:
    rows = points_of(drawn, "reference")
    xy = np.array([[row["x"], row["y"]] for row in rows])
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    for rank in ("species", "genus", "family"):
        names = np.array([row[rank] for row in rows])
        same = (names[:, None] == names[None]) & ~np.eye(len(rows), dtype=bool)
        assert distance[same].mean() < 0.5 * distance[names[:, None] != names[None]].mean()


def test_queries_lie_at_the_references_that_they_are_called(drawn: IndexMap) -> None:
    rows, asked = points_of(drawn, "reference"), points_of(drawn, "query")
    assert len(asked) == 60
    xy = np.array([[row["x"], row["y"]] for row in rows])
    right = 0
    for row in asked:
        near = rows[int(((xy - [row["x"], row["y"]]) ** 2).sum(axis=1).argmin())]
        right += near["family"] == row["family"]
        assert row["silhouette"] is None
    assert right > 0.8 * len(asked)


def test_silhouettes_are_those_of_scikit_learn(drawn: IndexMap, index_folder: Path) -> None:
    rows = points_of(drawn, "reference")
    names = np.array([row["family"] for row in rows])
    store = IndexStore.open(index_folder)
    row_of = store.catalog.rows_of([row["id"] for row in rows])
    vectors = np.concatenate([store.vectors(np.array(row_of[row["id"]])) for row in rows])
    store.close()
    for column, space, metric in (
        ("silhouette", vectors.astype(np.float64), "cosine"),
        ("silhouette_in_picture", np.array([[row["x"], row["y"]] for row in rows]), "euclidean"),
    ):
        expected = silhouette_samples(space, names, metric=metric)
        np.testing.assert_allclose([row[column] for row in rows], expected, atol=1e-5)
        measured = drawn.about["silhouette"]
        key = "vectors_cosine" if metric == "cosine" else "picture_euclidean"
        assert measured[key] == pytest.approx(expected.mean(), abs=1e-5)
    assert drawn.about["silhouette"]["points"] == 120
    lowest = [one["silhouette"] for one in drawn.about["lowest"]]
    assert lowest == sorted(row["silhouette"] for row in rows)[: len(lowest)]
    taxa = drawn.about["taxa"]
    assert {one["name"]: one["points"] for one in taxa} == {
        str(name): int((names == name).sum()) for name in set(names)
    }


def test_files_say_the_same(drawn: IndexMap) -> None:
    names = {path.name for path in drawn.folder.iterdir()} - {".lock", "map.png"}
    assert names == {"map.html", "map.json", "points.parquet", "points.tsv"}
    assert json.loads((drawn.folder / "map.json").read_text()) == drawn.about
    table = pq.read_table(drawn.folder / "points.parquet")
    lines = (drawn.folder / "points.tsv").read_text().splitlines()
    assert lines[0].split("\t") == table.column_names
    assert len(lines) == len(table) + 1
    page = (drawn.folder / "map.html").read_text()
    assert f"{drawn.about['silhouette']['vectors_cosine']:.3f} among the vectors" in page


def test_the_same_seed_gives_the_same_table(index_folder: Path, tmp_path: Path) -> None:
    settings = MapSettings(sample=60, seed=9)
    one, two = (map_index(index_folder, tmp_path / n, settings=settings) for n in ("a", "b"))
    tables = [(made.folder / "points.tsv").read_bytes() for made in (one, two)]
    assert tables[0] == tables[1]
    other = map_index(index_folder, tmp_path / "c", settings=MapSettings(sample=60, seed=10))
    ids = [{row["id"] for row in points_of(made, "reference")} for made in (one, other)]
    assert ids[0] != ids[1]


def test_no_family_is_drowned(drawn: IndexMap, index_folder: Path) -> None:
    rows = points_of(drawn, "reference")
    sent = pa.array([row["family"] for row in rows]).value_counts().to_pylist()
    counts = [one["counts"] for one in sent]
    with open_index(index_folder) as index:
        assert len(counts) == index.store.manifest.counts["family"]
    assert max(counts) - min(counts) <= 1  # every family of this library has as many


def test_a_planted_mislabel_is_the_least_like_its_family(
    library_files: Path, tmp_path: Path
) -> None:
    from seqsearch.jobs.build import build_index
    from seqsearch.settings import BuildSettings

    lines = (library_files / "references.tsv").read_text().splitlines()
    head = lines[0].split("\t")
    wrong, right = lines[40].split("\t"), lines[-1].split("\t")
    assert wrong[head.index("family")] != right[head.index("family")]
    lines[40] = "\t".join([wrong[0], *right[1:]])
    (tmp_path / "wrong.tsv").write_text("\n".join(lines) + "\n")
    build_index(
        library_files / "references.fasta",
        tmp_path / "index",
        taxonomy=tmp_path / "wrong.tsv",
        settings=BuildSettings(encoder="spectrum", calibrate=False),
    )
    made = map_index(
        tmp_path / "index", tmp_path / "map", settings=MapSettings(sample=1000, rank="family")
    )
    first = made.about["lowest"][0]
    assert first["id"] == wrong[0]
    assert first["next"] == wrong[head.index("family")]


class TestRanks:
    def test_colours_climb_to_a_rank_of_which_half_is_coloured(
        self, drawn: IndexMap, index_folder: Path, tmp_path: Path
    ) -> None:
        assert (drawn.about["rank"], drawn.about["coloured_by"]) == ("family", "family")
        settings = MapSettings(rank="species", sample=150)
        made = map_index(index_folder, tmp_path / "a", settings=settings)
        assert (made.about["rank"], made.about["coloured_by"]) == ("species", "family")
        settings = MapSettings(rank="species", colour="species", sample=20)
        made = map_index(index_folder, tmp_path / "b", settings=settings)
        assert made.about["coloured_by"] == "species"
        assert made.about["silhouette"]["points"] == 0  # all are alone under their name
        assert made.about["silhouette"]["vectors_cosine"] is None

    @pytest.mark.parametrize("setting", ["rank", "colour"])
    def test_a_wrong_one(self, index_folder: Path, tmp_path: Path, setting: str) -> None:
        with pytest.raises(SettingsError) as raised:
            map_index(index_folder, tmp_path / "m", settings=MapSettings(**{setting: "famly"}))
        ranks = "phylum, class, order, family, genus, species"
        assert str(raised.value) == f"{setting} is 'famly': expected one of {ranks}"
        assert not (tmp_path / "m").exists()


class TestQueries:
    def test_of_a_file_have_no_names(
        self, index_folder: Path, library_files: Path, tmp_path: Path
    ) -> None:
        made = map_index(
            index_folder,
            tmp_path / "m",
            queries=library_files / "queries.fasta",
            settings=MapSettings(sample=60),
        )
        asked = points_of(made, "query")
        assert len(asked) == made.about["queries"] == 30
        assert {row["family"] for row in asked} == {None}
        assert made.about["queries_left_out"] > 0

    def test_drawn_ones_do_not_depend_on_batches(self, run: Path, library_files: Path) -> None:
        from seqsearch.encoders.registry import load_encoder

        encoder = load_encoder("spectrum")
        of_run = drawn_queries(run, encoder, 25, seed=1)
        of_file = drawn_queries(library_files / "queries.fasta", encoder, 25, seed=1)
        assert of_run.batch.ids.to_pylist() == of_file.batch.ids.to_pylist()
        named = {
            row["query_id"]: row for row in pq.read_table(run / "assignments.parquet").to_pylist()
        }
        for rank in ("family", "species"):
            expected = [named[name][rank] for name in of_run.batch.ids.to_pylist()]
            assert of_run.names_at(rank).to_pylist() == expected

    def test_turned_queries_lie_where_they_would_unturned(self, library: Any) -> None:
        from seqsearch.dna.strand import reverse_complement
        from seqsearch.encoders.spectrum import Spectrum
        from seqsearch.jobs.map_queries import MapQueries

        encoder = Spectrum("111111", dim=256)
        assert not encoder.is_strand_free
        own = library.references.slice(0, 5)
        references = encoder.encode(own)
        given = MapQueries(reverse_complement(own), {})
        np.testing.assert_allclose(given.vectors(encoder, references, own.take), references)
        # Words tell it too where the vectors of the wrong strand are those of other references.
        wrong = encoder.encode(reverse_complement(own))
        np.testing.assert_allclose(given.vectors(encoder, wrong, own.take), references)

    def test_refused(
        self, index_folder: Path, library_files: Path, run: Path, tmp_path: Path
    ) -> None:
        bad = tmp_path / "bad.fasta"
        bad.write_text(">a\nMKVLE\n")
        with pytest.raises(InputError, match=r"bad\.fasta: no sequence can be drawn"):
            map_index(index_folder, tmp_path / "m", queries=bad, settings=QUICK)
        with open_index(index_folder) as index:
            index.query(library_files / "queries.fasta", tmp_path / "bare", keep_sequences=False)
        with pytest.raises(FolderError, match="keeps no sequences; give the file of the queries"):
            map_index(index_folder, tmp_path / "m", queries=tmp_path / "bare", settings=QUICK)
        with pytest.raises(FolderError, match="not a run"):
            map_index(index_folder, tmp_path / "m", queries=index_folder, settings=QUICK)
        assert not (tmp_path / "m").exists()


class TestRefused:
    def test_too_few_references(self, tiny_index: Path, tmp_path: Path) -> None:
        with pytest.raises(FolderError) as raised:
            map_index(tiny_index, tmp_path / "m")
        assert str(raised.value) == f"{tiny_index}: has 3 references; a map needs 10 or more"
        with pytest.raises(SettingsError) as asked:
            MapSettings(sample=9)
        assert str(asked.value) == "sample is 9: expected 10 references or more"

    def test_another_folder_or_a_map_that_is_there(
        self, drawn: IndexMap, index_folder: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(FolderError, match="a map is here; give --overwrite to replace it"):
            map_index(index_folder, drawn.folder)
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(FolderError, match=r"has files that are no map's \(notes\.txt\)"):
            map_index(index_folder, tmp_path, overwrite=True)
        mine = shutil.copytree(drawn.folder, tmp_path / "copy")
        made = map_index(index_folder, mine, settings=MapSettings(sample=20), overwrite=True)
        assert made.about["references"] == 20


class TestExtras:
    def test_without_matplotlib_there_is_no_figure_and_it_says_why(
        self, index_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        made = map_index(index_folder, tmp_path / "m", settings=MapSettings(sample=20))
        assert made.missing == "matplotlib is not installed: pip install 'seqsearch[report]'"
        assert not (made.folder / "map.png").exists()
        assert (made.folder / "map.html").exists()

    def test_without_umap_nothing_begins(
        self, index_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "umap", None)
        with pytest.raises(MissingExtraError, match="umap-learn is not installed"):
            map_index(index_folder, tmp_path / "m", settings=MapSettings(method="umap"))
        assert not (tmp_path / "m").exists()
