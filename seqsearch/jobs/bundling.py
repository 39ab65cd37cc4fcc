"""Wheels for nodes without a package registry: downloaded, packed into one tar in parts, unpacked.

A node needs nothing to unpack a bundle but sha256sum, cat, tar and pip; `recipe` says how.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seqsearch.errors import FolderError, SettingsError
from seqsearch.tables import sha256_of, whole_file, write_json

TAR = "wheels.tar"
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
RECIPE = "INSTALL.txt"
PLAIN = re.compile(r"\w[\w.+!-]*")  # names of files; nothing leads to another folder
OWN = re.compile(r"seqsearch\[([a-z,\s]+)\]")  # an extra made of others


@dataclass(frozen=True)
class Target:
    """What the wheels must run on, as pip's options of the same names say it.

    Attributes
    ----------
    python_version, implementation : str
    platforms : tuple of str
        Tags; several where a package's wheels have an older one.
    """

    python_version: str = f"{sys.version_info.major}.{sys.version_info.minor}"
    implementation: str = "cp"
    platforms: tuple[str, ...] = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64")


@dataclass(frozen=True)
class Wanted:
    """What is downloaded.

    Attributes
    ----------
    requirements : tuple of str
        As pip takes them.
    target : Target
    constraints : Path or None
        File of pins.
    dependencies : bool
        What the requirements need, too.
    find_links : Path or None
        A folder of wheels to take instead of what a registry has.
    """

    requirements: tuple[str, ...]
    target: Target = field(default_factory=Target)
    constraints: Path | None = None
    dependencies: bool = True
    find_links: Path | None = None


def requirements_of(project: Path, extras: Sequence[str]) -> list[str]:
    """Return what a `pyproject.toml` requires, with extras; these may be made of others.

    Raises
    ------
    SettingsError
        It has no such extra.
    """
    table = tomllib.loads(project.read_text())["project"]
    known: dict[str, list[str]] = table.get("optional-dependencies", {})
    found, todo = list(table["dependencies"]), list(extras)
    while todo:
        extra = todo.pop(0)
        if extra not in known:
            raise SettingsError("extra", extra, " or ".join(known))
        for requirement in known[extra]:
            own = OWN.fullmatch(requirement)
            if own:
                todo += [name.strip() for name in own[1].split(",")]
            else:
                found.append(requirement)
    return list(dict.fromkeys(found))


def bundle(wanted: Wanted, folder: Path, part_size: int) -> dict[str, Any]:
    """Download wheels and pack them.

    Parameters
    ----------
    wanted : Wanted
    folder : Path
        Made here: the parts, `MANIFEST`, `SUMS` and `RECIPE`.
    part_size : int
        Bytes of a part; the last one is smaller.

    Returns
    -------
    dict
        What the manifest says.

    Raises
    ------
    SettingsError
        pip finds no such wheels.
    FolderError
        The folder is there and not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FolderError(folder, "is not empty", advice="name another one")
    with tempfile.TemporaryDirectory() as temporary:
        wheels = _download(wanted, Path(temporary))
        folder.mkdir(parents=True, exist_ok=True)
        parts = _pack(wheels, folder, part_size)
        manifest = {
            "requirements": list(wanted.requirements),
            "dependencies": wanted.dependencies,
            "target": {**asdict(wanted.target), "platforms": list(wanted.target.platforms)},
            "wheels": [_described(wheel) for wheel in wheels],
            "parts": parts,
        }
    lines = [f"{part['sha256']}  {part['name']}\n" for part in parts]
    for name, text in ((SUMS, "".join(lines)), (RECIPE, recipe(manifest))):
        with whole_file(folder / name) as path:
            path.write_text(text)
    write_json(manifest, folder / MANIFEST)
    return manifest


