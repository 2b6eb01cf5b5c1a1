"""The service's routes. The event loop reads and writes; whatever computes or waits for others runs in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TypeVar
from uuid import UUID

import orjson
import structlog
from prometheus_client.exposition import choose_encoder
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from worker.errors import DeadLetterError, IntakeError, StopError
from worker.events import Attributes
from worker.ops.deadline import Deadline
from worker.ops.health import Verdict
from worker.serve.guard import Guard, problem_response
from worker.serve.metrics import ServeMetrics
from worker.serve.openapi import document
from worker.serve.page import make_page
from worker.serve.problems import Refusal, busy, failed, refusal_of, time_is_up
from worker.serve.search import PhotoSearch, SearchRequest
from worker.serve.slots import Slots
from worker.serve.thumbnails import Thumbnails
from worker.serve.uploads import UploadLimits, read_photos
from worker.settings import ServeSettings

_log = structlog.get_logger(__name__)

T = TypeVar("T")

# A page shows ten candidates; several people look at once. Each waits for its turn in the thumbnails' threads.
MOST_THUMBNAILS = 64
# A catalogue's photo may be replaced in its place: a browser asks again after this long.
THUMBNAIL_MAX_AGE_S = 300
YES_NO: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}
FIXED_ROUTES = ("/", "/search", "/openapi.json", "/livez", "/readyz", "/metrics")
PHOTO_ROUTE = "/photo/"


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes need, opened.

    Attributes:
        searching, showing: threads for searches and for thumbnails.
        moved: called when a search ended, however (`worker.ops.health.Progress`).
    """

    search: PhotoSearch
    thumbnails: Thumbnails
    settings: ServeSettings
    limits: UploadLimits
    metrics: ServeMetrics
    live: Callable[[], Verdict]
    ready: Callable[[], Verdict]
    searching: Executor
    showing: Executor
    slots: Slots
    moved: Callable[[], None] = lambda: None


def make_app(service: Service) -> ASGIApp:
    """The service as an ASGI application."""
    return Guard(_Routes(service).app(), service.settings, service.metrics, route_of)


def route_of(path: str) -> str:
    """The route of a path, as logs and metrics name it: one of a few, whatever a client asks for."""
    if path in FIXED_ROUTES:
        return path
    return "/photo/{point_id}" if path.startswith(PHOTO_ROUTE) else "other"


