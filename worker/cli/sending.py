"""Sends a scenario: photos drawn and uploaded first, then events at their rate; and collects what came out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from worker.cli.following import OutcomeReader
from worker.cli.publishing import SIMULATE_SOURCE, Destination, EventPublisher, photographed, upload
from worker.errors import ConfigurationError
from worker.events import ItemPhotographed, PhotoLocation
from worker.imaging.store import PhotoStore
from worker.ops.deadline import Deadline
from worker.settings import Settings
from worker.simulate.arrivals import Scenario, SimulatedArrival
from worker.simulate.outcomes import Outcome, read_outcome
from worker.simulate.photos import draw_photos
from worker.simulate.truth import Truth

T = TypeVar("T")

# Threads that upload; one PUT takes a few milliseconds, drawing a photo takes longer.
_UPLOADS = 8


def send_scenario(
    settings: Settings, scenario: Scenario, place: Destination, processes: int, wait_s: float | None
) -> list[Outcome] | None:
    """Send everything. With `wait_s`, collect outcomes until all are there or none came for so long; else None."""
    with ExitStack() as stack:
        reader = stack.enter_context(OutcomeReader(settings, from_beginning=False)) if wait_s is not None else None
        publisher = stack.enter_context(EventPublisher(settings, SIMULATE_SOURCE))
        with closing(PhotoStore(settings.storage)) as store:
            located = upload_photos(store, place, scenario, processes)
        publish_at_rate(publisher, scenario.arrivals, located)
        if reader is None or wait_s is None:
            return None
        return collect_outcomes(reader, scenario.truths, wait_s)


def upload_photos(
    store: PhotoStore, place: Destination, scenario: Scenario, processes: int
) -> dict[str, tuple[PhotoLocation, ...]]:
    """Draw and upload every photo, before anything is sent: then the rate is kept. Locations by arrival id."""
    located: dict[str, list[PhotoLocation | Future[PhotoLocation]]] = {}
    first = [arrival for arrival in scenario.arrivals if not arrival.repeated]
    wanted = [(arrival, photo) for arrival in first if arrival.uploaded for photo in arrival.photos]
    with ThreadPoolExecutor(_UPLOADS) as threads:
        drawn = shown("drawing and uploading", len(wanted), draw_photos((photo for _, photo in wanted), processes))
        with unusable_photos_reported():
            for (arrival, photo), data in zip(wanted, drawn, strict=True):
                task = threads.submit(upload, store, place, arrival.arrival_id, photo.view, photo.suffix, data)
                located.setdefault(arrival.arrival_id, []).append(task)
    for arrival in first:
        if not arrival.uploaded:  # named, but not there
            located[arrival.arrival_id] = [
                PhotoLocation(bucket=place.bucket, key=place.key(arrival.arrival_id, photo.view, photo.suffix), view=photo.view)
                for photo in arrival.photos
            ]
    return {name: tuple(item.result() if isinstance(item, Future) else item for item in items) for name, items in located.items()}


@contextmanager
def unusable_photos_reported() -> Iterator[None]:
    """Turn a real photo that cannot be used into the operator's error."""
    try:
        yield
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def publish_at_rate(
    publisher: EventPublisher, arrivals: Sequence[SimulatedArrival], located: Mapping[str, tuple[PhotoLocation, ...]]
) -> None:
    """Send every event when it is due. A repeat is the same event again, byte for byte."""
    events: dict[str, ItemPhotographed] = {}
    begun = time.monotonic()
    for arrival in shown("sending", len(arrivals), arrivals):
        early = arrival.due_s - (time.monotonic() - begun)
        if early > 0:
            time.sleep(early)
        if arrival.arrival_id not in events:
            photos = located[arrival.arrival_id]
            events[arrival.arrival_id] = photographed(arrival.arrival_id, photos, arrival.attributes, datetime.now(UTC))
        publisher.send(events[arrival.arrival_id])
    publisher.flush()


def collect_outcomes(reader: OutcomeReader, truths: Sequence[Truth], wait_s: float) -> list[Outcome]:
    """Outcomes until every arrival has as many as it has events, or none has come for `wait_s` seconds."""
    open_events = dict.fromkeys((line.arrival_id for line in truths), 0)
    for line in truths:
        open_events[line.arrival_id] += 1
    found: list[Outcome] = []
    with _bar() as progress:
        task = progress.add_task("outcomes", total=len(truths))
        quiet = Deadline.after(wait_s)
        while any(open_events.values()) and not quiet.passed:
            for followed in reader.poll():
                outcome = read_outcome(followed.event)
                if outcome is None:
                    continue
                found.append(outcome)
                if open_events.get(outcome.arrival_id, 0) > 0:
                    open_events[outcome.arrival_id] -= 1
                    progress.advance(task)
                    quiet = Deadline.after(wait_s)
    return found


@contextmanager
def _bar() -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=False) as progress:
        yield progress


def shown(what: str, total: int, items: Iterable[T]) -> Iterator[T]:
    """`items`, with a progress bar on stderr."""
    with _bar() as progress:
        yield from progress.track(items, total=total, description=what)
