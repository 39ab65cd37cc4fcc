"""The manifest: what an index consists of. Swapping it is the only change a reader ever sees."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from seqsearch.errors import FolderError
from seqsearch.index.building import unfinished
from seqsearch.tables import flush_to_disk, sha256_of, whole_file, write_json

FORMAT_VERSION = 3
CURRENT = "manifest.json"
HISTORY = "manifests"
BORROWED = (
    "too few records, or too few of them named alike, to learn from what answers are worth: "
    "probabilities are those that other libraries taught"
)


@dataclass(frozen=True)
class Manifest:
    """One state of an index.

    Attributes
    ----------
    number : int
        Counts the states of this folder from 1.
    action : str
        What made it: build, add, remove, calibrate.
    created : str
        ISO 8601, UTC.
    package_version : str
    marker : str
        What the library is of, free text.
    ranks : tuple of str
        Highest first.
    encoder : dict
        name, sha256, dim, and its folder inside the index; length_exponent, which older
        indexes lack.
    segments : tuple of dict
        name, first_row, rows; a row's number is its place in the segment plus first_row.
    removed : str
        File of the rows taken out, "" where there are none.
    catalog : str
    files : dict of str to dict
        size and sha256 by path inside the folder; every file of this state.
    counts : dict
        rows (live unique sequences), vectors (of these; of older indexes one a row), records, taxa,
        removed, species ... by rank.
    sources : tuple of dict
        source, path, format, sha256, records of each library, with its ledger.
    views : tuple of str
        Sets of vectors over the rows.
    ann : dict
        type ("exact" or `ann.KIND`), its folder, settings and measured recall; `chosen` where the
        user did.
    calibration : str
        File, "" where the library is too small for one of its own.
    notes : tuple of str
        What the repair of the taxonomy did; `BORROWED` where the library was asked for itself and
        had too little for a calibration.
    resolvability : str
        File, "" where it was not measured.
    windows : dict
        longest, size, step (`dna.windows.Windows`): how long sequences are cut, decided when the
        index was built; empty in older indexes, whose rows have one vector each.
    """

    number: int
    action: str
    created: str
    package_version: str
    marker: str
    ranks: tuple[str, ...]
    encoder: dict[str, Any]
    segments: tuple[dict[str, Any], ...]
    removed: str
    catalog: str
    files: dict[str, dict[str, Any]]
    counts: dict[str, int]
    sources: tuple[dict[str, Any], ...]
    views: tuple[str, ...]
    ann: dict[str, Any]
    calibration: str
    notes: tuple[str, ...]
    resolvability: str = ""
    windows: dict[str, int] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    @property
    def index_id(self) -> str:
        """SHA-256 of the manifest: the same index has the same id wherever it is copied."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read the current manifest of an index folder.

    Raises
    ------
    FolderError
        No index there, an unfinished build, a damaged manifest, or another format version.
    """
    path = folder / CURRENT
    if not path.is_file():
        if not folder.exists():
            raise FolderError(folder, "no such index")
        if any((folder / HISTORY).glob("[0-9]*.json")):
            raise FolderError(folder, "the manifest is missing", advice=restore_advice(folder))
        if came := unfinished(folder):
            raise FolderError(
                folder,
                f"no index yet: its build is running, or was cut off ({came})",
                advice="give the same index build again, and it goes on",
            )
        if (folder / "segments").is_dir():
            raise FolderError(
                folder, "the build of this index was cut off", advice="run index build again"
            )
        raise FolderError(folder, "not an index (no manifest.json)")
    try:
        fields = json.loads(path.read_text())
        version = fields["format_version"]
        if version != FORMAT_VERSION:
            is_newer = isinstance(version, int) and version > FORMAT_VERSION
            raise FolderError(
                folder,
                f"index format {version}, this version reads {FORMAT_VERSION}",
                advice="update seqsearch" if is_newer else "build the index again",
            )
        for key in ("ranks", "segments", "sources", "views", "notes"):
            fields[key] = tuple(fields[key])
        manifest = Manifest(**fields)
        _check_fields(manifest)
        return manifest
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FolderError(path, "the manifest is damaged", advice=restore_advice(folder)) from error


def _check_fields(manifest: Manifest) -> None:
    """Raise KeyError or TypeError unless everything that is read later is there."""
    _ = [(s["name"] + "", s["first_row"] + 0, s["rows"] + 0) for s in manifest.segments]
    _ = [(file["size"] + 0, file["sha256"] + "") for file in manifest.files.values()]
    _ = [manifest.counts[key] + 0 for key in ("rows", "records", "removed", *manifest.ranks)]
    _ = [manifest.encoder[key] for key in ("name", "sha256", "dim", "folder")]
    _ = [source["ledger"] for source in manifest.sources], manifest.ann["type"]
    _ = [size + 0 for size in manifest.windows.values()]


def with_borrowed_told(manifest: Manifest) -> Manifest:
    """Return a manifest whose notes say so where its calibration is that of other libraries."""
    notes = tuple(note for note in manifest.notes if note != BORROWED)
    is_borrowed = manifest.resolvability and not manifest.calibration
    return replace(manifest, notes=(*notes, BORROWED) if is_borrowed else notes)


def restore_advice(folder: Path) -> str:
    """Say how to get a manifest back."""
    kept = sorted((folder / HISTORY).glob("[0-9]*.json"))
    return f"copy {HISTORY}/{kept[-1].name} over it" if kept else "build the index again"


def commit(folder: Path, manifest: Manifest) -> None:
    """Make a manifest current; all files it names must be on disk already."""
    for name in manifest.files:
        flush_to_disk(folder / name)
    for inside in {parent for name in manifest.files for parent in Path(name).parents}:
        flush_to_disk(folder / inside)
    # The pointer first: so a folder with a history but no pointer has lost it, and is no build
    # that was cut off.
    write_json(asdict(manifest), folder / CURRENT)
    keep_in_history(folder, manifest)


def keep_in_history(folder: Path, current: Manifest) -> None:
    """Copy the current manifest to the history, if it is not there."""
    kept = folder / HISTORY / f"{current.number:04d}.json"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        with whole_file(kept) as temporary:
            temporary.write_bytes((folder / CURRENT).read_bytes())


def describe_files(folder: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of files, by name inside the folder."""
    return {
        name: {"size": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
        for name in names
    }


def check_sizes(folder: Path, manifest: Manifest) -> None:
    """Raise `FolderError` if a file of the manifest is missing or of another size."""
    for name, known in manifest.files.items():
        path = folder / name
        try:
            size = path.stat().st_size
        except FileNotFoundError as error:
            raise FolderError(
                path, "a file of the index is missing", advice="build it again"
            ) from error
        if size != known["size"]:
            raise FolderError(
                path,
                f"has {size:,} bytes, the manifest says {known['size']:,}: cut short or changed",
                advice="build the index again",
            )


def check_hashes(folder: Path, manifest: Manifest) -> None:
    """Raise `FolderError` if the content of a file of the manifest has changed."""
    check_sizes(folder, manifest)
    for name, known in manifest.files.items():
        if sha256_of(folder / name) != known["sha256"]:
            raise FolderError(
                folder / name, "its content has changed (SHA-256)", advice="build the index again"
            )
