"""Bundles of wheels: made by pip from a folder, split, checked, and installed by the recipe."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from seqsearch.errors import FolderError, SettingsError
from seqsearch.jobs.bundling import (
    RECIPE,
    SUMS,
    Target,
    Wanted,
    bundle,
    requirements_of,
    unpack,
)

NOWHERE = Target("3.12", "cp", ("manylinux_2_28_x86_64",))


def write_wheel(
    folder: Path, name: str, version: str, requires: str = "", tag: str = "py3-none-any"
) -> Path:
    """A wheel with one module that holds its version."""
    path, about = folder / f"{name}-{version}-{tag}.whl", f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"version = {version!r}\n" + "#" * 5000)
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
        )
        archive.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\nTag: {tag}\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    folder = tmp_path / "registry"
    folder.mkdir()
    write_wheel(folder, "honey", "1.0", "wax>=1")
    write_wheel(folder, "honey", "2.0", "wax>=1")
    write_wheel(folder, "wax", "1.5", tag="cp312-cp312-manylinux_2_28_x86_64")
    write_wheel(folder, "wax", "1.6", tag="cp311-cp311-manylinux_2_28_x86_64")
    return folder


def test_what_is_packed_is_unpacked(registry: Path, tmp_path: Path) -> None:
    wanted = Wanted(("honey",), NOWHERE, find_links=registry)
    manifest = bundle(wanted, tmp_path / "out", 3000)
    names = ["honey-2.0-py3-none-any.whl", "wax-1.5-cp312-cp312-manylinux_2_28_x86_64.whl"]
    assert [wheel["name"] for wheel in manifest["wheels"]] == names
    sizes = [part["size"] for part in manifest["parts"]]
    assert len(sizes) > 2
    assert set(sizes[:-1]) == {3000}
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == manifest
    wheels = unpack(tmp_path / "out", tmp_path / "wheels")
    assert [wheel.name for wheel in wheels] == names
    for wheel in wheels:
        assert wheel.read_bytes() == (registry / wheel.name).read_bytes()
    again = bundle(wanted, tmp_path / "again", 3000)
    assert again == manifest


def test_the_recipe_installs_it_without_us(registry: Path, tmp_path: Path) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("honey==1.0\n")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = Wanted(("honey",), Target(version), pins, dependencies=False, find_links=registry)
    bundle(wanted, tmp_path / "out", 4000)
    assert (tmp_path / "out" / RECIPE).read_text() == (
        f"sha256sum -c {SUMS}\nmkdir -p wheels\ncat wheels.tar.* | tar -x -C wheels\n"
        f"python{version} -m pip install --no-index --find-links wheels --no-deps 'honey'\n"
    )
    text = (tmp_path / "out" / RECIPE).read_text().replace(f"python{version}", sys.executable)
    subprocess.run(
        ["bash", "-e", "-c", text.replace("install", f"install --target {tmp_path}/site -q")],
        cwd=tmp_path / "out",
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "site" / "honey.py").read_text().startswith("version = '1.0'")


def test_damage_is_found(registry: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bundle(Wanted(("honey",), NOWHERE, find_links=registry), out, 3000)
    whole = (out / "wheels.tar.001").read_bytes()
    for content in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), None):
        (out / "wheels.tar.001").unlink()
        if content is not None:
            (out / "wheels.tar.001").write_bytes(content)
        with pytest.raises(FolderError, match=r"wheels\.tar\.001: missing, or not as it was"):
            unpack(out, tmp_path / "wheels")
    shutil.copyfile(out / "INSTALL.txt", out / "manifest.json")
    with pytest.raises(FolderError, match=r"not a bundle of wheels \(no readable manifest\.json\)"):
        unpack(out, tmp_path / "wheels")


def test_only_what_the_manifest_lists_is_written(registry: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = bundle(Wanted(("honey",), NOWHERE, find_links=registry), out, 1 << 20)
    manifest["wheels"] = manifest["wheels"][1:]
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FolderError, match=r"holds 'honey-2\.0-py3-none-any\.whl', which its"):
        unpack(out, tmp_path / "wheels")
    assert not list((tmp_path / "wheels").iterdir())


@pytest.mark.parametrize("kind", ["wheels", "parts"])
@pytest.mark.parametrize("name", ["../escaped.whl", "/escaped.whl", "in/escaped.whl", "..", ""])
def test_nothing_outside_the_folders_is_read_or_written(
    kind: str, name: str, tmp_path: Path
) -> None:
    out, content = tmp_path / "out", b"not asked for"
    out.mkdir()
    with tarfile.open(out / "wheels.tar.000", "w", format=tarfile.PAX_FORMAT) as packed:
        about = tarfile.TarInfo(name)
        about.size = len(content)
        packed.addfile(about, io.BytesIO(content))
    listed = {"name": name, "size": len(content), "sha256": sha256(content).hexdigest()}
    tar = (out / "wheels.tar.000").read_bytes()
    part = {"name": "wheels.tar.000", "size": len(tar), "sha256": sha256(tar).hexdigest()}
    manifest = {"parts": [part], "wheels": [listed]}
    if kind == "parts":
        manifest = {"parts": [listed], "wheels": []}
    (out / "manifest.json").write_text(json.dumps(manifest))
    message = f"its manifest lists {name!r}, which is no plain file name"
    with pytest.raises(FolderError, match=re.escape(message)):
        unpack(out, tmp_path / "wheels")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_cannot_be_had_is_told(registry: Path, tmp_path: Path) -> None:
    other = Target("3.13", "cp", ("manylinux_2_28_x86_64",))
    with pytest.raises(SettingsError, match="requirements is 'honey': expected wheels that pip"):
        bundle(Wanted(("honey",), other, find_links=registry), tmp_path / "out", 3000)
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(FolderError, match="full: is not empty; name another one"):
        bundle(Wanted(("honey",), NOWHERE, find_links=registry), tmp_path / "full", 3000)


def test_extras_of_extras(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text(
        '[project]\ndependencies = ["numpy>=2", "rich"]\n[project.optional-dependencies]\n'
        'gpu = ["faiss-gpu-cuvs"]\n'
        'models = ["torch>=2"]\ntrain = ["seqsearch[models, gpu]", "rich"]\n'
    )
    assert requirements_of(project, ["gpu"]) == ["numpy>=2", "rich", "faiss-gpu-cuvs"]
    expected = ["numpy>=2", "rich", "torch>=2", "faiss-gpu-cuvs"]
    assert requirements_of(project, ["train"]) == expected
    with pytest.raises(SettingsError, match="extra is 'cpu': expected gpu or models or train"):
        requirements_of(project, ["cpu"])
