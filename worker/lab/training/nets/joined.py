"""Several trained embedders as one: their vectors side by side, brought back to the length of one.

An ensemble in the space of vectors: the inner product of vectors side by side is the sum of the members' similarities. Two runs are wrong about
different garments, so that their sum is right more often than either. What comes out is as long as one member's vector: of the learned parts the
principal directions are kept, of the colour parts, which are all linear in the same histogram, the sum's own.
"""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from worker.errors import ConfigurationError
from worker.lab.training.nets.embedder import HISTOGRAM, EmbedderNet
from worker.vision.types import ByteArray


class JoinedNet(nn.Module):
    """As `EmbedderNet`, of several of them: rgb (n, s, s, 3) uint8 and mask (n, s, s) uint8 to (n, dimension) float32 of unit length.

    Attributes:
        colour_weight: length of the colour part where the learned part has unit length: the quadratic mean of the members'.
    """

    def __init__(self, members: Sequence[EmbedderNet], learned: int, colours: int) -> None:
        """`members`: trained; those with the same frozen part compute it once. `fit` must follow.

        Raises:
            ConfigurationError: fewer than two members, or more numbers wanted than the members have.
        """
        super().__init__()
        if len(members) < 2:
            raise ConfigurationError("recipe.members: give two runs or more")
        width = sum(member.project.out_features for member in members)
        if learned > width:
            raise ConfigurationError(f"recipe.learned is {learned}; all members together have {width} numbers")
        self.members = nn.ModuleList(members)
        self.shared = all(_same_frozen(members[0], member) for member in members[1:])
        if self.shared:
            for member in members[1:]:
                # One set of weights: kept once in a checkpoint's memory and in the exported graph.
                member.net.conv_stem, member.net.bn1 = members[0].net.conv_stem, members[0].net.bn1
                for index in range(members[0].frozen_blocks):
                    member.net.blocks[index] = members[0].net.blocks[index]
        self.colour = members[0].colour
        self.project = nn.Linear(width, learned, bias=False)
        self.project_colour = nn.Linear(HISTOGRAM, colours)
        weights = torch.stack([member.colour_weight.detach() for member in members])
        self.colour_weight = nn.Parameter(weights.square().mean().sqrt())

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.project.out_features + self.project_colour.out_features

    def side_by_side(self, rgb: Tensor) -> Tensor:
        """The members' learned parts, (n, sum of their numbers), of unit length."""
        if self.shared:
            x = self.members[0].below(rgb)
            parts = [member.learned(x) for member in self.members]
        else:
            parts = [member.learned(member.below(rgb)) for member in self.members]
        return torch.cat(parts, dim=1) * len(parts) ** -0.5

    def forward(self, rgb: Tensor, mask: Tensor) -> Tensor:
        """As the class says."""
        learned = self.project(self.side_by_side(rgb)).float()
        colour = self.project_colour(self.colour(rgb, mask)).float()
        return nn.functional.normalize(torch.cat([learned, self.colour_weight * colour], dim=1), dim=1)

    def heads(self) -> Iterator[nn.Parameter]:
        """What does not come from ImageNet."""
        yield from self.project.parameters()
        yield from self.project_colour.parameters()
        yield self.colour_weight
        for member in self.members:
            yield from member.project.parameters()

    def body(self) -> Iterator[nn.Parameter]:
        """What does, and is trained."""
        for member in self.members:
            yield from member.body()

    @torch.inference_mode()
    def fit(self, rgb: ByteArray, mask: ByteArray, batch: int = 16) -> None:
        """Begin with the projections that keep the members' summed similarities of crops best: (n, s, s, 3) and (n, s, s) uint8."""
        del mask  # of the colours it is known without crops
        was = self.training
        self.eval()
        seen = [self.side_by_side(torch.from_numpy(np.array(rgb[at : at + batch]))) for at in range(0, len(rgb), batch)]
        self.project.weight.copy_(_principal(torch.cat(seen), self.project.out_features))
        stacked = torch.cat([_weighted_colours(member) for member in self.members])
        stacked = stacked * (len(self.members) ** -0.5 / self.colour_weight)
        # Of A with similarities h'A'Ah the rows of V'A along its first singular directions keep most of them.
        _, values, directions = torch.linalg.svd(stacked.double(), full_matrices=False)
        kept = torch.zeros(self.project_colour.out_features, HISTOGRAM + 1)
        count = min(len(values), len(kept))
        kept[:count] = (values[:count, None] * directions[:count]).float()
        self.project_colour.weight.copy_(kept[:, :-1])
        self.project_colour.bias.copy_(kept[:, -1])
        self.train(was)


def _same_frozen(one: EmbedderNet, other: EmbedderNet) -> bool:
    if one.frozen_blocks != other.frozen_blocks:
        return False
    mine, theirs = _frozen(one), _frozen(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def _frozen(member: EmbedderNet) -> dict[str, Tensor]:
    parts = nn.ModuleList([member.net.conv_stem, member.net.bn1, *member.net.blocks[: member.frozen_blocks]])
    return dict(parts.state_dict())


def _principal(vectors: Tensor, count: int) -> Tensor:
    """The `count` directions, (count, d), in which (n, d) vectors are longest: not centred, so that inner products stay what they are."""
    moments = vectors.double().T @ vectors.double() / len(vectors)
    _, directions = torch.linalg.eigh(moments)
    return directions.flip(1)[:, :count].T.float()


def _weighted_colours(member: EmbedderNet) -> Tensor:
    """A member's colour part as a matrix on the histogram and a one: (colours, HISTOGRAM + 1)."""
    layer = member.project_colour
    return member.colour_weight.detach() * torch.cat([layer.weight, layer.bias[:, None]], dim=1).detach()
