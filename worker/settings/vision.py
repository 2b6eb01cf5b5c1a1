"""Settings of the models and of ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from worker.settings.base import Group


class VisionSettings(Group):
    """Which models run, and where."""

    segmenter: str = Field(default="default", description="Registry id; `default` is the default row.")
    embedder: str = Field(default="default", description="Registry id; `default` is the default row.")
    tagger: str | None = Field(
        default=None,
        description="Registry id of a model that reads category and gender off the photos; unset: none. It fills attributes the event "
        "lacks in what is published and flags those it contradicts; it decides nothing.",
    )
    tagger_words: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description='What words of the catalogue mean in the labels of the tagger, as JSON: {"Schuhe": ["Heels", "Flats"]}.',
    )
    provider: Literal["cpu", "cuda", "tensorrt"] = Field(
        default="cpu", description="Where models run; anything else is refused, not fallen back to."
    )
    device_id: int = Field(default=0, ge=0)
    threads: int = Field(
        default=0, ge=0, description="Intra-op threads of ONNX Runtime; 0: one for each core this process may use."
    )
    max_batch: int = Field(default=16, ge=1, le=256)
    batch_buckets: tuple[int, ...] = Field(default=(1, 2, 4, 8, 16), description="Batches are padded up to one of these sizes.")
    fp16: bool = Field(default=False, description="Half precision, on a GPU.")
    io_binding: bool = Field(default=True, description="Keep tensors on the GPU between copies; ignored on the CPU.")
    cuda_graphs: bool = False
    cache_dir: Path | None = Field(default=None, description="Where pulled models lie; unset: XDG cache.")
    registry_dir: Path | None = Field(default=None, description="Where rows of `intake models add` lie; unset: XDG data.")
    offline: bool = Field(default=False, description="Never fetch a model: refuse to start if one is missing.")
