"""Paper 4: the head's loss against a slow statement of itself, a toy relation it learns, and the vector it yields."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.lab.training.garment_toys import SIDE, ToyJudge, toy_garments, toy_trunk, train  # noqa: E402
from worker.errors import ConfigurationError  # noqa: E402
from worker.lab.training.config import RunConfig, read_config  # noqa: E402
from worker.lab.training.recipes.siamese import (  # noqa: E402
    Siamese,
    SiameseConfig,
    SiameseHead,
    l1_vectors,
    pair_loss,
    scorer,
)

pytestmark = pytest.mark.lab
CONFIGS = Path(__file__).parents[3] / "worker" / "lab" / "training" / "configs"


def recipe(frozen_stages: int = -1, **changes: Any) -> Siamese:
    garments = toy_garments()
    wanted = SiameseConfig(**{"kind": "siamese", "data": Path(), "side": SIDE, "crop_side": SIDE, "mild": 1.0, **changes})
    trunk = toy_trunk(frozen_stages, frozen_norms=frozen_stages < 0)
    return Siamese(wanted, RunConfig(batch=16), garments, ToyJudge(garments.crops), trunk)


@pytest.mark.parametrize(("hidden", "negatives"), [(0, 1), (0, 3), (5, 2), (0, 99)])
def test_the_loss_is_the_binary_cross_entropy_of_every_pair(hidden: int, negatives: int) -> None:
    torch.manual_seed(0)
    head = SiameseHead(4, hidden)
    one, other = torch.randn(5, 4), torch.randn(5, 4)
    loss, right, wrong = pair_loss(head, one, other, negatives)

    def probability(i: int, j: int) -> float:
        return 1 / (1 + math.exp(-float(head((one[i])[None], (other[j])[None]).detach())))

    rights = [-math.log(probability(i, i)) for i in range(5)]
    wrongs = [-math.log(1 - probability(i, (i + k) % 5)) for k in range(1, min(negatives, 4) + 1) for i in range(5)]
    assert float(loss.detach()) == pytest.approx(np.mean(rights) / 2 + np.mean(wrongs) / 2, rel=1e-4)
    assert len(right) == 5
    assert len(wrong) == len(wrongs)


@pytest.mark.parametrize("hidden", [0, 8])
def test_a_pair_scores_the_same_both_ways_round(hidden: int) -> None:
    head = SiameseHead(6, hidden)
    a, b = torch.randn(7, 6), torch.randn(7, 6)
    assert torch.equal(head(a, b), head(b, a))


def test_it_learns_which_features_tell_garments_apart() -> None:
    """Half of the features are a garment's own, half are noise of the photo."""
    generator = torch.Generator().manual_seed(0)

    def photos(own: Any) -> Any:
        return torch.cat(
            [own + 0.05 * torch.randn(own.shape, generator=generator), torch.randn(own.shape, generator=generator)], dim=1
        )

    head = SiameseHead(16)
    optimizer = torch.optim.Adam(head.parameters(), 0.05)
    for _ in range(150):
        own = torch.randn(32, 8, generator=generator)
        loss, _, _ = pair_loss(head, photos(own), photos(own), 3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    own = torch.randn(200, 8, generator=generator)
    with torch.no_grad():
        _, right, wrong = pair_loss(head, photos(own), photos(own), 3)
    assert float((right > 0).float().mean()) > 0.95
    assert float((wrong < 0).float().mean()) > 0.95
    weights = head.weights().detach()
    assert float(weights[:8].min()) > 2 * float(weights[8:].max())


def test_the_vector_of_one_layer_ranks_by_l1_as_the_head_does() -> None:
    rng = np.random.default_rng(0)
    head = SiameseHead(10)
    with torch.no_grad():
        head.layers.weight.copy_(-torch.rand(1, 10))
    queries, catalogue = rng.normal(size=(4, 10)).astype(np.float32), rng.normal(size=(9, 10)).astype(np.float32)
    scores = scorer(head)(queries, catalogue)
    assert scores.shape == (4, 9)
    assert ((scores > 0) & (scores < 1)).all()
    a, b = l1_vectors(head, queries), l1_vectors(head, catalogue)
    distances = np.abs(a[:, None] - b[None]).sum(axis=2)
    assert (np.argsort(distances, axis=1) == np.argsort(-scores, axis=1)).all()


def test_a_hidden_layer_scores_pairs_and_yields_no_vector() -> None:
    with pytest.raises(ConfigurationError, match="no vector"):
        l1_vectors(SiameseHead(4, 3), np.zeros((1, 4), np.float32))
    with pytest.raises(ConfigurationError, match=r"recipe\.hidden = 0"):
        recipe(hidden=4).export()
    assert not any(name.startswith("vector_") for name in _judged(recipe(hidden=4)))


def test_the_pretrained_network_stays_as_it_was_and_the_head_learns() -> None:
    trained = recipe()
    before = {name: value.clone() for name, value in trained.model().state_dict().items()}
    losses = train(trained, 8, lr=0.05)
    after = trained.model().state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {"head.layers.weight", "head.layers.bias"}
    assert losses[-1] < losses[0]


def test_stages_can_be_unfrozen() -> None:
    trained = recipe(frozen_stages=3)
    before = {name: value.clone() for name, value in trained.model().state_dict().items()}
    train(trained, 1)
    changed = {name for name, value in trained.model().state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.startswith("trunk.stages.4.") for name in changed)
    assert not any(name.startswith("trunk.stages.0.") for name in changed)


def test_pairs_are_judged_by_the_head_and_the_vector_beside_it() -> None:
    figures = _judged(recipe())
    assert {"score", "phone", "found", "vector_score", "vector_phone"} <= set(figures)
    assert all(0 <= value <= 1 for name, value in figures.items() if not name.endswith("limit"))


def test_the_export_is_a_unit_vector_of_the_weighted_features() -> None:
    trained = recipe()
    trained.model().eval()
    made = trained.export()
    [rgb] = made.inputs.values()
    with torch.no_grad():
        found = made.module(rgb)
        wanted = trained.model()(rgb) * trained.model().head.weights().sqrt()
    assert torch.allclose(found, wanted / wanted.norm(dim=1, keepdim=True), atol=1e-6)
    assert made.output.dimension == found.shape[1] == 16


def test_the_configuration_is_the_papers_network_frozen() -> None:
    wanted = SiameseConfig.model_validate(read_config(CONFIGS / "siamese.toml").recipe)
    assert (wanted.backbone, wanted.frozen_stages, wanted.hidden) == ("resnet50", -1, 0)


def _judged(trained: Siamese) -> dict[str, float]:
    trained.model().eval()
    return trained.evaluate()
