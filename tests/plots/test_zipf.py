"""Curves of k-mers by rank."""

from __future__ import annotations

import numpy as np
import pytest

from seqsearch.plots.maps import COLOURS
from seqsearch.plots.zipf import Ranked, draw

pytest.importorskip("matplotlib", reason="figures need matplotlib, of the extra report")


def test_a_curve_and_what_was_fitted_look_alike() -> None:
    share = np.array([0.5, 0.3, 0.2])
    fitted = np.array([0.55, 0.27, 0.18])
    figure = draw([Ranked("k = 1", share, fitted), Ranked("k = 2", share, None)], "k-mers of bees")
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "k-mers of bees"
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    one, law, two = axes.lines[:3]
    np.testing.assert_allclose(one.get_xydata(), np.c_[[1, 2, 3], share])
    np.testing.assert_allclose(law.get_ydata(), fitted)
    assert [line.get_color() for line in (one, law, two)] == [COLOURS[0], COLOURS[0], COLOURS[1]]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["k = 1", "k = 2", "Zipf's law"]
