"""Vectors as they are stored: what 8 bits lose, and that they are read as they were written."""

from __future__ import annotations

import numpy as np
import pytest

from seqsearch.errors import FolderError
from seqsearch.index.vectors import (
    NUMBERS,
    SCALES,
    Vectors,
    VectorWriter,
    kind_for,
    quantised,
    unit,
)


def written(folder, kind, vectors) -> Vectors:
    with VectorWriter(folder, kind, vectors.shape) as writer:
        for start in range(0, len(vectors), 7):
            writer.append(vectors[start : start + 7])
    return Vectors.open(folder, len(vectors))


@pytest.mark.parametrize(("kind", "atol"), [("float16", 1e-4), ("int8", 1e-3)])
@pytest.mark.parametrize("dim", [5, 256, 700])
def test_vectors_are_read_as_they_were_written(tmp_path, kind, atol, dim) -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(30, dim)).astype(np.float32))
    found = written(tmp_path, kind, vectors)
    rows = np.array([3, 3, 29, 0])
    assert (found.kind, found.dim, len(found)) == (kind, dim, 30)
    kept = found.take(rows)
    np.testing.assert_allclose(kept, vectors[rows], atol=atol * 5 / np.sqrt(dim) + atol)
    found.release()
    np.testing.assert_array_equal(found.take(rows), kept)


def test_each_part_of_a_vector_has_its_own_scale() -> None:
    vectors = np.zeros((2, 600), np.float32)
    vectors[0, 0], vectors[0, 300], vectors[1, 599] = 1.0, -0.001, 0.5
    numbers, scales = quantised(vectors)
    assert scales.shape == (2, 3)
    np.testing.assert_array_equal(numbers[[0, 0, 1], [0, 300, 599]], [127, -127, 127])
    assert np.count_nonzero(numbers) == 3
    np.testing.assert_allclose(scales[0] * 127, [1, 0.001, 0], atol=1e-9)


def test_large_libraries_take_eight_bits() -> None:
    assert kind_for(400_000, 2304) == "float16"
    assert kind_for(1_000_000, 2304) == "int8"


@pytest.mark.parametrize(("kind", "name"), [("float16", NUMBERS["float16"]), ("int8", SCALES)])
def test_files_of_another_length_are_refused(tmp_path, kind, name) -> None:
    vectors = np.ones((4, 3), np.float32)
    written(tmp_path, kind, vectors)
    np.save(tmp_path / name, np.load(tmp_path / name)[:3])
    with pytest.raises(FolderError, match="holds not the 4 vectors of its rows; build it again"):
        Vectors.open(tmp_path, 4)
