"""Paper 1: attribute classes, and linear SVMs on the features."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from tests.lab.training.garment_toys import SIDE, ToyJudge, toy_garments, toy_trunk, train  # noqa: E402
from worker.errors import ConfigurationError  # noqa: E402
from worker.lab.training.config import RunConfig, read_config  # noqa: E402
from worker.lab.training.crop_photos import CropPhoto  # noqa: E402
from worker.lab.training.recipes.attributes import (  # noqa: E402
    Attributes,
    AttributesConfig,
    ScoreVector,
    classes_of,
    value_of,
)

pytestmark = pytest.mark.lab
CONFIGS = Path(__file__).parents[3] / "worker" / "lab" / "training" / "configs"


def recipe(**changes: Any) -> Attributes:
    garments = toy_garments()
    content = {"kind": "attributes", "data": Path(), "side": SIDE, "crop_side": SIDE, "mild": 1.0, "least": 4, "svm_garments": 24}
    wanted = AttributesConfig(**{**content, **changes})
    return Attributes(wanted, RunConfig(batch=16), garments, ToyJudge(garments.crops), toy_trunk())


def test_values_are_read_from_labels_and_article_names() -> None:
    shop = CropPhoto("venia", "vd01-ll_main", "Dress", "development", "vd01-ll", "vd01", "main")
    phone = CropPhoto("clothing", "p1", "Hat", "development", sender=1)
    assert (value_of(shop, "category"), value_of(shop, "colour")) == ("Dress", "venia ll")
    assert (value_of(phone, "category"), value_of(phone, "colour")) == ("Hat", "")


def test_rare_values_are_no_class() -> None:
    garments = toy_garments()
    names, of = classes_of(garments, "category", 8)
    assert names == ("Dress", "Hat", "Pants")
    assert [garments.names[label] for label in garments.labels] == [names[each] for each in of]
    assert classes_of(garments, "colour", 12)[0] == ("luma blue", "luma red")
    assert classes_of(garments, "colour", 13) == ((), (-1,) * len(garments))
    with pytest.raises(ConfigurationError, match="colour has 0 values"):
        recipe(attributes=("colour",), least=13)


def test_the_loss_is_the_mean_of_each_attributes_cross_entropy() -> None:
    trained = recipe(attributes=("category", "colour"))
    rgb, targets = trained.load(trained.plan(0)[0])
    targets[0, 1] = -1  # not known: does not count
    trained.begin(0)
    with torch.no_grad():
        loss, figures = trained.loss((rgb, targets))
        features = trained.model()(rgb)
        wanted = []
        for at, head in enumerate(trained.model().heads):
            terms = [
                -torch.log_softmax(head(features[row]), dim=0)[targets[row, at]]
                for row in range(len(targets))
                if targets[row, at] >= 0
            ]
            wanted.append(float(torch.stack(terms).mean()))
    assert float(loss) == pytest.approx(np.mean(wanted), rel=1e-4)
    assert set(figures) == {"right_category", "right_colour"}


def test_a_batch_without_known_values_costs_nothing() -> None:
    trained = recipe()
    rgb, targets = trained.load(trained.plan(0)[0])
    trained.begin(0)
    loss, figures = trained.loss((rgb, torch.full_like(targets, -1)))
    loss.backward()
    assert float(loss.detach()) == 0
    assert figures == {}


def test_it_learns_its_attributes() -> None:
    trained = recipe(attributes=("category", "colour"))
    losses = train(trained, 12)
    assert losses[-1] < 0.5 * losses[0]
    with torch.no_grad():
        _, figures = trained.loss(trained.load(trained.plan(99)[0]))
    assert figures["right_category"] > 0.8


def test_the_svm_has_a_score_for_each_class_and_knows_it() -> None:
    trained = recipe()
    train(trained, 6)
    svm = trained.svm()
    assert svm.names == ("category=Dress", "category=Hat", "category=Pants")
    garments = trained._garments
    crops = [trained._pairs.clean(article.photos[0]) for article in garments.articles.articles]
    scores = svm.apply(trained._features(crops))
    assert scores.shape == (len(garments), 3)
    assert (scores.argmax(axis=1) == np.asarray(garments.labels)).mean() > 0.8


def test_the_exported_scores_are_those_of_the_svm_less_their_mean() -> None:
    trained = recipe()
    trained.model().eval()
    svm = trained.svm()
    made = trained.export()
    [rgb] = made.inputs.values()
    with torch.no_grad():
        found = made.module(rgb).numpy()
        features = trained.model()(rgb).numpy()
    scores = svm.apply(features) - svm.offsets
    assert np.allclose(found, scores / np.linalg.norm(scores, axis=1, keepdims=True), atol=1e-4)
    assert made.output.dimension == 3
    assert isinstance(made.module, ScoreVector)


def test_features_can_be_what_is_searched() -> None:
    trained = recipe(vector="features")
    trained.model().eval()
    figures, made = trained.evaluate(), trained.export()
    assert {"score", "scores_score"} <= set(figures)
    assert made.output.dimension == 16
    other = recipe()
    other.model().eval()
    assert other.evaluate()["features_phone"] == pytest.approx(figures["phone"])


def test_fitting_the_svms_leaves_the_network_as_it_was() -> None:
    trained = recipe()
    trained.begin(0)
    before = {name: value.clone() for name, value in trained.model().state_dict().items()}
    trained.svm()
    assert trained.model().training
    assert all(torch.equal(value, before[name]) for name, value in trained.model().state_dict().items())


def test_the_configuration_is_the_papers() -> None:
    wanted = AttributesConfig.model_validate(read_config(CONFIGS / "attributes.toml").recipe)
    assert (wanted.backbone, wanted.attributes, wanted.vector) == ("resnet18", ("category",), "scores")
