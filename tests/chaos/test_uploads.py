"""Photos are uploaded a few ahead of what is sent: never fewer than promised, never all at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.truth import Planned, plan
from tests.chaos.uploads import Uploads
from tests.infra.kafka import wait_until

PLANNED = plan(200, seed=3)


@contextmanager
def uploading(planned: list[Planned], ahead: int, refuse: str = "", refusals: int = 0) -> Iterator[tuple[Uploads, list[str]]]:
    """`refuse` is refused so often; three tries are made."""
    there: list[str] = []
    left = [refusals]

    def put(arrival: Planned) -> None:
        if arrival.arrival_id == refuse and left[0] > 0:
            left[0] -= 1
            raise OSError("the bucket is gone")
        there.append(arrival.arrival_id)

    uploads = Uploads(put, planned, ahead, threads=4, tries=3, pause_s=0.001)
    try:
        yield uploads, there
    finally:
        uploads.end()


def test_as_many_photos_as_promised_lie_ahead_of_what_is_sent_and_no_more() -> None:
    with uploading(PLANNED, ahead=20) as (uploads, there):
        for sent in (0, 1, 50, 179):
            uploads.sent(sent)
            uploads.wait(sent + 20, 10)
            assert uploads.ready == sent + 20
            assert sorted(there) == sorted(each.arrival_id for each in PLANNED[: sent + 20])


def test_the_last_photos_of_a_plan_are_uploaded_and_the_threads_end() -> None:
    with uploading(PLANNED, ahead=500) as (uploads, there):
        uploads.wait(500, 10)
        assert uploads.ready == len(there) == len(PLANNED)
        wait_until(lambda: not any(each.name.startswith("upload-") for each in threading.enumerate()), "the threads to end")


def test_a_photo_that_is_not_there_yet_holds_back_those_after_it() -> None:
    slow, others = threading.Event(), threading.Semaphore(0)

    def put(arrival: Planned) -> None:
        if arrival is PLANNED[2]:
            slow.wait(10)
        else:
            others.release()

    uploads = Uploads(put, PLANNED, ahead=10, threads=4)
    for _ in range(9):
        assert others.acquire(timeout=10)
    assert uploads.ready == 2
    slow.set()
    uploads.wait(10, 10)
    assert uploads.ready == 10
    uploads.end()


def test_a_photo_that_cannot_be_uploaded_is_an_error_for_the_one_who_sends() -> None:
    with uploading(PLANNED, ahead=20, refuse=PLANNED[5].arrival_id, refusals=3) as (uploads, _):
        uploads.wait(20, 10)
        with pytest.raises(RuntimeError, match="could not be uploaded"):
            assert uploads.ready


def test_a_server_that_is_away_for_a_moment_is_waited_for() -> None:
    with uploading(PLANNED, ahead=20, refuse=PLANNED[5].arrival_id, refusals=2) as (uploads, there):
        uploads.wait(20, 10)
        assert uploads.ready == len(there) == 20
