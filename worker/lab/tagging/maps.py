"""Maps of a frozen lower half, computed once: of each photo and of its mirror image, in half precision, in a file beside the lab's cache."""

# mypy: disable-error-code="import-not-found,no-any-return,misc"

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from worker.lab.files import writing
from worker.lab.tagging.data import Labelled
from worker.lab.tagging.network import TaggerNet
from worker.vision.preprocess import to_input
from worker.vision.rows import InputSpec
from worker.vision.store import xdg
from worker.vision.types import ByteArray

HalfArray = npt.NDArray[np.float16]
BATCH = 64
SAVE_EVERY = 16  # batches between two notes of how far it is
Teller = Callable[[int, int], None]


def maps_folder() -> Path:
    """Where maps are kept; may be deleted at any time."""
    return xdg("XDG_CACHE_HOME", ".cache") / "intake" / "lab" / "tagger"


def pixels_of(data: Labelled, numbers: Sequence[int], spec: InputSpec) -> ByteArray:
    """Photos as the network takes them: (n, h, w, 3) uint8."""
    return np.stack([np.asarray(to_input(data.source.read(data.names[number]), spec), np.uint8) for number in numbers])


@torch.inference_mode()
def maps_of(net: TaggerNet, data: Labelled, spec: InputSpec, precision: torch.dtype, folder: Path, tell: Teller) -> HalfArray:
    """(photos, 2, channels, h, w) float16 on disk: as it is, and (of the part that is learned) mirrored. A killed run goes on where it was."""
    net.eval()
    device = next(net.parameters()).device
    example = net.maps(torch.zeros(1, spec.height, spec.width, 3, dtype=torch.uint8, device=device))
    shape = (len(data.names), 2, *example.shape[1:])
    key = _key(net, data, spec, precision)
    path, note = folder / f"{key}.npy", folder / f"{key}.json"
    folder.mkdir(parents=True, exist_ok=True)
    done = json.loads(note.read_text(encoding="utf-8"))["done"] if note.is_file() and path.is_file() else 0
    kept = np.lib.format.open_memmap(path, "r+" if done else "w+", np.float16, None if done else shape)
    for count, start in enumerate(range(done, len(data.names), BATCH), start=1):
        numbers = range(start, min(start + BATCH, len(data.names)))
        rgb = torch.from_numpy(pixels_of(data, numbers, spec)).to(device)
        with torch.autocast(device.type, dtype=precision, enabled=precision is not torch.float32):
            kept[start : numbers.stop, 0] = net.maps(rgb).half().cpu().numpy()
            learned = np.flatnonzero(data.parts[start : numbers.stop] == "train")  # mirrored while learning alone
            if len(learned):
                kept[start + learned, 1] = net.maps(rgb[learned].flip(2)).half().cpu().numpy()
        if count % SAVE_EVERY == 0 or numbers.stop == len(data.names):
            kept.flush()
            with writing(note) as part:
                part.write_text(json.dumps({"done": numbers.stop}), encoding="utf-8")
        tell(numbers.stop, len(data.names))
    return np.load(path, mmap_mode="r")


def _key(net: TaggerNet, data: Labelled, spec: InputSpec, precision: torch.dtype) -> str:
    digest = hashlib.sha256()
    for name, value in net.lower.state_dict().items():
        # Averaged weights have lost the sign of their zeros: + 0 takes it from all.
        digest.update(name.encode() + (value.detach().cpu().float() + 0.0).contiguous().numpy().tobytes())
    # The place of the photos is no part: what counts is what is in them.
    parts: list[Any] = [data.names, data.source.sums(data.names), spec.model_dump(mode="json"), str(precision)]
    digest.update(json.dumps(parts, sort_keys=True).encode())
    return digest.hexdigest()[:16]
