"""Principal components and attribute scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from worker.errors import ConfigurationError
from worker.lab.method import Pca
from worker.lab.reduction import fit_pca, fit_svm, read_attributes
from worker.vision.types import FloatArray


def skewed(count: int, dimension: int, seed: int = 0) -> FloatArray:
    """Vectors whose directions matter ever less, turned at random."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(dimension, dimension)))
    return ((rng.normal(size=(count, dimension)) * 0.8 ** np.arange(dimension)) @ turn + 3).astype(np.float32)


@pytest.mark.parametrize("shape", [(200, 30), (20, 60)], ids=["more photos than numbers", "fewer"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_the_fewest_components_that_keep_the_share_are_kept(shape: tuple[int, int], share: float) -> None:
    vectors = skewed(*shape)
    pca = fit_pca(vectors, Pca(share=share))
    total = float(vectors.astype(np.float64).var(axis=0).sum())
    kept = pca.apply(vectors).astype(np.float64).var(axis=0)
    assert kept.sum() / total >= share - 1e-6
    assert kept[:-1].sum() / total < share
    assert kept.sum() / total == pytest.approx(float(pca.shares.sum()), abs=1e-5)


@pytest.mark.parametrize("shape", [(200, 30), (20, 60)])
def test_components_are_those_of_scikit_learn(shape: tuple[int, int]) -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    vectors = skewed(*shape)
    ours = fit_pca(vectors, Pca(count=8)).apply(vectors)
    theirs = decomposition.PCA(8, svd_solver="full").fit_transform(vectors.astype(np.float64))
    assert np.abs(ours) == pytest.approx(np.abs(theirs), abs=1e-3)


def test_axes_have_length_one_stand_upright_on_each_other_and_never_flip() -> None:
    vectors = skewed(50, 20)
    one, two = fit_pca(vectors, Pca(count=10)), fit_pca(vectors[::-1].copy(), Pca(count=10))
    assert one.axes.T @ one.axes == pytest.approx(np.eye(10), abs=1e-9)
    assert one.axes == pytest.approx(two.axes, abs=1e-7)
    assert one.dimension == 10


def test_a_row_that_is_not_there_stays_so() -> None:
    vectors = skewed(30, 6)
    reduced = fit_pca(vectors, Pca(count=2)).apply(np.concatenate([vectors[:1], np.full((1, 6), np.nan, np.float32)]))
    assert np.isfinite(reduced[0]).all()
    assert np.isnan(reduced[1]).all()


def test_too_little_to_learn_from_is_said() -> None:
    with pytest.raises(ConfigurationError, match="two photos or more"):
        fit_pca(skewed(1, 4), Pca(share=0.9))
    with pytest.raises(ConfigurationError, match="same vector"):
        fit_pca(np.ones((5, 4), np.float32), Pca(share=0.9))
    with pytest.raises(ConfigurationError, match="5 photos have only 4 components"):
        fit_pca(skewed(5, 30), Pca(count=5))


def test_attribute_scores_tell_attributes_apart() -> None:
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(1)
    items = [f"a{n}" for n in range(80)]
    attributes = {
        item: {"colour": ("red", "blue")[n % 2], "sleeve": ("long", "short")[n // 2 % 2]} for n, item in enumerate(items)
    }
    attributes["a0"]["rare"] = "once"
    signal = np.array([[n % 2, n // 2 % 2] for n in range(80)], np.float32)
    vectors = np.concatenate([signal * 4, rng.normal(size=(80, 6))], axis=1).astype(np.float32)
    scores = fit_svm(vectors, items, attributes)
    assert scores.names == ("colour=blue", "colour=red", "sleeve=long", "sleeve=short")
    found = scores.apply(vectors)
    assert found.shape == (80, 4)
    assert ((found[:, 0] > 0) == (signal[:, 0] == 1)).all()
    assert ((found[:, 3] > 0) == (signal[:, 1] == 1)).all()
    assert np.array_equal(found, fit_svm(vectors, items, attributes).apply(vectors))


def test_photos_whose_item_has_no_attribute_teach_nothing() -> None:
    pytest.importorskip("sklearn")
    with pytest.raises(ConfigurationError, match="no attribute has two values"):
        fit_svm(skewed(20, 4), ["x"] * 20, {"y": {"colour": "red"}})


def test_attributes_are_read_from_a_table_and_empty_cells_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("item_id,colour,sleeve\na1,red,\na2,,long\n")
    assert read_attributes(tmp_path / "a.csv") == {"a1": {"colour": "red"}, "a2": {"sleeve": "long"}}
    (tmp_path / "b.csv").write_text("id,colour\na1,red\n")
    with pytest.raises(ConfigurationError, match="no column item_id"):
        read_attributes(tmp_path / "b.csv")
    with pytest.raises(ConfigurationError, match="cannot read attributes"):
        read_attributes(tmp_path / "none.csv")
