"""Damage is never signed, and an index is never taken for what it is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from seqsearch.errors import FolderError
from seqsearch.index.manifest import FORMAT_VERSION
from seqsearch.jobs.build import add_to_index, build_index
from seqsearch.jobs.inspecting import list_indexes, verify_index
from seqsearch.tables import locked

BEES = ">a k__Animalia;g__Apis\nACGTACGTTTGACCA\n"
MORE = ">b k__Animalia;g__Bombus\nGGATTACACCTTAGA\n"


@pytest.fixture
def bees(tmp_path: Path) -> Path:
    (tmp_path / "bees.fasta").write_text(BEES)
    (tmp_path / "more.fasta").write_text(MORE)
    build_index(tmp_path / "bees.fasta", tmp_path / "index")
    return tmp_path / "index"


def test_an_addition_does_not_sign_the_damage_of_earlier_files(bees: Path) -> None:
    sequences = bees / "segments" / "0001" / "sequences.u8.npy"
    data = bytearray(sequences.read_bytes())
    data[-1] ^= 6
    sequences.write_bytes(data)
    add_to_index(bees, bees.parent / "more.fasta")
    with pytest.raises(FolderError, match=r"0001/sequences.u8.npy: its content has changed"):
        verify_index(bees)


def test_an_index_without_its_pointer_is_no_unfinished_build(bees: Path) -> None:
    (bees / "manifest.json").unlink()
    before = sorted(path.name for path in bees.rglob("*"))
    with pytest.raises(FolderError, match=r"lost its manifest.json; copy manifests/0001.json"):
        build_index(bees.parent / "more.fasta", bees)
    with pytest.raises(FolderError, match=r"the manifest is missing; copy manifests/0001.json"):
        verify_index(bees)
    assert sorted(path.name for path in bees.rglob("*")) == before
    shutil.copy(bees / "manifests" / "0001.json", bees / "manifest.json")
    verify_index(bees)
    (bees / "manifest.json").unlink()
    change = build_index(bees.parent / "more.fasta", bees, overwrite=True)
    assert change.manifest.number == 2


def test_a_damaged_encoder_can_be_built_over(bees: Path) -> None:
    (bees / "encoder" / "config.json").write_text("{")
    build_index(bees.parent / "more.fasta", bees, overwrite=True)
    assert verify_index(bees).sampled == 1


def test_a_deleted_lock_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / ".lock").touch()
    opened = Path.open

    def delete_after_opening(path: Path, *args: str) -> object:
        handle = opened(path, *args)
        if path.name == ".lock":
            path.unlink()  # as another writer does when it ends
            opened(path, "w").close()
        return handle

    monkeypatch.setattr(Path, "open", delete_after_opening)
    busy = pytest.raises(FolderError, match="another process is writing this index")
    with busy, locked(folder, "index"):
        pass


def test_verify_accepts_more_rows_of_one_vector_than_it_looks_at(tmp_path: Path) -> None:
    records = [f">r{i} g__Apis\nACGTACGTTTGACCA{'N' * i}\n" for i in range(16)]
    (tmp_path / "ns.fasta").write_text("".join(records))
    build_index(tmp_path / "ns.fasta", tmp_path / "index")
    assert verify_index(tmp_path / "index").sampled == 16


def test_a_damaged_index_does_not_hide_the_others(bees: Path) -> None:
    shutil.copytree(bees, bees.parent / "broken")
    (bees.parent / "broken" / "manifest.json").write_text(
        json.dumps({"format_version": FORMAT_VERSION})
    )
    found = {Path(one["index"]).name: one for one in list_indexes(bees.parent)}
    assert found["index"]["counts"]["rows"] == 1
    assert "the manifest is damaged" in found["broken"]["error"]