def unpack(folder: Path, out: Path) -> list[Path]:
    """Check the parts of a bundle, and write its wheels to a folder.

    Returns
    -------
    list of Path
        The wheels.

    Raises
    ------
    FolderError
        No bundle, a part is missing or damaged, a wheel is not what was packed, or the manifest
        lists what is no plain name; then nothing was read or written.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        parts, wheels = manifest["parts"], {one["name"]: one for one in manifest["wheels"]}
        names = [*(part["name"] for part in parts), *wheels]
        strange = [name for name in names if PLAIN.fullmatch(name) is None]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderError(folder, f"not a bundle of wheels (no readable {MANIFEST})") from error
    if strange:
        raise FolderError(folder, f"its manifest lists {strange[0]!r}, which is no plain file name")
    for part in parts:
        path = folder / part["name"]
        if not path.is_file() or _described(path) != part:
            raise FolderError(path, "missing, or not as it was packed", advice="copy it again")
    out.mkdir(parents=True, exist_ok=True)
    found = []
    joined = io.BufferedReader(_Joined([folder / part["name"] for part in parts]))
    with tarfile.open(fileobj=joined, mode="r|") as packed:
        for member in packed:
            content = packed.extractfile(member) if member.name in wheels else None
            if content is None:  # only what the manifest lists is written, under its plain name
                raise FolderError(
                    folder, f"holds {member.name!r}, which its manifest does not list"
                )
            path = out / member.name
            with whole_file(path) as temporary, temporary.open("wb") as file:
                while block := content.read(1 << 20):
                    file.write(block)
            if _described(path) != wheels[member.name]:
                raise FolderError(path, "not as it was packed", advice="make the bundle again")
            found.append(path)
    if len(found) != len(wheels):
        raise FolderError(folder, f"holds {len(found)} of {len(wheels)} wheels")
    return found


def recipe(manifest: dict[str, Any]) -> str:
    """Return how a bundle is installed where there is no registry, by commands every node has."""
    quoted = " ".join(f"'{requirement}'" for requirement in manifest["requirements"])
    alone = "" if manifest["dependencies"] else "--no-deps "
    return (
        f"sha256sum -c {SUMS}\n"
        "mkdir -p wheels\n"
        f"cat {TAR}.* | tar -x -C wheels\n"
        f"python{manifest['target']['python_version']} -m pip install --no-index "
        f"--find-links wheels {alone}{quoted}\n"
    )


def _download(wanted: Wanted, folder: Path) -> list[Path]:
    target = wanted.target
    words = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet"]
    words += ["--only-binary=:all:", "--dest", str(folder)]
    words += ["--python-version", target.python_version, "--implementation", target.implementation]
    for platform in target.platforms:
        words += ["--platform", platform]
    words += [] if wanted.dependencies else ["--no-deps"]
    words += [] if wanted.constraints is None else ["--constraint", str(wanted.constraints)]
    if wanted.find_links is not None:
        words += ["--no-index", "--find-links", str(wanted.find_links)]
    done = subprocess.run(
        [*words, *wanted.requirements], capture_output=True, text=True, check=False
    )
    if done.returncode:
        problems = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        said = problems[-1].removeprefix("ERROR:").strip() if problems else done.stderr.strip()
        raise SettingsError(
            "requirements", " ".join(wanted.requirements), f"wheels that pip finds ({said})"
        )
    return sorted(folder.glob("*.whl"))


def _pack(wheels: Sequence[Path], folder: Path, part_size: int) -> list[dict[str, Any]]:
    """Write a tar of wheels in parts; the same wheels make the same bytes."""
    parts = _Parts(folder, part_size)
    with tarfile.open(fileobj=parts, mode="w|", format=tarfile.PAX_FORMAT) as packed:
        for wheel in wheels:
            about = tarfile.TarInfo(wheel.name)
            about.size = wheel.stat().st_size
            with wheel.open("rb") as file:
                packed.addfile(about, file)
    return parts.finished()


class _Parts(io.RawIOBase):
    """A file for writing that goes on in another one whenever a size is reached."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        self._buffer = bytearray()
        self._done: list[dict[str, Any]] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._buffer += data
        while len(self._buffer) >= self._size:
            self._put(self._size)
        return len(data)

    def finished(self) -> list[dict[str, Any]]:
        """Write what is left; return name, size and SHA-256 of every part."""
        if self._buffer:
            self._put(len(self._buffer))
        return self._done

    def _put(self, size: int) -> None:
        path = self._folder / f"{TAR}.{len(self._done):03d}"
        with whole_file(path) as temporary:
            temporary.write_bytes(self._buffer[:size])
        del self._buffer[:size]
        self._done.append(_described(path))


class _Joined(io.RawIOBase):
    """Files read one after the other as one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._blocks = self._read_all(paths)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(next(self._blocks, b""))
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    @staticmethod
    def _read_all(paths: Sequence[Path]) -> Iterator[bytes]:
        for path in paths:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    yield block


def _described(path: Path) -> dict[str, Any]:
    return {"name": path.name, "size": path.stat().st_size, "sha256": sha256_of(path)}
