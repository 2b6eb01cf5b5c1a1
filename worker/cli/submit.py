"""`intake submit`: one arrival, as a phone app's back end would send it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from worker.cli.following import OutcomeReader
from worker.cli.publishing import SUBMIT_SOURCE, Destination, EventPublisher, as_json, photographed, upload
from worker.cli.showing import candidates_table, one_line
from worker.errors import ConfigurationError
from worker.events import Attributes, PhotoLocation
from worker.imaging.store import PhotoStore
from worker.ops.deadline import Deadline
from worker.settings import load_settings
from worker.simulate.outcomes import read_outcome

# What photos show when nobody says: the order people photograph in.
_DEFAULT_VIEWS = ("front", "back", "label", "detail")


def command(
    photos: Annotated[list[Path], typer.Argument(help="Photos of one garment.", exists=True, dir_okay=False)],
    *,
    view: Annotated[
        list[str] | None, typer.Option(help="What each photo shows, in order; default front, back, label, detail.")
    ] = None,
    arrival_id: Annotated[
        str | None, typer.Option(help="Default: a new one. The same id with the same body is a replay.")
    ] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="brand=..., gender=, category=, colour=, size=, supplier=, warehouse=")
    ] = None,
    bucket: Annotated[str | None, typer.Option(help="Default: the first allowed one.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Of the photos' keys. Default: the allowed one.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow until the outcome is there, and show it.")] = False,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait.")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="The event sent, or with --wait the outcome, as JSON.")] = False,
) -> None:
    """Upload photos of one garment and publish its `item-photographed` event."""
    settings = load_settings()
    place = Destination.of(settings, bucket, prefix)
    views = views_of(photos, view or [])
    chosen_id = arrival_id or f"arrival-{uuid.uuid4().hex[:20]}"
    # Checked whole before anything is uploaded: no photo is left behind by a typing mistake.
    attributes = attributes_of(attribute or [])
    at = datetime.now(UTC)
    photographed(chosen_id, planned_photos(place, chosen_id, photos, views), attributes, at)
    reader = OutcomeReader(settings, from_beginning=False) if wait else None
    try:
        with closing(PhotoStore(settings.storage)) as store, EventPublisher(settings, SUBMIT_SOURCE) as publisher:
            stored = [
                upload(store, place, chosen_id, name, path.suffix.lower(), path.read_bytes())
                for path, name in zip(photos, views, strict=True)
            ]
            event = photographed(chosen_id, stored, attributes, at)
            publisher.send(event)
            publisher.flush()
        if reader is None:
            typer.echo(as_json(event.model_dump(mode="json")) if json else f"sent {chosen_id} with {len(photos)} photo(s)")
            return
        outcome = await_outcome(reader, chosen_id, timeout)
    finally:
        if reader is not None:
            reader.close()
    if outcome is None:
        typer.echo(f"no outcome of {chosen_id} within {timeout:g} s; is a worker running? `intake watch` follows", err=True)
        raise typer.Exit(1)
    show(outcome, json=json)


def views_of(photos: Sequence[Path], given: Sequence[str]) -> list[str]:
    """The view of each photo.

    Raises:
        ConfigurationError: not as many views as photos, or one of them twice (their keys would collide).
    """
    if not given:
        given = [*_DEFAULT_VIEWS, *(f"photo-{number}" for number in range(len(_DEFAULT_VIEWS) + 1, len(photos) + 1))][
            : len(photos)
        ]
    if len(given) != len(photos):
        raise ConfigurationError(f"{len(photos)} photos but {len(given)} --view; give one for each, in order")
    if len(set(given)) != len(given):
        raise ConfigurationError("two photos have the same --view; name them apart, as in detail-1, detail-2")
    return list(given)


def attributes_of(given: Sequence[str]) -> dict[str, str]:
    """``name=value`` options as attributes.

    Raises:
        ConfigurationError: no such attribute, or no value.
    """
    attributes: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not value or name not in Attributes.model_fields:
            raise ConfigurationError(f"--attribute {name}: give name=value with a name of {', '.join(Attributes.model_fields)}")
        attributes[name] = value
    return attributes


def planned_photos(place: Destination, arrival_id: str, photos: Sequence[Path], views: Sequence[str]) -> list[PhotoLocation]:
    """Where the photos will lie.

    Raises:
        ConfigurationError: a view is not what the contract allows.
    """
    try:
        return [
            PhotoLocation(bucket=place.bucket, key=place.key(arrival_id, view, path.suffix.lower()), view=view)
            for path, view in zip(photos, views, strict=True)
        ]
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise ConfigurationError(f"--view or --bucket: {first['loc'][-1]}: {first['msg']}") from None


def await_outcome(reader: OutcomeReader, arrival_id: str, timeout_s: float) -> dict[str, Any] | None:
    """The first outcome of an arrival as JSON; None if none comes in time."""
    for followed in reader.read(Deadline.after(timeout_s)):
        outcome = read_outcome(followed.event)
        if outcome is not None and outcome.arrival_id == arrival_id:
            return followed.event
    return None


def show(event: dict[str, Any], *, json: bool) -> None:
    """Print one outcome, with its candidates if it is a match alert."""
    if json:
        typer.echo(as_json(event))
        return
    console = Console()
    line = one_line(event)
    if line is not None:
        console.print(line, soft_wrap=True)
    if event.get("candidates"):
        console.print(candidates_table(event))
