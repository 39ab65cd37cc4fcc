"""`map` and `library kmers` through the entry point."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest


def test_map(index_folder: Path, tmp_path: Path, command: Any, fails: Any) -> None:
    out = tmp_path / "map"
    words = ("map", index_folder, "-o", out, "--sample", "40", "--seed", "2")
    answer = command(*words)
    assert answer.status == 0
    lines = answer.out.splitlines()
    about = json.loads((out / "map.json").read_text())
    assert lines[0] == f"{out}: 40 of {about['of']:,} references, coloured by family"
    apart = about["silhouette"]
    assert lines[1] == (
        f"silhouette by family, of {apart['points']} references: "
        f"{apart['vectors_cosine']:.3f} among the vectors (cosine), "
        f"{apart['picture_euclidean']:.3f} in the picture (Euclidean)"
    )
    assert about["lowest"][0]["id"] in answer.out
    assert fails(*words) == f"{out}: a map is here; give --overwrite to replace it"
    again = command(*words, "--overwrite", "--json")
    assert json.loads(again.out) == about
    assert command(*words, "--overwrite", "--quiet").out == ""


def test_map_without_matplotlib(
    index_folder: Path, tmp_path: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    answer = command("map", index_folder, "-o", tmp_path / "map", "--sample", "20")
    assert answer.status == 0
    assert answer.err == (
        "Warning: no map.png: matplotlib is not installed: pip install 'seqsearch[report]'\n"
    )


def test_map_refused(index_folder: Path, tmp_path: Path, fails: Any) -> None:
    words = ("map", index_folder, "-o", tmp_path / "map")
    ranks = "phylum, class, order, family, genus, species"
    assert fails(*words, "--rank", "tribe", status=2) == f"rank is 'tribe': expected one of {ranks}"
    assert fails(*words, "--method", "pca", status=2) == "method is 'pca': expected tsne or umap"
    assert fails(*words, "--seed", "-1", status=2) == "seed is -1: expected 0 or more"
    assert list(tmp_path.iterdir()) == []


def test_no_silhouette_is_said(index_folder: Path, tmp_path: Path, command: Any) -> None:
    words = ("--rank", "species", "--sample", "12")
    answer = command("map", index_folder, "-o", tmp_path / "map", *words)
    assert answer.out.splitlines()[1:] == [
        "no silhouette: fewer than two references of one species, or no second species"
    ]


def test_kmers(library_files: Path, tmp_path: Path, command: Any, fails: Any) -> None:
    out, reads = tmp_path / "kmers.tsv", library_files / "references.fasta"
    answer = command("library", "kmers", reads, "-k", "2", "-k", "3", "-o", out)
    assert answer.status == 0
    assert "exponent of Zipf's law: maximum likelihood over all k-mers seen" in answer.out
    assert len(out.read_text().splitlines()) == 1 + 16 + 64
    answer = command("library", "kmers", reads, "-o", out, "--overwrite", "--json")
    assert [(one["k"], one["of"]) for one in json.loads(answer.out)] == [(6, 4096)]
    assert fails("library", "kmers", reads, "-o", out) == (
        f"{out}: this file exists; give --overwrite to replace it"
    )
    assert fails("library", "kmers", reads, "-k", "0", "-o", tmp_path / "x", status=2) == (
        "k is 0: expected 1 to 8"
    )


def test_kmers_without_matplotlib(
    library_files: Path, tmp_path: Path, fails: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    out = tmp_path / "kmers.tsv"
    words = ("library", "kmers", library_files / "references.fasta", "-o", out)
    assert fails(*words, "--plot", tmp_path / "kmers.png") == (
        "matplotlib is not installed: pip install 'seqsearch[report]'"
    )
    assert not out.exists()
