"""Hand-made features against what they are said to count, and networks where torch is installed."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.lab.conftest import drawn
from worker.errors import ConfigurationError, ModelError
from worker.lab.descriptors.backbones import BACKBONES, Backbone
from worker.lab.descriptors.classic import CLASSICS, COLOURS, colour_coherence, colour_histogram, harris_corners, hog, white_box
from worker.lab.descriptors.table import check_descriptor, listed
from worker.settings.vision import VisionSettings
from worker.vision.types import ByteArray, Crop


def crop_of(rgb: ByteArray, mask: ByteArray | None = None) -> Crop:
    return Crop(rgb, np.full(rgb.shape[:2], 255, np.uint8) if mask is None else mask)


def even(colour: tuple[int, int, int], side: int = 128) -> ByteArray:
    return np.broadcast_to(np.array(colour, np.uint8), (side, side, 3)).copy()


@pytest.mark.parametrize("row", CLASSICS, ids=lambda row: row.name)
def test_vectors_have_the_length_their_card_says_and_are_the_same_twice(row: Any) -> None:
    if row.name in {"hog", "white-box"}:
        pytest.importorskip("skimage")
    crops = [crop_of(drawn(seed, 128)) for seed in range(3)]
    vectors = row.describe(crops)
    assert vectors.shape == (3, row.card.dimension)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    assert np.array_equal(vectors, row.describe(crops))
    assert np.array_equal(vectors[1:2], row.describe(crops[1:2]))
    assert not np.array_equal(vectors[0], vectors[1])


def test_there_are_25_colours_and_each_even_picture_is_one_of_them() -> None:
    seen = set()
    for colour in [
        (0, 0, 0),
        (128, 128, 128),
        (255, 255, 255),
        (200, 20, 20),
        (90, 10, 10),
        (20, 200, 20),
        (20, 20, 200),
        (230, 230, 20),
    ]:
        shares = colour_histogram(crop_of(even(colour)))
        assert shares.shape == (COLOURS,) == (25,)
        assert shares.max() == 1.0
        seen.add(int(shares.argmax()))
    assert len(seen) == 8


def test_every_colour_there_is_falls_into_one_of_the_25() -> None:
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    side = int(np.ceil(np.sqrt(len(cube))))
    rgb = np.resize(cube, (side, side, 3)).astype(np.uint8)
    shares = colour_histogram(crop_of(rgb))
    assert shares.sum() == pytest.approx(1.0)
    assert (shares > 0).all()


def test_only_the_garments_pixels_are_counted() -> None:
    rgb = even((255, 255, 255))
    rgb[:64] = (200, 20, 20)
    mask = np.zeros((128, 128), np.uint8)
    mask[:60] = 255
    red = colour_histogram(crop_of(even((200, 20, 20))))
    assert np.array_equal(colour_histogram(crop_of(rgb, mask)), red)
    assert not np.array_equal(colour_histogram(crop_of(rgb)), red)
    # An empty mask means that nothing was cut out: everything counts.
    assert np.array_equal(colour_histogram(crop_of(rgb, np.zeros_like(mask))), colour_histogram(crop_of(rgb)))


def slow_coherence(rgb: ByteArray) -> np.ndarray:
    """Pass et al. by hand: mean of 3 x 3, 64 colours, regions by flooding, 1 %."""
    side = len(rgb)
    padded = np.pad(rgb.astype(int), ((1, 1), (1, 1), (0, 0)), mode="reflect")
    index = np.zeros((side, side), int)
    for y in range(side):
        for x in range(side):
            means = [np.floor(padded[y : y + 3, x : x + 3, c].sum() / 9 + 0.5) for c in range(3)]
            r, g, b = (int(m * 4 // 256) for m in means)
            index[y, x] = r * 16 + g * 4 + b
    result = np.zeros((2, 64))
    done = np.zeros((side, side), bool)
    for y in range(side):
        for x in range(side):
            if done[y, x]:
                continue
            colour, size, todo = index[y, x], 0, deque([(y, x)])
            done[y, x] = True
            while todo:
                cy, cx = todo.popleft()
                size += 1
                for ny in range(max(0, cy - 1), min(side, cy + 2)):
                    for nx in range(max(0, cx - 1), min(side, cx + 2)):
                        if not done[ny, nx] and index[ny, nx] == colour:
                            done[ny, nx] = True
                            todo.append((ny, nx))
            result[0 if size >= 0.01 * side * side else 1, colour] += size / (side * side)
    return result.ravel()


def test_colour_coherence_is_what_flooding_by_hand_gives() -> None:
    rng = np.random.default_rng(0)
    rgb = drawn(5, 40)
    rgb[:12] = rng.integers(0, 256, (12, 40, 3), np.uint8)  # noise: small regions
    found = colour_coherence(crop_of(rgb))
    assert found == pytest.approx(slow_coherence(rgb), abs=1e-6)
    assert found.sum() == pytest.approx(1.0)
    assert found[64:].sum() > 0.02


def test_corners_are_where_the_picture_has_them() -> None:
    rgb = even((255, 255, 255))
    rgb[40:56, 72:88] = 0
    fields = harris_corners(crop_of(rgb)).reshape(8, 8)
    assert fields.sum() == pytest.approx(1.0)
    assert fields[2:4, 4:6].sum() == pytest.approx(1.0)
    assert harris_corners(crop_of(even((9, 99, 199)))).sum() == 0


def test_the_white_box_is_its_parts_each_of_length_one() -> None:
    pytest.importorskip("skimage")
    crop = crop_of(drawn(3, 128))
    whole, start = white_box(crop), 0
    for part in (hog(crop), colour_histogram(crop), colour_coherence(crop), harris_corners(crop)):
        piece = whole[start : start + len(part)]
        assert np.linalg.norm(piece) == pytest.approx(1.0, abs=1e-5)
        assert piece == pytest.approx(part / np.linalg.norm(part), abs=1e-5)
        start += len(part)
    assert start == len(whole)


def test_every_network_of_the_papers_is_there_at_its_layer() -> None:
    rows = {row.name: row for row in BACKBONES}
    assert (rows["vgg16"].dimension, rows["vgg19"].dimension) == (4096, 4096)
    assert (rows["inception-v3"].dimension, rows["resnet50"].dimension, rows["resnet18"].dimension) == (2048, 2048, 512)
    papers = {"mobilenet-v2", "mobilenet-v3", "densenet121", "se-resnet50", "se-resnext50", "efficientnet-lite0"}
    assert papers <= set(rows)
    assert len({row.name for row in listed()}) == len(listed())


def test_a_name_that_is_no_descriptor_lists_what_there_is() -> None:
    with pytest.raises(ConfigurationError, match=r"no descriptor 'gits'; there are gist, .*registry own-model"):
        check_descriptor("gits", ["own-model"])


def test_a_network_without_torch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.lab.descriptors.table.find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=r"resnet50 needs torch.*pip install 'intake-worker\[lab\]'"):
        check_descriptor("resnet50", [])


OFFLINE = VisionSettings(offline=True, threads=1)


@pytest.mark.lab
@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v3", "inception-v3", "se-resnet50", "vgg16-pooled"])
def test_a_network_without_weights_is_marked_random_and_the_same_every_time(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("timm")
    from worker.lab.descriptors.cnn import load_backbone

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    row = next(row for row in BACKBONES if row.name == name)
    one, two = load_backbone(row, None, OFFLINE), load_backbone(row, None, OFFLINE)
    assert one.card.random
    assert one.card.identity == two.card.identity
    crops = [crop_of(drawn(seed, row.side)) for seed in range(2)]
    vectors = one.describe(crops)
    assert vectors.shape == (2, row.dimension)
    assert np.array_equal(vectors, two.describe(crops))


@pytest.mark.lab
def test_weights_come_from_a_file_by_name_or_by_place(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("timm")
    from worker.lab.descriptors.cnn import build, load_backbone

    row = next(row for row in BACKBONES if row.name == "resnet18")
    net = build(row)
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.mul_(0.9)
    state = net.state_dict()
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, tmp_path / "checkpoint.pth")
    torch.save({f"net.{n}.{k.rsplit('.', 1)[-1]}": v for n, (k, v) in enumerate(state.items())}, tmp_path / "place.pth")
    by_name = load_backbone(row, tmp_path / "checkpoint.pth", OFFLINE)
    by_place = load_backbone(row, tmp_path / "place.pth", OFFLINE)
    assert by_name.card.weights == "file checkpoint.pth"
    assert by_name.card.identity == by_place.card.identity
    assert not by_name.card.random


@pytest.mark.lab
def test_weights_of_another_network_or_none_at_all_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("timm")
    from worker.lab.descriptors.cnn import build, load_backbone

    rows = {row.name: row for row in BACKBONES}
    torch.save(build(rows["mobilenet-v2"]).state_dict(), tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("weights")
    for name, words in (
        ("other.pth", "does not hold"),
        ("list.pth", "no weights by name"),
        ("text.pth", "no weights that can be read"),
    ):
        with pytest.raises(ModelError, match=words):
            load_backbone(rows["resnet18"], tmp_path / name, OFFLINE)


@pytest.mark.lab
def test_a_network_sees_what_its_weights_were_trained_on() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("timm")
    from worker.lab.descriptors.cnn import CnnDescriptor

    row = Backbone("probe", "none", 3, side=8)
    probe = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    [vector] = CnnDescriptor(row, probe, "random", OFFLINE).describe([crop_of(even((255, 0, 51), 8))])
    wanted = [(v - m) / s for v, m, s in zip((1.0, 0.0, 0.2), row.mean, row.std, strict=True)]
    assert vector == pytest.approx(wanted, abs=1e-5)
