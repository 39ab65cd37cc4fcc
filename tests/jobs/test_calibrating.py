"""Calibration: what a library learns of itself, and what probabilities then mean."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqsearch.dna.simulation import simulate_library
from seqsearch.errors import FolderError, SettingsError
from seqsearch.index.manifest import BORROWED, read_manifest
from seqsearch.index.store import IndexStore
from seqsearch.jobs import calibrating
from seqsearch.jobs.build import add_to_index, build_index, remove_from_index
from seqsearch.jobs.calibrating import calibrate_anew
from seqsearch.jobs.demo import write_library
from seqsearch.jobs.hiding import Hiding
from seqsearch.jobs.inspecting import reliability_of, verify_index
from seqsearch.jobs.opened import open_index
from seqsearch.search.verdicts import LIKE_NOTHING
from seqsearch.settings import BuildSettings

PLAIN = BuildSettings(encoder="spectrum", calibrate=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    write_library(folder, simulate_library(families=20, seed=3))
    return folder


@pytest.fixture(scope="module")
def plain(files, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plain") / "index"
    fasta, table = files / "references.fasta", files / "references.tsv"
    build_index(fasta, folder, taxonomy=table, settings=PLAIN)
    return folder


@pytest.fixture(scope="module")
def calibrated(files, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("calibrated") / "index"
    fasta, table = files / "references.fasta", files / "references.tsv"
    build_index(fasta, folder, taxonomy=table, settings=BuildSettings(encoder="spectrum"))
    return folder


def truth_of(files: Path) -> dict[str, dict[str, str]]:
    lines = [line.split("\t") for line in (files / "queries.tsv").read_text().splitlines()]
    return {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[1:]}


def test_a_build_calibrates(calibrated: Path, plain: Path) -> None:
    manifest = read_manifest(calibrated)
    assert (manifest.action, manifest.calibration) == ("build", "calibration-0001.json")
    assert BORROWED not in manifest.notes
    assert manifest.calibration in manifest.files
    verify_index(calibrated)
    about = json.loads((calibrated / manifest.calibration).read_text())["about"]
    assert about["queries"] > about["records"] > 500
    reliable_enough(about["reliability"])
    assert read_manifest(plain).calibration == ""


def reliable_enough(measured: dict[str, Any]) -> None:
    for way in ("aligned", "vectors"):
        hidden = [name for name in measured[way] if name not in ("default", "even")]
        assert hidden[:2] == ["nothing hidden", "species hidden"]
        for mix in ("default", "even"):
            for rank, table in measured[way][mix].items():
                assert table["ece"] < 0.08, (way, mix, rank)
                if table["named"] > 0.1:
                    assert table["right"] > 0.8, (way, mix, rank)


def same_about(mine: dict[str, Any], other: dict[str, Any]) -> None:
    """Equal, but for what the last bits of the models may do to rounded numbers."""
    one, two = mine.pop("reliability"), other.pop("reliability")
    assert mine == other
    for way in ("aligned", "vectors"):
        for mix, tables in one[way].items():
            for rank, table in tables.items():
                assert table["queries"] == two[way][mix][rank]["queries"]
                assert table["ece"] == pytest.approx(two[way][mix][rank]["ece"], abs=0.01)


def test_the_order_of_the_references_decides_nothing(
    files: Path, calibrated: Path, tmp_path: Path
) -> None:
    records = (files / "references.fasta").read_text().split(">")[1:]
    (tmp_path / "turned.fasta").write_text("".join(f">{record}" for record in records[::-1]))
    build_index(
        tmp_path / "turned.fasta",
        tmp_path / "index",
        taxonomy=files / "references.tsv",
        settings=BuildSettings(encoder="spectrum"),
    )
    mine, other = (
        json.loads((folder / "calibration-0001.json").read_text())
        for folder in (calibrated, tmp_path / "index")
    )
    same_about(mine["about"], other["about"])
    for model in ("aligned", "vectors"):
        np.testing.assert_allclose(
            mine[model]["hidden"]["weights"],
            other[model]["hidden"]["weights"],
            rtol=1e-3,
            atol=1e-3,
        )


def test_calibrations_of_before_reliability_was_measured_serve(
    calibrated: Path, files: Path, tmp_path: Path
) -> None:
    assert reliability_of(calibrated) is not None
    old = tmp_path / "index"
    shutil.copytree(calibrated, old)
    path = old / "calibration-0001.json"
    values = json.loads(path.read_text())
    del values["about"]["reliability"]
    text = json.dumps(values)
    path.write_text(text + " " * (path.stat().st_size - len(text)))  # its size is known
    assert reliability_of(old) is None
    reads = files / "queries.fasta"
    with open_index(old) as one, open_index(calibrated) as other:
        assert one.classify(reads).equals(other.classify(reads))


def test_an_index_in_pieces_learns_the_same(files: Path, calibrated: Path, tmp_path: Path) -> None:
    records = (files / "references.fasta").read_text().split(">")[1:]
    for name, part in (("one", records[::2]), ("two", records[1::2])):
        (tmp_path / f"{name}.fasta").write_text("".join(f">{record}" for record in part))
    index, table = tmp_path / "index", files / "references.tsv"
    build_index(tmp_path / "one.fasta", index, taxonomy=table, settings=PLAIN)
    add_to_index(index, tmp_path / "two.fasta", taxonomy=table)
    manifest = calibrate_anew(index)
    assert len(manifest.segments) == 2
    mine = json.loads((index / manifest.calibration).read_text())
    other = json.loads((calibrated / "calibration-0001.json").read_text())
    same_about(mine["about"], other["about"])
    np.testing.assert_allclose(
        mine["aligned"]["hidden"]["weights"],
        other["aligned"]["hidden"]["weights"],
        rtol=1e-3,
        atol=1e-3,
    )


def test_species_that_the_library_lacks_are_called_novel(files: Path, calibrated: Path) -> None:
    truth = truth_of(files)
    with open_index(calibrated) as index:
        rows = index.classify(files / "queries.fasta").to_pylist()
    species = {row["species"] for row in _references(files)}
    known = [row for row in rows if truth.get(row["query_id"], {}).get("species") in species]
    new = [
        row
        for row in rows
        if row["query_id"] in truth and truth[row["query_id"]]["species"] not in species
    ]
    assert len(known) > 50
    assert len(new) > 20
    named = [row for row in known if row["species"]]
    assert len(named) > 0.7 * len(known)
    right = [row["species"] == truth[row["query_id"]]["species"] for row in named]
    assert np.mean(right) > 0.9
    assert (
        np.mean([row["p_novel"] for row in new]) > np.mean([row["p_novel"] for row in known]) + 0.3
    )
    novel = [row for row in rows if row["verdict"] == "novel"]
    assert novel
    assert all(row["p_novel"] >= 0.8 and "not in the library" in row["reason"] for row in novel)
    assert {row["novel_rank"] for row in novel} <= {"species", "genus", "family"}


def _references(files: Path) -> list[dict[str, str]]:
    lines = [line.split("\t") for line in (files / "references.tsv").read_text().splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def test_the_prior_decides_how_sure_a_name_is(files: Path, calibrated: Path) -> None:
    with open_index(calibrated) as index:
        few, many = (
            index.classify(files / "queries.fasta", novelty_prior=prior).to_pylist()
            for prior in ("species=0.01", "species=0.5,genus=0.3")
        )
        for one, other in zip(few, many, strict=True):
            if one["p_species"] is not None:
                assert one["p_species"] >= other["p_species"] - 1e-6
        assert sum(row["verdict"] == "identified" for row in few) > sum(
            row["verdict"] == "identified" for row in many
        )
        for wrong in ("kingdom=0.1", "species=-1", "species=0.7,genus=0.7", "species=x", "beetle"):
            with pytest.raises(SettingsError, match="novelty-prior"):
                index.classify(["ACGT" * 50], novelty_prior=wrong)


def test_probabilities_never_rise_down_the_ranks(
    files: Path, calibrated: Path, plain: Path
) -> None:
    for folder in (calibrated, plain):
        for align in (0, 20):
            with open_index(folder) as index:
                table = index.classify(files / "queries.fasta", align=align, min_confidence=0)
            ranks = [
                name for name in table.column_names if name.startswith("p_") and name != "p_novel"
            ]
            for row in table.to_pylist():
                given = [row[name] for name in ranks if row[name] is not None]
                assert given == sorted(given, reverse=True)
                assert all(0 <= p <= 1 for p in given)


def test_a_small_library_uses_the_calibration_of_others(tiny_index: Path, tmp_path: Path) -> None:
    with open_index(tiny_index) as index:
        row = index.classify(["ACGTACGTTTGACCA"]).to_pylist()[0]
    assert 0 < row["p_species"] < 1
    shutil.copytree(tiny_index, tmp_path / "index")
    manifest = calibrate_anew(tmp_path / "index")
    assert (manifest.calibration, manifest.resolvability) == ("", "resolvability-0002.parquet")


def test_species_of_one_record_each_teach_nothing_of_species(files: Path, tmp_path: Path) -> None:
    table = _references(files)
    (tmp_path / "lone.tsv").write_text(
        "id\tfamily\tgenus\tspecies\n"
        + "".join(f"{r['id']}\t{r['family']}\t{r['genus']}\tsp. {r['id']}\n" for r in table)
    )
    change = build_index(
        files / "references.fasta",
        tmp_path / "index",
        taxonomy=tmp_path / "lone.tsv",
        settings=BuildSettings(encoder="spectrum"),
    )
    assert change.manifest.counts["species"] == change.manifest.counts["records"] >= 500
    assert change.manifest.calibration == ""
    assert BORROWED in change.manifest.notes
    assert change.manifest.resolvability == "resolvability-0001.parquet"
    with open_index(tmp_path / "index") as index:
        rows = index.classify(files / "references.fasta").to_pylist()
    assert np.mean([row["species"] is not None for row in rows]) > 0.3


def test_what_may_be_hidden_and_how_much_then_is(plain: Path) -> None:
    store = IndexStore.open(plain)
    sample = calibrating._sample(store)
    hiding = Hiding(store, sample.rows, sample.entries)
    of_record = np.repeat(store.votes.taxon, store.votes.records)
    lineage = store.taxonomy.lineage[of_record]
    ranks, some = lineage.shape[1], np.arange(0, len(sample.rows), 50)
    for hidden in range(hiding.scenarios):
        gone = hiding.gone(hidden, some, hiding.truth[some])
        for i, query in enumerate(some):
            own = hiding.truth[query]
            hides = (lineage[:, ranks - hidden] == own[ranks - hidden]) if hidden else None
            count = 1 if hides is None else int(hides.sum())
            assert (gone[i][own >= 0] == count).all()
            left = lineage if hides is None else lineage[~hides]
            above = ranks - hidden - 1
            remains = int((left[:, above] == own[above]).sum()) - (hides is None)
            assert hiding.is_possible(hidden)[query] == (hidden == ranks or remains > 0)
        other = np.full((len(some), ranks), -1, np.int32)
        assert not hiding.gone(hidden, some, other).any()


def test_an_index_is_calibrated_later_and_keeps_it(
    plain: Path, files: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    shutil.copytree(plain, index)
    assert calibrate_anew(index).calibration == "calibration-0002.json"
    gone = _references(files)[0]["id"]
    remove_from_index(index, [gone])
    assert read_manifest(index).calibration == "calibration-0002.json"
    assert calibrate_anew(index).calibration == "calibration-0004.json"
    many = [row["id"] for row in _references(files)[1:300]]
    assert remove_from_index(index, many).manifest.calibration == "calibration-0005.json"
    path = index / "calibration-0005.json"
    path.write_bytes(b"{" + b" " * (path.stat().st_size - 1))
    with open_index(index) as opened, pytest.raises(FolderError, match="not a calibration"):
        opened.classify(["ACGTACGT"])


def with_subspecies(files: Path, folder: Path, every: int) -> Path:
    """The table of the references, with a name below the species for one of every so many."""
    lines = (files / "references.tsv").read_text().splitlines()
    named = (f"{line}\t{'form' if i % every == 0 else ''}" for i, line in enumerate(lines[1:]))
    table = folder / "subspecies.tsv"
    table.write_text("\n".join([f"{lines[0]}\tsubspecies", *named]) + "\n")
    return table


def test_a_record_with_a_rank_of_its_own_leaves_the_calls_as_they_are(
    calibrated: Path, files: Path, tmp_path: Path
) -> None:
    index = shutil.copytree(calibrated, tmp_path / "index")
    one = _references(files)[0]
    ranks = [name for name in one if name != "id"]
    sequence = (files / "references.fasta").read_text().split(">")[1].partition("\n")[2]
    (tmp_path / "one.fasta").write_text(f">one\n{sequence[5:]}\n")
    names = "\t".join(one[rank] for rank in ranks)
    (tmp_path / "one.tsv").write_text(
        "\t".join(["id", *ranks, "subspecies"]) + f"\none\t{names}\tform\n"
    )
    manifest = add_to_index(index, tmp_path / "one.fasta", taxonomy=tmp_path / "one.tsv").manifest
    assert manifest.ranks[-1] == "subspecies"
    assert manifest.calibration == "calibration-0001.json"
    with open_index(index) as opened, open_index(calibrated) as before:
        rows, expected = (
            each.classify(files / "queries.fasta").to_pylist() for each in (opened, before)
        )
        with pytest.raises(SettingsError, match="shares from 0 to 1 of species, genus"):
            opened.classify(["ACGT" * 50], novelty_prior="subspecies=0.1")
    same = [row["species"] == other["species"] for row, other in zip(rows, expected, strict=True)]
    assert np.mean(same) > 0.99
    moved = [
        abs(row["p_species"] - other["p_species"])
        for row, other in zip(rows, expected, strict=True)
        if row["p_species"] is not None and other["p_species"] is not None
    ]
    assert np.quantile(moved, 0.95) < 0.01
    assert remove_from_index(index, ["one"]).manifest.calibration == "calibration-0001.json"


def test_a_calibration_of_other_ranks_is_refused_and_made_anew(
    calibrated: Path, files: Path, tmp_path: Path
) -> None:
    index = shutil.copytree(calibrated, tmp_path / "index")
    path = index / "calibration-0001.json"
    values = json.loads(path.read_text())
    assert values["ranks"] == list(read_manifest(index).ranks)
    values["ranks"].append("subspecies")
    text = json.dumps(values)
    path.write_text(text + " " * (path.stat().st_size - len(text)))  # its size is known
    advice = f"is of other ranks than the index has; seqsearch index calibrate {index}"
    with open_index(index) as opened, pytest.raises(FolderError, match=advice):
        opened.classify(["ACGT" * 50])
    manifest = remove_from_index(index, [_references(files)[0]["id"]]).manifest
    assert manifest.calibration == "calibration-0002.json"
    found = json.loads((index / manifest.calibration).read_text())
    assert found["ranks"] == list(manifest.ranks)


def test_a_rank_that_few_records_are_named_at_is_not_what_is_learned_of(
    files: Path, calibrated: Path, tmp_path: Path
) -> None:
    manifest = build_index(
        files / "references.fasta",
        tmp_path / "index",
        taxonomy=with_subspecies(files, tmp_path, 20),
        settings=BuildSettings(encoder="spectrum"),
    ).manifest
    assert manifest.ranks[-1] == "subspecies"
    found = json.loads((tmp_path / "index" / manifest.calibration).read_text())
    expected = json.loads((calibrated / "calibration-0001.json").read_text())
    assert found["ranks"] == expected["ranks"] == list(manifest.ranks[:-1])
    # A sequence of several records is asked for once more where one of them has a name below.
    assert expected["about"]["records"] <= found["about"]["records"] < 850
    reliable_enough(found["about"]["reliability"])


def test_what_is_hidden_neither_is_found_nor_votes(plain: Path) -> None:
    store = IndexStore.open(plain)
    sample = calibrating._sample(store)
    hiding = Hiding(store, sample.rows, sample.entries)
    vectors = store.vectors(np.arange(store.rows))[sample.rows]
    found, cosines = hiding.nearest(vectors, np.arange(len(vectors)), 2)
    lineage, votes = store.taxonomy.lineage, store.votes
    for hidden in range(hiding.scenarios):
        asked = np.flatnonzero(hiding.is_possible(hidden))
        assert (np.diff(cosines[hidden], axis=1)[found[hidden][:, 1:] >= 0] <= 0).all()
        voters, extended = hiding.voters(hidden, asked, found[hidden][asked])
        for i, query in enumerate(asked):
            own = hiding.truth[query]
            for row in voters[i][voters[i] >= 0]:
                taxa = extended.taxon[extended.start[row] : extended.start[row + 1]]
                assert len(taxa)
                if hidden:
                    assert (lineage[taxa, -hidden] != own[-hidden]).all()
            if hidden == 0:
                row = sample.rows[query]
                total = votes.records[votes.start[row] : votes.start[row + 1]].sum()
                assert (row in found[0][query]) == (total > 1)


@pytest.mark.parametrize("align", [0, 20])
def test_what_is_like_nothing_here_is_off_target(files: Path, calibrated: Path, align: int) -> None:
    rng = np.random.default_rng(0)
    noise = {f"n{i}": "".join(rng.choice(list("ACGT"), 300 + i)) for i in range(50)}
    with open_index(calibrated) as index:
        rows = index.classify(noise, align=align).to_pylist()
        own = index.classify(files / "queries.fasta", align=align)["verdict"].to_pylist()
        all_named = index.classify(noise, align=align, min_confidence=0).to_pylist()
    off = [row for row in rows if row["verdict"] == "off_target"]
    assert len(off) >= (48 if align else 25)
    for row in off:
        assert row["species"] is row["genus"] is None
        assert row["reason"] == LIKE_NOTHING
    assert own.count("off_target") <= 0.02 * len(own)
    assert all(row["species"] for row in all_named if row["verdict"] == "off_target")


def test_genomes_of_noise_are_off_target(calibrated: Path) -> None:
    rng = np.random.default_rng(2)
    noise = {f"n{i}": "".join(rng.choice(list("ACGT"), 60_000)) for i in range(5)}
    with open_index(calibrated) as index:
        assert 0 < index._judge._calibration.aligned.tail < 0.1
        verdicts = index.classify(noise)["verdict"].to_pylist()
    assert verdicts == ["off_target"] * 5


def test_reads_of_another_marker_are_warned_of(calibrated: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lines = (f">n{i}\n{''.join(rng.choice(list('ACGT'), 400))}\n" for i in range(30))
    (tmp_path / "noise.fasta").write_text("".join(lines))
    with open_index(calibrated) as index:
        run = index.query(tmp_path / "noise.fasta", tmp_path / "run")
    (warning,) = run.folder.state["warnings"]
    assert "of the queries are like nothing in this library: another marker?" in warning
