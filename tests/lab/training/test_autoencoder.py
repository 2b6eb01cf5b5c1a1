"""Papers 3 and 1: fourteen layers, a code of 512, and that it rebuilds better for training."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pydantic import ValidationError  # noqa: E402

from tests.lab.training.garment_toys import SIDE, ToyJudge, toy_garments, train  # noqa: E402
from worker.lab.training.config import RunConfig, read_config  # noqa: E402
from worker.lab.training.recipes.autoencoder import (  # noqa: E402
    Autoencoder,
    AutoencoderConfig,
    AutoencoderRecipe,
    CodeVector,
    images,
)

pytestmark = pytest.mark.lab
CONFIGS = Path(__file__).parents[3] / "worker" / "lab" / "training" / "configs"


def recipe(**changes: Any) -> AutoencoderRecipe:
    garments = toy_garments()
    content = {"kind": "autoencoder", "data": Path(), "crop_side": SIDE, "side": 64, "widths": (8, 8, 8), "mild": 1.0}
    return AutoencoderRecipe(AutoencoderConfig(**{**content, **changes}), RunConfig(batch=16), garments, ToyJudge(garments.crops))


def test_it_has_fourteen_layers_and_the_seventh_gives_8_by_8_by_8() -> None:
    net = Autoencoder((32, 32, 32))
    assert len(net.layers) == 14
    picture = torch.rand(2, 3, 64, 64)
    x = picture
    shapes = []
    for layer in net.layers:
        x = layer(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes[6] == (8, 8, 8)
    assert shapes[-1] == (3, 64, 64)
    assert torch.equal(x, net(picture))
    assert net.code(torch.zeros(2, 64, 64, 3, dtype=torch.uint8)).shape == (2, 512)


def test_what_is_rebuilt_are_pictures() -> None:
    with torch.no_grad():
        rebuilt = Autoencoder((8, 8, 8))(torch.rand(2, 3, 64, 64))
    assert float(rebuilt.min()) >= 0
    assert float(rebuilt.max()) <= 1


def test_the_loss_is_the_mean_squared_error_of_the_pixels() -> None:
    trained = recipe()
    batch = trained.load(trained.plan(0)[0])
    trained.begin(0)
    with torch.no_grad():
        loss, _ = trained.loss(batch)
        rebuilt = trained.model().autoencoder(images(batch[0]))
    wanted = float(((rebuilt - batch[1].permute(0, 3, 1, 2).float() / 255) ** 2).mean())
    assert float(loss) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("form", ["plain", "denoising"])
def test_it_rebuilds_better_after_training(form: str) -> None:
    trained = recipe(form=form)
    losses = train(trained, 20, lr=1e-2)
    assert losses[-1] < 0.5 * losses[0]


def test_plain_rebuilds_what_it_is_shown_and_denoising_the_studio_view() -> None:
    plain, denoising = recipe(form="plain"), recipe(form="denoising")
    shown, wanted = plain.load(plain.plan(0)[0])
    assert torch.equal(shown, wanted)
    job = denoising.plan(0)[0]
    shown, wanted = denoising.load(job)
    half = len(shown) // 2
    assert len(shown) == len(wanted) == 2 * len(job.garments)
    assert not torch.equal(shown[:half], wanted[:half])
    assert torch.equal(shown[half:], wanted[half:])
    studio = torch.stack([torch.from_numpy(denoising._pairs.clean(row)) for row in _mains(denoising, job.garments)])
    assert torch.equal(wanted[:half], studio)


def test_denoising_brings_a_phone_view_nearer_to_its_studio_view() -> None:
    trained = recipe(form="denoising")
    shown, wanted = trained.load(trained.plan(3)[0])
    half = len(shown) // 2
    train(trained, 25, lr=3e-3)
    with torch.no_grad():
        rebuilt = trained.model().autoencoder(images(shown[:half]))
    before = float(((images(shown[:half]) - images(wanted[:half])) ** 2).mean())
    after = float(((rebuilt - images(wanted[:half])) ** 2).mean())
    assert after < before


def test_the_vector_is_the_code_less_the_mean_code_at_unit_length() -> None:
    trained = recipe()
    train(trained, 1)
    rgb = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        code = trained.model().autoencoder.code(rgb) - trained.model().mean
        found = CodeVector(trained.model())(rgb)
    assert float(trained.model().mean.abs().sum()) > 0
    assert torch.allclose(found, code / code.norm(dim=1, keepdim=True), atol=1e-6)


def test_it_is_judged_and_exported() -> None:
    trained = recipe()
    trained.model().eval()
    figures = trained.evaluate()
    assert {"score", "phone", "found"} <= set(figures)
    made = trained.export()
    assert made.output.dimension == 512
    assert made.module(*made.inputs.values()).shape == (2, 512)
    assert made.licence == "Apache-2.0"


def test_a_side_that_cannot_be_halved_three_times_is_refused() -> None:
    with pytest.raises(ValidationError, match="divisible by 8"):
        recipe(side=68)


@pytest.mark.parametrize("form", ["plain", "denoising"])
def test_the_configurations_have_the_papers_code(form: str) -> None:
    wanted = AutoencoderConfig.model_validate(read_config(CONFIGS / f"autoencoder-{form}.toml").recipe)
    assert (wanted.form, wanted.side) == (form, 64)


def _mains(trained: AutoencoderRecipe, garments: tuple[int, ...]) -> list[int]:
    articles = trained._garments.articles.articles
    return [articles[garment].photos[0] for garment in garments]
