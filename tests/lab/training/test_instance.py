"""The recipe of our embedder, on a small network of random weights and a handful of drawn garments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import timm  # noqa: E402

from tests.infra.photos import datasets  # noqa: E402
from tests.lab.training.leakage import Origin, assert_follows_the_rule, assert_held_apart  # noqa: E402
from worker.errors import ConfigurationError  # noqa: E402
from worker.lab.photo_sets import PhotoSet  # noqa: E402
from worker.lab.training.articles import group  # noqa: E402
from worker.lab.training.checkpoint import BEST, PROVENANCE, save  # noqa: E402
from worker.lab.training.config import RunConfig, read_config  # noqa: E402
from worker.lab.training.crop_photos import CropPhoto, listed  # noqa: E402
from worker.lab.training.crops import SOURCES, Crops  # noqa: E402
from worker.lab.training.recipes import instance  # noqa: E402
from worker.lab.training.recipes.instance import Instance, InstanceConfig, build  # noqa: E402
from worker.lab.training.views import HARD, MILD, WILD, Strength, as_crop, bare  # noqa: E402
from worker.vision.types import ByteArray  # noqa: E402

CONFIGS = Path(__file__).parents[3] / "worker" / "lab" / "training" / "configs"
SIDE, ARTICLES = 64, 12
RUN = RunConfig(seed=3, batch=6)


class NoJudge:
    """Judges nothing."""

    provenance: dict[str, int] = {}  # noqa: RUF012

    def figures(self, embedder: object, side: int) -> dict[str, float]:
        del embedder, side
        return {"score": 0.5}


def drawn_crops() -> Crops:
    rng = np.random.default_rng(0)
    photos, rgb = [], np.full((ARTICLES + 4, 288, 288, 3), 255, np.uint8)
    mask = np.zeros(rgb.shape[:3], np.uint8)
    for row in range(ARTICLES + 4):
        mask[row, 40:250, 60:230] = 255
        rgb[row, 40:250, 60:230] = rng.integers(0, 255, 3)
    for number in range(4):
        for view, row in (("main", number), ("back", ARTICLES + number)):
            style = f"mh{number // 2:02d}"
            photos.append(
                (row, CropPhoto("luma", f"{style}-c{number}_{view}", "Hoodie", "development", f"{style}-c{number}", style, view))
            )
    photos += [(row, CropPhoto("clothing", f"p{row}", "Dress", "development", sender=row)) for row in range(4, ARTICLES)]
    ordered = [photo for _, photo in sorted(photos)]
    return Crops(rgb, mask, tuple(ordered), "digest")


@pytest.fixture
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def small(name: str, weights: Path) -> Any:
        del name, weights
        torch.manual_seed(0)
        net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        net.classifier = torch.nn.Identity()
        return net.eval()

    monkeypatch.setattr(instance, "lite", small)
    monkeypatch.setattr(instance, "published_weights", lambda name, settings: Path())


WANTED = InstanceConfig(
    kind="instance", data=Path(), side=SIDE, export_side=SIDE, learned=16, colours=8, steps=3, recoloured=0.5, together=3
)


def made(wanted: InstanceConfig = WANTED, members: Sequence[Path] = ()) -> Instance:
    return Instance(wanted, RUN, group(drawn_crops()), NoJudge(), members=members)  # type: ignore[arg-type]


@pytest.fixture
def recipe(small_networks: None) -> Instance:
    del small_networks
    return made()


def ended(folder: Path, recipe: Instance, epochs: int, wanted: InstanceConfig = WANTED) -> Path:
    """A folder as a run of `recipe` leaves it."""
    folder.mkdir()
    content = {"config": {"run": {}, "recipe": wanted.model_dump(mode="json")}}
    (folder / PROVENANCE).write_text(json.dumps(content), encoding="utf-8")
    save(folder / BEST, {"model": recipe.model().state_dict(), "progress": {"epoch": epochs, "step": 3 * epochs}})
    return folder


def test_where_every_query_is_bare_none_is_the_photo_itself(recipe: Instance) -> None:
    as_they_are = recipe._wanted.model_copy(update={"plain": 1.0, "real_views": 0.0})
    rng = np.random.default_rng
    recipe._wanted = as_they_are
    shown, _ = recipe._view_of(0, rng(0))
    recipe._wanted = as_they_are.model_copy(update={"bare": 1.0})
    plain, mask = recipe._view_of(0, rng(0))
    photo = recipe._articles.rgb[recipe._articles.articles[0].photos[0]]
    cover = recipe._articles.mask[recipe._articles.articles[0].photos[0]]
    wanted, mirrored = as_crop(bare(photo, cover), np.ascontiguousarray(cover[:, ::-1]), SIDE)
    assert not np.array_equal(plain, shown)
    np.testing.assert_array_equal(plain, wanted)
    np.testing.assert_array_equal(mask, mirrored)


def test_mild_wild_and_hard_views_come_in_the_shares_that_are_asked_for(
    recipe: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Strength] = []

    def noted(rgb: ByteArray, mask: ByteArray, ground: ByteArray, rng: Any, side: int, strength: Strength) -> Any:
        del ground, rng
        seen.append(strength)
        return as_crop(rgb, mask, side)

    monkeypatch.setattr(instance, "view", noted)
    recipe._wanted = recipe._wanted.model_copy(update={"plain": 0.0, "mild": 0.3, "hard": 0.5})
    rng = np.random.default_rng(0)
    for number in range(600):
        recipe._view_of(number % ARTICLES, rng)
    shares = [seen.count(strength) / len(seen) for strength in (MILD, HARD, WILD)]
    assert shares == pytest.approx([0.3, 0.5, 0.2], abs=0.07)


@pytest.mark.parametrize("name", ["instance.toml", "instance-laid.toml", "instance-hard.toml", "instance-joined.toml"])
def test_the_shipped_configurations_are_valid_and_make_one_network(name: str) -> None:
    config = InstanceConfig.model_validate(read_config(CONFIGS / name).recipe)
    assert (config.backbone, config.export_side, config.learned + config.colours) == ("efficientnet-lite0", 192, 512)


def test_a_plan_is_the_same_for_the_same_epoch_and_names_no_article_twice_in_a_batch(recipe: Instance) -> None:
    assert recipe.plan(1) == recipe.plan(1)
    assert recipe.plan(1) != recipe.plan(2)
    for job in recipe.plan(1):
        assert len(set(job.articles)) == len(job.articles) == RUN.batch


def test_colourways_and_recoloured_copies_come_together(recipe: Instance) -> None:
    net: Any = recipe.model()
    assert len(net.memory) == ARTICLES + 6
    together = [set(job.articles) for epoch in range(30) for job in recipe.plan(epoch)]
    copies = {at for job in together for at in job if at >= ARTICLES}
    assert copies == set(range(ARTICLES, ARTICLES + 6))
    siblings = sum({8, 9} <= job or {10, 11} <= job for job in together)  # luma sorts behind clothing
    assert siblings > len(together) / 4


def test_a_batch_is_the_same_every_time_it_is_loaded(recipe: Instance) -> None:
    job = recipe.plan(0)[0]
    first, again = recipe.load(job), recipe.load(job)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert tuple(first[0].shape) == (RUN.batch, SIDE, SIDE, 3)
    assert first[0].dtype == torch.uint8


def test_the_memory_begins_with_every_articles_own_vector_and_follows_what_is_seen(recipe: Instance) -> None:
    recipe.begin(0)
    net: Any = recipe.model()
    assert torch.allclose(net.memory.norm(dim=1), torch.ones(len(net.memory)), atol=2e-2)
    before = net.memory.clone()
    batch = recipe.load(recipe.plan(0)[0])
    recipe.loss(batch)
    changed = (net.memory != before).any(dim=1).nonzero().flatten().tolist()
    assert sorted(changed) == sorted(batch[2].tolist())


def test_the_loss_is_infonce_against_memory_and_batch(recipe: Instance) -> None:
    recipe.begin(0)
    net: Any = recipe.model()
    net.eval()
    rgb, mask, numbers = recipe.load(recipe.plan(0)[0])
    memory = net.memory.clone()
    with torch.no_grad():
        seen = net.embedder(rgb, mask)
        loss, figures = recipe.loss((rgb, mask, numbers))
    slow = 0.0
    for at, own in enumerate(numbers.tolist()):
        against = [float(seen[at] @ row) / 0.06 for row in memory]
        against += [float(seen[at] @ seen[other]) / 0.06 for other in range(len(seen)) if other != at]
        slow += float(np.log(np.exp(np.array(against) - against[own]).sum())) / len(numbers)
    assert float(loss) == pytest.approx(slow, rel=1e-3)
    assert 0 <= figures["right"] <= 1


def test_learning_tells_the_drawn_garments_apart(recipe: Instance) -> None:
    recipe.begin(0)
    net: Any = recipe.model()
    optimizer = torch.optim.Adam(recipe.parameters(1e-3), lr=1e-3)
    losses = []
    for epoch in range(5):
        for job in recipe.plan(epoch):
            loss, _ = recipe.loss(recipe.load(job))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss))
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    frozen = list(net.embedder.net.blocks[:4].parameters())
    assert all(each.grad is None for each in frozen)


def test_what_is_exported_gives_unit_vectors_of_the_stated_length(recipe: Instance) -> None:
    made = recipe.export()
    with torch.no_grad():
        vectors = made.module(*made.inputs.values())
    assert vectors.shape == (2, made.output.dimension)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-5)
    assert "CC0" in made.notice


def test_members_are_joined_with_their_trained_weights_and_what_they_were_is_told(tmp_path: Path, recipe: Instance) -> None:
    optimizer = torch.optim.Adam(recipe.parameters(1e-3), lr=1e-3)
    first = ended(tmp_path / "first", recipe, 2)
    recipe.begin(0)
    loss, _ = recipe.loss(recipe.load(recipe.plan(0)[0]))
    loss.backward()
    optimizer.step()
    second = ended(tmp_path / "second", recipe, 5)
    joined = made(WANTED.model_copy(update={"learned": 24, "colours": 10}), [first, second])
    net: Any = joined.model()
    assert net.embedder.shared
    for folder, member in zip((first, second), net.embedder.members, strict=True):
        trained = torch.load(folder / BEST, weights_only=True)["model"]
        assert all(torch.equal(trained[f"embedder.{name}"], value) for name, value in member.state_dict().items())
    told = joined.provenance()["members"]
    assert [(each["epochs"], each["steps"]) for each in told] == [(2, 6), (5, 15)]
    assert told[0]["sha256"] != told[1]["sha256"]
    exported = joined.export()
    assert exported.output.dimension == 34
    assert "2 networks, with one frozen part" in exported.recipe
    assert "(2, 5 epochs)" in exported.recipe
    assert f"trained at {SIDE} pixels" in exported.recipe


def test_members_that_are_no_runs_or_of_another_network_are_refused_by_name(tmp_path: Path, recipe: Instance) -> None:
    run = ended(tmp_path / "run", recipe, 1)
    with pytest.raises(ConfigurationError, match=r"nowhere is no folder that `intake lab train` wrote"):
        made(members=[run, tmp_path / "nowhere"])
    larger = WANTED.model_copy(update={"backbone": "efficientnet-lite2"})
    with pytest.raises(ConfigurationError, match=r"recipe\.members: .*larger is of efficientnet-lite2"):
        made(members=[run, ended(tmp_path / "larger", recipe, 1, larger)])
    (tmp_path / "unjudged").mkdir()
    (tmp_path / "unjudged" / PROVENANCE).write_text((run / PROVENANCE).read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"recipe\.members: .*best\.pt is not there"):
        made(members=[run, tmp_path / "unjudged"])
    with pytest.raises(ConfigurationError, match="two runs or more"):
        made(members=[run])


def test_no_style_or_sender_is_learned_from_and_judged_on() -> None:
    folder = datasets()
    with ExitStack() as stack:
        sets = {name: stack.enter_context(closing(PhotoSet(folder / name))) for name in SOURCES}
        photos = [photo for name in SOURCES for photo in listed(sets[name], name)]
    learned = [Origin(*photo.origin) for photo in photos if photo.part == "development"]
    searched_for = [Origin(*photo.origin) for photo in photos if photo.part == "held-out"]
    assert_held_apart(learned, searched_for)
    assert_follows_the_rule(learned, searched_for)


def test_a_data_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"recipe\.data"):
        build({"kind": "instance", "data": "nowhere"}, RUN, tmp_path / "config.toml")
