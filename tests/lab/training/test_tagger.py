"""The tagger's recipe on drawn pictures: what it learns, what it keeps, what comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.lab.tagging.toys import content, make_table

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from worker.cli import app  # noqa: E402
from worker.errors import ConfigurationError  # noqa: E402
from worker.lab.descriptors.backbones import BACKBONES  # noqa: E402
from worker.lab.descriptors.cnn import build as build_backbone  # noqa: E402
from worker.lab.tagging.config import read_tagger_config  # noqa: E402
from worker.lab.training.checkpoint import BEST, load  # noqa: E402
from worker.lab.training.config import RunConfig, TrainConfig, read_config  # noqa: E402
from worker.lab.training.loop import Trainer  # noqa: E402
from worker.lab.training.recipes.tagger import Tagger, build, moved  # noqa: E402
from worker.settings import load_settings  # noqa: E402
from worker.vision.rows import HeadSpec  # noqa: E402

CONFIGS = Path(__file__).parents[3] / "worker" / "lab" / "training" / "configs"
RUN = RunConfig(batch=16, precision="fp32", threads=1, device="cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EfficientNet-Lite0 as it is drawn at random: the shape of the real one, without fetching it."""
    path = tmp_path_factory.mktemp("weights") / "lite0.pth"
    backbone = next(row for row in BACKBONES if row.name == "efficientnet-lite0")
    torch.save(build_backbone(backbone).state_dict(), path)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("INTAKE_VISION__OFFLINE", "1")
    return make_table(tmp_path / "photos", 80)


def recipe_of(folder: Path, weights: Path, run: RunConfig = RUN, **more: Any) -> Tagger:
    part = content(folder, kind="tagger", weights=str(weights), height=64, width=48, **more)
    return build(part, run, folder / "tagger.toml")


def test_maps_of_frozen_stages_are_those_the_network_itself_gives(folder: Path, weights: Path) -> None:
    recipe = recipe_of(folder, weights, frozen_stages=2)
    net = recipe.model().eval()
    logits, numbers = recipe.logits("validation")
    whole = Tagger.logits(recipe_of(folder, weights, frozen_stages=0), "validation")
    assert whole[1].tolist() == numbers.tolist()
    assert not net.lower[0].weight.requires_grad
    # Weights of the heads are drawn by the same seed; maps are kept in half precision.
    np.testing.assert_allclose(logits, whole[0], atol=0.02)


