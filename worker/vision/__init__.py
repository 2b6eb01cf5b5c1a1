"""From pixels to vectors: the model registry, ONNX Runtime sessions, segmenters, the crop and the embedder.

`load_models(settings.vision)` gives a segmenter and an embedder that are verified and warm; `make_crop` cuts the garment out between
them.
"""

from worker.vision.calibration import PairCalibration
from worker.vision.crop import NOT_FOUND_FLAG, make_crop
from worker.vision.load import LoadedModels, load_models, model_fingerprint
from worker.vision.types import Crop, Embedder, Mask, Segmenter

__all__ = [
    "NOT_FOUND_FLAG",
    "Crop",
    "Embedder",
    "LoadedModels",
    "Mask",
    "PairCalibration",
    "Segmenter",
    "load_models",
    "make_crop",
    "model_fingerprint",
]
