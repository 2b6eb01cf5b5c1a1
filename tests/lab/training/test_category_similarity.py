"""Paper 2: its losses against slow statements of themselves, its paths, and that it learns."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_metric_learning")

from pydantic import ValidationError  # noqa: E402

from tests.lab.training.garment_toys import SIDE, ToyJudge, toy_garments, toy_trunk, train  # noqa: E402
from worker.lab.training.config import RunConfig, read_config  # noqa: E402
from worker.lab.training.recipes.category_similarity import (  # noqa: E402
    CategorySimilarity,
    CategorySimilarityConfig,
    CategorySimilarityNet,
    TripletLoss,
)

pytestmark = pytest.mark.lab
CONFIGS = Path(__file__).parents[3] / "worker" / "lab" / "training" / "configs"


def config(**changes: Any) -> CategorySimilarityConfig:
    content = {
        "kind": "category-similarity",
        "data": ".",
        "side": SIDE,
        "crop_side": SIDE,
        "dimension": 16,
        "relaxed": 8,
        "mild": 1.0,
    }
    return CategorySimilarityConfig(**{**content, **changes})


def recipe(**changes: Any) -> CategorySimilarity:
    garments = toy_garments()
    return CategorySimilarity(config(**changes), RunConfig(batch=16), garments, ToyJudge(garments.crops), toy_trunk())


def slow_triplet_loss(vectors: Any, labels: Any, margin: float) -> tuple[float, int]:
    """Equation 1's second term, triplet by triplet."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    terms = []
    for a, p, n in product(range(len(unit)), repeat=3):
        if a != p and labels[a] == labels[p] and labels[a] != labels[n]:
            near, far = ((unit[a] - unit[p]) ** 2).sum(), ((unit[a] - unit[n]) ** 2).sum()
            terms.append(max(0.0, margin + near - far))
    return (float(np.mean(terms)) if terms else 0.0), len(terms)


@pytest.mark.parametrize("seed", range(4))
def test_the_triplet_loss_is_the_mean_of_every_triplet_of_the_batch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, labels = rng.normal(size=(9, 5)), rng.integers(0, 3, 9)
    wanted, count = slow_triplet_loss(vectors, labels, 0.3)
    assert count > 0
    found = TripletLoss(0.3, "all")(torch.tensor(vectors), torch.tensor(labels))
    assert float(found) == pytest.approx(wanted, rel=1e-5)


def test_a_batch_without_triplets_costs_nothing_and_can_be_learned_from() -> None:
    vectors = torch.randn(4, 3, requires_grad=True)
    loss = TripletLoss(0.3, "all")(vectors, torch.arange(4))
    loss.backward()
    assert float(loss.detach()) == 0
    assert vectors.grad is not None
    assert float(vectors.grad.abs().sum()) == 0


@pytest.mark.parametrize("kind", ["hard", "semihard"])
def test_mined_triplets_are_those_their_name_says(kind: str) -> None:
    rng = np.random.default_rng(1)
    vectors, labels = torch.tensor(rng.normal(size=(12, 4))), torch.tensor(rng.integers(0, 3, 12))
    loss = TripletLoss(0.3, kind)
    miner: Any = loss._miner
    anchors, positives, negatives = miner(vectors, labels)
    unit = torch.nn.functional.normalize(vectors)
    gaps = ((unit[anchors] - unit[negatives]) ** 2).sum(1) - ((unit[anchors] - unit[positives]) ** 2).sum(1)
    assert len(gaps) > 0
    assert bool((labels[anchors] == labels[positives]).all())
    assert bool((labels[anchors] != labels[negatives]).all())
    assert bool((gaps <= 0).all()) if kind == "hard" else bool(((gaps > 0) & (gaps <= 0.3)).all())


@pytest.mark.parametrize(("losses", "which"), [("OC+OS", "category"), ("OC+IS", "instance")])
def test_positives_share_the_category_under_os_and_the_garment_under_is(losses: str, which: str) -> None:
    trained = recipe(losses=losses, dropout=0.0)
    batch = trained.load(trained.plan(0)[0])
    clean, seen, numbers, categories = batch
    trained.begin(0)
    with torch.no_grad():
        _, figures = trained.loss(batch)
    labels = torch.cat([categories if which == "category" else numbers] * 2).tolist()
    with torch.no_grad():
        vectors = trained.model().both(torch.cat([clean, seen]))[0].numpy()  # in train mode: by the batch's own statistics
    wanted, count = slow_triplet_loss(vectors, labels, 0.3)
    assert count > 0
    assert figures["similarity"] == pytest.approx(wanted, rel=1e-3)


