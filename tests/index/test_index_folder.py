"""What an index folder holds is what the library said, and what the encoder makes of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqsearch.dna.digests import digests
from seqsearch.dna.simulation import RANKS, SimulatedLibrary
from seqsearch.encoders.spectrum import Spectrum
from seqsearch.errors import FolderError
from seqsearch.index.flat import FlatIndex
from seqsearch.index.manifest import read_manifest
from seqsearch.index.segments import live_label_blocks
from seqsearch.index.store import IndexStore
from seqsearch.jobs.build import build_index
from seqsearch.jobs.inspecting import describe_index, list_indexes, verify_index
from seqsearch.settings import BuildSettings


@pytest.fixture
def store(index_folder: Path):
    store = IndexStore.open(index_folder)
    yield store
    store.close()


def test_rows_are_the_unique_sequences_in_their_order(
    store: IndexStore, library: SimulatedLibrary
) -> None:
    texts = library.references.strings().to_pylist()
    unique = list(dict.fromkeys(texts))
    batch = store.sequences(store.live_rows)
    assert batch.strings().to_pylist() == unique
    labels: dict[str, list[str]] = {text: [] for text in unique}
    for name, text in zip(library.references.ids.to_pylist(), texts, strict=True):
        labels[text].append(name)
    refs = store.catalog.refs(store.live_rows)
    assert refs["labels"].to_pylist() == [sorted(labels[text]) for text in unique]
    assert refs["ref_id"].to_pylist() == [min(labels[text]) for text in unique]
    assert batch.ids.to_pylist() == refs["ref_id"].to_pylist()
    assert refs["length"].to_pylist() == [len(text) for text in unique]
    assert store.manifest.counts["rows"] == len(unique)
    assert store.manifest.counts["records"] == len(texts)


def test_reading_some_rows_costs_what_these_do(
    store: IndexStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = store.live_rows[[5, 0, 17]]
    named, made = store.sequences(rows), []
    nulls = pa.nulls

    def counting(size: int, kind: pa.DataType) -> pa.Array:
        made.append(size)
        return nulls(size, kind)

    monkeypatch.setattr(pa, "nulls", counting)
    monkeypatch.setattr(np, "diff", None)  # lengths of all rows
    plain = store.sequences(rows, named=False)
    pieces = store.pieces(rows, np.zeros(3, np.int64), np.full(3, 7))
    assert max(made, default=0) <= len(rows)
    assert plain.strings().equals(named.strings())
    texts = named.strings().to_pylist()
    assert pieces.strings().to_pylist() == [text[:7] for text in texts]
    assert plain.take(np.array([2, 0])).strings().to_pylist() == [texts[2], texts[0]]


def test_every_record_keeps_its_path(store: IndexStore, library: SimulatedLibrary) -> None:
    blocks = live_label_blocks(store.segments, store.removed, ("ref_id", *RANKS))
    live = pa.concat_tables(blocks)
    found = {row["ref_id"]: tuple(row[rank] for rank in RANKS) for row in live.to_pylist()}
    assert found == {
        row["id"]: tuple(row[rank] for rank in RANKS)
        for row in library.reference_table().to_pylist()
    }
    paths = {path[: i + 1] for path in found.values() for i in range(len(RANKS))}
    assert len(store.taxonomy) == len(paths) == store.manifest.counts["taxa"]
    assert {tuple(path.split(";")) for path in store.taxonomy.paths().to_pylist()} == paths
    for rank, name in enumerate(RANKS):
        assert store.manifest.counts[name] == len({path[: rank + 1] for path in found.values()})


def test_vectors_are_those_of_the_encoder_as_halves(store: IndexStore) -> None:
    vectors = Spectrum(threads=1).encode(store.sequences(store.live_rows))
    stored = np.asarray(store.segments[0].vectors.numbers)
    assert stored.dtype == np.float16
    np.testing.assert_array_equal(stored, vectors.astype(np.float16))
    np.testing.assert_allclose(np.linalg.norm(stored.astype(np.float64), axis=1), 1, atol=1e-3)


def test_digests_are_kept(store: IndexStore) -> None:
    assert np.array_equal(store.digests(), digests(store.sequences(store.live_rows)))


@pytest.mark.parametrize("threads", [1, 4])
def test_an_index_is_the_same_for_any_threads(
    index_folder: Path, library_files: Path, tmp_path: Path, threads: int
) -> None:
    build_index(
        library_files / "references.fasta",
        tmp_path / "index",
        taxonomy=library_files / "references.tsv",
        settings=BuildSettings(encoder="spectrum", calibrate=False, threads=threads),
    )
    one, other = read_manifest(tmp_path / "index"), read_manifest(index_folder)
    for name, file in one.files.items():
        if not name.endswith(".duckdb"):
            assert file == other.files[name], name
    assert one.counts == other.counts


def test_an_index_can_be_moved(index_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(index_folder, tmp_path / "moved")
    assert read_manifest(tmp_path / "moved").index_id == read_manifest(index_folder).index_id
    assert verify_index(tmp_path / "moved", sample=30).sampled == 30


@pytest.mark.parametrize(
    "name", ["vectors.f16.npy", "sequences.u8.npy", "offsets.npy", "refs.parquet", "config.json"]
)
def test_verify_sees_a_changed_byte(index_folder: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "index"
    shutil.copytree(index_folder, folder)
    path = next(folder.rglob(name))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(FolderError, match=r"its content has changed \(SHA-256\)"):
        verify_index(folder)
    path.write_bytes(data[:-1])
    with pytest.raises(FolderError, match="cut short or changed"):
        IndexStore.open(folder)
    path.unlink()
    with pytest.raises(FolderError, match="a file of the index is missing"):
        IndexStore.open(folder)


def test_descriptions_agree_with_the_manifest(index_folder: Path) -> None:
    described = describe_index(index_folder)
    assert described["counts"] == read_manifest(index_folder).counts
    assert described["ranks"] == list(RANKS)
    assert described["bytes"] == sum(
        (index_folder / name).stat().st_size for name in read_manifest(index_folder).files
    )
    assert [entry["index"] for entry in list_indexes(index_folder.parent)] == [str(index_folder)]


def test_parquet_of_a_segment_is_read_by_any_engine(index_folder: Path) -> None:
    table = pq.read_table(index_folder / "segments" / "0001" / "refs.parquet")
    assert table.column_names == ["ref_id", "digest", "length", "labels"]
    label = table["labels"][0].as_py()[0]
    assert set(label) == {"ref_id", "source", "accession", "external_id", *RANKS}


@pytest.mark.parametrize("threads", [1, 2])
def test_flat_search_is_a_matrix_product(threads: int) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(400, 48)).astype(np.float32)
    queries = rng.normal(size=(30, 48)).astype(np.float32)
    flat = FlatIndex(400, 48)
    flat.vectors[:] = vectors
    products, positions = flat.search(queries, 9, threads)
    exact = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    expected = np.argsort(-exact, axis=1)[:, :9]
    np.testing.assert_array_equal(positions, expected)
    np.testing.assert_allclose(products, np.take_along_axis(exact, expected, 1), atol=1e-4)
    assert len(flat) == 400
