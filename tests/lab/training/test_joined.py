"""Several embedders as one, on small networks of random weights and coloured crops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import timm  # noqa: E402

from worker.errors import ConfigurationError  # noqa: E402
from worker.lab.lite0 import fold_batch_norms  # noqa: E402
from worker.lab.training.nets.embedder import EmbedderNet  # noqa: E402
from worker.lab.training.nets.joined import JoinedNet  # noqa: E402
from worker.vision.types import ByteArray  # noqa: E402

pytestmark = pytest.mark.lab

SIDE, CROPS = 64, 24
LEARNED, COLOURS = 12, 6
TAP = 112  # channels of EfficientNet-Lite0's fifth stage


@pytest.fixture(scope="module")
def crops() -> tuple[ByteArray, ByteArray]:
    rng = np.random.default_rng(0)
    rgb = np.full((CROPS, SIDE, SIDE, 3), 255, np.uint8)
    mask = np.zeros((CROPS, SIDE, SIDE), np.uint8)
    for at in range(CROPS):
        top, left = rng.integers(2, 20, 2)
        rgb[at, top:60, left:58] = rng.integers(0, 255, 3) + rng.integers(-20, 20, (60 - top, 58 - left, 1)) // 2
        mask[at, top:60, left:58] = 255
    return rgb, mask


def member(seed: int, frozen_seed: int = 0) -> EmbedderNet:
    """A network as after a run of its own: what is frozen is of `frozen_seed`, the rest of `seed`."""

    def drawn(number: int) -> Any:
        torch.manual_seed(number)
        net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        net.classifier = torch.nn.Identity()
        net.eval()
        fold_batch_norms(net)
        return EmbedderNet(net, TAP, LEARNED, COLOURS, frozen_blocks=4)

    own, frozen = drawn(seed), drawn(1000 + frozen_seed)
    own.net.conv_stem, own.net.bn1 = frozen.net.conv_stem, frozen.net.bn1
    for index in range(4):
        own.net.blocks[index] = frozen.net.blocks[index]
    with torch.no_grad():
        own.colour_weight.fill_(0.3 + 0.1 * seed)
    return own.eval()


def vectors(net: Any, crops: tuple[ByteArray, ByteArray]) -> Any:
    with torch.no_grad():
        return net(*(torch.from_numpy(part) for part in crops))


def side_by_side(members: list[EmbedderNet], crops: tuple[ByteArray, ByteArray]) -> Any:
    """What the joined vectors should be like, one network after the other."""
    parts = []
    rgb, mask = (torch.from_numpy(part) for part in crops)
    with torch.no_grad():
        for each in members:
            learned = torch.nn.functional.normalize(each.project(each.features(rgb)), dim=1)
            parts += [learned, each.colour_weight * each.project_colour(each.colour(rgb, mask))]
    return torch.nn.functional.normalize(torch.cat(parts, dim=1), dim=1)


@pytest.mark.parametrize("frozen", [(0, 0), (0, 1), (0, 0, 0)])
def test_with_every_number_kept_similarities_are_those_of_the_vectors_side_by_side(
    frozen: tuple[int, ...], crops: tuple[ByteArray, ByteArray]
) -> None:
    members = [member(seed, which) for seed, which in enumerate(frozen)]
    wanted = side_by_side(members, crops)
    joined = JoinedNet(members, LEARNED * len(frozen), COLOURS * len(frozen)).eval()
    assert joined.shared == (len(set(frozen)) == 1)
    joined.fit(*crops)
    found = vectors(joined, crops)
    assert found.shape == (CROPS, joined.dimension)
    torch.testing.assert_close(found @ found.T, wanted @ wanted.T, atol=2e-5, rtol=0)


def test_half_the_numbers_keep_the_similarities_better_than_half_of_each_member_s(crops: tuple[ByteArray, ByteArray]) -> None:
    members = [member(0), member(1)]
    wanted = side_by_side(members, crops)
    joined = JoinedNet(members, LEARNED, COLOURS).eval()
    joined.fit(*crops)
    found = vectors(joined, crops)
    assert joined.dimension == LEARNED + COLOURS
    torch.testing.assert_close(found.norm(dim=1), torch.ones(CROPS))
    half = np.r_[0 : LEARNED // 2, LEARNED : LEARNED + COLOURS // 2]
    cut = torch.nn.functional.normalize(wanted[:, np.r_[half, half + LEARNED + COLOURS]], dim=1)
    off = [float((each @ each.T - wanted @ wanted.T).abs().mean()) for each in (found, cut)]
    assert off[0] < off[1] / 2


def test_a_frozen_part_that_is_the_same_is_computed_and_kept_once(crops: tuple[ByteArray, ByteArray]) -> None:
    def passes(net: JoinedNet) -> int:
        count = 0

        def counted(*_: Any) -> None:
            nonlocal count
            count += 1

        # One module where it is shared; a hook on each where it is not.
        stems = {id(each.net.conv_stem): each.net.conv_stem for each in net.members}
        handles = [stem.register_forward_hook(counted) for stem in stems.values()]
        vectors(net, crops)
        for handle in handles:
            handle.remove()
        return count

    same, other = JoinedNet([member(0), member(1)], 8, 8).eval(), JoinedNet([member(0), member(1, 1)], 8, 8).eval()
    assert (passes(same), passes(other)) == (1, 2)
    net = member(0).net
    frozen = sum(weight.numel() for part in (net.conv_stem, net.bn1, *net.blocks[:4]) for weight in part.parameters())
    weights = [sum(weight.numel() for weight in net.parameters()) for net in (same, other)]
    assert weights[1] - weights[0] == frozen > 0


def test_what_is_trained_further_is_everything_but_the_frozen_part(crops: tuple[ByteArray, ByteArray]) -> None:
    joined = JoinedNet([member(0), member(1)], LEARNED, COLOURS)
    joined.fit(*crops)
    joined.train()
    joined(*(torch.from_numpy(part) for part in crops)).sum().backward()
    trained = [*joined.body(), *joined.heads()]
    named = {id(weight) for weight in trained}
    assert len(named) == len(trained)
    for name, weight in joined.named_parameters():
        own_colour = name.startswith("members.") and ("project_colour" in name or "colour_weight" in name)
        assert (weight.grad is not None) == (id(weight) in named), name
        assert (id(weight) in named) == (weight.requires_grad and not own_colour), name


@pytest.mark.parametrize(
    ("members", "learned", "message"),
    [(lambda: [member(0)], 4, "two runs or more"), (lambda: [member(0), member(1)], 2 * LEARNED + 1, "together have 24 numbers")],
)
def test_what_cannot_be_joined_is_refused(members: Callable[[], list[EmbedderNet]], learned: int, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        JoinedNet(members(), learned, COLOURS)
