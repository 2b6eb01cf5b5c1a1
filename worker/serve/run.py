"""The service put together from its settings, and run until it is told to stop."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from types import FrameType

import structlog
import uvicorn
from starlette.types import ASGIApp

from worker.assembly import calibration_of, open_embedder
from worker.catalogue.live import ensure_live_catalogue, open_catalogue_admin
from worker.errors import ConfigurationError
from worker.events import ModelFingerprint
from worker.loading import AnyPhotos
from worker.matching.queries import SearchPlan
from worker.ops.health import Dependency, Progress, Readiness
from worker.ops.redaction import Redactor
from worker.serve.app import Service, make_app
from worker.serve.guard import is_loopback
from worker.serve.metrics import ServeMetrics
from worker.serve.search import PhotoSearch
from worker.serve.slots import Slots
from worker.serve.thumbnails import Thumbnails, resolved_folders
from worker.serve.uploads import UploadLimits
from worker.settings import ServeSettings, Settings

_log = structlog.get_logger(__name__)

THUMBNAIL_THREADS = 4
# A browser keeps its connection for a while between two photos.
KEEP_ALIVE_S = 10
BACKLOG = 128


@dataclass(frozen=True, slots=True)
class OpenedService:
    """The application, and what tells its probes that it is going away."""

    app: ASGIApp
    drain: Callable[[], None]
    service: Service


@contextmanager
def open_service(settings: Settings, redactor: Redactor | None = None) -> Iterator[OpenedService]:
    """Everything the service needs, cheapest and likeliest to fail first; all of it is closed again.

    Raises:
        StopError: a setting, a model or the index is not as it must be; nothing stays open.
        CatalogueUnavailable: the index does not answer.
    """
    metrics = ServeMetrics()
    with ExitStack() as stack:
        admin = stack.enter_context(closing(open_catalogue_admin(settings.catalogue)))
        photos = stack.enter_context(closing(AnyPhotos(settings)))
        models, embedder = stack.enter_context(open_embedder(settings))
        calibration = calibration_of(models, settings.matching)
        catalogue = stack.enter_context(closing(ensure_live_catalogue(admin, models.fingerprint, models.embedder.dimension)))
        if not catalogue.stats().points:
            _log.warning("the catalogue is empty: every garment will look new; run `intake catalogue load`")
        fingerprint = ModelFingerprint(
            segmenter=models.segmenter_id,
            embedder=models.embedder_id,
            pipeline=models.fingerprint,
            collection=catalogue.collection,
        )
        readiness = Readiness(
            dependencies=(Dependency("catalogue", catalogue.check),),
            on_answer=metrics.dependency_answered,
            redact=(redactor or Redactor()).text,
        )
        slots = Slots(settings.serve.concurrent)
        # A search ends by its deadline or in the step after; one that outlives that by far hangs.
        progress = Progress(settings.ops.progress_timeout_s + settings.serve.request_timeout_s, waiting=lambda: slots.taken > 0)
        service = Service(
            search=PhotoSearch(
                embedder,
                catalogue,
                SearchPlan.from_settings(settings.catalogue),
                calibration,
                fingerprint,
                settings.matching.candidates,
            ),
            thumbnails=Thumbnails(
                catalogue,
                photos.fetch,
                embedder.decoder,
                resolved_folders(settings.serve.photo_folders),
                settings.serve.thumbnail_side,
            ),
            settings=settings.serve,
            limits=UploadLimits(settings.imaging.max_bytes, settings.serve.max_body_bytes, settings.serve.max_photos),
            metrics=metrics,
            live=progress.verdict,
            ready=readiness.verdict,
            searching=stack.enter_context(ThreadPoolExecutor(settings.serve.concurrent, thread_name_prefix="search")),
            showing=stack.enter_context(ThreadPoolExecutor(THUMBNAIL_THREADS, thread_name_prefix="thumbnail")),
            slots=slots,
            moved=progress.move,
        )
        stack.enter_context(readiness)
        yield OpenedService(make_app(service), readiness.drain, service)


def listen(settings: ServeSettings) -> socket.socket:
    """The socket the service answers on, so that a port that is taken is told before models are loaded.

    Raises:
        ConfigurationError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"the service cannot listen on {settings.host}:{settings.port} ({error.strerror}): set INTAKE_SERVE__HOST and"
            " INTAKE_SERVE__PORT to an address that is free"
        ) from error
    return listening


def url_of(listening: socket.socket) -> str:
    """Where a browser on this machine finds the service."""
    host, port = listening.getsockname()[:2]
    shown = "localhost" if host in {"0.0.0.0", "::"} or is_loopback(host) else host  # noqa: S104  # nosec B104  compared, not bound
    return f"http://{shown}:{port}/"


class Server(uvicorn.Server):
    """Uvicorn that says it is going before it goes."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None]) -> None:
        """`drain` is called at the first signal."""
        super().__init__(config)
        self._drain = drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came: no new connections, what is in work ends."""
        self._drain()
        super().handle_exit(sig, frame)


def make_config(app: ASGIApp, settings: ServeSettings) -> uvicorn.Config:
    """How uvicorn is to run the service."""
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here looks at who the client is
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.drain_timeout_s) or 1,
    )


def serve(opened: OpenedService, settings: ServeSettings, listening: socket.socket) -> None:
    """Answer until SIGTERM or SIGINT, then let what is in work end (`drain_timeout_s`)."""
    server = Server(make_config(opened.app, settings), opened.drain)
    # Uvicorn raises the signal again when it is done; taken by default it would end the process with the index still open.
    before = {number: signal.signal(number, _noted) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The signal was heard; the process is on its way out."""
