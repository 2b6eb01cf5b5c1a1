"""What the papers' recipes hand to the judge and to export: a network that takes bytes and gives unit vectors."""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

import torch
from torch import Tensor, nn

from worker.lab.training.nets.lite import LICENCE, LITES, NOTICE
from worker.lab.training.recipe import Exportable
from worker.vision.rows import InputSpec, OutputSpec

LIBRARY_NOTICE = "{name}: definition of torchvision (BSD-3-Clause) or timm (Apache-2.0), weights: {weights}."
UNKNOWN_LICENCE = "unknown"
RANDOM = "random"


class Maskless(nn.Module):
    """A network of rgb alone as the judge calls it: the mask is not looked at, because garments are on white."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, rgb: Tensor, mask: Tensor) -> Tensor:
        """As `judging.Embeds`."""
        del mask
        return self.net(rgb)


def exportable(
    module: nn.Module, side: int, dimension: int, *, backbone: str, weights: str, photos: str, recipe: str
) -> Exportable:
    """A network of rgb (n, side, side, 3) uint8 to unit vectors (n, dimension) as export takes it.

    Args:
        module: the network.
        side: of its crops.
        dimension: of its vectors.
        backbone: its name; empty where there is none.
        weights: where its first weights came from; begins with ``random`` where there were none.
        photos: the notice of the photos it learned from.
        recipe: paragraph for the card.
    """
    generator = torch.Generator().manual_seed(0)
    if backbone in LITES:
        licence, notice = LICENCE, NOTICE.format(name=backbone)
    elif not backbone or weights.startswith(RANDOM):
        licence, notice = LICENCE, ""  # nobody else's weights are in it
    else:
        licence, notice = UNKNOWN_LICENCE, LIBRARY_NOTICE.format(name=backbone, weights=weights)
    return Exportable(
        module=module.eval().cpu(),
        inputs={"rgb": torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8, generator=generator)},
        task="embed",
        input=InputSpec(image="rgb", height=side, width=side, layout="nhwc", dtype="uint8", range="byte"),
        output=OutputSpec(name="embedding", dimension=dimension),
        licence=licence,
        notice=f"{notice} {photos}".strip(),
        recipe=recipe,
    )
