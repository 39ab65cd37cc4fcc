"""Hits as blast6 and SAM, against the run they come from."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from Bio.Seq import Seq

from seqsearch.errors import FolderError, SettingsError
from seqsearch.jobs.build import build_index, remove_from_index
from seqsearch.jobs.opened import open_index
from seqsearch.jobs.opened_run import Run


@pytest.fixture(scope="module")
def index(module_bench, records) -> Path:
    return module_bench.index(module_bench.library(records))


@pytest.fixture(scope="module")
def run(module_bench, index, reads) -> Run:
    return module_bench.query(index, module_bench.reads(reads), hits=3, batch_size=40)


def aligned_hits(run: Run) -> list[dict]:
    ids = dict(zip(*(run.assignments()[c].to_pylist() for c in ("query", "query_id")), strict=True))
    refs = {ref["reference"]: ref for ref in run.refs().to_pylist()}
    return [
        {**hit, "query_id": ids[hit["query"]], "ref": refs[hit["reference"]]}
        for hit in run.hits().to_pylist()
        if hit["query_start"] is not None
    ]


def test_blast6_says_what_the_hits_say(run: Run, tmp_path: Path) -> None:
    assert run.export(tmp_path / "hits.b6") == len(aligned_hits(run)) > 200
    lines = [line.split("\t") for line in (tmp_path / "hits.b6").read_text().splitlines()]
    strands = set()
    for hit, line in zip(aligned_hits(run), lines, strict=True):
        name, ref, identity, columns, mismatches, opens, *rest = line
        ends, scores = [int(value) for value in rest[:4]], rest[4:]
        assert (name, ref) == (hit["query_id"], hit["ref"]["ref_id"])
        assert float(identity) == pytest.approx(100 * hit["identity"], abs=0.051)
        assert (int(mismatches), int(opens)) == (hit["mismatches"], hit["gap_opens"])
        query_ends = [hit["query_start"] + 1, hit["query_end"]]
        assert ends[:2] == (query_ends if hit["strand"] == "+" else query_ends[::-1])
        assert ends[2:] == [hit["reference_start"] + 1, hit["reference_end"]]
        matches = int(columns) - hit["mismatches"] - hit["gaps"]
        assert matches / int(columns) == pytest.approx(hit["identity"], abs=1e-6)
        assert scores == ["-1", "0"]
        strands.add(hit["strand"])
    assert strands == {"+", "-"}


def test_sam_has_paths_that_lead_through_both_sequences(
    run: Run, tmp_path: Path, records, reads
) -> None:
    run.export(tmp_path / "hits.sam")
    lines = [line.split("\t") for line in (tmp_path / "hits.sam").read_text().splitlines()]
    header = [line for line in lines if line[0].startswith("@")]
    lengths = {line[1][3:]: int(line[2][3:]) for line in header if line[0] == "@SQ"}
    sequences = {record.name: record.sequence for record in records}
    texts = dict(reads)
    hits = {(hit["query_id"], hit["ref"]["ref_id"]): hit for hit in aligned_hits(run)}
    seen = set()
    for name, flag, ref, start, _, path, *_, text, quality, tag in (
        line for line in lines if len(line) == 12
    ):
        hit = hits[name, ref]
        assert (int(flag) & 16 > 0) == (hit["strand"] == "-")
        assert (int(flag) & 256 > 0) == (name in seen) == (text == "*")
        query = texts[name] if hit["strand"] == "+" else str(Seq(texts[name]).reverse_complement())
        assert text in (query, "*")
        assert lengths[ref] == len(sequences[ref])
        at, place = 0, int(start) - 1
        assert place == hit["reference_start"]
        edits = 0
        for size, kind in re.findall(r"(\d+)([=XIDS])", path):
            count = int(size)
            if kind in "=X":
                for i in range(count):
                    assert (query[at + i] == sequences[ref][place + i]) == (kind == "=")
            edits += count * (kind in "XID")
            at += count * (kind in "=XIS")
            place += count * (kind in "=XD")
        assert (at, place) == (len(query), hit["reference_end"])
        assert tag == f"NM:i:{edits}"
        assert quality == "*"
        seen.add(name)
    unmapped = {line[0] for line in lines if line[1] == "4"}
    assert unmapped == {"short", "empty", "unknown", "protein"}
    assert seen | unmapped == texts.keys()


def test_what_cannot_be_exported(run: Run, index, bench, records, reads, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="format is 'bam': expected auto or blast6 or sam"):
        run.export(tmp_path / "x", "bam")
    (tmp_path / "there.sam").write_text("mine")
    with pytest.raises(FolderError, match="exists"):
        run.export(tmp_path / "there.sam")
    assert (tmp_path / "there.sam").read_text() == "mine"
    file = bench.reads(reads[:20])
    unaligned = bench.query(index, file, align=0)
    with pytest.raises(FolderError, match="nothing is aligned in this run"):
        unaligned.export(tmp_path / "x.b6")
    bare = bench.query(index, file, keep_sequences=False)
    assert bare.export(tmp_path / "y.b6") > 0
    with pytest.raises(FolderError, match="the run kept no sequences"):
        bare.export(tmp_path / "y.sam")
    own = bench.index(bench.library(records[:50]))
    with open_index(own) as opened:
        changed = opened.query(file, bench.path("run"))
    remove_from_index(own, [records[0].name])
    with pytest.raises(FolderError, match="the index has changed since the run"):
        changed.export(tmp_path / "z.sam")
    assert not (tmp_path / "z.sam").exists()


def test_aligned_hits_stand_in_the_order_of_identity_and_similarity(run: Run) -> None:
    lines: dict[int, list[float]] = {}
    for hit in aligned_hits(run):
        pairs = (
            hit["query_end"] - hit["query_start"] + hit["reference_end"] - hit["reference_start"]
        )
        columns = (pairs + hit["gaps"]) // 2
        matches = columns - hit["mismatches"] - hit["gaps"]
        near = matches / (columns - hit["gaps"] + hit["gap_opens"])
        apart = (1 - near + 0.01) * (1 - hit["similarity"] + 0.03)
        lines.setdefault(hit["query"], []).append(1 - apart**0.5)
    assert len(lines) > 70
    for scores in lines.values():
        assert all(one >= other - 2e-6 for one, other in pairwise(scores))


def test_references_that_share_an_id_have_names_of_their_own_in_sam(bench, records) -> None:
    texts = list(dict.fromkeys(record.sequence for record in records))[:2]
    fasta, folder = bench.path("twins.fasta"), bench.path("index")
    fasta.write_text("".join(f">same g__Apis;s__A{i}\n{text}\n" for i, text in enumerate(texts)))
    build_index(fasta, folder)
    out = bench.path("hits.sam")
    bench.query(folder, bench.reads([("q", texts[1])])).export(out)
    lines = out.read_text().splitlines()
    declared = [line.split("\t")[1] for line in lines if line.startswith("@SQ")]
    assert declared == ["SN:same|0", "SN:same|1"]
    assert {line.split("\t")[2] for line in lines if line[0] != "@"} == {"same|0", "same|1"}
