"""`intake catalogue`: fill it, look at it, search it, move it to new models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from worker.catalogue.entries import BadEntry, CatalogueEntry
from worker.catalogue.grouping import ArticleHit
from worker.catalogue.live import open_catalogue_admin
from worker.catalogue.loading import LoadReport
from worker.catalogue.protocol import CatalogueAdmin
from worker.catalogue.reindexing import collection_to_go_back_to
from worker.catalogue.sheet import Tile, write_sheet
from worker.catalogue.sources import read_source
from worker.embedding import EmbeddedPhoto
from worker.errors import ConfigurationError
from worker.events import Attributes
from worker.loading import CatalogueDesk, open_desk
from worker.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="The catalogue: load it, look at it, search it, reindex it for new models.")

# So many refused photos are shown; the rest is counted.
MOST_SHOWN = 50


@app.command()
def load(
    source: Annotated[Path, typer.Argument(help="A folder, or a .csv, .tsv or .jsonl of articles with photo locations.")],
    names: Annotated[
        str | None, typer.Option(help="How file names in a folder are made, as in '<article>_<view>'; else a file is an article.")
    ] = None,
    *,
    again: Annotated[bool, typer.Option("--again", help="Embed photos again that are in the catalogue already.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if a photo was refused.")] = False,
    optimise: Annotated[bool, typer.Option(help="Embedded engine: build the search graph afterwards.")] = False,
) -> None:
    """Load articles into the live catalogue. Run it again at any time: what is there is skipped."""
    items = list(read_source(source, names))
    entries = [item for item in items if isinstance(item, CatalogueEntry)]
    bad = [item for item in items if isinstance(item, BadEntry)]
    if not items:
        raise ConfigurationError(f"{source} holds no photo (.jpg, .png, .webp, .heic, .avif)")
    with open_desk(load_settings()) as desk:
        with _bar("loading", len(entries)) as advance:
            report = desk.load(entries, progress=advance, again=again)
        if optimise:
            _optimise_live(desk.admin)
    _show_load(report, bad)
    if strict and (report.refused or bad):
        raise typer.Exit(1)


@app.command()
def stats() -> None:
    """Collections of this catalogue, and counts of the live one."""
    settings = load_settings().catalogue
    with closing(open_catalogue_admin(settings)) as admin:
        live = admin.alias_target()
        table = Table(_whole("collection"), "live", "points", "pending", "dimension", _whole("more"))
        for name in admin.collections():
            if name != live and not name.startswith(f"{admin.alias}-"):
                continue
            found = admin.open(name).stats()
            more = ", ".join(f"{key} {value}" for key, value in found.details.items())
            table.add_row(name, "yes" if name == live else "", str(found.points), str(found.pending), str(found.dimension), more)
    Console().print(table)
    if live is None:
        typer.echo(f"no collection is live (alias {settings.alias!r}): run `intake catalogue load`")


@app.command()
def search(
    photo: Annotated[Path, typer.Argument(help="A local photo.")],
    limit: Annotated[int, typer.Option(min=1, max=100, help="Articles to show.")] = 10,
    where: Annotated[
        list[str] | None, typer.Option(help="Leave out articles with another value, as in --where colour=blue.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Write a picture of the result: .html or .png.")] = None,
    *,
    show: Annotated[bool, typer.Option("--open", help="Open the picture.")] = False,
) -> None:
    """The articles most like a photo."""
    if not photo.is_file():
        raise ConfigurationError(f"there is no file {photo}")
    with open_desk(load_settings()) as desk:
        embedded, found = desk.search(photo.absolute(), limit, _attributes(where or []))
        table = Table("", _whole("article"), "similarity", "view", "state", _whole("photo"))
        for rank, article in enumerate(found, start=1):
            hit = article.hit
            table.add_row(str(rank), article.article_id, f"{article.similarity:.4f}", hit.view, hit.state, hit.location)
        Console().print(table)
        if picture is not None:
            write_sheet(picture, _asked(photo, embedded), _tiles(desk, found))
            typer.echo(str(picture))
    if picture is not None and show:
        typer.launch(str(picture.absolute()))


@app.command()
def reindex(
    source: Annotated[str | None, typer.Option("--from", help="Collection to copy from; else the live one.")] = None,
    collection: Annotated[str | None, typer.Option(help="With --back: the collection to go back to.")] = None,
    *,
    back: Annotated[
        bool, typer.Option("--back", help="Make the collection before this one live again; nothing is built.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Switch although photos could not be read: their articles will be missing.")
    ] = False,
) -> None:
    """Build the catalogue for the configured models beside the live one, from the photos its points name, and switch to it."""
    settings = load_settings()
    if back:
        with closing(open_catalogue_admin(settings.catalogue)) as admin:
            target = collection_to_go_back_to(admin, collection)
            admin.switch_alias(target)
        typer.echo(f"live again: {target}. Configure its models and restart the workers.")
        return
    with open_desk(settings) as desk:
        count = desk.admin.open(source or desk.admin.alias_target() or "").stats().points if _has_source(desk, source) else 0
        with _bar("reindexing", count) as advance:
            report = desk.reindex(source, progress=advance, allow_missing=allow_missing)
    _show_load(report.load, [])
    if report.pending:
        typer.echo(f"{report.pending} pending points were left out: their arrivals are still being decided")
    if not report.switched:
        typer.echo("NOT switched: articles whose photo cannot be read would be missing. Bring the photos back and run it again, "
                   "or accept it with --allow-missing.")  # fmt: skip
        raise typer.Exit(1)
    typer.echo(
        "switched. Restart the workers with the new models; then run it once more with --from OLD for what they wrote meanwhile"
    )


@app.command()
def drop(collection: Annotated[str, typer.Argument(help="Name, as `stats` shows it; never the live one.")]) -> None:
    """Delete a collection that is not live any more."""
    with closing(open_catalogue_admin(load_settings().catalogue)) as admin:
        if collection not in admin.collections():
            raise ConfigurationError(f"there is no collection {collection!r}")
        admin.drop_collection(collection)
    typer.echo(f"dropped {collection}")


@app.command()
def optimise() -> None:
    """Embedded engine: build the search graph over all points. Stop the worker first; a Qdrant server does this by itself."""
    with closing(open_catalogue_admin(load_settings().catalogue)) as admin:
        _optimise_live(admin)


def _optimise_live(admin: CatalogueAdmin) -> None:
    target = admin.alias_target()
    if target is None:
        raise ConfigurationError("no collection is live: run `intake catalogue load`")
    build = getattr(admin.open(target), "optimise", None)
    if build is None:
        typer.echo("a Qdrant server builds its graph by itself: nothing to do")
        return
    typer.echo("built" if build() else "nothing to do: few points, or built already")


def _has_source(desk: CatalogueDesk, source: str | None) -> bool:
    return (source or desk.admin.alias_target()) in desk.admin.collections()


def _asked(photo: Path, embedded: EmbeddedPhoto) -> Tile:
    return Tile(photo.name, "asked with", embedded.pixels.rgb)


def _tiles(desk: CatalogueDesk, found: list[ArticleHit]) -> list[Tile]:
    shown = desk.pixels([article.hit.location for article in found])
    return [
        Tile(
            f"{rank}. {article.article_id}",
            f"{article.similarity:.4f} {article.hit.view}",
            None if pixels is None else pixels.rgb,
        )
        for rank, (article, pixels) in enumerate(zip(found, shown, strict=True), start=1)
    ]


def _attributes(where: list[str]) -> dict[str, str]:
    wanted = {}
    for text in where:
        name, equals, value = text.partition("=")
        if not equals or name not in Attributes.model_fields or not value:
            raise ConfigurationError(f"--where {text!r} is not ATTRIBUTE=VALUE; attributes: {', '.join(Attributes.model_fields)}")
        wanted[name] = value
    return wanted


def _show_load(report: LoadReport, bad: list[BadEntry]) -> None:
    console = Console()
    rate = report.loaded / report.seconds if report.seconds else 0.0
    refused = [(photo.location, photo.why) for photo in report.refused] + [(entry.place, entry.why) for entry in bad]
    console.print(
        f"{report.loaded} photos loaded ({rate:.1f}/s), {report.skipped} were there already, {len(refused)} refused",
        highlight=False,
    )
    if refused:
        table = Table(_whole("refused"), "why")
        for place, why in refused[:MOST_SHOWN]:
            table.add_row(place, why)
        console.print(table)
        if len(refused) > MOST_SHOWN:
            console.print(f"... and {len(refused) - MOST_SHOWN} more")


def _whole(header: str) -> Column:
    """A column of names to be copied: broken over lines where it is narrow, never cut."""
    return Column(header, overflow="fold")


@contextmanager
def _bar(what: str, total: int) -> Iterator[_Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Advance(progress, progress.add_task(what, total=total))


class _Advance:
    """Moves a progress bar on."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def __call__(self, more: int) -> None:
        self._progress.advance(self._task, more)
