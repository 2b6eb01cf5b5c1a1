"""From what went wrong to what the client is told: one status and one reason for each."""

from __future__ import annotations

from http import HTTPStatus

from worker.errors import DeadLetterError, IntakeError, Reason, RetryError
from worker.serve.answers import Problem


class Refusal(Exception):
    """A request that gets no answer but a problem. `retry` adds Retry-After: the same request may succeed later."""

    def __init__(self, status: HTTPStatus, reason: str, detail: str, *, retry: bool = False) -> None:
        """`detail` is for people and must hold no secret."""
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.retry = retry

    @property
    def problem(self) -> Problem:
        """As it is sent."""
        return Problem(
            type="about:blank", title=self.status.phrase, status=self.status.value, detail=str(self), reason=self.reason
        )


def refusal_of(error: IntakeError) -> Refusal:
    """What a client is told of an error of the worker. What stops a worker is not the client's business: it is in the log."""
    if isinstance(error, DeadLetterError):
        large = error.reason is Reason.PHOTO_TOO_LARGE
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if large else HTTPStatus.UNPROCESSABLE_ENTITY
        return Refusal(status, str(error.reason), str(error))
    if isinstance(error, RetryError):
        return Refusal(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "unavailable",
            "What is needed to answer does not answer at the moment; nothing was decided. Try again.",
            retry=True,
        )
    return failed()


def busy() -> Refusal:
    """Everything is in use."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "busy", "As many requests as allowed are in work. Try again.", retry=True)


def time_is_up() -> Refusal:
    """A search took too long."""
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "time-limit",
        "The search did not end within the time limit; nothing was decided. Try again.",
        retry=True,
    )


def failed() -> Refusal:
    """Something that should not happen did."""
    return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "failed", "The service failed; its log says why.")
