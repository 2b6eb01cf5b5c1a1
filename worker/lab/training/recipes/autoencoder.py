"""A convolutional autoencoder whose code is searched (Li et al., "Neural Networks for Fashion Image Classification and Visual Search", 2020, 4.3.1).

Fourteen layers, the first seven the encoder; the seventh gives 8 x 8 x 8, flattened 512 numbers, compared by cosine. The paper prints neither kernels
nor widths: here convolutions are 3 x 3, and the input is 64 pixels, three halvings above 8. `plain` rebuilds what it is shown. `denoising` is what Yam
("Optimizing Fashion Retail Inventory Management", 2018) names as next: shown a phone photo it rebuilds the studio photo, so that
the code keeps what the two have in common.
"""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from worker.lab.training.config import RunConfig, parse
from worker.lab.training.embedders import Maskless, exportable
from worker.lab.training.garments import GarmentPart, Garments, data_folder, load_garments, provenance_of
from worker.lab.training.judging import Judge, Judging
from worker.lab.training.pair_recipe import PairRecipe
from worker.lab.training.recipe import Batch, Exportable, Job

HALVINGS = 3
CODE_CHANNELS = 8
PAPER_SIDE = 64  # 8 x 8 after three halvings
BYTES = 255.0


class AutoencoderConfig(GarmentPart):
    """The `[recipe]` part of kind `autoencoder`."""

    kind: Literal["autoencoder"]
    form: Literal["plain", "denoising"] = "plain"
    side: int = Field(default=PAPER_SIDE, ge=32, le=256, description="Of the crops; 64 makes the code 8 x 8 x 8 = 512.")
    widths: tuple[int, int, int] = Field(
        default=(32, 32, 32), description="Channels of the first three convolutions; the paper prints none."
    )
    shown: float = Field(default=0.5, ge=0, le=1, description="Of plain: share of phone-like views among what it rebuilds.")

    @field_validator("side")
    @classmethod
    def _halves(cls, side: int) -> int:
        if side % 2**HALVINGS:
            raise ValueError(f"side must be divisible by {2**HALVINGS}: it is halved {HALVINGS} times")
        return side


class Autoencoder(nn.Module):
    """Images (n, 3, s, s) in 0..1 to a code (n, 8, s/8, s/8), and back."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        a, b, c = widths
        # Seven layers: a convolution with its ReLU is one, a pooling one.
        self.encoder = nn.Sequential(
            _convolution(3, a),
            nn.MaxPool2d(2),
            _convolution(a, b),
            nn.MaxPool2d(2),
            _convolution(b, c),
            nn.MaxPool2d(2),
            # Without a ReLU: numbers of both signs spread the code over the whole sphere that the cosine compares on.
            nn.Conv2d(c, CODE_CHANNELS, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            _convolution(CODE_CHANNELS, c),
            nn.Upsample(scale_factor=2),
            _convolution(c, b),
            nn.Upsample(scale_factor=2),
            _convolution(b, a),
            nn.Upsample(scale_factor=2),
            nn.Sequential(nn.Conv2d(a, 3, 3, padding=1), nn.Sigmoid()),
        )

    @property
    def layers(self) -> list[nn.Module]:
        """In the paper's count."""
        return [*self.encoder, *self.decoder]

    def code(self, rgb: Tensor) -> Tensor:
        """Rgb (n, s, s, 3) uint8 to flattened codes (n, s * s / 8)."""
        return self.encoder(images(rgb)).flatten(1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures rebuilt."""
        return self.decoder(self.encoder(pictures))


def _convolution(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.ReLU())


def images(rgb: Tensor) -> Tensor:
    """(n, s, s, 3) uint8 to (n, 3, s, s) in 0..1."""
    return rgb.permute(0, 3, 1, 2).float() / BYTES


class CodeVector(nn.Module):
    """Rgb to the L2-normalised code, less the mean code: what all photos share (a white border) says nothing of any."""

    def __init__(self, net: AutoencoderNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, rgb: Tensor) -> Tensor:
        """(n, s, s, 3) uint8 to (n, s * s / 8)."""
        return nn.functional.normalize(self.net.autoencoder.code(rgb).float() - self.net.mean, dim=1)


class AutoencoderNet(nn.Module):
    """The autoencoder and a running mean of its codes."""

    MOMENTUM = 0.02

    def __init__(self, wanted: AutoencoderConfig) -> None:
        super().__init__()
        self.autoencoder = Autoencoder(wanted.widths)
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(CODE_CHANNELS * (wanted.side // 2**HALVINGS) ** 2))

    @torch.no_grad()
    def follow(self, codes: Tensor) -> None:
        """Move the mean towards these codes."""
        self.mean.lerp_(codes.float().mean(0), self.MOMENTUM)


class AutoencoderRecipe(PairRecipe[AutoencoderNet]):
    """See the module."""

    def __init__(self, wanted: AutoencoderConfig, run: RunConfig, garments: Garments, judge: Judging) -> None:
        """`judge`: holds the held-out photos."""
        self._wanted = wanted
        super().__init__(wanted, run, garments, judge, lambda: AutoencoderNet(wanted))

    def parameters(self, lr: float) -> list[dict[str, Any]]:
        """As `Recipe.parameters`."""
        return [{"params": list(self._net.parameters()), "lr": lr}]

    def load(self, job: Job) -> Batch:
        """What is shown and what is to be rebuilt, each (n, side, side, 3) uint8."""
        clean, seen, _, _ = self._pairs.load(job)
        if self._wanted.form == "denoising":
            # A clean photo is a phone photo without faults: it must be rebuilt, too, because the catalogue is made of them.
            return torch.cat([seen, clean]), torch.cat([clean, clean])
        both = torch.cat([seen[: round(len(seen) * self._wanted.shown)], clean])
        return both, both

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Mean squared error of the pixels, 0..1."""
        shown, wanted = batch
        codes = self._net.autoencoder.encoder(images(shown))
        loss = nn.functional.mse_loss(self._net.autoencoder.decoder(codes).float(), images(wanted))
        self._net.follow(codes.flatten(1))
        return loss, {}

    def evaluate(self) -> dict[str, float]:
        """Held-out styles and senders, see `Judge`."""
        return self._judge.figures(Maskless(CodeVector(self._net)), self._wanted.side)

    def export(self) -> Exportable:
        """The encoder."""
        wanted = self._wanted
        return exportable(
            CodeVector(self._net),
            wanted.side,
            len(self._net.mean),
            backbone="",
            weights="random",
            photos=self._garments.articles.notice,
            recipe=(
                f"Code of a 14-layer convolutional autoencoder at {wanted.side} pixels, {wanted.form} form, {len(self._garments)} garments, "
                "less the mean code. Li et al. 2020, section 4.3.1; Yam 2018."
            ),
        )

    def provenance(self) -> dict[str, Any]:
        """As `Recipe.provenance`."""
        return provenance_of(self._garments, self._judge.provenance, "random")


def build(content: Mapping[str, Any], run: RunConfig, source: Path) -> AutoencoderRecipe:
    """As `recipe.Builder`."""
    wanted = parse(AutoencoderConfig, content, f"{source} [recipe]")
    judge = Judge(data_folder(wanted, source), wanted.crop_side, run.seed, wanted.most_phones)
    return AutoencoderRecipe(wanted, run, load_garments(wanted, source), judge)
