"""What this machine can do, and what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqsearch.devices.choice import gpu_names, gpu_problem, gpus_of_driver, has_torch
from seqsearch.dna.digests import mix64
from seqsearch.dna.simulation import simulate_library
from seqsearch.encoders.registry import load_encoder
from seqsearch.errors import MissingExtraError
from seqsearch.index.flat import FlatIndex, load_faiss
from seqsearch.jobs.placing import placed
from seqsearch.memory import available_memory
from seqsearch.settings import DEFAULT_ENCODER, VERSION
from seqsearch.tables import Float32
from seqsearch.threads import available_cores

# Extra: the module it brings, the package that has it, and what for.
EXTRAS = {
    "models": ("torch", "torch", "GPUs, transformer encoders"),
    "train": ("accelerate", "accelerate", "training encoders"),
    "report": ("plotly", "plotly", "reports and maps"),
    "genomes": ("pyrodigal", "pyrodigal", "gene finding in genomes"),
}

ROUNDING = 1e-6  # that vectors of a GPU may be off
SUMMED = 5e-5  # that their products may be, which are sums in float32


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    what : str
    works : bool or None
        False where something needed is missing; None where it is optional and absent.
    detail : str
    """

    what: str
    works: bool | None
    detail: str


def examine() -> list[Finding]:
    """Look at the machine, the packages and the extras, and search a small library."""
    return [
        Finding("seqsearch", True, f"{VERSION} on Python {platform.python_version()}"),
        Finding("cores", True, f"{available_cores()} usable of {os.cpu_count()}"),
        _memory(),
        _disk(Path.cwd()),
        _numba_cache(),
        _faiss(),
        _faiss_gpu(),
        _gpu(),
        *(_extra(name, *what) for name, what in EXTRAS.items()),
        _self_test(),
    ]


def _memory() -> Finding:
    return Finding("memory", True, f"{available_memory() / 2**30:.1f} GiB free")


def _disk(folder: Path) -> Finding:
    return Finding(
        "disk", True, f"{shutil.disk_usage(folder).free / 2**30:.1f} GiB free in {folder}"
    )


def _numba_cache() -> Finding:
    """Compiled code is kept beside the package, or in the user's cache."""
    folder = Path(str(mix64.stats.cache_path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return Finding("compiled code", True, f"kept in {folder}")
    except OSError as error:
        advice = "set NUMBA_CACHE_DIR to a folder that can be written, or every start compiles anew"
        return Finding("compiled code", False, f"{folder}: {error.strerror}; {advice}")


def _faiss() -> Finding:
    try:
        faiss = load_faiss()
    except MissingExtraError as error:
        return Finding("FAISS", False, str(error))
    core = os.environ.get("OPENBLAS_CORETYPE", "its own choice")
    return Finding("FAISS", True, f"{faiss.__version__}, BLAS for {core}")


def _gpu() -> Finding:
    """Whether --device cuda works: what it makes of a small library must be what the CPU makes."""
    cards = gpus_of_driver()
    if not cards:
        return Finding("GPU", None, "none that NVIDIA's driver shows; all runs on the CPU")
    problem = gpu_problem()
    if problem:
        works = False if has_torch() else None
        return Finding("GPU", works, f"{cards} in this machine, but {problem}; the CPU serves")
    encoder, batch = load_encoder(DEFAULT_ENCODER), simulate_library(families=2).references
    expected = encoder.encode(batch)
    try:
        vectors = placed(encoder, gpu_names()).encode(batch)
        off = [_off(expected[:64], name) for name in gpu_names()]
    except RuntimeError as error:  # torch's own, of memory or kernels
        return Finding("GPU", False, str(error).splitlines()[0])
    wrong = []
    if not np.abs(vectors - expected).max() <= ROUNDING:
        wrong.append("vectors")
    if not max(off) <= SUMMED:
        wrong.append("products")
    shown = "vectors and their products are those of the CPU"
    if wrong:
        shown = f"but its {' and '.join(wrong)} are not those of the CPU"
    return Finding("GPU", not wrong, f"{len(gpu_names())} for encoding and search; {shown}")


def _off(vectors: Float32, device: str) -> float:
    """Return how far off the products are that a device makes of float16 vectors, for search."""
    import torch  # noqa: PLC0415  slow to import, and often absent

    from seqsearch.search.device_rows import products  # noqa: PLC0415  imports torch

    halves = vectors.astype(np.float16)
    given = torch.from_numpy(halves).to(device)[None]
    found = products(given, given)[0].cpu().numpy()
    wide = halves.astype(np.float64)
    return float(np.abs(found - wide @ wide.T).max())


def _faiss_gpu() -> Finding:
    """Whether FAISS sees a GPU and has kernels for it; nothing here needs that yet."""
    try:
        faiss = load_faiss()
    except MissingExtraError:
        return Finding("FAISS on a GPU", None, "no FAISS")
    if not hasattr(faiss, "StandardGpuResources"):
        return Finding("FAISS on a GPU", None, "FAISS is the CPU build, which is enough")
    if not faiss.get_num_gpus():
        return Finding("FAISS on a GPU", None, "FAISS is the GPU build, but sees no GPU")
    try:
        resources = faiss.StandardGpuResources()
        index = faiss.GpuIndexFlatIP(resources, 8)
        index.add(np.eye(8, dtype=np.float32))
        _, found = index.search(np.eye(8, dtype=np.float32), 1)
    except RuntimeError as error:  # no kernel image for this card
        return Finding("FAISS on a GPU", False, str(error).splitlines()[0])
    works = bool((found[:, 0] == np.arange(8)).all())
    return Finding("FAISS on a GPU", works, f"{faiss.get_num_gpus()}, a test search was right")


def _extra(name: str, module: str, package: str, purpose: str) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(
            f"extra {name}", None, f"absent ({purpose}): pip install 'seqsearch[{name}]'"
        )
    return Finding(f"extra {name}", True, f"{package} {importlib.metadata.version(package)}")


def _self_test() -> Finding:
    """Every reference of a small simulated library must find itself."""
    library = simulate_library(families=2)
    encoder = load_encoder(DEFAULT_ENCODER)
    vectors = encoder.encode(library.references)
    try:
        index = FlatIndex(len(vectors), encoder.dim)
    except MissingExtraError as error:
        return Finding("self-test", False, str(error))
    index.vectors[:] = vectors
    products, _ = index.search(vectors, 1, available_cores())
    works = bool((products[:, 0] > 1 - 1e-4).all())
    return Finding("self-test", works, f"{len(vectors)} simulated references find themselves")
