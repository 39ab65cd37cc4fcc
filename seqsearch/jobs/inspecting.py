"""Looking at indexes: describe, list, verify."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from seqsearch.analytics.resolvability import read_resolvability
from seqsearch.devices.choice import Devices
from seqsearch.dna.windows import Windows
from seqsearch.encoders.base import Encoder
from seqsearch.encoders.registry import load_encoder
from seqsearch.errors import FolderError, InputError
from seqsearch.index.effort import Plan
from seqsearch.index.manifest import Manifest, check_hashes, read_manifest
from seqsearch.index.segments import FOLDER as SEGMENTS
from seqsearch.index.store import IndexStore
from seqsearch.index.vectors import NUMBERS
from seqsearch.jobs.placing import placed
from seqsearch.search.calibrate import DEFAULT
from seqsearch.search.retrieve import open_retriever


def encoder_of(store: IndexStore, threads: int = 0, devices: Devices = ()) -> Encoder:
    """Load the encoder that made an index's vectors, onto GPUs where some are given.

    Raises
    ------
    FolderError
        Its folder is damaged, or holds another encoder.
    """
    encoder = load_encoder(store.encoder_folder, threads)
    if encoder.content_hash != store.manifest.encoder["sha256"]:
        raise FolderError(
            store.encoder_folder, "not the encoder that made the vectors", advice="build again"
        )
    return placed(encoder, devices)


@dataclass(frozen=True)
class Verification:
    """What `verify_index` looked at, all of it sound.

    Attributes
    ----------
    files, sampled : int
        Files whose hashes agree, references that found themselves.
    """

    files: int
    sampled: int


def verify_index(index: str | Path, *, sample: int = 200, threads: int = 0) -> Verification:
    """Check every file's hash, and that a sample of the references finds itself.

    Raises
    ------
    FolderError
        Something is missing, changed, or does not find itself.
    """
    folder = Path(index)
    manifest = read_manifest(folder)
    check_hashes(folder, manifest)
    store = IndexStore.open(folder)
    rng = np.random.default_rng(0)
    count = min(sample, len(store.live_vectors))
    numbers = np.sort(rng.choice(store.live_vectors, count, replace=False))
    rows, start, end = store.spans.stretches(numbers)
    vectors = encoder_of(store, threads).encode(store.pieces(rows, start, end))
    found, similarities = open_retriever(store, threads).search(
        vectors, min(10, len(store.live_rows))
    )
    is_own = store.spans.rows_of(found) == rows[:, None]
    is_there = (is_own & (similarities > 0.999)).any(axis=1)
    # More rows than were asked for may have one vector (sequences that differ in Ns only), and
    # a window without a known base has none that is like any.
    is_there |= (similarities[:, -1] >= 1) | ~vectors.any(axis=1)
    store.close()
    if not is_there.all():
        raise FolderError(
            folder,
            f"{int((~is_there).sum())} of {count} sampled references do not find themselves",
            advice="build the index again",
        )
    return Verification(len(manifest.files), count)


def list_indexes(folder: str | Path) -> list[dict[str, Any]]:
    """Return what every index in a folder is made of.

    Of a damaged one, and of one whose build is not finished, `index` and `error`.

    Raises
    ------
    InputError
        There is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(root, "no such folder")
    found: list[dict[str, Any]] = []
    for path in sorted(root.iterdir()):
        if (path / SEGMENTS).is_dir():
            try:
                found.append(describe_index(path))
            except FolderError as error:
                found.append({"index": str(path), "error": str(error)})
    return found


