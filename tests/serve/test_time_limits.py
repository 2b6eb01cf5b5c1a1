"""Time limits: each test has a service of its own, for the limits are settings."""

from __future__ import annotations

import json
import threading

import pytest

from tests.infra.kafka import wait_until
from tests.serve.conftest import Shop, running
from tests.serve.wire import answer_of, connected, head

HOST = "Host: localhost"


def test_a_body_that_trickles_is_given_up_and_its_slot_is_free_again(shop: Shop, red_shirt: bytes) -> None:
    serve = shop.settings.serve.model_copy(update={"request_timeout_s": 0.3, "concurrent": 1})
    with running(shop.settings.model_copy(update={"serve": serve})) as service:
        with connected(service.url) as connection:
            connection.sendall(head("POST", "/search", HOST, "Content-Type: image/jpeg", "Content-Length: 1000") + b"x")
            status, _, body = answer_of(connection)
        assert (status, json.loads(body)["reason"]) == (408, "body-slow")
        assert service.opened.service.slots.taken == 0


def test_a_search_that_hangs_is_given_up_but_keeps_its_slot_until_it_ends(
    shop: Shop, red_shirt: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = shop.settings.serve.model_copy(update={"request_timeout_s": 0.5, "concurrent": 1})
    go, ended = threading.Event(), threading.Event()
    with running(shop.settings.model_copy(update={"serve": serve})) as service:
        opened = service.opened.service

        def hang(*_: object) -> list[object]:
            go.wait(30)
            ended.set()
            return []

        monkeypatch.setattr(type(opened.search.catalogue), "search", hang)
        slow = service.client.post("/search", content=red_shirt, headers={"content-type": "image/jpeg"})
        assert (slow.status_code, slow.json()["reason"], slow.headers["retry-after"]) == (503, "time-limit", "2")
        assert opened.slots.taken == 1
        full = service.client.post("/search", content=red_shirt, headers={"content-type": "image/jpeg"})
        assert full.json()["reason"] == "busy"
        go.set()
        assert ended.wait(30)
        wait_until(lambda: opened.slots.taken == 0, "the slot")
