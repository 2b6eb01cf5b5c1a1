"""This machine: cores, memory and disk against what the settings ask of them."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from worker.doctor.findings import Finding, fail, ok, warn
from worker.settings import Settings
from worker.vision.store import cache_dir

CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")
MIB = 1 << 20
# The worker's own process with the default models, warm, and a batch in each stage; decoders come on top.
PROCESS_MIB = 1536
# Less room than this and a pulled model, or the next Kafka log line, fails.
DISK_FAIL_MIB, DISK_WARN_MIB = 256, 2048
# Connections to Kafka, S3 (a pool), Qdrant, decoders' pipes, model files.
FILES_WARN = 1024


@dataclass(frozen=True, slots=True)
class Machine:
    """What this process may use: the smaller of the machine and its container."""

    cores: float
    affinity: int
    memory_mib: float


def this_machine(cgroup: Path = CGROUP, meminfo: Path = MEMINFO) -> Machine:
    """Look at the machine and at the container's limits (cgroup v2)."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _first_line(cgroup / "cpu.max").split()
    cores = float(affinity)
    if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit():
        cores = min(cores, int(quota[0]) / int(quota[1]))
    memory = next((int(line.split()[1]) / 1024 for line in _lines(meminfo) if line.startswith("MemTotal:")), float("inf"))
    limit = _first_line(cgroup / "memory.max")
    if limit.isdigit():
        memory = min(memory, int(limit) / MIB)
    return Machine(cores, affinity, memory)


def check_machine(settings: Settings, machine: Machine | None = None) -> Iterator[Finding]:
    """Cores and memory."""
    machine = machine or this_machine()
    vision, imaging = settings.vision, settings.imaging
    threads = vision.threads or machine.affinity
    if vision.provider == "cpu" and threads > machine.cores:
        yield warn(
            "cores",
            f"{threads} threads work on models, and this process may use {machine.cores:g} cores: they wait for one another",
            f"set INTAKE_VISION__THREADS={max(1, int(machine.cores))}",
        )
    else:
        yield ok("cores", f"{machine.cores:g} cores for {threads} model threads")
    decoders = (
        imaging.decoder_processes * imaging.decoder_memory_mb if imaging.isolation == "process" else imaging.decoder_memory_mb
    )
    needed = decoders + PROCESS_MIB
    if needed > machine.memory_mib:
        yield warn(
            "memory",
            f"the worker and its decoders at their limit need {needed} MiB, there are {machine.memory_mib:.0f}",
            "lower INTAKE_IMAGING__DECODER_PROCESSES or INTAKE_IMAGING__DECODER_MEMORY_MB, or give it more memory",
        )
    else:
        yield ok("memory", f"{machine.memory_mib:.0f} MiB for at most {needed} MiB")
    files, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < FILES_WARN:
        yield warn("files", f"only {files} files may be open at once", f"raise the limit (ulimit -n {FILES_WARN})")


def check_disk(settings: Settings) -> Iterator[Finding]:
    """Room where models, the embedded index and temporary files lie."""
    places = {"models": cache_dir(settings.vision), "temporary files": Path(tempfile.gettempdir())}
    if settings.catalogue.engine == "edge":
        places["the embedded index"] = settings.catalogue.path
    for what, place in places.items():
        there = existing(place.absolute())
        free = shutil.disk_usage(there).free / MIB
        message = f"{free:.0f} MiB free for {what} ({place})"
        if free < DISK_FAIL_MIB:
            yield fail("disk", message, "make room")
        elif free < DISK_WARN_MIB:
            yield warn("disk", message, "make room soon")
        else:
            yield ok("disk", message)
    index = settings.catalogue.path.absolute()
    if settings.catalogue.engine == "edge" and not os.access(existing(index), os.W_OK):
        yield fail(
            "disk", f"the embedded index cannot be written ({index})", "set INTAKE_CATALOGUE__PATH to a folder of this user"
        )


def existing(path: Path) -> Path:
    """The nearest folder above `path` that is there."""
    while not path.exists():
        path = path.parent
    return path


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _first_line(path: Path) -> str:
    return next(iter(_lines(path)), "")
