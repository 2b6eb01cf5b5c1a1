"""Projections keep apart what is apart; the rule finds how many clusters there are; both are the same in every run."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from worker.errors import ConfigurationError
from worker.lab.looking.clusters import find_clusters
from worker.lab.looking.projection import LEAST, Projection, project, projections
from worker.lab.method import Distance
from worker.vision.types import FloatArray

pytest.importorskip("sklearn")

BLOBS, EACH, SIZE = 5, 12, 32
HAVE_UMAP = find_spec("umap") is not None


def blobs(count: int = BLOBS, each: int = EACH, noise: float = 0.05) -> tuple[FloatArray, list[int]]:
    """Vectors around `count` orthogonal directions, in turn, so that order says nothing of the blob."""
    rng = np.random.default_rng(3)
    which = [number % count for number in range(count * each)]
    return (np.eye(SIZE)[which] + rng.normal(size=(len(which), SIZE)) * noise).astype(np.float32), which


def nearest_share(places: np.ndarray, which: list[int]) -> float:
    """Share of photos whose nearest neighbour on the plane is of their own blob."""
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return float(np.mean(np.asarray(which)[apart.argmin(axis=1)] == np.asarray(which)))


@pytest.mark.parametrize("distance", ["cosine", "l1", "l2"])
def test_tsne_keeps_known_clusters_apart(distance: Distance) -> None:
    vectors, which = blobs()
    places = project(vectors, distance, "tsne")
    assert places.shape == (len(vectors), 2)
    assert places.min() >= -1e-9
    assert places.max() <= 1 + 1e-9
    assert nearest_share(places, which) == 1.0
    centres = np.array([places[np.asarray(which) == blob].mean(axis=0) for blob in range(BLOBS)])
    spread = max(np.linalg.norm(places[np.asarray(which) == blob] - centres[blob], axis=1).mean() for blob in range(BLOBS))
    gaps = np.linalg.norm(centres[:, None] - centres[None], axis=2)[~np.eye(BLOBS, dtype=bool)]
    assert gaps.min() > 2 * spread


def test_a_projection_is_the_same_in_every_run_to_the_last_bit() -> None:
    vectors, _ = blobs()
    assert np.array_equal(project(vectors, "cosine", "tsne"), project(vectors.copy(), "cosine", "tsne"))


@pytest.mark.skipif(not HAVE_UMAP, reason="umap-learn is optional and not installed")
def test_umap_keeps_known_clusters_apart_and_is_the_same_in_every_run() -> None:
    vectors, which = blobs()
    places = project(vectors, "cosine", "umap")
    assert nearest_share(places, which) == 1.0
    assert np.array_equal(places, project(vectors, "cosine", "umap"))


@pytest.mark.parametrize("how", ["tsne", pytest.param("umap", marks=pytest.mark.skipif(not HAVE_UMAP, reason="no umap-learn"))])
def test_a_map_of_too_few_photos_says_how_many_it_needs(how: Projection) -> None:
    vectors, _ = blobs(2, 2)
    assert len(vectors) == LEAST - 1
    with pytest.raises(ConfigurationError, match="needs 5 photos or more that can be read; there are 4"):
        project(vectors, "cosine", how)


def test_the_smallest_map_can_be_made() -> None:
    vectors, _ = blobs(LEAST, 1)
    assert np.isfinite(project(vectors, "cosine", "tsne")).all()


def test_photos_that_all_have_one_vector_are_no_map() -> None:
    with pytest.raises(ConfigurationError, match="all photos have the same vector"):
        project(np.ones((9, 4), np.float32), "l2", "tsne")


def test_a_projection_there_is_not_and_a_library_there_is_not_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="no projection 'pca'; there are tsne, umap, both"):
        projections("pca")
    monkeypatch.setattr("worker.lab.looking.projection.find_spec", lambda name: None if name == "umap" else object())
    assert projections("tsne") == ("tsne",)
    for wanted in ("umap", "both"):
        with pytest.raises(ConfigurationError, match=r"umap-learn .*not installed: pip install"):
            projections(wanted)
    monkeypatch.setattr("worker.lab.looking.projection.find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match="needs scikit-learn"):
        projections("tsne")


@pytest.mark.parametrize("count", [2, 3, 5, 7])
@pytest.mark.parametrize("distance", ["cosine", "l1"])
def test_the_rule_finds_how_many_blobs_there_are(count: int, distance: Distance) -> None:
    vectors, which = blobs(count)
    names = [f"kind {blob}" for blob in which]
    clustering = find_clusters(vectors, distance, None, names)
    assert len(clustering.clusters) == count
    assert clustering.chosen
    assert not clustering.still_rising
    best = max(value for _, value in clustering.curve)
    assert dict(clustering.curve)[count] == best == clustering.silhouette
    for number, cluster in enumerate(clustering.clusters, start=1):
        assert cluster.name == f"C{number:02d}"
        [(name, found)] = cluster.categories
        assert found == EACH == len(cluster.members)
        assert {names[member] for member in cluster.members} == {name}
        assert {int(clustering.numbers[member]) for member in cluster.members} == {number}


def test_the_most_central_photo_stands_first() -> None:
    vectors, _ = blobs(3)
    for cluster in find_clusters(vectors, "l2", None, [""] * len(vectors)).clusters:
        own = vectors[list(cluster.members)].astype(np.float64)
        far = np.linalg.norm(own - own.mean(axis=0), axis=1)
        assert far.argmin() == 0
        assert far.argmax() == len(far) - 1
        assert cluster.categories == ()


def test_neighbouring_numbers_look_alike() -> None:
    """Six blobs along a line, given in a mixed order, are numbered along it, in one direction or the other."""
    rng = np.random.default_rng(0)
    along = [3.0, 0.0, 5.0, 1.0, 4.0, 2.0]
    vectors = np.array([[place * 10 + rng.normal() * 0.1, rng.normal() * 0.1] for place in along for _ in range(6)], np.float32)
    clusters = find_clusters(vectors, "l2", 6, [""] * len(vectors)).clusters
    places = [float(vectors[list(cluster.members), 0].mean()) for cluster in clusters]
    assert places in (sorted(places), sorted(places, reverse=True))


def test_a_number_of_clusters_that_is_asked_for_is_kept_and_is_not_called_chosen() -> None:
    vectors, _ = blobs(4)
    clustering = find_clusters(vectors, "cosine", 6, [""] * len(vectors))
    assert len(clustering.clusters) == 6
    assert [k for k, _ in clustering.curve] == [6]
    assert not clustering.chosen


def test_clusters_are_the_same_in_every_run_and_progress_is_told() -> None:
    vectors, which = blobs(4)
    told: list[tuple[int, int]] = []
    runs = [find_clusters(vectors, "cosine", None, list(map(str, which)), lambda n, of: told.append((n, of))) for _ in range(2)]
    assert runs[0].clusters == runs[1].clusters
    assert runs[0].curve == runs[1].curve
    of = len(runs[0].curve)
    assert told == [(n, of) for n in range(1, of + 1)] * 2


def test_too_few_or_too_equal_photos_are_one_clear_error() -> None:
    with pytest.raises(ConfigurationError, match="need 4 catalogue photos or more that can be read; there are 3"):
        find_clusters(np.eye(3, dtype=np.float32), "cosine", None, [""] * 3)
    with pytest.raises(ConfigurationError, match="1 different photos cannot be parted into 2 clusters"):
        find_clusters(np.ones((8, 3), np.float32), "cosine", None, [""] * 8)
    with pytest.raises(ConfigurationError, match="4 different photos cannot be parted into 4 clusters"):
        find_clusters(np.eye(4, dtype=np.float32), "cosine", 4, [""] * 4)
