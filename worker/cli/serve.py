"""`intake serve`: a page and an API that say of one photo what the worker would."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import structlog
import typer

from worker import __version__
from worker.errors import ConfigurationError
from worker.ops.logs import configure_logging, log_uncaught_exceptions
from worker.ops.redaction import Redactor, secrets_of
from worker.settings import Settings, load_settings

_log = structlog.get_logger(__name__)

EXTRA = frozenset({"starlette", "uvicorn", "python_multipart"})


def command(
    host: Annotated[str | None, typer.Option(help="Address to listen on; else INTAKE_SERVE__HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one; else INTAKE_SERVE__PORT.")] = None,
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            help="Local folder whose catalogue photos are shown; may be given again. Adds to INTAKE_SERVE__PHOTO_FOLDERS."
        ),
    ] = None,
) -> None:
    """Answer "is this garment in the catalogue?" for one photo: a page at /, POST /search for programs. Writes nothing."""
    settings = _with_options(load_settings(), host, port, tuple(photos or ()))
    try:
        from worker.serve.run import listen, open_service, serve, url_of  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRA:
            raise
        raise ConfigurationError(f"`intake serve` needs {missing}: pip install 'intake-worker[serve]'") from error
    redactor = Redactor.of(secrets_of(settings))
    configure_logging(settings.ops, redactor)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    log_uncaught_exceptions()
    _log.info("starting", version=__version__)
    with listen(settings.serve) as listening, open_service(settings, redactor) as opened:
        models = opened.service.search.models
        _log.info("ready", url=url_of(listening), models=models.model_dump())
        serve(opened, settings.serve, listening)
    _log.info("stopped")


def _with_options(settings: Settings, host: str | None, port: int | None, folders: tuple[Path, ...]) -> Settings:
    """The settings with what the command line says."""
    given: dict[str, object] = {} if host is None else {"host": host}
    if port is not None:
        given["port"] = port
    for folder in folders:
        if not folder.is_dir():
            raise ConfigurationError(f"--photos: there is no folder {folder}")
    given["photo_folders"] = (*settings.serve.photo_folders, *folders)
    return settings.model_copy(update={"serve": settings.serve.model_copy(update=given)})
