"""Fuzzes the photo decoder with atheris, in this process: a finding is a crash of a codec or anything but a refusal.

    python -m tests.fuzz.fuzz_decode [CORPUS_FOLDER] [-max_total_time=300] [any option of libFuzzer]

atheris (``pip install atheris``) is no dependency of the project. Without a corpus folder the fuzzer starts from the hostile corpus of the
decoder's tests, in a temporary one. Python code (format and header parsing here, Pillow's plugins) guides it; native codecs run as shipped.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import warnings
from pathlib import Path
from types import ModuleType

# Larger seeds make slow steps, and what they add is bulk.
MAX_SEED_BYTES = 16_384
TARGET_SIDE = 96
MAX_PIXELS = 400_000


def plant_seeds(folder: Path) -> int:
    """Write the small files of the hostile corpus into `folder`; returns how many."""
    corpus = importlib.import_module("tests.imaging.corpus")
    count = 0
    for family in ("sound", "sizes", "structures", "flipped", "polyglots"):
        for specimen in corpus.specimens(family):
            if len(specimen.data) <= MAX_SEED_BYTES:
                (folder / f"{family}-{specimen.name}").write_bytes(specimen.data)
                count += 1
    return count


def one_photo(codec: ModuleType, refusal: type[Exception], data: bytes) -> None:
    """Decode `data`; raise AssertionError where the promise of the decoder does not hold."""
    limits = codec.Limits(MAX_PIXELS, 32, 20.0, TARGET_SIDE, 20.0, 60.0, 0.5)
    try:
        decoded = codec.decode_bytes(data, limits)
    except refusal as refused:
        if not str(refused) or len(str(refused)) > 1000:
            raise AssertionError("a refusal without a message for people") from refused
        return
    height, width, channels = decoded.rgb.shape
    if channels != 3 or str(decoded.rgb.dtype) != "uint8" or not decoded.rgb.flags.c_contiguous:
        raise AssertionError("pixels of another kind")
    original_width, original_height = decoded.original_size
    if min(height, width) > TARGET_SIDE or original_width * original_height > MAX_PIXELS:
        raise AssertionError("pixels beyond the limits")
    if min(height, width) < min(TARGET_SIDE, original_width, original_height):
        raise AssertionError("pixels below the target")


def main() -> None:
    """Fuzz until libFuzzer ends."""
    import atheris

    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["worker.imaging", "PIL"]):
        codec = importlib.import_module("worker.imaging.codec")
        refusal: type[Exception] = importlib.import_module("worker.errors").PhotoRefused
    arguments = sys.argv
    with tempfile.TemporaryDirectory(prefix="intake-fuzz-") as folder:
        if all(argument.startswith("-") for argument in arguments[1:]):
            plant_seeds(Path(folder))
            arguments = [*arguments, folder]
        atheris.Setup(arguments, lambda data: one_photo(codec, refusal, data))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
