"""Reliability curves: panels, what lies in them, and the file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from seqsearch.errors import MissingExtraError
from seqsearch.plots.figures import save
from seqsearch.plots.reliability import LARGEST, SMALLEST, STYLES, Curve, Row, draw


def a_curve(*right: float, count: int = 100) -> Curve:
    shares = np.array(right)
    p = np.linspace(0.1, 0.9, len(right))
    counts = np.full(len(right), count)
    return Curve(p, shares, shares - 0.05, shares + 0.05, counts)


ROWS = [
    Row(
        "all",
        {
            "COI": {"species": a_curve(0.2, 0.9, count=400), "genus": a_curve(0.3, 0.8)},
            "ITS": {"genus": a_curve(0.1, 0.5, 0.7)},
        },
    ),
    Row("new", {"COI": {"family": a_curve(0.4, 0.6)}, "ITS": {}}),
]


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError) as raised:
        draw(ROWS)
    assert str(raised.value) == "matplotlib is not installed: pip install 'seqsearch[report]'"


class TestDrawn:
    @pytest.fixture(autouse=True)
    def matplotlib(self) -> None:
        pytest.importorskip("matplotlib", reason="figures need matplotlib, of the extra report")

    def test_panels_and_their_names(self) -> None:
        figure = draw(ROWS, "What is right")
        assert figure.get_suptitle() == "What is right"
        panels = figure.axes
        assert [axes.get_title() for axes in panels] == ["COI", "ITS", "COI", "ITS"]
        assert [axes.get_ylabel() for axes in panels] == ["share of names right", ""] * 2
        assert [axes.get_xlabel() for axes in panels[2:]] == ["probability of the name"] * 2
        legends = [axes.get_legend() for axes in (panels[1], panels[3])]
        assert [text.get_text() for text in legends[0].get_texts()] == ["species", "genus"]
        assert legends[0].get_title().get_text() == "all"
        assert legends[1].get_title().get_text() == "queries in a bin"

    def test_curves_lie_where_they_should_and_look_alike_in_all_panels(self) -> None:
        coi, its = draw(ROWS).axes[:2]
        diagonal, species, genus = coi.lines[:3]
        assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
        np.testing.assert_allclose(species.get_xydata(), [[0.1, 0.2], [0.9, 0.9]])
        np.testing.assert_allclose(genus.get_xydata(), [[0.1, 0.3], [0.9, 0.8]])
        assert [line.get_color() for line in (species, genus)] == [STYLES[0][0], STYLES[1][0]]
        assert its.lines[1].get_color() == STYLES[1][0]

    def test_areas_of_markers_tell_how_many(self) -> None:
        coi = draw(ROWS).axes[0]
        areas = [c.get_sizes()[0] for c in coi.collections if hasattr(c, "get_sizes")]
        assert areas == pytest.approx([LARGEST, SMALLEST + (LARGEST - SMALLEST) / 4])

    def test_the_file_is_a_png_of_few_colours_in_which_nothing_is_cut(self, tmp_path: Path) -> None:
        from PIL import Image

        save(draw(ROWS), tmp_path / "figure.png")
        assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
        with Image.open(tmp_path / "figure.png") as image:
            assert image.format == "PNG"
            assert image.mode == "P"
            pixels = np.asarray(image.convert("RGB"))
        for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
            assert (edge == 255).all()
        assert (pixels < 250).any(axis=2).mean() > 0.01
