"""`intake lab evaluate`: several methods on one manifest, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from worker.lab.embed import FitOptions, Starter, embed_manifest, quiet
from worker.lab.embedding import PhotoBench
from worker.lab.evaluation import Evaluated, evaluate
from worker.lab.manifest import Manifest
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
) -> list[Evaluated]:
    """Embed and measure each method. A method that cannot be loaded is found out before any photo is embedded.

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
        results.append(evaluate(embedded, thresholds.get(method.text)))
    return results
