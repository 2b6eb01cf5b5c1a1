"""What commands of the lab share: options, and what reads photos."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from worker.lab.embed import EmbeddedManifest, FitOptions, Starter
    from worker.lab.embedding import PhotoBench
    from worker.lab.manifest import Manifest
    from worker.lab.models import Workbench

ManifestOption = Annotated[
    Path, typer.Option("--manifest", "-m", help="CSV path,item_id,role,kind (role: catalogue or query).", dir_okay=False)
]
FitOption = Annotated[
    Path | None, typer.Option("--fit", help="Manifest that pca and svm learn from; none: the catalogue part of the manifest.")
]
AttributesOption = Annotated[
    Path | None, typer.Option("--attributes", help="CSV with a column item_id and one for each attribute: what svm learns.")
]
WeightsOption = Annotated[
    list[str] | None, typer.Option("--weights", help="DESCRIPTOR=FILE: weights of a network, as in resnet50=resnet50.pth.")
]
NoCacheOption = Annotated[bool, typer.Option("--no-cache", help="Compute everything anew and keep nothing.")]
# What one run reports of photos it could not read; the rest is a number.
_SHOWN_FAULTS = 20


@contextmanager
def open_lab(
    weights: Sequence[str] | None, *, no_cache: bool, manifests: Sequence[Manifest | None] = ()
) -> Iterator[tuple[Workbench, PhotoBench]]:
    """Models and photos, closed again; the categories of `manifests` say which garment is meant, as events do."""
    from worker.lab.cache import LabCache, cache_folder  # noqa: PLC0415
    from worker.lab.embedding import open_bench  # noqa: PLC0415
    from worker.lab.models import Workbench  # noqa: PLC0415
    from worker.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    workbench = Workbench(settings, _weight_files(weights or ()))
    categories = {at: what for each in reversed(manifests) if each is not None for at, what in each.categories.items()}
    with open_bench(settings, LabCache(None if no_cache else cache_folder()), categories) as bench:
        yield workbench, bench


def fit_options(fit: Path | None, attributes: Path | None) -> FitOptions:
    """What reductions learn from."""
    from worker.lab.embed import FitOptions  # noqa: PLC0415
    from worker.lab.manifest import read_manifest  # noqa: PLC0415
    from worker.lab.reduction import read_attributes  # noqa: PLC0415

    return FitOptions(
        manifest=read_manifest(fit) if fit is not None else None,
        attributes=read_attributes(attributes) if attributes is not None else {},
    )


def _weight_files(texts: Sequence[str]) -> dict[str, Path]:
    from worker.lab.descriptors.backbones import BACKBONES  # noqa: PLC0415

    names = [row.name for row in BACKBONES]
    files = {}
    for text in texts:
        name, sign, path = text.partition("=")
        if sign and name not in names:
            raise typer.BadParameter(f"{name!r} is no network; there are {', '.join(names)}", param_hint="--weights")
        if not sign or not Path(path).is_file():
            raise typer.BadParameter(f"{text!r} is not DESCRIPTOR=FILE with a file that is there", param_hint="--weights")
        files[name] = Path(path)
    return files


def say_random(text: str, weights: str) -> None:
    """Say on stderr that a network was never trained."""
    if weights.startswith("random"):
        typer.echo(f"{text}: RANDOM WEIGHTS ({weights}); its figures say nothing about the trained network", err=True)


def unread_count(embedded: EmbeddedManifest) -> int:
    """How many lines have no vector."""
    from worker.lab.embed import unread_lines  # noqa: PLC0415

    return len(unread_lines(embedded))


def report_unread(embedded: EmbeddedManifest) -> None:
    """Name on stderr what could not be read."""
    from worker.lab.embed import unread_lines  # noqa: PLC0415

    rows = unread_lines(embedded)
    for number, path, why in rows[:_SHOWN_FAULTS]:
        typer.echo(f"row {number} ({path}): {why}", err=True)
    if len(rows) > _SHOWN_FAULTS:
        typer.echo(f"and {len(rows) - _SHOWN_FAULTS} more that cannot be read", err=True)


@contextmanager
def progress_bar() -> Iterator[Starter]:
    """Progress on stderr: a bar on a terminal, a line now and then elsewhere."""
    from worker.lab.showing import show_progress  # noqa: PLC0415

    with show_progress(sys.stderr) as starter:
        yield starter
