"""What the papers' recipes share: batches of garments, trunks by stage, and splits that hold from a data folder to a recipe."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.lab.training.garment_toys import SIDE, ToyNet, toy_garments, toy_trunk  # noqa: E402
from tests.lab.training.leakage import assert_follows_the_rule, assert_held_apart  # noqa: E402
from worker.errors import ConfigurationError  # noqa: E402
from worker.lab.training.crops import load_crops  # noqa: E402
from worker.lab.training.garments import GarmentPart, Pairs, data_folder, garments_of, provenance_of, rows_by_label  # noqa: E402
from worker.lab.training.nets.trunk import TRUNKS, Trunk, load_trunk, stages  # noqa: E402

pytestmark = pytest.mark.lab


def part(**changes: Any) -> GarmentPart:
    return GarmentPart(**{"data": Path(), "side": SIDE, "crop_side": SIDE, **changes})


def test_an_epoch_has_every_garment_once_and_colourways_side_by_side() -> None:
    garments = toy_garments()
    jobs = Pairs(garments, part(together=2), 0).plan(0, 8)
    assert [len(job.garments) for job in jobs] == [8, 8, 8]
    assert Counter(garment for job in jobs for garment in job.garments) == Counter(range(len(garments)))
    styles = [[garments.articles.articles[garment].style for garment in job.garments] for job in jobs]
    assert all(own[at] == own[at + 1] for own in styles for at in range(0, 8, 2))


def test_steps_says_how_many_batches_an_epoch_has_be_it_more_or_fewer() -> None:
    for steps in (1, 7):
        jobs = Pairs(toy_garments(), part(steps=steps), 0).plan(0, 8)
        assert len(jobs) == steps
        assert [job.number for job in jobs] == list(range(steps))


def test_the_same_epoch_is_the_same_and_another_is_another() -> None:
    pairs = Pairs(toy_garments(), part(), 0)
    assert pairs.plan(1, 8) == pairs.plan(1, 8) != pairs.plan(2, 8)
    one, again = pairs.load(pairs.plan(1, 8)[0]), pairs.load(pairs.plan(1, 8)[0])
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    other = Pairs(toy_garments(), part(), 1)
    assert other.plan(1, 8) != pairs.plan(1, 8)


def test_a_batch_is_the_catalogue_view_and_a_view_of_the_same_garment() -> None:
    garments = toy_garments()
    pairs = Pairs(garments, part(), 0)
    job = pairs.plan(0, 6)[0]
    clean, seen, numbers, labels = pairs.load(job)
    assert clean.shape == seen.shape == (6, SIDE, SIDE, 3)
    assert clean.dtype == seen.dtype == torch.uint8
    assert tuple(numbers.tolist()) == job.garments
    assert [garments.labels[number] for number in job.garments] == labels.tolist()
    for at, number in enumerate(job.garments):
        main = garments.articles.articles[number].photos[0]
        assert garments.crops.photos[main].view == "main"
        assert (clean[at].numpy() == garments.crops.rgb[main]).all()
    assert not torch.equal(clean, seen)


def test_every_category_has_its_share_of_what_is_drawn() -> None:
    garments = toy_garments()
    rows = rows_by_label(garments, 9, 0)
    assert Counter(garments.labels[row] for row in rows) == {0: 3, 1: 3, 2: 3}
    assert rows == rows_by_label(garments, 9, 0)
    assert list(rows_by_label(garments, 999, 0)) == list(range(len(garments)))


def test_provenance_names_data_split_and_first_weights() -> None:
    found = provenance_of(toy_garments(), {"phone": 3}, "random")
    assert found["categories"] == ["Dress", "Hat", "Pants"]
    assert found["first_weights"] == "random"
    assert found["held_out"] == {"phone": 3}
    assert "12 styles" in found["split"]


def test_recipes_learn_from_the_development_part_alone(tmp_path: Path) -> None:
    from tests.lab.training.test_crops import write_data

    data = write_data(tmp_path)
    crops = {
        name: load_crops(data, 48, name, segmenter="none", folder=tmp_path / "cache") for name in ("development", "held-out")
    }
    garments = garments_of(crops["development"])
    learned = [garments.crops.photos[row].origin for article in garments.articles.articles for row in article.photos]
    judged = [photo.origin for photo in crops["held-out"].photos]
    assert_held_apart(learned, judged)
    assert_follows_the_rule(learned, judged)


def test_a_missing_data_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"recipe\.data"):
        data_folder(part(data=Path("nowhere")), tmp_path / "run.toml")
    (tmp_path / "here").mkdir()
    assert data_folder(part(data=Path("here")), tmp_path / "run.toml") == tmp_path / "here"


@pytest.mark.parametrize("name", sorted(TRUNKS))
def test_the_stages_of_every_backbone_give_the_librarys_own_maps(name: str) -> None:
    from worker.lab.descriptors.cnn import build

    net = build(TRUNKS[name]).eval()
    trunk = load_trunk(name, first="random").eval()  # type: ignore[arg-type]
    rgb = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    x = (rgb.permute(0, 3, 1, 2).float() - trunk.mean) / trunk.std
    with torch.no_grad():
        found = trunk(rgb)
        if hasattr(net, "forward_features"):
            wanted = net.forward_features(x)
        elif hasattr(net, "features"):
            wanted = torch.relu(net.features(x))
        else:
            wanted = torch.nn.Sequential(*list(net.children())[:-2])(x)
    assert found.shape[1] == trunk.channels
    assert torch.allclose(found, wanted, atol=1e-5)


def test_frozen_stages_and_norms_stay_as_they_were() -> None:
    trunk = toy_trunk(2, frozen_norms=False).train()
    norms = [module for module in trunk.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert [norm.training for norm in norms] == [False, False, True, True, True]
    assert {id(weight) for weight in trunk.learning()} == {id(weight) for weight in trunk.parameters() if weight.requires_grad}
    trunk(torch.randint(0, 256, (2, SIDE, SIDE, 3), dtype=torch.uint8)).sum().backward()
    got = [any(weight.grad is not None for weight in stage.parameters()) for stage in trunk.stages]
    assert got == [False, False, True, True, True]
    frozen = toy_trunk(-1).train()
    assert not frozen.learns
    assert list(frozen.learning()) == []
    assert not toy_trunk(0, frozen_norms=True).train().stages[4][1].training


def test_a_network_without_weights_is_no_silent_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    import worker.lab.training.nets.trunk as module

    monkeypatch.setattr(module, "weighted", lambda *_: (ToyNet(), "random, seed 0: URLError"))
    with pytest.raises(ConfigurationError, match=r"no ImageNet weights here \(URLError\)"):
        load_trunk("resnet50")
    assert isinstance(load_trunk("resnet18", first="random"), Trunk)
    with pytest.raises(ConfigurationError, match="stages"):
        stages(torch.nn.Linear(1, 1))


def test_bytes_are_normalised_as_imagenet_networks_expect() -> None:
    seen: list[Any] = []
    trunk = toy_trunk()
    trunk.stages[0].register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    rgb = torch.tensor([[[[0, 128, 255]]]], dtype=torch.uint8).repeat(1, 32, 32, 1)
    trunk.eval()(rgb)
    wanted = (np.array([0, 128, 255]) / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    assert np.allclose(seen[0][0, :, 0, 0].numpy(), wanted, atol=1e-5)