def test_oc_is_the_classification_alone_and_the_sum_has_its_weights() -> None:
    torch.manual_seed(0)
    batch = recipe().load(recipe().plan(0)[0])
    found = {}
    for losses in ("OC", "OC+IS"):
        trained = recipe(losses=losses, alpha=0.7, beta=0.2, dropout=0.0)
        trained.begin(0)
        loss, figures = trained.loss(batch)
        found[losses] = (float(loss), figures)
    assert "similarity" not in found["OC"][1]
    assert found["OC"][0] == pytest.approx(0.7 * found["OC"][1]["classification"], rel=1e-5)
    total, figures = found["OC+IS"]
    assert total == pytest.approx(0.7 * figures["classification"] + 0.2 * figures["similarity"], rel=1e-5)


def test_the_relaxation_module_stands_in_the_classification_path_only() -> None:
    net = CategorySimilarityNet(toy_trunk(), 16, 8, 3, 0.5)
    kinds = [type(layer).__name__ for layer in net.relaxation.layers]
    assert kinds == ["Conv2d", "ReLU", "Dropout", "Conv2d"]
    rgb = torch.randint(0, 256, (4, SIDE, SIDE, 3), dtype=torch.uint8)
    vectors, logits = net.both(rgb)
    assert vectors.shape == (4, 16)
    assert logits.shape == (4, 3)
    vectors.sum().backward(retain_graph=True)
    assert all(weight.grad is None for weight in net.relaxation.parameters())
    assert net.last.weight.grad is not None
    logits.sum().backward()
    assert all(weight.grad is not None for weight in net.relaxation.parameters())


def test_what_is_searched_are_unit_vectors_and_the_same_in_both_paths() -> None:
    net = CategorySimilarityNet(toy_trunk(), 16, 8, 3, 0.5).eval()
    rgb = torch.randint(0, 256, (4, SIDE, SIDE, 3), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.allclose(net(rgb), net.both(rgb)[0])
        assert torch.allclose(net(rgb).norm(dim=1), torch.ones(4), atol=1e-5)


def test_it_learns_to_find_garments() -> None:
    trained = recipe(losses="OC+IS", beta=1.0, dropout=0.0)
    before = trained.model().eval() and trained.evaluate()
    losses = train(trained, 12)
    after = trained.evaluate()
    assert losses[-1] < 0.7 * losses[0]
    assert after["phone"] > before["phone"]
    assert after["phone"] >= 0.2  # of 24 garments: chance is 0.04


def test_the_export_gives_the_vectors_that_were_judged() -> None:
    trained = recipe()
    trained.model().eval()
    made = trained.export()
    [rgb] = made.inputs.values()
    with torch.no_grad():
        assert torch.equal(made.module(rgb), trained.model()(rgb))
    assert made.output.dimension == 16
    assert (made.input.height, made.input.width, made.input.layout, made.input.dtype) == (SIDE, SIDE, "nhwc", "uint8")
    assert not any("relaxation" in name for name, _ in made.module.named_parameters())


def test_alpha_zero_is_refused_because_it_would_learn_nothing() -> None:
    with pytest.raises(ValidationError, match="alpha"):
        config(alpha=0)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("category-similarity*.toml")), ids=lambda path: path.stem)
def test_the_papers_schedule_is_the_default_of_its_configurations(path: Path) -> None:
    whole = read_config(path)
    wanted = CategorySimilarityConfig.model_validate(whole.recipe)
    run = whole.run
    assert (run.optimizer.name, run.optimizer.lr) == ("adam", 1e-4)
    assert (run.schedule.name, run.schedule.milestones, run.schedule.factor) == ("step", (100, 150), 0.1)
    assert run.epochs > 150
    assert (wanted.beta, wanted.margin) == (0.1, 0.3)


def test_every_backbone_and_loss_of_the_paper_has_a_configuration() -> None:
    recipes = [read_config(path).recipe for path in CONFIGS.glob("category-similarity*.toml")]
    assert {row["backbone"] for row in recipes} >= {
        "densenet121",
        "resnet50",
        "se-resnet50",
        "se-resnext50",
        "efficientnet-lite0",
    }
    assert {row.get("losses", "OC+IS") for row in recipes} == {"OC", "OC+OS", "OC+IS"}
