"""Export the default embedder: ``python -m worker.lab.export_lite0 --photos FOLDER --table images.csv``.

FOLDER holds phone photos of garments whose licence permits learning from them (``<image>.jpg``), the table names each photo's
sender (columns image, sender_id). What is learned from them is the whitening alone; senders whose number is divisible by three are
left out, for calibration and for measuring. Writes the ONNX file and its row; the same input gives the same numbers.
"""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,untyped-decorator,no-any-return"

from __future__ import annotations

import argparse
import csv
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from torch import nn
from tqdm import tqdm

from worker.errors import ModelError
from worker.lab.lite0 import BINS, SIDE, WEIGHTS_SHA256, WEIGHTS_SOURCE, Descriptor, Features, features_of, network, whitening
from worker.settings.vision import VisionSettings
from worker.vision.crop import NOT_FOUND_FLAG, make_crop
from worker.vision.load import load_segmenter
from worker.vision.registry import Registry, package_dir
from worker.vision.rows import InputSpec, ModelRow, OutputSpec
from worker.vision.session import OnnxSession
from worker.vision.sources import fetch
from worker.vision.store import ModelStore, cache_dir, file_sha256
from worker.vision.types import Crop

MODEL_ID = "lite0-gem-lab"
FILE = f"{MODEL_ID}.onnx"
OPSET = 17  # the first with everything torch needs here that every ONNX Runtime >= 1.20 runs on CPU, CUDA and TensorRT
DIMENSION = 512
WHITENED = DIMENSION - BINS**3
PHOTOS = 2400
SEED = 0
HELD_OUT = 3  # every third sender is
TOLERANCE = 1e-4
COLOUR_PREFIX = "/colour/"

LICENCE = "Apache-2.0"
NOTICE = (
    "EfficientNet-Lite0 with ImageNet weights: EfficientNet by Mingxing Tan and Quoc V. Le, Apache-2.0, TensorFlow authors; converted to "
    "PyTorch and packaged by ML Illustrated, Apache-2.0 (weights rounded to half precision here). Whitening learned on photos of the "
    "clothing dataset by Alexey Grigorev and contributors, CC0."
)


