"""What a demo shows: a catalogue folder, and arrivals with their photos on disk; drawn with known truth, or a user's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.catalogue.entries import DEFAULT_VIEW, id_from_name, view_from_name
from worker.catalogue.sources import SUFFIXES
from worker.errors import ConfigurationError
from worker.simulate.arrivals import DEFAULT_FAULTS, Scenario, ScenarioOptions, build_scenario
from worker.simulate.folder import arrival_files, catalogue_files, write_attributes, write_files
from worker.simulate.truth import Truth

DONE_MARK = "done"


@dataclass(frozen=True, slots=True)
class PlannedArrival:
    """One event to be sent. A photo whose file is not there is named in the event all the same: that is a missing object."""

    arrival_id: str
    photos: tuple[tuple[str, Path], ...]
    attributes: dict[str, str]
    truth: Truth | None = None


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """A catalogue source for `intake catalogue load`, and what arrives, in order."""

    catalogue: Path
    articles: int
    arrivals: tuple[PlannedArrival, ...]

    @property
    def truths(self) -> list[Truth]:
        """The truth of every arrival, where it is known."""
        return [arrival.truth for arrival in self.arrivals if arrival.truth is not None]


def demo_options(articles: int, arrivals: int, seed: int) -> ScenarioOptions:
    """New articles, re-photographed ones, colourways, back views, twins, corrupt and missing photos, repeats."""
    return ScenarioOptions(seed=seed, catalogue_size=articles, count=arrivals, faults=DEFAULT_FAULTS, run="demo")


def simulated_plan(folder: Path, options: ScenarioOptions, on_photo: Callable[[int, int], None], processes: int) -> DemoPlan:
    """Draw a scenario below `folder`, unless it is there already. `on_photo` is told how many photos of how many are drawn."""
    scenario = build_scenario(options)
    catalogue, arrivals = folder / "catalogue", folder / "arrivals"
    files = [(catalogue, catalogue_files(scenario)), (arrivals, arrival_files(scenario))]
    total = sum(len(planned) for _, planned in files)
    mark = folder / DONE_MARK
    wanted = options.model_dump_json()
    if not mark.exists() or mark.read_text(encoding="utf-8") != wanted:
        drawn = 0
        for where, planned in files:
            for _ in write_files(where, planned, processes):
                drawn += 1
                on_photo(drawn, total)
        write_attributes(catalogue, scenario)
        mark.write_text(wanted, encoding="utf-8")
    on_photo(total, total)
    listing = catalogue / "articles.jsonl"
    return DemoPlan(listing if listing.exists() else catalogue, len(scenario.catalogue), tuple(_of_scenario(scenario, arrivals)))


def folder_plan(catalogue: Path, arrivals: Path) -> DemoPlan:
    """A user's own photos: in both folders a file, or a sub-folder of views, is one article or arrival.

    Raises:
        ConfigurationError: a folder is not there or holds no photo, or two arrivals would have the same id.
    """
    articles = sum(1 for _ in _units(catalogue))
    planned = [PlannedArrival(name, tuple((view, path) for view, path in photos), {}) for name, photos in _units(arrivals)]
    names = [arrival.arrival_id for arrival in planned]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"{arrivals}: several arrivals would be called {twice[0]}: rename a file or a sub-folder")
    return DemoPlan(catalogue, articles, tuple(planned))


def _of_scenario(scenario: Scenario, folder: Path) -> list[PlannedArrival]:
    return [
        PlannedArrival(
            arrival.arrival_id,
            tuple((photo.view, folder / arrival.arrival_id / f"{photo.view}{photo.suffix}") for photo in arrival.photos),
            dict(arrival.attributes),
            arrival.truth,
        )
        for arrival in scenario.arrivals
    ]


def _units(folder: Path) -> Sequence[tuple[str, list[tuple[str, Path]]]]:
    """(id, its photos as (view, path)) for each file or sub-folder, by name."""
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}")
    units: list[tuple[str, list[tuple[str, Path]]]] = []
    for item in sorted(folder.iterdir()):
        if item.name.startswith("."):
            continue
        if item.is_dir():
            photos = sorted(path for path in item.rglob("*") if _is_photo(path))
            if photos:
                units.append((id_from_name(item.name), [(view_from_name(path.stem), path) for path in photos]))
        elif _is_photo(item):
            units.append((id_from_name(item.stem), [(DEFAULT_VIEW, item)]))
    if not units:
        raise ConfigurationError(f"{folder} holds no photo ({', '.join(sorted(SUFFIXES))})")
    return units


def _is_photo(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
