"""Markers in references much longer than most: found by windows, told on the whole reference."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Bio.Seq import Seq

from seqsearch.analytics.resolvability import read_resolvability
from seqsearch.dna.batch import SequenceBatch
from seqsearch.dna.windows import Windows
from seqsearch.index.manifest import read_manifest
from seqsearch.index.segments import STRETCHES
from seqsearch.index.store import IndexStore
from seqsearch.jobs import lists
from seqsearch.jobs.auditing import audit_library
from seqsearch.jobs.build import add_to_index, remove_from_index
from seqsearch.jobs.inspecting import describe_index, encoder_of, verify_index
from seqsearch.jobs.markers import Markers
from seqsearch.jobs.opened import open_index
from seqsearch.search.candidates import align_candidates, find_candidates
from seqsearch.search.locate import encode_strands
from seqsearch.search.retrieve import ListsRetriever, open_retriever

LONG = range(5, 400, 37)  # records that lie in something longer
FLANKS = ((0, 9000), (7000, 0), (4000, 5500))


def random_dna(length: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


def batch_of(texts: list[str]) -> SequenceBatch:
    names = [f"q{i}" for i in range(len(texts))]
    return SequenceBatch.from_clean(names, [text.encode() for text in texts])


def turned(text: str) -> str:
    return str(Seq(text).reverse_complement())


def flanks(i: int) -> tuple[str, str]:
    before, behind = FLANKS[i % 3]
    return random_dna(before, 2 * i), random_dna(behind, 2 * i + 1)


@pytest.fixture(scope="module")
def mixed(records) -> list[Any]:
    """The records, some of them in flanks, every second one of these turned."""
    result = list(records)
    for i in LONG:
        text = records[i].sequence
        before, behind = flanks(i)
        result[i] = replace(
            records[i], sequence=before + (turned(text) if i % 2 else text) + behind
        )
    return result


@pytest.fixture(scope="module", params=["exact", "lists"])
def index(request, module_bench, mixed) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "LEAST_ROWS", 100 if request.param == "lists" else 10_000)
        return module_bench.index(module_bench.library(mixed))


@pytest.fixture(scope="module")
def fragments(records) -> list[tuple[str, str]]:
    """A piece of each record that lies in a long reference, as it is in the record."""
    return [(f"piece{i}", records[i].sequence[150:400]) for i in LONG]


def own_hits(findings: dict[str, list[dict[str, Any]]], mixed: list[Any]) -> list[dict[str, Any]]:
    """For each piece the hit of the long reference that it is of; others may hold it too."""
    own = {f"piece{i}": mixed[i].name for i in LONG}
    hits = findings["hits"]
    return [hit for hit in hits if own.get(hit["query"]) in hit["reference"]["labels"]]


def test_a_piece_is_found_and_told_where_it_lies(index, module_bench, mixed, fragments) -> None:
    run = module_bench.query(index, module_bench.reads(fragments))
    found = {hit["query"]: hit for hit in own_hits(module_bench.findings(run), mixed)}
    for i, (name, text) in zip(LONG, fragments, strict=True):
        hit, whole = found[name], mixed[i].sequence
        own = turned(text) if i % 2 else text
        start = whole.index(own)
        assert (hit["identity"], hit["strand"]) == (1, "-" if i % 2 else "+")
        assert (hit["reference_start"], hit["reference_end"]) == (start, start + len(own))
        assert hit["reference_coverage"] == pytest.approx(len(own) / len(whole))
        assert hit["query_coverage"] == 1


def test_without_alignment_each_is_found_once(index, bench, mixed, fragments) -> None:
    found = bench.findings(bench.query(index, bench.reads(fragments), align=0))
    assert {hit["query"] for hit in own_hits(found, mixed)} == {name for name, _ in fragments}
    pairs = [(hit["query"], hit["reference"]["ref_id"]) for hit in found["hits"]]
    assert len(set(pairs)) == len(pairs)


def test_only_long_sequences_have_several_vectors(index, mixed) -> None:
    store = IndexStore.open(index)
    windows = Windows(**store.manifest.windows)
    lengths = np.array([len(record.sequence) for record in mixed])
    assert windows == Windows.of(store.lengths)
    assert store.windows == windows
    rows, start, end = store.spans.stretches(np.arange(len(store.spans)))
    for row in range(store.rows):
        own = rows == row
        length = int(store.lengths[row])
        if length <= windows.longest:
            assert (start[own].tolist(), end[own].tolist()) == ([0], [length])
            continue
        assert (end[own] - start[own] == windows.size).all()
        assert (start[own][0], end[own][-1]) == (0, length)
        assert (np.diff(start[own]) <= windows.step).all()
    assert (lengths > windows.longest).sum() == len(LONG)
    vectors = store.manifest.counts["vectors"]
    assert vectors == len(store.spans) == len(store.vectors(np.arange(vectors)))
    assert describe_index(index)["windows"] == (
        f"{vectors:,} vectors; references longer than {windows.longest:,} bases are found by "
        f"windows of {windows.size:,}, one every {windows.step:,}"
    )
    store.close()


def test_verified_as_any_index(index) -> None:
    assert verify_index(index, sample=2000).sampled == read_manifest(index).counts["vectors"]


def test_lists_know_vectors(index) -> None:
    store = IndexStore.open(index)
    is_listed = store.manifest.ann["type"] != "exact"
    if is_listed:
        assert isinstance(open_retriever(store), ListsRetriever)
        assert store.manifest.ann["rows"] == len(store.spans)
        assert store.manifest.ann["recall"] >= 0.99
    store.close()


def test_an_ordinary_library_has_one_vector_a_row(bench, records) -> None:
    index = bench.index(bench.library(records))
    store = IndexStore.open(index)
    assert store.spans.are_rows
    assert not any(STRETCHES in name for name in store.manifest.files)
    assert not list(index.rglob("rows.npy"))
    assert store.manifest.counts["vectors"] == store.manifest.counts["rows"] == store.rows
    store.close()


def test_no_batch_and_no_thread_changes_an_answer(index, bench, reads, fragments) -> None:
    file = bench.reads([*reads, *fragments])
    expected = bench.findings(bench.query(index, file))
    for batch_size, threads in ((1, 1), (7, 2), (64, 1)):
        assert bench.findings(bench.query(index, file, threads, batch_size=batch_size)) == expected


def test_the_alignment_is_that_with_the_whole_reference(index, records, mixed, monkeypatch) -> None:
    """With substitutions and a gap, laid beside all of each reference instead of a window."""
    rng = np.random.default_rng(3)
    texts = []
    for i in LONG:
        letters = list(records[i].sequence[80:430])
        for at in rng.choice(350, 12, replace=False):
            letters[at] = rng.choice(list("ACGT"))
        texts.append("".join(letters[:170] + letters[173:]))
    with open_index(index, threads=2) as opened:
        store, encoder = opened.store, opened.encoder
        batch = batch_of(texts)
        found = find_candidates(
            batch, encode_strands(batch, encoder, "both"), open_retriever(store), store, 20
        )
        placed = align_candidates(found, batch, store, 3, "both", 2)
        monkeypatch.setattr("seqsearch.search.texts.MULTIPLE", 1 << 20)
        whole = align_candidates(found, batch, store, 3, "both", 2)
    assert placed.alignments is not None
    assert whole.alignments is not None
    np.testing.assert_array_equal(placed.rows, whole.rows)
    is_long = store.lengths[placed.rows[:, :3]] > opened.windows.longest
    is_kin = is_long & (placed.alignments.identity > 0.85)
    assert is_kin.sum() >= len(LONG) - 1  # of one, kin come before it
    one, other = placed.alignments[is_kin], whole.alignments[is_kin]
    np.testing.assert_array_equal(one.found, other.found)
    np.testing.assert_array_equal(one.reference_coverage, other.reference_coverage)


def test_a_library_that_grew_has_windows_as_it_was_built_with(bench, records, mixed) -> None:
    index = bench.index(bench.library(mixed))
    before = read_manifest(index)
    grown = [
        replace(records[i], name=f"grown{i}", sequence=random_dna(6000, i) + records[i].sequence)
        for i in (7, 9, 11)
    ]
    fasta, table = bench.library(grown)
    add_to_index(index, fasta, taxonomy=table)
    gone = mixed[LONG[0]].name
    remove_from_index(index, [gone])
    store = IndexStore.open(index)
    assert store.manifest.windows == before.windows
    assert verify_index(index, sample=2000).sampled == len(store.live_vectors)
    assert store.manifest.counts["vectors"] == len(store.live_vectors) < len(store.spans)
    texts = [(f"own{i}", records[i].sequence[100:350]) for i in (7, 9, 11, LONG[0])]
    hits = bench.findings(bench.query(index, bench.reads(texts)))["hits"]
    labels = {(hit["query"], ref) for hit in hits for ref in hit["reference"]["labels"]}
    assert {(f"own{i}", f"grown{i}") for i in (7, 9, 11)} <= labels
    assert gone not in {ref for _, ref in labels}
    store.close()


def test_only_below_a_taxon(index, bench, mixed, fragments) -> None:
    record = next(mixed[i] for i in LONG if "genus" in mixed[i].lineage)
    taxon = record.lineage["genus"]
    run = bench.query(index, bench.reads(fragments), taxon=taxon, min_confidence=0)
    found = bench.findings(run)
    assert {row["genus"] for row in found["answers"]} == {taxon}
    assert record.name in {ref for hit in found["hits"] for ref in hit["reference"]["labels"]}


def test_an_older_index_goes_on_without_windows(bench, mixed, records) -> None:
    """Its rows keep their one vector; what is added to it is cut."""
    index = bench.index(bench.library(records))
    manifest = json.loads((index / "manifest.json").read_text())
    del manifest["windows"], manifest["counts"]["vectors"]
    (index / "manifest.json").write_text(json.dumps(manifest))
    assert describe_index(index)["windows"].startswith("none, ")
    fasta, table = bench.library([replace(mixed[LONG[0]], name="later")])
    add_to_index(index, fasta, taxonomy=table)
    store = IndexStore.open(index)
    assert store.manifest.windows == asdict(Windows.of(store.lengths[:-1]))
    assert len(store.spans) > store.rows
    store.close()


def test_a_long_reference_is_asked_for_by_its_marker(index, mixed, records) -> None:
    """As a long query is, whatever its strand; the others as they are, by their stored vectors."""
    store = IndexStore.open(index)
    encoder = encoder_of(store)
    markers = Markers(store, encoder, open_retriever(store), 2)
    rows = store.live_rows
    batch, vectors = markers.batch(rows), markers.vectors(rows)
    texts = store.sequences(rows)
    own = {mixed[i].name: records[i].sequence for i in LONG}
    are_long = Windows.of(store.lengths).are_long(store.lengths)
    for at in np.flatnonzero(~are_long):
        assert batch.sequence(at) == texts.sequence(at)
    for at in np.flatnonzero(are_long):
        # Where kin tell it to a few bases.
        marker, found = own[texts.ids[at].as_py()], batch.sequence(at)
        assert min(len(marker), len(found)) > 0.8 * max(len(marker), len(found))
        middle = marker[150:-150]
        assert middle in found  # as the others read it
    np.testing.assert_allclose(vectors, encoder.encode(batch), atol=1e-3)
    store.close()


def test_a_library_without_windows_has_one_vector_a_row(bench, mixed, fragments) -> None:
    index = bench.index(bench.library(mixed), windows=False)
    assert read_manifest(index).counts["vectors"] == read_manifest(index).counts["rows"]
    found = own_hits(bench.findings(bench.query(index, bench.reads(fragments))), mixed)
    assert len(found) < len(fragments) / 2  # what they are for


def test_an_audit_of_a_library_with_long_references(bench, mixed) -> None:
    flags = audit_library(bench.index(bench.library(mixed))).to_pylist()
    long = {mixed[i].name for i in LONG}
    assert not {flag["ref_id"] for flag in flags if flag["problem"] == "off_marker"} & long


def open_frames(text: str) -> str:
    """A sequence without the stop codons of its first frame."""
    codons = [text[i : i + 3] for i in range(0, len(text) - 2, 3)]
    return "".join("C" + codon[1:] if codon in ("TAA", "TAG") else codon for codon in codons)


def test_reading_frames_are_those_of_the_marker(bench, records) -> None:
    """A genome is no pseudogene; one with a shift in the marker may be."""
    coding = [replace(record, sequence=open_frames(record.sequence)) for record in records]
    shifted = LONG[3], LONG[8]
    for i in LONG:
        text, (before, behind) = coding[i].sequence, flanks(i)
        own = text[:300] + text[302:] if i in shifted else text
        coding[i] = replace(coding[i], sequence=before + (turned(own) if i % 2 else own) + behind)
    flags = audit_library(bench.index(bench.library(coding))).to_pylist()
    shut = {flag["ref_id"] for flag in flags if flag["problem"] == "stop_codons"}
    assert shut == {coding[i].name for i in shifted}


@pytest.fixture(scope="module")
def learned(module_bench, records, mixed) -> list[Path]:
    """Calibrated indexes: of the records, and of these with some in flanks."""
    return [
        module_bench.index(module_bench.library(one), calibrate=True) for one in (records, mixed)
    ]


def test_long_references_change_no_calibration_much(learned, mixed, reads) -> None:
    """Each record is asked for by its marker, so that probabilities are about as they were."""
    tables = []
    for index in learned:
        manifest = read_manifest(index)
        assert manifest.calibration
        about = json.loads((index / manifest.calibration).read_text())["about"]
        tables.append(about["reliability"]["aligned"]["default"])
    for rank, plain in tables[0].items():
        assert tables[1][rank]["right"] == pytest.approx(plain["right"], abs=0.03), rank
        assert tables[1][rank]["ece"] == pytest.approx(plain["ece"], abs=0.03), rank
    batch = SequenceBatch.from_clean(*zip(*((n, s.encode()) for n, s in reads[:12]), strict=True))
    answers = []
    for index in learned:
        with open_index(index, threads=2) as opened:
            answers.append(opened.classify(batch).to_pylist())
    assert len(answers[0]) == len(answers[1]) == 12


def test_long_references_are_told_apart_by_their_markers(learned, mixed) -> None:
    tables = []
    for index in learned:
        store = IndexStore.open(index)
        found = read_resolvability(index / store.manifest.resolvability).table.to_pylist()
        tables.append({line["lineage"]: line for line in found})
        store.close()
    assert tables[0].keys() == tables[1].keys()
    for lineage, plain in tables[0].items():
        other = tables[1][lineage]
        assert other["records"] == plain["records"]
        for name in ("identity_within", "identity_other"):
            assert other[name] == pytest.approx(plain[name], abs=0.02), (lineage, name)
