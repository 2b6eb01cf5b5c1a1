"""New models: a new collection beside the live one, from the photos the old points name, then the alias switched. And back again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from worker.catalogue.loading import Loader, LoadReport, Task
from worker.catalogue.protocol import Catalogue, CatalogueAdmin, PointState
from worker.errors import ConfigurationError

# Points written to the old collection while its copy is made are copied in further rounds; each is far shorter than the one before.
MOST_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class ReindexReport:
    """What a reindex did. `pending` points were left out: their arrivals are undecided and will be decided with the new models."""

    load: LoadReport
    pending: int
    switched: bool


def reindex(
    admin: CatalogueAdmin, source: Catalogue, target: Catalogue, loader: Loader, fingerprint: str, *, allow_missing: bool
) -> ReindexReport:
    """Make every settled point of `source` again in `target` (where `loader` writes), then switch the alias.

    Not switched if a photo could not be read again, unless `allow_missing`: an article that is missing in the new collection would
    be taken for new when it arrives.
    """
    total = LoadReport()
    for _ in range(MOST_ROUNDS):
        report = loader.load(settled_tasks(source, fingerprint))
        total.loaded += report.loaded
        total.skipped = report.skipped
        total.seconds += report.seconds
        total.refused = report.refused
        if report.loaded == 0:
            break
    switched = allow_missing or not total.refused
    if switched:
        admin.switch_alias(target.collection)
    return ReindexReport(total, source.stats().pending, switched)


def settled_tasks(source: Catalogue, fingerprint: str) -> Iterator[Task]:
    """A task for each settled point: the same point, id and recorded decision, to be given a vector of other models."""
    for points in source.scroll():
        for point in points:
            if point.state is PointState.SETTLED:
                yield Task(replace(point, fingerprint=fingerprint))


def collection_to_go_back_to(admin: CatalogueAdmin, wanted: str | None) -> str:
    """The collection `--back` means: the one asked for, or the only other one of this catalogue.

    Raises:
        ConfigurationError: there is none, or more than one to choose from.
    """
    others = [name for name in admin.collections() if name.startswith(f"{admin.alias}-") and name != admin.alias_target()]
    if wanted is not None:
        if wanted not in others:
            raise ConfigurationError(
                f"{wanted!r} is none of the other collections of this catalogue: {', '.join(others) or 'none'}"
            )
        return wanted
    if len(others) != 1:
        raise ConfigurationError(
            "there is no other collection to go back to"
            if not others
            else f"there are several collections to go back to: name one with --collection ({', '.join(others)})"
        )
    return others[0]