class _Routes:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._page = make_page(service.limits, service.search.models.collection)
        self._document = orjson.dumps(document(service.limits), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        self._thumbnail_slots = Slots(MOST_THUMBNAILS)

    def app(self) -> Starlette:
        routes = [
            Route("/", self.page),
            Route("/search", self.search, methods=["POST"]),
            Route("/photo/{point_id}", self.photo),
            Route("/openapi.json", self.openapi),
            Route("/livez", partial(self.probe, self._service.live)),
            Route("/readyz", partial(self.probe, self._service.ready)),
            Route("/metrics", self.metrics),
        ]
        handlers = {HTTPException: self.no_route, Refusal: self.refused, Exception: self.failed}
        app = Starlette(routes=routes, exception_handlers=handlers)
        app.router.redirect_slashes = False
        return app

    # ---- for people and programs

    async def page(self, request: Request) -> Response:
        headers = {"Content-Security-Policy": self._page.policy, "Cache-Control": "no-cache", "ETag": self._page.etag}
        if request.headers.get("if-none-match") == self._page.etag:
            return Response(status_code=304, headers=headers)
        return Response(self._page.html, media_type="text/html", headers=headers)

    async def search(self, request: Request) -> Response:
        """POST /search. A slot is held until the work ends, also where the client was told that it took too long."""
        service = self._service
        pictures, attributes = _parameters(request)
        if not service.slots.take():
            raise busy()
        service.metrics.in_work.set(service.slots.taken)
        try:
            photos = await self._photos(request)
        except BaseException:
            self._free()
            raise
        deadline = Deadline.after(service.settings.request_timeout_s)
        work = partial(service.search.answer, SearchRequest(photos, attributes, pictures), deadline)
        answer = await self._in_thread(service.searching, work, deadline, self._free)
        service.metrics.answered(answer.decision, answer.timings_ms)
        return Response(answer.model_dump_json().encode(), media_type="application/json", headers={"Cache-Control": "no-store"})

    async def photo(self, request: Request) -> Response:
        """GET /photo/{point_id}."""
        service = self._service
        try:
            point_id = UUID(request.path_params["point_id"])
        except ValueError:
            raise _no_photo() from None
        if not self._thumbnail_slots.take():
            raise busy()
        deadline = Deadline.after(service.settings.request_timeout_s)
        work = partial(service.thumbnails.jpeg, point_id)
        jpeg = await self._in_thread(service.showing, work, deadline, self._thumbnail_slots.give_back)
        if jpeg is None:
            raise _no_photo()
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": f"private, max-age={THUMBNAIL_MAX_AGE_S}"})

    async def openapi(self, _: Request) -> Response:
        return Response(self._document, media_type="application/json", headers={"Cache-Control": "no-cache"})

    # ---- for operations

    async def probe(self, ask: Callable[[], Verdict], _: Request) -> Response:
        verdict = ask()
        body = orjson.dumps({"ok": verdict.ok, **verdict.details}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        return Response(body, 200 if verdict.ok else 503, {"Cache-Control": "no-store"}, media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
        return Response(encode(self._service.metrics.registry), headers=headers)

    async def refused(self, _: Request, error: Exception) -> Response:
        """There is no answer."""
        refusal = error if isinstance(error, Refusal) else failed()
        self._service.metrics.refused.labels(refusal.reason).inc()
        return problem_response(refusal, self._service.settings.retry_after_s)

    async def failed(self, request: Request, _: Exception) -> Response:
        """A bug. Starlette raises it again after this answer: `Guard` logs it."""
        return await self.refused(request, failed())

    async def no_route(self, _: Request, error: Exception) -> Response:
        """What the router refuses: no such path, or not by this method."""
        status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 404)
        reason = "method" if status is HTTPStatus.METHOD_NOT_ALLOWED else "not-found"
        refusal = Refusal(status, reason, "There is POST /search, GET /photo/{point_id}, and the page at /. See /openapi.json.")
        response = problem_response(refusal, self._service.settings.retry_after_s)
        if isinstance(error, HTTPException) and error.headers:
            response.headers.update(error.headers)  # Allow, for a wrong method
        return response

    # ---- parts

    async def _photos(self, request: Request) -> tuple[bytes, ...]:
        seconds = self._service.settings.request_timeout_s
        try:
            async with asyncio.timeout(seconds):
                return await read_photos(request, self._service.limits)
        except TimeoutError:
            raise Refusal(
                HTTPStatus.REQUEST_TIMEOUT,
                "body-slow",
                f"The photo did not arrive within {seconds:g} s. Try again, or send a smaller one.",
            ) from None
        except ClientDisconnect:
            raise Refusal(HTTPStatus.BAD_REQUEST, "multipart", "The connection ended before the body did.") from None

    async def _in_thread(self, threads: Executor, work: Callable[[], T], deadline: Deadline, ended: Callable[[], None]) -> T:
        """Do `work` in a thread, for as long as the deadline lets. `ended` is called when it really ended: no thread can be stopped."""
        try:
            future = asyncio.get_running_loop().run_in_executor(threads, work)
        except BaseException:
            ended()
            raise
        future.add_done_callback(lambda done: _settled(done, ended))
        try:
            return await asyncio.wait_for(asyncio.shield(future), deadline.remaining())
        except TimeoutError:
            raise time_is_up() from None
        except IntakeError as error:
            if isinstance(error, StopError):
                _log.exception("what an answer needs does not work")
            elif not isinstance(error, DeadLetterError):
                _log.warning("what an answer needs does not answer", error=type(error).__name__, why=str(error))
            raise refusal_of(error) from error

    def _free(self) -> None:
        """A search ended."""
        self._service.slots.give_back()
        self._service.metrics.in_work.set(self._service.slots.taken)
        self._service.moved()


def _settled(future: asyncio.Future[T], ended: Callable[[], None]) -> None:
    ended()
    if not future.cancelled():
        future.exception()  # looked at, so that one nobody waits for any more is not reported as forgotten


def _parameters(request: Request) -> tuple[bool, Attributes]:
    """Query parameters. One that is misspelt would silently do nothing: it is refused."""
    given = dict(request.query_params)
    if len(request.query_params.multi_items()) != len(given):
        raise Refusal(HTTPStatus.BAD_REQUEST, "parameter", "A query parameter is given twice.")
    text = given.pop("pictures", "false").lower()
    if text not in YES_NO:
        raise Refusal(HTTPStatus.BAD_REQUEST, "parameter", "pictures is true or false.")
    known = tuple(Attributes.model_fields)
    if not set(given) <= set(known):
        raise Refusal(HTTPStatus.BAD_REQUEST, "parameter", f"The query parameters are: pictures, {', '.join(known)}.")
    try:
        return YES_NO[text], Attributes(**given)
    except ValidationError as error:
        names = ", ".join(sorted({str(part["loc"][0]) for part in error.errors(include_input=False)}))
        detail = f"Of 1 to 256 characters, none of them a control character, must be: {names}."
        raise Refusal(HTTPStatus.BAD_REQUEST, "parameter", detail) from None


def _no_photo() -> Refusal:
    """The same for what is not there and what may not be shown: a stranger learns nothing."""
    return Refusal(HTTPStatus.NOT_FOUND, "not-found", "There is no such photo in the catalogue, or it may not be shown.")
