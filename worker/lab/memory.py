"""How much memory a method takes: measured in a fresh process that runs this method and nothing else.

The process reads and decodes a few photos and imports what every method shares; that is idle. Then it loads the method (libraries such as
torch, models, their warm-up), and runs segmenter, crop and descriptor on one photo after the other. Resident memory is what the kernel
says: over that of the idle process, after loading and at the highest while photos ran. Reductions, which are a matrix product, are not
run; decoding, which is the same for all, is not counted; memory of a GPU is not seen.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.errors import ConfigurationError, DeadLetterError
from worker.lab.cache import LabCache
from worker.lab.models import LoadedMethod

# One after the other: the second and later ones find the model's own buffers already there, as in a worker.
PHOTOS = 4
DEADLINE_S = 900.0
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # to RESET: forget the highest resident memory so far (man 5 proc)


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes above those of the idle process: after loading, and at the highest while photos ran."""

    loaded_mb: float
    peak_mb: float


@dataclass(frozen=True, slots=True, eq=False)
class MemoryMeter:
    """Measures methods on `PHOTOS` of these photos, evenly drawn; a method that was measured before is not measured again.

    Attributes:
        locations: photos that can be read.
        weights: files of weights, as the methods are loaded with.
        cache: keeps what was measured.
    """

    locations: Sequence[str]
    weights: Mapping[str, Path]
    cache: LabCache

    def measure(self, loaded: LoadedMethod) -> Memory:
        """What a method takes.

        Raises:
            ConfigurationError: this is no Linux, or the process that measures failed.
        """
        kept = self.cache.memory(loaded.vector_key)
        if kept is not None:
            return Memory(*kept)
        if not STATUS.is_file():
            raise ConfigurationError("--memory reads /proc, which only Linux has; leave it out here")
        every = max(1, len(self.locations) // PHOTOS)
        asked = {
            "method": loaded.method.text,
            "weights": {name: str(path.resolve()) for name, path in self.weights.items()},
            "locations": list(self.locations[::every][:PHOTOS]),
        }
        command = [sys.executable, "-m", "worker.lab.memory"]
        try:
            done = subprocess.run(  # noqa: S603  this program itself
                command, input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=DEADLINE_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigurationError(f"cannot measure the memory of {loaded.method.text}: {error}") from error
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ConfigurationError(f"cannot measure the memory of {loaded.method.text}: {last}")
        answer = json.loads(done.stdout.splitlines()[-1])
        memory = Memory(float(answer["loaded_mb"]), float(answer["peak_mb"]))
        self.cache.put_memory(loaded.vector_key, memory.loaded_mb, memory.peak_mb)
        return memory


def resident_mb(field: str) -> float:
    """A field of this process's status in megabytes: ``VmRSS`` is what it holds, ``VmHWM`` the most it held."""
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ConfigurationError(f"the kernel does not say {field}")


def forget_peak() -> None:
    """From now on ``VmHWM`` is the most that is held from now on. Where the kernel forbids it, the peak of loading stays in it."""
    try:
        RESET.write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return


def probe(text: str, weights: Mapping[str, Path], locations: Sequence[str]) -> Memory:
    """Measure in this process, which should have done nothing else."""
    from worker.lab.embedding import open_bench  # noqa: PLC0415  below the imports that others of this module need
    from worker.lab.method import parse_method  # noqa: PLC0415
    from worker.lab.models import Workbench  # noqa: PLC0415
    from worker.settings import load_settings  # noqa: PLC0415
    from worker.vision.crop import make_crop  # noqa: PLC0415

    settings = load_settings()
    imaging = settings.imaging.model_copy(update={"isolation": "none"})
    settings = settings.model_copy(update={"imaging": imaging})
    with open_bench(settings, LabCache(None)) as bench:
        photos = [rgb for rgb in (bench.shown(location) for location in locations) if rgb is not None]
        if not photos:
            raise ConfigurationError("none of the photos can be read")
        idle = resident_mb("VmRSS")
        loaded = Workbench(settings, weights).load(parse_method(text))
        after = resident_mb("VmRSS")
        forget_peak()
        for rgb in photos:
            mask = loaded.segmenter.segment([rgb])[0]
            try:
                loaded.descriptor.describe([make_crop(rgb, mask, loaded.descriptor.card.crop_side)])
            except DeadLetterError:
                continue  # nothing was found in the photo: the segmenter's share was measured
        return Memory(round(after - idle, 1), round(resident_mb("VmHWM") - idle, 1))


def main() -> None:
    """The process that measures: what is asked for on stdin, the answer on stdout."""
    asked = json.load(sys.stdin)
    weights = {name: Path(path) for name, path in asked["weights"].items()}
    memory = probe(asked["method"], weights, asked["locations"])
    sys.stdout.write(json.dumps({"loaded_mb": memory.loaded_mb, "peak_mb": memory.peak_mb}) + "\n")


if __name__ == "__main__":
    main()