def test_maps_are_computed_once_and_a_killed_computation_goes_on(
    folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker.lab.tagging import maps

    monkeypatch.setattr(maps, "BATCH", 16)
    monkeypatch.setattr(maps, "SAVE_EVERY", 1)
    read: list[int] = []
    pixels = maps.pixels_of

    def counted(data: Any, numbers: Any, spec: Any) -> Any:
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append(len(numbers))
        return pixels(data, numbers, spec)

    monkeypatch.setattr(maps, "pixels_of", counted)
    with pytest.raises(KeyboardInterrupt):
        recipe_of(folder, weights).plan(0)
    rest: list[int] = []

    def counted_again(data: Any, numbers: Any, spec: Any) -> Any:
        rest.append(len(numbers))
        return pixels(data, numbers, spec)

    monkeypatch.setattr(maps, "pixels_of", counted_again)
    again = recipe_of(folder, weights)
    first, _ = again.logits("validation")
    assert (sum(read), sum(rest)) == (32, 48)
    rest.clear()
    second, _ = recipe_of(folder, weights).logits("validation")
    assert rest == []
    np.testing.assert_array_equal(first, second)


def test_maps_are_those_of_the_averaged_network_too(folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from worker.lab.tagging import maps

    first = recipe_of(folder, weights)
    name = next(name for name, weight in first.model().lower.named_parameters() if weight.ndim == 1)
    first.model().lower.get_parameter(name).data[:3] = -0.0
    before, _ = first.logits("validation")
    monkeypatch.setattr(maps, "pixels_of", lambda *_: pytest.fail("computed again"))
    second = recipe_of(folder, weights)
    # What averaging leaves of a frozen weight: the same number, but a zero has lost its sign.
    second.model().load_state_dict({key: value.lerp(value, 0.01) for key, value in first.model().state_dict().items()})
    assert not torch.signbit(second.model().lower.get_parameter(name)[:3]).any()
    np.testing.assert_array_equal(second.logits("validation")[0], before)


def test_an_epoch_has_every_photo_of_the_training_part_at_most_once_and_no_other(folder: Path, weights: Path) -> None:
    recipe = recipe_of(folder, weights)
    seen = [number for job in recipe.plan(0) for number in job.numbers]
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(recipe._data.of_part("train").tolist())
    assert recipe.plan(0) == recipe.plan(0)
    assert recipe.plan(0) != recipe.plan(1)


@pytest.mark.parametrize("frozen", [0, 3])
def test_a_batch_is_the_same_for_the_same_job(folder: Path, weights: Path, frozen: int) -> None:
    recipe = recipe_of(folder, weights, frozen_stages=frozen)
    job = recipe.plan(2)[0]
    one, other = recipe.load(job), recipe.load(job)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert one[1].shape == (16, 2)
    assert one[0].dtype == (torch.uint8 if frozen == 0 else torch.float32)


def test_a_batch_without_variation_is_the_photos_themselves(folder: Path, weights: Path) -> None:
    recipe = recipe_of(folder, weights, frozen_stages=0, mirror=False, turn=0, shift=0, zoom=0)
    job = recipe.plan(0)[0]
    pixels, _ = recipe.load(job)
    from worker.lab.tagging.maps import pixels_of

    wanted = pixels_of(recipe._data, job.numbers, recipe._input)
    np.testing.assert_allclose(pixels.numpy().astype(int), wanted.astype(int), atol=1)


def test_a_shift_moves_a_picture_by_its_share_of_the_side() -> None:
    picture = torch.zeros(1, 1, 10, 10)
    picture[0, 0, 4, 4] = 1
    move = torch.tensor([[[1.0, 0.0, 0.4], [0.0, 1.0, 0.0]]])  # a fifth of the side
    shifted = moved(picture, move, "zeros")
    assert shifted[0, 0, 4, 2] == pytest.approx(1.0, abs=1e-5)


def test_a_photo_without_a_class_of_a_head_teaches_that_head_nothing(folder: Path, weights: Path) -> None:
    recipe = recipe_of(folder, weights, smoothing=0.0)
    recipe.begin(0)
    inputs, labels = recipe.load(recipe.plan(0)[0])
    labels[:, 0] = -1
    recipe.model().zero_grad()
    loss, figures = recipe.loss((inputs, labels))
    loss.backward()
    grad = recipe.model().head.weight.grad
    first = recipe.model().classes[0]
    assert torch.count_nonzero(grad[:first]) == 0
    assert torch.count_nonzero(grad[first:]) > 0
    assert set(figures) == {"right_kind"}


def test_class_weights_lift_rare_classes(folder: Path, weights: Path) -> None:
    recipe = recipe_of(folder, weights, class_weights=True)
    labels = recipe._data.labels[recipe._data.of_part("train"), 1]
    counts = np.bincount(labels[labels >= 0])
    lifted = recipe._class_weights(1).numpy()
    assert lifted.argmax() == counts.argmin()
    assert lifted.mean() == pytest.approx(1, abs=1e-5)
    recipe.begin(0)
    assert torch.isfinite(recipe.loss(recipe.load(recipe.plan(0)[0]))[0])


def test_it_learns_what_it_is_shown_and_its_graph_says_the_same(folder: Path, weights: Path, tmp_path: Path) -> None:
    part = content(folder, kind="tagger", weights=str(weights), height=64, width=48, frozen_stages=1, dropout=0.0, smoothing=0.0)
    run = {
        "epochs": 4,
        "batch": 16,
        "precision": "fp32",
        "threads": 1,
        "device": "cpu",
        "optimizer": {"name": "adamw", "lr": 1e-3},
        "schedule": {"name": "constant"},
    }
    config = TrainConfig.model_validate({"run": run, "recipe": part})
    recipe = build(config.recipe, config.run, folder / "tagger.toml")
    heard: list[tuple[str, dict[str, float]]] = []
    before = recipe.evaluate()
    trainer = Trainer(config, recipe, tmp_path / "run", lambda what, _d, _t, figures: heard.append((what, figures)))
    trainer.run()
    losses = [figures["loss"] for _, figures in heard if "loss" in figures]
    assert np.mean(losses[-3:]) < 0.6 * np.mean(losses[:2])
    held_out = [figures for what, figures in heard if what == "held out"]
    assert len(held_out) == 4
    assert set(before) == {"mean_top1", "top1_whom", "top1_kind"}
    made = recipe.export()
    assert made.task == "tag"
    heads = [HeadSpec.model_validate(head) for head in made.extra["heads"]]
    assert made.output.dimension == sum(len(head.labels) for head in heads)
    assert heads[0].values[0] == "Men"
    assert heads[1].words == {"footwear": ("Shoes",)}
    with torch.no_grad():
        found = made.module(made.inputs["rgb"])
    assert found.shape == (2, made.output.dimension)
    torch.testing.assert_close(found[:, : len(heads[0].labels)].sum(1), torch.ones(2))
    assert recipe.provenance()["parts"]["test"] > 0


def test_frozen_stages_do_not_learn_and_a_resumed_run_can_be_judged(folder: Path, weights: Path, tmp_path: Path) -> None:
    part = content(folder, kind="tagger", weights=str(weights), height=64, width=48, frozen_stages=5)
    run = {"epochs": 1, "batch": 16, "precision": "fp32", "threads": 1, "device": "cpu", "average": 0.9}
    config = TrainConfig.model_validate({"run": run, "recipe": part})
    recipe = build(config.recipe, config.run, folder / "tagger.toml")
    before = {name: value.clone() for name, value in recipe.model().state_dict().items()}
    Trainer(config, recipe, tmp_path / "run", lambda *_: None).run()
    after = recipe.model().state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("lower."))
    assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith("upper."))
    again = build(config.recipe, config.run, folder / "tagger.toml")
    resumed = Trainer(config, again, tmp_path / "run", lambda *_: None)
    assert resumed.progress.epoch == 1
    torch.testing.assert_close(again.logits("test")[0], recipe.logits("test")[0])


