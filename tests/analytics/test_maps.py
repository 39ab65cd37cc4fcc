"""What a map draws, where it puts it, and how far apart taxa are."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples, silhouette_score

from seqsearch.analytics.maps import (
    check_method,
    cosine_silhouettes,
    even_sample,
    flat_silhouettes,
    projected,
)
from seqsearch.errors import MissingExtraError, SettingsError


def some_vectors(taxa: np.ndarray, spread: float = 0.6, dim: int = 16) -> np.ndarray:
    """Vectors of length 1 about a direction of their taxon's."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(taxa.max() + 1, dim))
    vectors = centres[taxa] + spread * rng.normal(size=(len(taxa), dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class TestEvenSample:
    groups = np.repeat([3, -1, 8, 5], [200, 60, 4, 30])

    @pytest.mark.parametrize("size", [4, 17, 50, 100, 250])
    def test_no_group_sends_fewer_than_another_unless_it_has_no_more(self, size: int) -> None:
        chosen = even_sample(self.groups, size, seed=1)
        assert len(np.unique(chosen)) == len(chosen) == size
        assert (np.diff(chosen) > 0).all()
        number, sent = np.unique(self.groups[chosen], return_counts=True)
        assert len(number) == 4
        for group, count in zip(number, sent, strict=True):
            assert count == (self.groups == group).sum() or count >= sent.max() - 1

    def test_a_seed_decides_who(self) -> None:
        first, again, other = (even_sample(self.groups, 20, seed=seed) for seed in (1, 1, 2))
        assert first.tolist() == again.tolist() != other.tolist()

    def test_all_where_there_are_no_more(self) -> None:
        assert even_sample(self.groups, 294, seed=0).tolist() == list(range(294))


class TestSilhouettes:
    taxa = np.repeat([0, 1, 2, 3], [12, 9, 2, 20])

    def test_they_are_those_of_scikit_learn(self) -> None:
        vectors = some_vectors(self.taxa)
        found = cosine_silhouettes(vectors, self.taxa)
        expected = silhouette_samples(vectors.astype(np.float64), self.taxa, metric="cosine")
        np.testing.assert_allclose(found.score, expected, atol=1e-6)
        assert found.mean == pytest.approx(
            silhouette_score(vectors.astype(np.float64), self.taxa, metric="cosine"), abs=1e-6
        )
        xy = vectors[:, :2].astype(np.float64)
        flat = flat_silhouettes(xy, self.taxa)
        np.testing.assert_allclose(flat, silhouette_samples(xy, self.taxa))

    def test_the_rival_is_the_nearest_other_taxon(self) -> None:
        vectors = some_vectors(self.taxa)
        distance = 1 - vectors @ vectors.T
        for i, rival in enumerate(cosine_silhouettes(vectors, self.taxa).rival):
            others = [t for t in range(4) if t != self.taxa[i]]
            means = [distance[i, self.taxa == taxon].mean() for taxon in others]
            assert rival == others[int(np.argmin(means))]

    def test_points_without_a_name_take_no_part_and_lone_ones_have_no_score(self) -> None:
        taxa = np.append(self.taxa, 4)
        vectors = some_vectors(taxa)
        nameless = np.concatenate([vectors, vectors[:3]])
        labels = np.concatenate([taxa, [-1, -1, -1]])
        for score in (
            cosine_silhouettes(nameless, labels).score,
            flat_silhouettes(nameless[:, :2].astype(np.float64), labels),
        ):
            assert np.isnan(score[-4:]).all()
            assert not np.isnan(score[:-4]).any()
        expected = silhouette_samples(vectors.astype(np.float64), taxa, metric="cosine")
        found = cosine_silhouettes(nameless, labels)
        np.testing.assert_allclose(found.score[: len(taxa) - 1], expected[:-1], atol=1e-6)
        assert (found.rival[-3:] == -1).all()

    def test_a_wrong_name_has_the_lowest_score(self) -> None:
        taxa = self.taxa.copy()
        vectors = some_vectors(taxa, spread=0.3)
        taxa[4] = 3
        found = cosine_silhouettes(vectors, taxa)
        assert found.score.argmin() == 4
        assert found.rival[4] == 0

    @pytest.mark.parametrize("taxa", [[0] * 6, [-1] * 6, [0, 1, 2, 3, 4, 5]])
    def test_none_where_there_is_nothing_to_compare(self, taxa: list[int]) -> None:
        labels = np.array(taxa)
        found = cosine_silhouettes(some_vectors(np.arange(6)), labels)
        assert found.mean is None
        assert np.isnan(flat_silhouettes(np.eye(6)[:, :2], labels)).all()


class TestProjected:
    def test_points_of_a_taxon_lie_together_and_the_seed_repeats_them(self) -> None:
        taxa = np.repeat(np.arange(4), 12)
        vectors = some_vectors(taxa, spread=0.25)
        places = projected(vectors, "tsne", seed=3)
        assert places.shape == (48, 2)
        assert silhouette_score(places, taxa) > 0.5
        np.testing.assert_array_equal(places, projected(vectors, "tsne", seed=3))

    def test_umap_too(self) -> None:
        pytest.importorskip("umap", reason="UMAP needs umap-learn, of the extra report")
        taxa = np.repeat(np.arange(4), 12)
        vectors = some_vectors(taxa, spread=0.25)
        places = projected(vectors, "umap", seed=3)
        assert places.shape == (48, 2)
        assert silhouette_score(places, taxa) > 0.5
        np.testing.assert_array_equal(places, projected(vectors, "umap", seed=3))

    def test_an_unknown_method(self) -> None:
        with pytest.raises(SettingsError) as raised:
            check_method("pca")
        assert str(raised.value) == "method is 'pca': expected tsne or umap"

    def test_without_umap_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "umap", None)
        with pytest.raises(MissingExtraError) as raised:
            check_method("umap")
        assert str(raised.value) == "umap-learn is not installed: pip install 'seqsearch[report]'"
