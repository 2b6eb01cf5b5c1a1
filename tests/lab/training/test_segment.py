"""The segmentation recipe: batches that can be repeated, a loss that falls, figures, and an export the worker runs."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from tests.lab.training.leakage import Origin, assert_held_apart  # noqa: E402
from worker.errors import ConfigurationError, ModelError  # noqa: E402
from worker.lab.training.config import RunConfig, TrainConfig, read_config  # noqa: E402
from worker.lab.training.loop import Trainer  # noqa: E402
from worker.lab.training.nets.light_segmenter import LightSegmenter  # noqa: E402
from worker.lab.training.nets.tiramisu import VARIANTS, tiramisu  # noqa: E402
from worker.lab.training.recipes import segment  # noqa: E402
from worker.lab.training.recipes.segment import SegmentRecipe, normalised  # noqa: E402
from worker.lab.training.segmentation_augment import Frame, edges, framed, lit, make_ground, on_ground  # noqa: E402
from worker.lab.training.segmentation_data import Sample, Source, flat_label  # noqa: E402
from worker.lab.training.segmentation_labels import GARMENT, IGNORE  # noqa: E402
from worker.lab.training.segmentation_loss import SegmentationLoss, Weights  # noqa: E402
from worker.lab.training.segmentation_sets import Photos, SegmentConfig, choose  # noqa: E402
from worker.vision.garment_classes import (  # noqa: E402
    BACKGROUND,
    CLASSES,
    FOOTWEAR,
    GARMENTS,
    LOWER,
    PERSON,
    UPPER,
)

pytestmark = pytest.mark.lab
CONFIGS = Path(__file__).parents[3] / "worker" / "lab" / "training" / "configs"
SMALL = {
    "kind": "segment",
    "data": Path(),
    "height": 64,
    "width": 64,
    "window": (64, 64),
    "batches": 3,
    "grounds": 2,
    "freeze": 0,
}


def person(number: int) -> Sample:
    rng = np.random.default_rng(number)
    label = np.zeros((90, 70), np.uint8)
    left = int(rng.integers(15, 30))
    label[8:20, left : left + 20], label[20:50, left : left + 20], label[50:80, left : left + 20] = PERSON, UPPER, LOWER
    colours = np.zeros((len(CLASSES), 3), np.uint8)
    colours[[BACKGROUND, PERSON, UPPER, LOWER]] = (90, 90, 90), (230, 180, 150), (200, 30, 30), (30, 30, 200)
    return Sample(f"{number}", "street", colours[label], label, np.where(label > PERSON, 255, 0).astype(np.uint8))


def shoe(number: int) -> Sample:
    alpha = np.zeros((70, 90), np.uint8)
    cv2.ellipse(alpha, (45, 35), (28, 14 + number % 6), 0, 0, 360, 255, -1)
    rgb = np.where(alpha[..., None] > 0, (40, 160, 60), (200, 190, 180)).astype(np.uint8)
    return Sample(f"{number}", "flat", rgb, flat_label(alpha, FOOTWEAR), alpha)


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> SegmentRecipe:
    return made(monkeypatch)


def made(
    monkeypatch: pytest.MonkeyPatch, run: RunConfig | None = None, first: Path | None = None, **changes: Any
) -> SegmentRecipe:
    monkeypatch.setattr(segment, "make_network", tiny)
    config = SegmentConfig.model_validate({**SMALL, **changes})
    learned = [person(number) for number in range(4)] + [shoe(number) for number in range(3)]
    chosen = {"development": [Source(s.name, s.kind) for s in learned], "held-out": [Source("9", "street")]}
    shop = [replace(person(number), kind="studio") for number in (5, 6)] if changes.get("studio") else []
    photos = Photos(learned + shop, [person(9), shoe(9)], chosen)
    return SegmentRecipe(config, run or RunConfig(batch=4, epochs=2, seed=1), photos, first)


def tiny(config: SegmentConfig) -> Any:
    return LightSegmenter(len(CLASSES), config.encoder) if config.network == "light" else tiramisu(56, len(CLASSES))


@pytest.mark.parametrize(("encoder", "millions"), [("efficientnet-lite0", 3.1), ("efficientnet-lite2", 4.5)])
def test_the_light_network_gives_logits_at_half_the_photo_s_size(encoder: str, millions: float) -> None:
    net = LightSegmenter(len(CLASSES), encoder).eval()
    with torch.inference_mode():
        assert net(torch.zeros(2, 3, 96, 64)).shape == (2, len(CLASSES), 48, 32)
    assert sum(each.numel() for each in net.parameters()) / 1e6 == pytest.approx(millions, rel=0.1)


@pytest.mark.parametrize(("layers", "millions"), [(56, 1.5), (67, 3.5), (103, 9.4)])
def test_tiramisus_have_the_paper_s_number_of_layers_and_weights(layers: int, millions: float) -> None:
    net = tiramisu(layers, 11)
    convolutions = [module for module in net.modules() if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    assert len(convolutions) == layers
    assert sum(each.numel() for each in net.parameters()) / 1e6 == pytest.approx(millions, rel=0.1)
    assert layers in VARIANTS


def test_a_tiramisu_gives_logits_of_the_photo_s_size() -> None:
    with torch.inference_mode():
        assert tiramisu(56, 5).eval()(torch.zeros(1, 3, 64, 32)).shape == (1, 5, 64, 32)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="efficientnet-lite2"):
        LightSegmenter(len(CLASSES), "efficientnet-lite2", tmp_path / "other.pth")


def test_published_weights_land_in_the_layers_of_the_encoder(tmp_path: Path) -> None:
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    renamed = {
        f"layer{number}.{name.rsplit('.', 1)[-1]}": value for number, (name, value) in enumerate(whole.state_dict().items())
    }
    torch.save(renamed, tmp_path / "weights.pth")
    net = LightSegmenter(len(CLASSES), "efficientnet-lite0", tmp_path / "weights.pth")
    own = net.encoder.state_dict()
    assert all(torch.equal(own[name], value) for name, value in whole.state_dict().items() if name in own)


def test_batches_are_the_same_for_the_same_job_and_labels_stay_labels(recipe: SegmentRecipe) -> None:
    jobs = recipe.plan(0)
    assert len(jobs) == 3
    assert jobs == recipe.plan(0)
    assert jobs != recipe.plan(1)
    rgb, label, alpha, edge = recipe.load(jobs[0])
    assert rgb.shape == (4, 64, 64, 3)
    assert label.shape == alpha.shape == edge.shape == (4, 64, 64)
    assert set(np.unique(label)) <= {*range(len(CLASSES)), IGNORE, GARMENT}
    assert all(torch.equal(a, b) for a, b in zip(recipe.load(jobs[0]), (rgb, label, alpha, edge), strict=True))


def test_studio_photos_have_their_share_of_a_batch_and_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = made(monkeypatch, studio=0.5, street=0.25, rough=1.0, floor=1.0)
    kinds = [kind for _, photos in recipe.plan(0) for kind, _, _ in photos]
    assert [kinds.count(kind) for kind in ("street", "flat", "studio")] == [3, 3, 6]
    rgb, label, *_ = recipe.load(recipe.plan(0)[0])
    assert rgb.shape == (4, 64, 64, 3)
    assert set(np.unique(label)) <= {*range(len(CLASSES)), IGNORE, GARMENT}
    told = recipe.provenance()["studio"]
    assert len(told.pop("sha256")) == 16
    assert told == {"split": "by style", "learned": 2, "labels": "garment-light"}
    assert "2 studio photos" in recipe.export().recipe
    assert "Luma" in recipe.export().notice
    without = made(monkeypatch)
    assert "studio" not in without.provenance()
    assert "Luma" not in without.export().notice


def test_asked_for_studio_photos_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "make_network", tiny)
    config = SegmentConfig.model_validate({**SMALL, "studio": 0.5})
    photos = Photos([person(1), shoe(1)], [person(9), shoe(9)], {"development": [], "held-out": []})
    with pytest.raises(ConfigurationError, match="what else is asked for"):
        SegmentRecipe(config, RunConfig(), photos)


def test_whole_photos_come_in_the_last_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = made(monkeypatch, height=96, whole_from=0.5)
    assert recipe.load(recipe.plan(0)[0])[0].shape == (4, 64, 64, 3)
    assert recipe.load(recipe.plan(1)[0])[0].shape == (4, 96, 64, 3)


def test_training_makes_the_loss_smaller_and_a_run_ends_with_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = TrainConfig.model_validate(
        {
            "run": {
                "batch": 4,
                "epochs": 6,
                "seed": 1,
                "threads": 1,
                "evaluate_every": 6,
                "device": "cpu",
                "optimizer": {"lr": 3e-3},
            },
            "recipe": {**SMALL, "data": "."},
        }
    )
    recipe = made(monkeypatch, config.run)
    losses: list[float] = []
    judged: list[dict[str, float]] = []

    def hear(what: str, done: int, total: int, figures: dict[str, float]) -> None:
        del done, total
        (judged.append(figures) if what == "held out" else losses.append(figures["loss"]))

    tmp_path.mkdir(exist_ok=True)
    Trainer(config, recipe, tmp_path, hear).run()
    assert np.mean(losses[-3:]) < 0.85 * np.mean(losses[:3])
    [figures] = judged
    assert {"miou", "score", "flat_iou", "street_boundary_f", "iou_upper"} <= set(figures)
    assert all(0 <= value <= 1 for value in figures.values())


def test_frozen_stages_do_not_move(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = made(monkeypatch, freeze=2)
    net = recipe.model()
    recipe.begin(0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = torch.optim.SGD(
        [each for group in recipe.parameters(0.1) for each in group["params"] if each.requires_grad], lr=0.1
    )
    loss, _ = recipe.loss(recipe.load(recipe.plan(0)[0]))
    loss.backward()
    optimizer.step()
    moved = {name for name, value in net.state_dict().items() if not torch.equal(before[name], value)}
    assert not [
        name for name in moved if name.startswith(("encoder.conv_stem", "encoder.bn1", "encoder.blocks.0.", "encoder.blocks.1."))
    ]
    assert [name for name in moved if name.startswith("encoder.blocks.4.")]
    assert [name for name in moved if name.startswith("head.")]


def test_the_encoder_learns_slower_than_what_starts_at_random(recipe: SegmentRecipe) -> None:
    first, second = recipe.parameters(1.0)
    assert first["lr"] == pytest.approx(0.3)
    assert second["lr"] == 1.0
    count = sum(each.numel() for group in (first, second) for each in group["params"])
    assert count == sum(each.numel() for each in recipe.model().parameters())


def test_a_perfect_answer_costs_nearly_nothing_and_a_wrong_one_much() -> None:
    label = torch.zeros(2, 32, 32, dtype=torch.uint8)
    label[:, 8:24, 8:24] = UPPER
    alpha = (label == UPPER).to(torch.uint8) * 255
    perfect = 30.0 * torch.nn.functional.one_hot(label.long(), len(CLASSES)).permute(0, 3, 1, 2).float()
    loss = SegmentationLoss(Weights())
    none = torch.zeros_like(label)
    assert float(loss(perfect, label, alpha, none)[0]) < 0.02
    assert float(loss(-perfect, label, alpha, none)[0]) > 5
    # What is ignored costs nothing, whatever is said of it.
    ignored = torch.full_like(label, IGNORE)
    assert float(loss(-perfect, ignored, none, none)[1]["cross_entropy"]) == 0
    # A suit is garment: any garment class will do, background will not.
    suit = torch.full_like(label, GARMENT)
    full = torch.full_like(label, 255)
    right, wrong = torch.zeros(2, len(CLASSES), 32, 32), torch.zeros(2, len(CLASSES), 32, 32)
    right[:, LOWER], wrong[:, BACKGROUND] = 20, 20
    assert loss(right, suit, full, none)[1]["garment"] < 0.01
    assert loss(wrong, suit, full, none)[1]["garment"] > 1


def test_pixels_near_an_outline_count_more() -> None:
    label = torch.zeros(1, 16, 16, dtype=torch.uint8)
    wrong = torch.zeros(1, len(CLASSES), 16, 16)
    wrong[:, UPPER, :, :4] = 5
    edge = torch.zeros_like(label)
    edge[..., :4] = 1
    none = torch.zeros_like(label)
    loss = SegmentationLoss(Weights(dice=0, garment=0))
    assert float(loss(wrong, label, none, edge)[0]) > float(loss(wrong, label, none, none)[0])
    assert edges(np.array([[0, 0, 0, 0, 0, 0, 2, 2]] * 5, np.uint8), 3)[2].tolist() == [0, 0, 0, 0, 0, 1, 1, 0]


def test_photo_label_and_cut_move_together() -> None:
    sample = person(3)
    frame = Frame((64, 64), (64, 64), (0.8, 1.3))
    rgb, label, alpha = framed((sample.rgb, sample.label, sample.alpha), "street", frame, np.random.default_rng(4))
    assert rgb.shape == (64, 64, 3)
    assert set(np.unique(label)) <= {BACKGROUND, PERSON, UPPER, LOWER}
    inner = cv2.erode((label == UPPER).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert inner.any()
    assert np.abs(rgb[inner].astype(int) - (200, 30, 30)).max() < 12
    assert alpha[inner].min() > 200


def test_on_another_ground_only_the_ground_changes() -> None:
    for sample in (person(1), shoe(1)):
        rgb, label, alpha = on_ground(sample, np.full((20, 20, 3), (7, 250, 9), np.uint8))
        assert label is sample.label
        assert alpha is sample.alpha
        shown = cv2.erode((sample.label != BACKGROUND).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        assert np.abs(rgb[shown].astype(int) - sample.rgb[shown]).max() <= 2
        assert (rgb[0, 0] == (7, 250, 9)).all()


def test_grounds_and_light_come_from_their_generator() -> None:
    for seed in range(5):
        one, two = (make_ground(np.random.default_rng(seed), [shoe(1)], (40, 30)) for _ in range(2))
        assert one.shape == (40, 30, 3)
        assert (one == two).all()
    rgb = person(1).rgb
    state = torch.get_rng_state()
    lighted = [lit(rgb, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert torch.equal(state, torch.get_rng_state())
    assert (lighted[0] == lighted[1]).all()
    assert (lighted[0] != lighted[2]).any()


def test_the_export_is_a_row_of_classes_that_the_worker_reads(recipe: SegmentRecipe) -> None:
    exportable = recipe.export()
    assert exportable.output.classes == CLASSES
    assert exportable.output.channels == GARMENTS
    assert exportable.output.activation == "softmax"
    assert exportable.extra["cpu_max_batch"] == 1
    with torch.inference_mode():
        assert exportable.module(exportable.inputs["image"]).shape[1] == len(CLASSES)
    photo = torch.full((1, 8, 8, 3), 127, dtype=torch.uint8)
    assert float(normalised(photo).abs().max()) == 0
    assert exportable.input.mean == (127.0,) * 3


def test_no_held_out_photo_or_sender_is_among_those_chosen_to_learn_from() -> None:
    street = [Source(f"{number:04}", "street") for number in range(200)]
    flat = [Source(f"x{number}", "flat", number % 50, "Hat") for number in range(300)]
    chosen = choose(street, flat, 0, 40)
    names = {
        part: [Origin("photo", s.name) if s.kind == "street" else Origin("sender", str(s.sender)) for s in some]
        for part, some in chosen.items()
    }
    assert_held_apart(names["development"], names["held-out"])
    assert len([s for s in chosen["held-out"] if s.kind == "flat"]) == 40
    assert len([s for s in choose(street, flat, 7, 40)["development"] if s.kind == "flat"]) == 7


@pytest.mark.parametrize(
    "name",
    [
        "segment-light-first.toml",
        "segment-light.toml",
        "segment-light-phone.toml",
        "segment-light-long.toml",
        "segment-tiramisu.toml",
    ],
)
def test_the_shipped_configurations_are_valid(name: str) -> None:
    config = read_config(CONFIGS / name)
    assert SegmentConfig.model_validate(config.recipe).network in ("light", "tiramisu56")


def test_without_photos_the_recipe_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no photos"):
        segment.build({"kind": "segment", "data": "."}, RunConfig(), tmp_path / "config.toml")


def test_a_run_begins_with_the_best_weights_of_an_earlier_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recipe = made(monkeypatch)
    Trainer(TrainConfig(run=recipe.run, recipe={"kind": "segment"}), recipe, tmp_path, lambda *_: None).run()
    best = torch.load(tmp_path / "best.pt", weights_only=True)["model"]
    for first in (tmp_path, tmp_path / "best.pt"):
        later = made(monkeypatch, first=first)
        assert all(torch.equal(value, best[name]) for name, value in later.model().state_dict().items())
        told = later.provenance()["earlier_run"]
        assert told["epochs"] == 2
        assert len(told["sha256"]) == 64
        assert "earlier run of this recipe (2 epochs)" in later.export().recipe
    assert "earlier_run" not in recipe.provenance()


def test_weights_of_another_network_or_of_no_run_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not there"):
        made(monkeypatch, first=tmp_path)
    torch.save({"model": {"other": torch.zeros(1)}, "progress": {"epoch": 1, "step": 1}}, tmp_path / "best.pt")
    with pytest.raises(ConfigurationError, match="another network"):
        made(monkeypatch, first=tmp_path)


@pytest.mark.parametrize("change", [{"height": 100}, {"width": 16}, {"window": (224, 176)}])
def test_sides_that_do_not_halve_five_times_are_refused_before_anything_is_loaded(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="32"):
        SegmentConfig.model_validate({**SMALL, **change})