def training_photos(folder: Path, table: Path, count: int) -> list[Path]:
    """Of `count` photos drawn from the table those whose senders are not held out."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    random.Random(SEED).shuffle(rows)  # noqa: S311  # nosec B311  a draw that can be repeated, nothing secret
    drawn = [row for row in rows if (folder / f"{row['image']}.jpg").is_file()][:count]
    if not drawn:
        raise ModelError(f"{folder} holds none of the photos {table} names")
    return [folder / f"{row['image']}.jpg" for row in drawn if int(row["sender_id"]) % HELD_OUT]


def cut_out(paths: list[Path], settings: VisionSettings) -> list[Crop]:
    """Crops of photos by the default segmenter; photos without a garment are left out."""
    registry = Registry(settings)
    segmenter = load_segmenter(registry.row("default", "segment"), ModelStore(settings, registry.user_dir), settings)
    crops = []
    for path in tqdm(paths, desc="cut out", mininterval=10):
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            continue
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8)
        crop = make_crop(rgb, segmenter.segment([rgb])[0], SIDE)
        if NOT_FOUND_FLAG not in crop.flags:
            crops.append(crop)
    return crops


def weights_file(settings: VisionSettings) -> Path:
    """The published weights, fetched once and verified."""
    path = cache_dir(settings) / f"{WEIGHTS_SHA256}.pth"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        fetch(WEIGHTS_SOURCE, path)
    if file_sha256(path) != WEIGHTS_SHA256:
        path.unlink()
        raise ModelError(f"the weights from {WEIGHTS_SOURCE} are not those this recipe was written for; they were thrown away")
    return path


def build(crops: list[Crop], weights: Path) -> Descriptor:
    """The whole descriptor, its whitening learned on `crops`."""
    features = Features(rounded(network(weights)))
    mean, projection = whitening(features_of(features, crops), WHITENED)
    return Descriptor(features, mean.half().float(), projection.half().float()).eval()


def rounded(net: nn.Module) -> nn.Module:
    """`net` with its weights rounded to half precision: the file stores halves, and what is checked must be what is stored."""
    return net.half().float()


def export(descriptor: Descriptor, crops: list[Crop], path: Path) -> float:
    """Write the graph and check it against torch on `crops`.

    Returns:
        the largest difference of any number of any vector.

    Raises:
        ModelError: it is above `TOLERANCE`.
    """
    rgb = torch.from_numpy(np.stack([crop.rgb for crop in crops]))
    mask = torch.from_numpy(np.stack([crop.mask for crop in crops]))
    torch.onnx.export(
        descriptor,
        (rgb[:2], mask[:2]),
        str(path),
        input_names=["rgb", "mask"],
        output_names=["embedding"],
        dynamic_axes={"rgb": {0: "batch"}, "mask": {0: "batch"}, "embedding": {0: "batch"}},
        opset_version=OPSET,
        dynamo=False,  # names nodes by module, which is how the row says what stays in full precision
    )
    store_weights_as_half(path)
    with torch.inference_mode():
        wanted = descriptor(rgb, mask).numpy()
    settings = VisionSettings()
    found = OnnxSession(path, row(path), settings).run({"rgb": rgb.numpy(), "mask": mask.numpy()})
    worst = float(np.abs(wanted - found).max())
    if worst > TOLERANCE:
        raise ModelError(f"the exported graph differs from torch by {worst:.1e}, above {TOLERANCE}")
    return worst


def store_weights_as_half(path: Path) -> None:
    """Keep large float32 weights as float16 and cast them back in the graph: half the file; the cast is folded on loading."""
    model = onnx.load(str(path))
    casts = []
    for weight in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < 1024:
            continue
        halves = values.astype(np.float16)
        name = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(halves, f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], name=f"/weights/{name}", to=onnx.TensorProto.FLOAT))
    for node in reversed(casts):
        model.graph.node.insert(0, node)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def row(path: Path, card: str = "") -> ModelRow:
    """The registry row of the exported file."""
    return ModelRow(
        id=MODEL_ID,
        task="embed",
        default=True,
        source=f"package:{FILE}",
        sha256=file_sha256(path),
        size=path.stat().st_size,
        licence=LICENCE,
        notice=NOTICE,
        card=card,
        opset=OPSET,
        input=InputSpec(image="rgb", mask="mask", height=SIDE, width=SIDE, layout="nhwc", dtype="uint8", range="byte"),
        output=OutputSpec(name="embedding", dimension=DIMENSION),
        fp16_keep=(COLOUR_PREFIX,),
    )


def card(photos: int, worst: float) -> str:
    """What people should know of the model."""
    return (
        f"EfficientNet-Lite0 (ImageNet) at {SIDE} pixels, generalised-mean pooling (p = 3), whitening at half power to {WHITENED} "
        f"numbers learned on {photos} crops of phone photos (clothing dataset, CC0; senders whose number is divisible by three left "
        f"out), and half a square-rooted Lab histogram (6 x 6 x 6) of the garment's pixels: one graph, {DIMENSION} numbers. Nothing "
        f"was trained. Differs from torch by at most {worst:.1e}. Limits: knows no back from a front; a garment in another light "
        f"is another colour. Made by python -m worker.lab.export_lite0."
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder with <image>.jpg")
    parser.add_argument("--table", type=Path, required=True, help="CSV with columns image, sender_id")
    parser.add_argument("--count", type=int, default=PHOTOS, help="photos to draw; those of held-out senders are then left out")
    parser.add_argument("--output", type=Path, default=package_dir(), help="folder that gets models/ and rows/")
    options: Any = parser.parse_args(arguments)
    settings = VisionSettings()
    torch.manual_seed(0)
    crops = cut_out(training_photos(options.photos, options.table, options.count), settings)
    for name in ("models", "rows"):
        (options.output / name).mkdir(parents=True, exist_ok=True)
    path = options.output / "models" / FILE
    worst = export(build(crops, weights_file(settings)), crops[:8], path)
    text = row(path, card(len(crops), worst)).model_dump_json(indent=2, exclude_none=True, exclude_defaults=True)
    (options.output / "rows" / f"{MODEL_ID}.json").write_text(text + "\n", encoding="utf-8")
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, differs from torch by {worst:.1e}")  # noqa: T201


if __name__ == "__main__":
    main()
