"""Which strand is searched, and which part of the library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from Bio.Seq import Seq

from seqsearch.errors import SettingsError
from seqsearch.jobs.build import build_index
from seqsearch.jobs.opened import open_index


@pytest.fixture(scope="module", params=["spectrum", "markers-1"])
def encoder(request) -> str:
    """One whose vectors tell the strands apart, and one whose vectors do not."""
    return request.param


@pytest.fixture(scope="module")
def index(module_bench, records, encoder) -> Path:
    return module_bench.index(module_bench.library(records), encoder=encoder)


@pytest.fixture(scope="module")
def forward(reads) -> list[tuple[str, str]]:
    return [read for read in reads if len(read[1]) > 120 and set(read[1]) <= set("ACGT")]


@pytest.fixture(scope="module")
def found(module_bench, index, forward) -> dict[tuple[str, str], dict[str, Any]]:
    """Findings of the reads, given as they are or turned, on each choice of strand."""
    turned = [(name, str(Seq(text).reverse_complement())) for name, text in forward]
    files = {"given": module_bench.reads(forward), "turned": module_bench.reads(turned)}
    return {
        (way, strand): module_bench.findings(module_bench.query(index, file, strand=strand))
        for way, file in files.items()
        for strand in ("plus", "minus", "both")
    }


TURNED = ("strand", "query_start", "query_end")


def without_strand(findings: dict[str, Any]) -> dict[str, Any]:
    return {
        kind: [{k: v for k, v in row.items() if k not in TURNED} for row in findings[kind]]
        for kind in ("answers", "hits", "calls")
    }


def test_minus_searches_the_reverse_complement(found) -> None:
    for one, other in (("plus", "minus"), ("minus", "plus")):
        given, turned = found["given", one], found["turned", other]
        assert without_strand(given) == without_strand(turned)
        assert {hit["strand"] for hit in given["hits"]} == {"+" if one == "plus" else "-"}
        assert {hit["strand"] for hit in turned["hits"]} == {"+" if other == "plus" else "-"}


def by_query(findings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["query_id"]: row for row in findings["answers"]}


def test_both_finds_the_strand_of_each_query(found, library) -> None:
    plus, minus, both = (by_query(found["given", s]) for s in ("plus", "minus", "both"))
    ids = library.queries.ids.to_pylist()
    signs = []
    for name, row in both.items():
        if name == "random":  # its candidates lie on either strand
            continue
        assert row == (plus if row["strand"] == "+" else minus)[name]
        if name in ids:  # every third one was turned
            assert row["strand"] == ("-" if ids.index(name) % 3 == 0 else "+")
            signs.append(row["strand"])
    assert set(signs) == {"+", "-"}


def test_turning_the_reads_turns_only_the_strand(found) -> None:
    given, turned = found["given", "both"], found["turned", "both"]
    assert without_strand(given) == without_strand(turned)
    signs = {
        (a["strand"], b["strand"])
        for a, b in zip(given["answers"], turned["answers"], strict=True)
        if a["query_id"] != "random"  # no strand of it is like any reference
    }
    assert signs == {("+", "-"), ("-", "+")}


def test_a_tie_of_the_strands_is_plus(module_bench) -> None:
    half = "ACGTTGCAAGCTTACGGATCCATTGCA"
    palindrome = half + str(Seq(half).reverse_complement())
    folder = module_bench.path("tie")
    folder.mkdir()
    (folder / "ref.fasta").write_text(f">a g__Apis\n{palindrome}\n")
    build_index(folder / "ref.fasta", folder / "index")
    with open_index(folder / "index") as index:
        row = index.classify({"q": palindrome}).to_pylist()[0]
    assert (row["strand"], row["similarity"]) == ("+", 1)


@pytest.mark.parametrize("taxon", ["Order2", "Genus3", "Phylum1"])
def test_only_references_below_a_taxon_are_searched(
    module_bench, index, encoder, records, forward, taxon: str
) -> None:
    inside = [record for record in records if taxon in record.lineage.values()]
    file = module_bench.reads(forward)
    run = module_bench.query(index, file, taxon=taxon)
    hits = module_bench.findings(run)["hits"]
    names = {record.name for record in inside}
    assert hits
    assert all(names & set(hit["reference"]["labels"]) for hit in hits)
    small = module_bench.index(module_bench.library(inside), encoder=encoder)
    alone = module_bench.query(small, file)
    expected = module_bench.findings(alone)["hits"]
    keys = ("query", "hit", "similarity", "strand")
    assert [[hit[k] for k in keys] for hit in hits] == [[hit[k] for k in keys] for hit in expected]
    for hit, other in zip(hits, expected, strict=True):
        assert set(other["reference"]["labels"]) <= set(hit["reference"]["labels"])


def test_a_name_of_two_taxa_means_both(module_bench, records) -> None:
    renamed = [
        replace(r, lineage={**r.lineage, "genus": "Morus"})
        if r.lineage["genus"] in ("Genus1", "Genus9")
        else r
        for r in records
    ]
    inside = {r.name for r in renamed if r.lineage["genus"] == "Morus"}
    folder = module_bench.index(module_bench.library(renamed))
    with open_index(folder) as index:
        rows = index.store.rows_below("Morus")
        found = index.store.catalog.refs(rows)["labels"].to_pylist()
        everything = index.store.catalog.refs(index.store.live_rows)["labels"].to_pylist()
        assert found == [labels for labels in everything if inside & set(labels)]
        with pytest.raises(SettingsError, match="taxon is 'morus'"):
            index.store.rows_below("morus")
