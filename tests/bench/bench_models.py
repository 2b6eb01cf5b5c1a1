"""The default models alone, by batch: every way this worker can run them, beside the same networks in torch where it is installed; all in one run.

    make bench-gpu                                            # on a machine with a GPU: CUDA, IO binding, CUDA graphs, half precision
    python -m tests.bench.bench_models --provider cpu         # the CPU's own figures

Ways take turns in every round, medians are compared: the machine's speed drifts, ratios within a run do not. The torch networks are those the recipes train, with
random weights, which cost the same. What is timed is the network from a batch in the host's memory to its output there, copies included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort

from worker.errors import IntakeError
from worker.settings import VisionSettings
from worker.vision.registry import Registry
from worker.vision.rows import ModelRow
from worker.vision.session import Feed, OnnxSession
from worker.vision.store import ModelStore

Task = Literal["segment", "embed"]
PLAIN = "onnxruntime"
# Of each way: what it changes in the settings. Without a GPU there is one way.
ON_GPU: dict[str, dict[str, object]] = {
    PLAIN: {"io_binding": False},
    "onnxruntime, IO binding": {"io_binding": True},
    "onnxruntime, IO binding, fp16": {"io_binding": True, "fp16": True},
    "onnxruntime, CUDA graphs": {"cuda_graphs": True},
    "onnxruntime, CUDA graphs, fp16": {"cuda_graphs": True, "fp16": True},
}


@dataclass(frozen=True, slots=True)
class Measured:
    """Photos a second of one way to run one model, its ratio to plain ONNX Runtime at the same batch, or why it does not run."""

    model: str
    way: str
    batch: int
    photos_per_s: float
    ratio: float
    fault: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """Something that runs a batch, ready."""

    model: str
    name: str
    batch: int
    run: Callable[[Feed], object]
    feed: Feed


def onnx_ways(row: ModelRow, batch: int, settings: VisionSettings) -> Iterator[Way | Measured]:
    """Every way of ONNX Runtime on the settings' provider."""
    ways = {PLAIN: dict[str, object]()} if settings.provider == "cpu" else ON_GPU
    store = ModelStore(settings)
    for name, change in ways.items():
        changed = settings.model_copy(update={**change, "max_batch": batch, "batch_buckets": (batch,)})
        try:
            session = OnnxSession(store.ensure(row), row, changed)
        except IntakeError as error:
            yield Measured(row.id, name, batch, 0.0, 0.0, str(error))
            continue
        yield Way(row.id, name, batch, session.run, random_feed(session.blank(batch)))


def torch_ways(row: ModelRow, batch: int, settings: VisionSettings) -> Iterator[Way]:
    """The recipe's network in torch; nothing where torch is not installed, or the row is none of our networks."""
    try:
        import torch
    except ModuleNotFoundError:
        return
    task: Task = "segment" if row.task == "segment" else "embed"
    device = "cuda" if settings.provider != "cpu" else "cpu"
    net = _network(task).eval().to(device)
    halves = (False, True) if device == "cuda" else (False,)
    for half in halves:

        def run(feed: Feed, half: bool = half) -> object:
            inputs = [torch.from_numpy(array).to(device) for array in feed.values()]
            with torch.inference_mode(), torch.autocast(device, dtype=torch.float16, enabled=half):
                return net(*inputs).float().cpu().numpy()

        yield Way(row.id, "torch, fp16" if half else "torch", batch, run, random_feed(_blank(row, batch)))


def random_feed(blank: Feed) -> Feed:
    """The same shapes and types, with something in them."""
    rng = np.random.default_rng(0)
    return {
        name: rng.integers(0, 256, array.shape, np.uint8)
        if array.dtype == np.uint8
        else rng.standard_normal(array.shape).astype(array.dtype)
        for name, array in blank.items()
    }


def measure(ways: list[Way], seconds: float, rounds: int) -> list[Measured]:
    """Rates of ways that take turns; the ratio is to plain ONNX Runtime of the same model and batch."""
    rates: dict[tuple[str, str, int], list[float]] = {(way.model, way.name, way.batch): [] for way in ways}
    for way in ways:
        way.run(way.feed)
    for _ in range(rounds):
        for way in ways:
            done, began = 0, time.perf_counter()
            while done == 0 or time.perf_counter() - began < seconds:
                way.run(way.feed)
                done += way.batch
            rates[way.model, way.name, way.batch].append(done / (time.perf_counter() - began))
    medians = {key: statistics.median(found) for key, found in rates.items()}
    return [
        Measured(model, name, batch, rate, rate / medians.get((model, PLAIN, batch), rate))
        for (model, name, batch), rate in medians.items()
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure, print a line each, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provider", choices=("cpu", "cuda", "tensorrt"), default="cpu")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each way in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    if options.provider != "cpu":
        ort.preload_dlls()  # CUDA and cuDNN where torch or pip brought them
    settings = VisionSettings(provider=options.provider)
    registry = Registry(settings)
    results: list[Measured] = []
    for row in (registry.row("default", "segment"), registry.row("default", "embed")):
        for batch in options.batches:
            found = [*onnx_ways(row, batch, settings), *torch_ways(row, batch, settings)]
            faults = [each for each in found if isinstance(each, Measured)]
            here = measure([each for each in found if isinstance(each, Way)], options.seconds, options.rounds) + faults
            for each in here:
                said = each.fault or f"{each.photos_per_s:9.1f} photos/s {each.ratio:6.2f}"
                print(f"  {each.model:>14} batch {each.batch:3} {each.way:32} {said}")
            results += here
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(each) for each in results], indent=2) + "\n")


def _blank(row: ModelRow, batch: int) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    if row.input is None:
        return {}
    height, width = row.input.height, row.input.width
    if row.task == "segment":
        return {"image": np.zeros((batch, 3, height, width), np.float32)}
    return {"rgb": np.zeros((batch, height, width, 3), np.uint8), "mask": np.zeros((batch, height, width), np.uint8)}


def _network(task: Task) -> Any:
    import timm
    import torch
    from torch import nn

    from worker.lab.lite0 import fold_batch_norms
    from worker.lab.training.nets.embedder import EmbedderNet
    from worker.lab.training.nets.joined import JoinedNet
    from worker.lab.training.nets.light_segmenter import LightSegmenter
    from worker.lab.training.nets.lite import LITES
    from worker.vision.garment_classes import CLASSES

    if task == "segment":
        return LightSegmenter(len(CLASSES))
    published = LITES["efficientnet-lite0"]

    def member() -> EmbedderNet:
        torch.manual_seed(0)  # one frozen part, which the members share
        net = timm.create_model(published.timm_name, pretrained=False)
        net.classifier = nn.Identity()
        fold_batch_norms(net.eval())
        return EmbedderNet(net, published.tap, 384, 128, frozen_blocks=4)

    return JoinedNet([member(), member()], 384, 128)


if __name__ == "__main__":
    main()
