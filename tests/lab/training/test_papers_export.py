"""Every one of the papers' recipes can be written as ONNX that gives what torch gives."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("sklearn")
pytest.importorskip("pytorch_metric_learning")

from tests.lab.training.garment_toys import SIDE, train  # noqa: E402
from tests.lab.training.test_attributes import recipe as attributes  # noqa: E402
from tests.lab.training.test_autoencoder import recipe as autoencoder  # noqa: E402
from tests.lab.training.test_category_similarity import recipe as category_similarity  # noqa: E402
from tests.lab.training.test_siamese import recipe as siamese  # noqa: E402
from worker.lab.training.graphs import OPSET, TOLERANCE, check_graph, write_graph  # noqa: E402
from worker.settings.vision import VisionSettings  # noqa: E402
from worker.vision.rows import ModelRow  # noqa: E402
from worker.vision.store import file_sha256  # noqa: E402

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    "make",
    [category_similarity, siamese, autoencoder, attributes, lambda: attributes(vector="features")],
    ids=["category-similarity", "siamese", "autoencoder", "attributes", "attribute features"],
)
def test_the_file_gives_what_torch_gives(make: Callable[[], Any], tmp_path: Path) -> None:
    trained = make()
    train(trained, 1)
    made = trained.export()
    path = tmp_path / "model.onnx"
    write_graph(made, path)
    row = ModelRow(
        id="toy", task="embed", source=f"file:{path}", sha256=file_sha256(path), size=path.stat().st_size, licence=made.licence,
        notice=made.notice, card=made.recipe, opset=OPSET, input=made.input, output=made.output,
    )  # fmt: skip
    assert check_graph(made, path, row, VisionSettings()) <= TOLERANCE
    assert made.input.height == made.input.width == SIDE
    assert "clothing dataset" in made.notice
    assert made.recipe
