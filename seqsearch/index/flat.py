"""Exact inner-product search with FAISS."""

from __future__ import annotations

import os
from typing import Any

from threadpoolctl import threadpool_info

from seqsearch.errors import MissingExtraError
from seqsearch.tables import Float32, Int64


def load_faiss() -> Any:
    """Import FAISS, letting its BLAS use what this processor can.

    The OpenBLAS 0.3.15 inside the faiss-cpu wheels does not know processors newer than itself
    and falls back to SSE3 code ("Prescott"), four times slower than what they can do. The newer
    OpenBLAS inside numpy knows them: its core type is handed on. A user's own choice stays.

    Raises
    ------
    MissingExtraError
        FAISS is not installed.
    """
    core_type = _core_type()
    if core_type:
        os.environ.setdefault("OPENBLAS_CORETYPE", core_type)
    try:
        import faiss  # noqa: PLC0415  after its environment is set, and optional
    except ImportError as error:
        raise MissingExtraError("FAISS (faiss-cpu, or faiss-gpu-cuvs)", "cpu") from error
    return faiss


def _core_type() -> str:
    """Return OpenBLAS's name for this processor, as numpy found it, "" where unknown."""
    for library in threadpool_info():
        if library["internal_api"] == "openblas" and "numpy" in library["filepath"]:
            found = str(library["architecture"])
            return {"SapphireRapids": "SkylakeX", "Cooperlake": "SkylakeX"}.get(found, found)
    return ""


class FlatIndex:
    """All vectors in memory as float32, searched exhaustively.

    Parameters
    ----------
    count, dim : int

    Attributes
    ----------
    vectors : (count, dim) float32
        FAISS's own memory, to be filled before searching: adding block by block would copy all of
        it at every growth.
    """

    def __init__(self, count: int, dim: int) -> None:
        self._faiss = load_faiss()
        self._index = self._faiss.IndexFlatIP(dim)
        self._index.codes.resize(count * dim * 4)
        self._index.ntotal = count
        flat = self._faiss.rev_swig_ptr(self._index.get_xb(), count * dim)
        self.vectors: Float32 = flat.reshape(count, dim)

    def __len__(self) -> int:
        return len(self.vectors)

    def search(self, queries: Float32, count: int, threads: int) -> tuple[Float32, Int64]:
        """Return inner products and positions of the nearest `count`, best first.

        Parameters
        ----------
        queries : (n, d) float32
        count : int
            At most `len(self)`.

        Returns
        -------
        (n, count) float32, (n, count) int64
        """
        self._faiss.omp_set_num_threads(threads)
        products, positions = self._index.search(queries, count)
        return products, positions
