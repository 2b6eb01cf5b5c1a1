"""`intake lab evaluate`: several methods on one manifest, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from worker.lab.embed import FitOptions, Starter, embed_manifest, quiet
from worker.lab.embedding import PhotoBench
from worker.lab.evaluation import Evaluated, evaluate
from worker.lab.manifest import Manifest
from worker.lab.memory import MemoryMeter
from worker.lab.method import Method
from worker.lab.models import Workbench


def compare(
    manifest: Manifest,
    methods: Sequence[Method],
    workbench: Workbench,
    bench: PhotoBench,
    fit: FitOptions,
    thresholds: Mapping[str, float],
    starter: Starter = quiet,
    *,
    memory: bool = False,
) -> list[Evaluated]:
    """Embed and measure each method. A method that cannot be loaded is found out before any photo is embedded.

    `memory`: also measure how much memory each takes, in a process of its own.

    Raises:
        ConfigurationError: a part of a method is unknown or not installed, or the manifest has no queries or no catalogue.
        ModelError: a model cannot be had.
    """
    for method in methods:
        workbench.check(method)
    results = []
    for method in methods:
        # One network in memory at a time.
        embedded = embed_manifest(manifest, workbench.load(method), bench, fit, starter)
        evaluated = evaluate(embedded, thresholds.get(method.text))
        results.append(_with_memory(evaluated, workbench, bench) if memory else evaluated)
    return results


def _with_memory(evaluated: Evaluated, workbench: Workbench, bench: PhotoBench) -> Evaluated:
    embedded = evaluated.embedded
    readable = [location for location in dict.fromkeys(embedded.manifest.locations) if location not in embedded.faults]
    taken = MemoryMeter(readable, workbench.weights, bench.cache).measure(embedded.loaded)
    cost = replace(evaluated.result.cost, memory_mb=taken.peak_mb, loaded_mb=taken.loaded_mb)
    return replace(evaluated, result=replace(evaluated.result, cost=cost))