@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v2"])
def test_the_head_sits_on_any_backbone_of_the_lab(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backbone = next(row for row in BACKBONES if row.name == name)
    torch.save(build_backbone(backbone).state_dict(), tmp_path / "weights.pth")
    recipe = recipe_of(folder, tmp_path / "weights.pth", backbone=name, frozen_stages=0)
    recipe.begin(0)
    loss, _ = recipe.loss(recipe.load(recipe.plan(0)[0]))
    assert torch.isfinite(loss)
    everything = recipe_of(folder, tmp_path / "weights.pth", backbone=name, frozen_stages=1)
    assert [weights.shape[0] for weights in everything.parameters(1e-3)[1]["params"]] == [sum(everything.model().classes)] * 2
    assert everything.parameters(1e-3)[0]["params"] == []


@pytest.mark.parametrize(
    ("change", "message"), [({"backbone": "nowhere"}, "recipe.backbone"), ({"frozen_stages": 9}, "has 7 stages")]
)
def test_a_network_that_is_not_there_is_named(folder: Path, weights: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        recipe_of(folder, weights, **change)


def test_the_shipped_configuration_is_one_of_this_recipe() -> None:
    wanted = read_tagger_config(CONFIGS / "tagger.toml", ["recipe.data=/somewhere"])
    assert [head.reference for head in wanted.heads] == [0.884, 0.873, 0.966]
    assert wanted.data == Path("/somewhere")
    assert load_settings().vision.tagger is None
    with pytest.raises(ConfigurationError, match="not of a tagger"):
        read_tagger_config(CONFIGS / "siamese.toml")


def test_a_trained_tagger_becomes_a_row_that_can_be_scored(
    folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTAKE_VISION__REGISTRY_DIR", str(tmp_path / "registry"))
    monkeypatch.setenv("INTAKE_VISION__CACHE_DIR", str(tmp_path / "models"))
    heads = "".join(
        f'[[recipe.heads]]\nname = "{name}"\ncolumns = {columns}\nattribute = "{attribute}"\n'
        for name, columns, attribute in (("whom", '["gender"]', "gender"), ("kind", '["kind"]', "category"))
    )
    config = tmp_path / "tagger.toml"
    config.write_text(
        '[run]\nepochs = 1\nbatch = 16\nprecision = "fp32"\nthreads = 1\ndevice = "cpu"\n'
        f'[recipe]\nkind = "tagger"\ndata = "{folder}"\ntable = "styles.csv"\nphotos = "images"\nphoto = "{{id}}.png"\n'
        f'weights = "{weights}"\nmin_images = 5\nfrozen_stages = 5\nheight = 64\nwidth = 48\nlicence = "CC0-1.0"\n{heads}'
    )
    cli = CliRunner()
    run = tmp_path / "run"
    for arguments in (["train", config, "--output", run], ["export", run, "--id", "toy-tagger"]):
        result = cli.invoke(app, ["lab", *(str(argument) for argument in arguments)])
        assert result.exit_code == 0, result.output
    assert "INTAKE_VISION__TAGGER=toy-tagger" in result.output
    result = cli.invoke(
        app,
        [
            "lab",
            "tag",
            "--model",
            "toy-tagger",
            "--score",
            str(config),
            "--part",
            "validation",
            "--json",
            str(tmp_path / "s.json"),
        ],
    )
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "s.json").read_text())
    recipe = build(read_config(config).recipe, RUN, config)
    recipe.model().load_state_dict(load(run / BEST)["model"])
    figures = recipe.evaluate()
    ours = {head["name"]: head["tops"]["1"] for head in found["splits"][0]["heads"]}
    # Maps are kept in half precision, the graph runs in full: a photo on the edge may fall either way.
    assert ours["whom"] == pytest.approx(figures["top1_whom"], abs=0.1)
    assert ours["kind"] == pytest.approx(figures["top1_kind"], abs=0.1)
