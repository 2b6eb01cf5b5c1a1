from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.vision.conftest import embedder_file, row_of
from worker.vision.rows import InputSpec, ModelRow


def test_a_row_is_immutable(embedder_row: ModelRow) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(embedder_row, "id", "other")  # noqa: B010  as code that knows no types would


def test_a_misspelt_field_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="licens"):
        row_of(embedder_file(tmp_path / "a.onnx"), licens="MIT")


@pytest.mark.parametrize("missing", ["source", "sha256", "size", "input", "output"])
def test_an_onnx_row_is_complete(tmp_path: Path, missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        row_of(embedder_file(tmp_path / "a.onnx"), **dict[str, Any]({missing: None}))


def test_an_embedder_says_how_long_its_vectors_are(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"output\.dimension"):
        row_of(embedder_file(tmp_path / "a.onnx"), output={"name": "vector"})


def test_grabcut_and_none_are_no_embedders() -> None:
    with pytest.raises(ValidationError, match="not an embedder"):
        ModelRow(id="grabcut-2", task="embed", kind="grabcut", licence="Apache-2.0")


def test_a_uint8_input_is_not_normalised() -> None:
    with pytest.raises(ValidationError, match="byte"):
        InputSpec(image="x", height=32, width=32, dtype="uint8", range="unit")
    with pytest.raises(ValidationError, match="byte"):
        InputSpec(image="x", height=32, width=32, dtype="uint8", range="byte", mean=(1, 1, 1))


def test_a_deviation_of_zero_is_refused() -> None:
    with pytest.raises(ValidationError, match="std"):
        InputSpec(image="x", height=32, width=32, std=(1, 0, 1))


@pytest.mark.parametrize("bad", ["", "Upper", "../up", "a b", "-first", "x" * 65])
def test_an_id_that_would_not_do_as_a_file_name_is_refused(bad: str) -> None:
    with pytest.raises(ValidationError, match="id"):
        ModelRow(id=bad, task="segment", kind="none", licence="MIT")
