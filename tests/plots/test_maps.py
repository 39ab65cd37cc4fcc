"""The picture of a map and its page."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seqsearch.errors import MissingExtraError
from seqsearch.plots.figures import save
from seqsearch.plots.maps import COLOURS, STYLES, Coloured, Picture, draw
from seqsearch.plots.page import write_page

SPECIES = len(STYLES) + 2
SIZE = 2 * SPECIES + 1  # two points of each, and one without a name


def a_picture() -> Picture:
    rng = np.random.default_rng(0)
    taxa = np.append(np.repeat(np.arange(SPECIES), 2), -1).astype(np.int32)
    return Picture(
        title="bees: 47 of 90 references",
        notes=["t-SNE of everything", "Silhouette: 0.5"],
        method="t-SNE",
        rank="species",
        colour="species",
        ranks={
            "family": Coloured(["Apidae"], np.zeros(SIZE, np.int32)),
            "species": Coloured([f"Apis {i}" for i in range(SPECIES)], taxa),
        },
        ids=["</script><b>odd & é", *(f"r{i}" for i in range(1, SIZE))],
        xy=rng.normal(size=(SIZE, 2)),
        score=np.append(np.full(SIZE - 1, 0.25), np.nan),
        flat=np.append(np.full(SIZE - 1, 0.5), np.nan),
        rival=np.append(np.zeros(SIZE - 1), -1).astype(np.int32),
        query_ids=["q1"],
        query_paths=["Apidae > Apis 1"],
        query_xy=np.zeros((1, 2)),
    )


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


class TestPage:
    @pytest.fixture
    def page(self, tmp_path: Path) -> str:
        write_page(a_picture(), tmp_path / "map.html")
        assert [path.name for path in tmp_path.iterdir()] == ["map.html"]
        return (tmp_path / "map.html").read_text("utf-8")

    def test_it_needs_nothing_from_elsewhere(self, page: str) -> None:
        """The only address is the name of SVG's namespace, which nothing fetches."""
        assert set(re.findall(r"\w+://[^\"'\s]+", page)) == {"http://www.w3.org/2000/svg"}
        assert not re.search(r"\b(src|href|srcset|action)\s*=", page)
        assert not re.search(r"@import|url\(|\bfetch\(|XMLHttpRequest|import\(", page)
        assert "default-src 'none'" in page

    def test_it_holds_every_point(self, page: str) -> None:
        data, picture = data_of(page), a_picture()
        assert data["ids"] == list(picture.ids)
        np.testing.assert_allclose(np.c_[data["x"], data["y"]], picture.xy, atol=6e-4)
        assert data["taxa"] == [own.taxa.tolist() for own in picture.ranks.values()]
        assert data["names"] == [list(own.names) for own in picture.ranks.values()]
        assert data["score"] == [0.25] * (SIZE - 1) + [None]
        assert data["queries"]["paths"] == ["Apidae > Apis 1"]

    def test_no_name_ends_the_script(self, page: str) -> None:
        assert "</script><b>" not in page
        assert page.count("</script>") == 2


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError) as raised:
        draw(a_picture())
    assert str(raised.value) == "matplotlib is not installed: pip install 'seqsearch[report]'"


class TestDrawn:
    @pytest.fixture(autouse=True)
    def matplotlib(self) -> None:
        pytest.importorskip("matplotlib", reason="figures need matplotlib, of the extra report")

    def test_the_commonest_have_a_style_each_the_rest_is_grey(self) -> None:
        picture = a_picture()
        axes = draw(picture).axes[0]
        legend = axes.get_legend()
        texts = [text.get_text() for text in legend.get_texts()]
        assert texts == [
            *(f"Apis {i} (2)" for i in range(len(STYLES))),
            "2 others (4)",
            "without a name (1)",
            "queries (1)",
        ]
        assert legend.get_title().get_text() == "species (points)"
        groups = axes.collections
        np.testing.assert_allclose(groups[1].get_offsets(), picture.xy[2:4])
        looks = {
            (tuple(group.get_facecolor()[0]), len(group.get_paths()[0].vertices))
            for group in groups[: len(STYLES)]
        }
        assert len(looks) == len(STYLES)
        assert len({colour for colour, _ in looks}) == len(COLOURS)

    def test_another_rank_colours(self) -> None:
        axes = draw(replace(a_picture(), colour="family")).axes[0]
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        assert texts == [f"Apidae ({SIZE})", "queries (1)"]

    def test_nothing_is_cut_off(self, tmp_path: Path) -> None:
        from PIL import Image

        picture = a_picture()
        long = Coloured(
            [f"Megachiroptera incertae sedis {i}" for i in range(SPECIES)],
            picture.ranks["species"].taxa,
        )
        picture = replace(picture, ranks={**picture.ranks, "species": long})
        save(draw(picture), tmp_path / "map.png")
        with Image.open(tmp_path / "map.png") as image:
            pixels = np.asarray(image.convert("RGB"))
        for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
            assert (edge == 255).all()
