# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,untyped-decorator"
"""The recipe of the default embedder, on a network with drawn weights: nothing is downloaded."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from worker.errors import ModelError
from worker.vision.types import Crop

torch = pytest.importorskip("torch", reason="the lab extra is not installed")
pytest.importorskip("timm", reason="the lab extra is not installed")

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file as the published one: the same order and shapes, other names."""
    import timm

    torch.manual_seed(1)
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    path: Path = tmp_path_factory.mktemp("weights") / "w.pth"
    torch.save({f"_{i}.{name.rsplit('.', 1)[-1]}": value for i, (name, value) in enumerate(net.state_dict().items())}, path)
    return path


def some_crops(count: int) -> list[Crop]:
    rng = np.random.default_rng(5)
    crops = []
    for _ in range(count):
        small = rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)
        mask = np.zeros((224, 224), np.uint8)
        cv2.circle(mask, (112, 112), int(rng.integers(40, 100)), 255, -1)
        crops.append(Crop(rgb=np.asarray(cv2.resize(small, (224, 224)), np.uint8), mask=mask))
    return crops


def test_folding_batch_norms_changes_nothing(weights: Path) -> None:
    import timm

    from worker.lab.lite0 import network

    folded = network(weights)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    plain = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    state = torch.load(weights, weights_only=True)
    plain.load_state_dict(dict(zip(plain.state_dict(), state.values(), strict=True)))
    x = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(folded.forward_features(x), plain.eval().forward_features(x), atol=1e-4, rtol=1e-3)


def test_a_file_with_other_weights_is_refused(tmp_path: Path) -> None:
    from worker.lab.lite0 import network

    torch.save({"weight": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="does not hold the weights"):
        network(tmp_path / "w.pth")


def test_lab_values_are_those_of_the_standard() -> None:
    from skimage.color import rgb2lab

    from worker.lab.lite0 import Colour

    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    found = Colour().lab(torch.from_numpy(rgb)).numpy()
    np.testing.assert_allclose(found, rgb2lab(rgb), atol=0.05)


def test_every_value_is_shared_out_once() -> None:
    from worker.lab.lite0 import BINS, Colour

    at = torch.linspace(-3, BINS + 3, 500)
    shares = Colour().shares(at)
    torch.testing.assert_close(shares.sum(-1), torch.ones(500))
    assert float(shares.min()) >= 0
    assert int((shares > 0).sum(-1).max()) <= 2


def test_whitening_leaves_each_direction_the_root_of_its_variance() -> None:
    from worker.lab.lite0 import whitening

    rng = np.random.default_rng(3)
    x = (rng.normal(size=(4000, 12)) * np.linspace(0.2, 3, 12)).astype(np.float32) @ np.linalg.qr(rng.normal(size=(12, 12)))[0]
    mean, projection = whitening(x.astype(np.float32), 5)
    projected = (x - mean.numpy()) @ projection.numpy()
    values = np.sort(np.linalg.eigvalsh(np.cov(x.T)))[::-1][:5]
    np.testing.assert_allclose(np.cov(projected.T), np.diag(np.sqrt(values)), atol=1e-3)


def test_the_exported_file_gives_what_torch_gives_for_any_batch(weights: Path, tmp_path: Path) -> None:
    from worker.lab import export_lite0, lite0
    from worker.settings.vision import VisionSettings
    from worker.vision.session import OnnxSession

    crops = some_crops(6)
    features = lite0.Features(export_lite0.rounded(lite0.network(weights)))
    generator = torch.Generator().manual_seed(2)
    projection = torch.randn(lite0.FEATURES, export_lite0.WHITENED, generator=generator).half().float()
    descriptor = lite0.Descriptor(features, torch.zeros(lite0.FEATURES), projection).eval()
    path = tmp_path / export_lite0.FILE
    assert export_lite0.export(descriptor, crops, path) < 1e-4
    assert path.stat().st_size < 20_000_000
    session = OnnxSession(path, export_lite0.row(path), VisionSettings())
    feed: dict[str, Any] = {"rgb": np.stack([c.rgb for c in crops]), "mask": np.stack([c.mask for c in crops])}
    assert session.run(feed).shape == (6, export_lite0.DIMENSION)


def test_held_out_senders_are_not_learned_from(tmp_path: Path) -> None:
    from worker.lab.export_lite0 import training_photos

    with (tmp_path / "images.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "sender_id"])
        writer.writerows([f"photo{number}", number] for number in range(12))
    for number in range(11):
        (tmp_path / f"photo{number}.jpg").touch()
    found = {path.stem for path in training_photos(tmp_path, tmp_path / "images.csv", 100)}
    assert found == {f"photo{number}" for number in range(11) if number % 3}
    assert training_photos(tmp_path, tmp_path / "images.csv", 4) == training_photos(tmp_path, tmp_path / "images.csv", 4)