def describe_index(index: str | Path) -> dict[str, Any]:
    """Return what an index is made of, from its manifest alone."""
    folder = Path(index)
    manifest = read_manifest(folder)
    return {
        "index": str(folder),
        "id": manifest.index_id[:16],
        "marker": manifest.marker,
        "state": manifest.number,
        "made": f"{manifest.action} {manifest.created}",
        "seqsearch": manifest.package_version,
        "encoder": manifest.encoder["name"],
        "vectors": " and ".join(_kinds_of_vectors(manifest)),
        "search": _search_text(manifest.ann),
        "windows": _windows_text(manifest),
        "calibration": _calibration_text(folder, manifest),
        "ranks": list(manifest.ranks),
        "counts": manifest.counts,
        "bytes": sum(file["size"] for file in manifest.files.values()),
        "sources": [
            {key: source[key] for key in ("source", "format", "records", "kept", "ledger")}
            for source in manifest.sources
        ],
        "notes": list(manifest.notes),
    }


def describe_resolvability(index: str | Path) -> dict[str, Any]:
    """Return what an index can tell apart: counts, `above` (by genus, say) and `taxa`.

    Raises
    ------
    FolderError
        No index, or it was not measured.
    """
    folder = Path(index)
    manifest = read_manifest(folder)
    if not manifest.resolvability:
        raise FolderError(
            folder,
            "its resolvability was not measured",
            advice=f"seqsearch index calibrate {folder}",
        )
    found = read_resolvability(folder / manifest.resolvability)
    return {
        "rank": manifest.ranks[-1],
        "counts": {
            "taxa": len(found.table),
            "sharing": int(found.shares.sum()),
            "several": int(pc.sum(pc.is_valid(found.table["identity_within"])).as_py() or 0),
            "with_gap": int(found.has_gap.sum()),
        },
        "above": found.by_taxon_above().to_pylist(),
        "taxa": found.table.to_pylist(),
    }


def reliability_of(index: str | Path) -> dict[str, Any] | None:
    """Return how reliable the probabilities of an index were on genera held out.

    Returns
    -------
    dict
        `libraries`: names of those that were asked where it is not this one, and what
        `crossvalidating.cross_validate` measured. None where the calibration is of before that.

    Raises
    ------
    FolderError
        The calibration is damaged.
    """
    folder = Path(index)
    about = _about(folder, read_manifest(folder))
    measured = about.get("reliability")
    return measured and {"libraries": about.get("libraries", []), **measured}


def _windows_text(manifest: Manifest) -> str:
    """Say how many vectors there are, and which references have several."""
    vectors = manifest.counts.get("vectors", manifest.counts["rows"])
    if vectors == manifest.counts["rows"]:
        return f"none, {vectors:,} vectors"
    cut = Windows(**manifest.windows)
    return (
        f"{vectors:,} vectors; references longer than {cut.longest:,} bases are found by windows "
        f"of {cut.size:,}, one every {cut.step:,}"
    )


def _calibration_text(folder: Path, manifest: Manifest) -> str:
    """Say where the probabilities of an index come from."""
    if not manifest.calibration:
        return (
            "of other libraries (index calibrate makes its own, where there is enough to ask for)"
        )
    about = _about(folder, manifest)
    return f"its own, {about['queries']:,} queries of {about['records']:,} records"


def _about(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """Return how the calibration that serves an index was fitted."""
    path = folder / manifest.calibration if manifest.calibration else DEFAULT
    try:
        about = json.loads(path.read_text())["about"]
        return {**about, "queries": int(about["queries"]), "records": int(about["records"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderError(path, "not a calibration", advice="calibrate the index again") from error


def _kinds_of_vectors(manifest: Manifest) -> list[str]:
    names = {Path(file).name for file in manifest.files}
    return [kind for kind, name in NUMBERS.items() if name in names]


def _search_text(ann: dict[str, Any]) -> str:
    """Say how an index is searched.

    >>> _search_text({"type": "exact"})
    'exact'
    """
    if ann["type"] == "exact":
        return "exact"
    plan = Plan.from_dict(ann)
    return (
        f"{ann['type']}: about {plan.looked_into:.0f} of {plan.lists} lists by {plan.width} "
        f"dimensions, {plan.looked_at:,.0f} rows compared by codes, recall@20 {plan.recall:.3f}"
    )
