"""Approximate search: made where it serves, measured, and kept right by additions and removals."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seqsearch.errors import FolderError, SettingsError
from seqsearch.index.ann import InvertedLists
from seqsearch.index.lists import FILES
from seqsearch.index.manifest import read_manifest
from seqsearch.index.store import IndexStore
from seqsearch.jobs import lists
from seqsearch.jobs.build import add_to_index, remove_from_index
from seqsearch.jobs.inspecting import describe_index, verify_index
from seqsearch.search import retrieve
from seqsearch.search.retrieve import ExactRetriever, ListsRetriever, open_retriever
from seqsearch.settings import BuildSettings


@pytest.fixture(scope="module", autouse=True)
def lists_for_small_libraries():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "LEAST_ROWS", 100)
        yield


@pytest.fixture(scope="module")
def index(module_bench, records) -> Path:
    return module_bench.index(module_bench.library(records))


@pytest.fixture
def changed(bench, records) -> Path:
    """An index of nine tenths of the records, to be changed."""
    return bench.index(bench.library(records[: len(records) * 9 // 10]))


def test_the_plan_reaches_its_recall(index: Path) -> None:
    plan = read_manifest(index).ann
    assert plan["type"] == "ivf"
    assert plan["recall"] >= 0.99
    assert plan["width"] == 256 + 512  # the learned part leads
    assert f"{plan['folder']}/signs.npy" in read_manifest(index).files
    store = IndexStore.open(index)
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(store.live_rows, 100, replace=False))
    vectors = store.vectors(rows)
    near, found = ExactRetriever(store).search(vectors, 10), open_retriever(store)
    assert isinstance(found, ListsRetriever)
    rows, similarities = found.search(vectors, 10)
    assert (similarities >= near[1][:, 9:] - 1e-6).mean() >= 0.99
    same = rows == near[0]
    np.testing.assert_array_equal(similarities[same], near[1][same])
    assert same.mean() > 0.98
    assert verify_index(index).sampled > 100


def test_exact_search_can_be_chosen_and_stays(bench, records) -> None:
    library = bench.library(records)
    index = bench.index(library, search="exact")
    assert read_manifest(index).ann == {"type": "exact", "chosen": "exact"}
    remove_from_index(index, [records[0].name])
    assert read_manifest(index).ann == {"type": "exact", "chosen": "exact"}
    with pytest.raises(SettingsError, match="search is 'fast': expected auto or exact"):
        BuildSettings(search="fast")
    with pytest.raises(SettingsError, match="vectors is 'int4': expected auto or float16 or int8"):
        BuildSettings(vectors="int4")


def test_vectors_of_eight_bits_give_nearly_the_same_answers(
    module_bench, index, records, reads
) -> None:
    small = module_bench.index(module_bench.library(records), vectors="int8")
    assert (describe_index(index)["vectors"], describe_index(small)["vectors"]) == (
        "float16",
        "int8",
    )
    assert describe_index(small)["bytes"] < describe_index(index)["bytes"]
    file = module_bench.reads(reads)
    found, expected = (
        module_bench.findings(module_bench.query(one, file))["answers"] for one in (small, index)
    )
    for one, other in zip(found, expected, strict=True):
        assert one["similarity"] == pytest.approx(other["similarity"], abs=2e-3)
    same = [
        one["best_ref"] == other["best_ref"] for one, other in zip(found, expected, strict=True)
    ]
    assert np.mean(same) > 0.95
    assert verify_index(small).sampled > 100
    fasta, table = module_bench.library(
        [replace(records[0], name="more", sequence=records[0].sequence[20:-20])]
    )
    add_to_index(small, fasta, taxonomy=table)
    assert describe_index(small)["vectors"] == "int8"


def test_answers_do_not_depend_on_batches_and_threads(module_bench, index, reads) -> None:
    file = module_bench.reads(reads)
    expected = module_bench.findings(module_bench.query(index, file))
    for batch_size, threads in ((1, 1), (7, 2), (64, 1)):
        run = module_bench.query(index, file, threads, batch_size=batch_size)
        assert module_bench.findings(run) == expected


def test_added_rows_are_found_beside_the_lists(bench, changed, records) -> None:
    before = read_manifest(changed).ann
    later = records[len(records) * 9 // 10 :]
    fasta, table = bench.library(later)
    add_to_index(changed, fasta, taxonomy=table)
    assert read_manifest(changed).ann == before
    texts = [(record.name, record.sequence) for record in later]
    run = bench.query(changed, bench.reads(texts))
    answers = bench.findings(run)["answers"]
    assert [row["similarity"] for row in answers] == [1] * len(texts)


def test_what_was_added_and_taken_out_again_joins_no_list(bench, changed, records) -> None:
    later = [r for r in records[len(records) * 9 // 10 :] if set(r.sequence) <= set("ACGT")][:20]
    fasta, table = bench.library(later)
    for _ in range(3):
        add_to_index(changed, fasta, taxonomy=table)
        remove_from_index(changed, [record.name for record in later])
    before = IndexStore.open(changed)
    add_to_index(changed, fasta, taxonomy=table)
    store = IndexStore.open(changed)
    searched, plan = InvertedLists.open(store, 1)
    beyond = np.count_nonzero(store.live_rows >= plan.rows)
    assert store.rows - plan.rows >= 4 * beyond > 0
    assert searched.lists.index.ntotal == len(store.live_rows)
    assert InvertedLists.open(before, 1)[0].lists.index.ntotal == len(before.live_rows)
    run = bench.query(changed, bench.reads([(r.name, r.sequence) for r in later]))
    findings = bench.findings(run)
    best = {hit["query"]: hit for hit in findings["hits"] if hit["hit"] == 0}
    for record in later:
        assert best[record.name]["similarity"] == 1
    rows = np.arange(store.rows)
    is_found = np.zeros(len(rows), np.bool_)
    is_found[searched.search(store.vectors(rows), 30, plan.effort, 1)] = True
    assert is_found[store.live_rows[store.live_rows >= plan.rows]].all()
    assert not is_found[store.removed].any()


@pytest.mark.parametrize("taxon", ["Phylum1", "Order2"])
def test_many_rows_below_a_taxon_are_found_by_the_lists(index, monkeypatch, taxon) -> None:
    store = IndexStore.open(index)
    rows = store.rows_below(taxon)
    monkeypatch.setattr(retrieve, "MANY", len(rows))
    found = open_retriever(store, 2, rows)
    assert isinstance(found, ListsRetriever)
    assert isinstance(open_retriever(store, 2, rows[1:]), ExactRetriever)
    vectors = store.vectors(store.live_rows[::3])  # of others too
    near = ExactRetriever(store, 2, rows).search(vectors, 10)
    own, similarities = found.search(vectors, 10)
    assert np.isin(own, rows).all()
    assert (similarities >= near[1][:, 9:] - 1e-6).mean() >= 0.99
    same = own == near[0]
    np.testing.assert_array_equal(similarities[same], near[1][same])
    monkeypatch.setattr(retrieve, "SHARE", 2.0)  # of a library so large that so many are few
    assert isinstance(open_retriever(store, 2, rows), ExactRetriever)


def test_many_added_rows_make_new_lists(bench, changed, records) -> None:
    before = read_manifest(changed).ann
    more = [
        replace(record, name=f"{record.name}-more", sequence=record.sequence[30:-30])
        for record in records
        if len(record.sequence) > 150
    ]
    fasta, table = bench.library(more)
    add_to_index(changed, fasta, taxonomy=table)
    after = read_manifest(changed).ann
    assert after["folder"] != before["folder"]
    assert after["rows"] > before["rows"]


def test_no_more_rows_than_are_quickly_listed_join_in_memory(
    bench, changed, records, monkeypatch
) -> None:
    before = read_manifest(changed).ann
    monkeypatch.setattr(lists, "MOST_UNLISTED", 1)
    fasta, table = bench.library(records[len(records) * 9 // 10 :])
    add_to_index(changed, fasta, taxonomy=table)
    assert read_manifest(changed).ann["folder"] != before["folder"]


def test_removed_rows_are_not_found(bench, changed, records) -> None:
    gone = records[5]
    remove_from_index(changed, [gone.name])
    assert read_manifest(changed).ann["type"] == "ivf"
    run = bench.query(changed, bench.reads([(gone.name, gone.sequence)]))
    for hit in bench.findings(run)["hits"]:
        assert gone.name not in hit["reference"]["labels"]


@pytest.mark.parametrize("name", FILES)
def test_damaged_lists_are_named(changed, name) -> None:
    file = changed / read_manifest(changed).ann["folder"] / name
    whole = file.read_bytes()
    file.write_bytes(b"\0" * len(whole))
    what = "not readable lists" if name == "lists.faiss" else "not a readable array"
    with pytest.raises(FolderError, match=re.escape(f"ann-0001/{name}: {what}")):
        open_retriever(IndexStore.open(changed))
    file.unlink()
    with pytest.raises(FolderError, match="a file of the index is missing"):
        IndexStore.open(changed)


def test_lists_of_other_sizes_are_refused(changed) -> None:
    folder = changed / read_manifest(changed).ann["folder"]
    scales = np.load(folder / "scales.npy")
    (folder / "scales.npy").unlink()
    np.save(folder / "scales.npy", scales.ravel())
    with pytest.raises(FolderError, match="its files are damaged; build it again"):
        open_retriever(IndexStore.open(changed))
