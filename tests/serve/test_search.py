"""POST /search on a real socket, over the embedded index and the packaged embedder."""

from __future__ import annotations

import base64
import io
import re
import threading
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image

from tests.imaging.corpus import FAMILIES, Specimen, specimens
from tests.serve.conftest import COLOURS, Running, Shop, drawn_garment, jpeg
from worker.errors import CatalogueUnavailable, Reason
from worker.serve.run import OpenedService
from worker.settings.vision import VisionSettings
from worker.vision.load import crop_side
from worker.vision.registry import Registry

JPEG = {"content-type": "image/jpeg"}
# Of each family of the corpus so many, evenly spread: all of it is for the decoder's own tests.
SAMPLE = 12


def sample() -> Iterator[Specimen]:
    for family in FAMILIES:
        some = list(specimens(family))
        yield from some[:: max(1, len(some) // SAMPLE)]


def test_another_photo_of_an_article_is_a_duplicate_of_it(service: Running, red_shirt: bytes) -> None:
    answer = service.client.post("/search", files={"photo": ("x.jpg", red_shirt)}).raise_for_status().json()

    best, *others = answer["candidates"]
    assert (answer["decision"], best["article_id"], best["rank"]) == ("duplicate", "red-plain", 1)
    assert best["article_id"] in answer["reason"]
    assert best["similarity"] >= answer["thresholds"]["duplicate"] == 0.97
    assert best["margin"] == pytest.approx(best["similarity"] - others[0]["similarity"])
    assert [one["similarity"] for one in answer["candidates"]] == sorted(
        (one["similarity"] for one in answer["candidates"]), reverse=True
    )
    assert answer["candidates"][-1]["margin"] is None
    assert len(answer["candidates"]) == 10
    assert best["attributes"]["colour"] == "red"
    assert answer["models"]["segmenter"] == "none"
    assert set(answer["timings_ms"]) == {"decode", "segment", "embed", "search", "decide", "pictures", "total"}


def test_a_body_that_is_a_photo_gets_the_same_answer_as_a_form(service: Running, red_shirt: bytes) -> None:
    raw = service.client.post("/search", content=red_shirt, headers=JPEG).json()
    form = service.client.post("/search", files={"photo": red_shirt}).json()
    assert {**raw, "timings_ms": 0} == {**form, "timings_ms": 0}


def test_an_unknown_garment_looks_new_and_nothing_is_written(service: Running) -> None:
    points = service.opened.service.search.catalogue.stats().points
    photo = jpeg(drawn_garment((200, 180, 20), stripe=True, seed=3)[:120, ::-1])
    answer = service.client.post("/search", content=photo, headers=JPEG).json()
    assert answer["decision"] == "new"
    assert "below the review threshold" in answer["reason"]
    assert service.opened.service.search.catalogue.stats().points == points


def test_several_photos_are_of_one_garment_and_the_best_pair_decides(service: Running, red_shirt: bytes) -> None:
    other = jpeg(drawn_garment((200, 180, 20), stripe=True, seed=3)[:120, ::-1])
    answer = service.client.post("/search", files=[("photo", other), ("photo", red_shirt)]).json()
    assert (answer["decision"], answer["candidates"][0]["article_id"]) == ("duplicate", "red-plain")
    assert answer["candidates"][0]["photo"]["asked"] == 1
    assert "second view" in answer["reason"]
    assert len(answer["photos"]) == 2


def test_pictures_come_as_data_uris_only_when_asked_for(service: Running, red_shirt: bytes) -> None:
    without = service.client.post("/search", content=red_shirt, headers=JPEG).json()["photos"][0]
    assert (without["crop"], without["overlay"]) == (None, None)
    photo = service.client.post("/search?pictures=true", content=red_shirt, headers=JPEG).json()["photos"][0]
    sizes = []
    for name in ("crop", "overlay"):
        kind, _, data = photo[name].partition(";base64,")
        assert kind == "data:image/jpeg"
        sizes.append(Image.open(io.BytesIO(base64.b64decode(data))).size)
    side = crop_side(Registry(VisionSettings()).row("default", "embed"))
    assert sizes == [(side, side), (200, 240)]


def test_attributes_narrow_only_where_the_settings_say_so(service: Running, red_shirt: bytes) -> None:
    narrowed = service.client.post("/search?colour=blue&brand=any", content=red_shirt, headers=JPEG).json()
    assert narrowed["narrowed_by"] == {"colour": "blue"}
    # An article whose colour nobody knows stays a candidate.
    assert {one["attributes"]["colour"] for one in narrowed["candidates"]} == {"blue", None}
    assert narrowed["decision"] != "duplicate"


@pytest.mark.parametrize(
    "query", ["color=blue", "pictures=maybe", "colour=", "colour=a%0ab", "colour=red&colour=blue", "colour=" + "x" * 257]
)
def test_a_parameter_that_is_not_understood_is_refused(service: Running, red_shirt: bytes, query: str) -> None:
    answer = service.client.post(f"/search?{query}", content=red_shirt, headers=JPEG)
    assert (answer.status_code, answer.json()["reason"]) == (400, "parameter")


def test_hostile_photos_are_refused_with_their_reason_or_answered_and_the_service_lives(
    service: Running, red_shirt: bytes
) -> None:
    asked = 0
    for specimen in sample():
        if len(specimen.data) > 400_000:
            continue
        asked += 1
        answer = service.client.post("/search", content=specimen.data, headers=JPEG)
        if answer.status_code == 200:
            assert specimen.size is not None or specimen.either, specimen.name
            continue
        assert answer.status_code == 422, (specimen.name, answer.text)
        problem = answer.json()
        if specimen.reasons:
            assert problem["reason"] in specimen.reasons | {Reason.PHOTO_NO_GARMENT}, specimen.name
        assert problem["detail"].startswith("photo 1: ") or problem["reason"] == "photo-no-garment"
    assert asked > 60
    assert service.client.post("/search", content=red_shirt, headers=JPEG).json()["decision"] == "duplicate"


def test_a_bad_photo_among_good_ones_is_named(service: Running, red_shirt: bytes) -> None:
    answer = service.client.post("/search", files=[("photo", red_shirt), ("photo", b"no photo")])
    assert (answer.status_code, answer.json()["reason"]) == (422, "photo-format")
    assert answer.json()["detail"].startswith("photo 2: ")


@pytest.mark.parametrize(
    ("body", "content_type", "status", "reason"),
    [
        (b"x", "text/plain", 415, "media-type"),
        (b"x", "application/x-www-form-urlencoded", 415, "media-type"),
        (b"x", None, 415, "media-type"),
        (b"", "image/png", 422, "photo-empty"),
        (b"x", "multipart/form-data", 400, "multipart"),
        (b"x", "multipart/form-data; boundary=b", 400, "multipart"),
        (b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", 400, "multipart"),
        (b"--b\r\ncontent-disposition: form-data\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", 400, "multipart"),
        (b'--b\r\ncontent-disposition: form-data; name="photo"\r\n\r\nx\r\n--b--\r\n', "multipart/form-data; boundary=b", 400, "multipart"),
        (b'--b\r\ncontent-disposition: form-data; name="p"; filename="x"\r\n\r\nx\r\n--b--\r\n', "multipart/form-data; boundary=b", 400, "multipart"),
        (b"--b--\r\n", "multipart/form-data; boundary=b", 400, "photos-missing"),
        (b"--b\r\n" + b"a: b\r\n" * 5000 + b"\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", 400, "multipart"),
    ],
)  # fmt: skip
def test_bodies_that_are_not_as_described_are_refused(
    service: Running, body: bytes, content_type: str | None, status: int, reason: str
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = service.client.post("/search", content=body, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("count", [4, 7])
def test_too_many_photos_are_refused(service: Running, red_shirt: bytes, count: int) -> None:
    answer = service.client.post("/search", files=[("photo", red_shirt)] * count)
    assert (answer.status_code, answer.json()["reason"]) == (400, "photos-too-many")


def test_an_index_that_is_away_is_told_as_that_and_nothing_is_decided(
    service: Running, red_shirt: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise CatalogueUnavailable("http://user:secret@index is away")

    with monkeypatch.context() as patched:
        patched.setattr(type(service.opened.service.search.catalogue), "search", away)
        answer = service.client.post("/search", content=red_shirt, headers=JPEG)
    assert (answer.status_code, answer.json()["reason"]) == (503, "unavailable")
    assert "secret" not in answer.text
    assert int(answer.headers["retry-after"]) >= 1


def test_a_bug_is_a_500_that_says_nothing_of_itself(service: Running, red_shirt: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError("internal detail")

    with monkeypatch.context() as patched:
        patched.setattr(type(service.opened.service.search.catalogue), "search", bug)
        answer = service.client.post("/search", content=red_shirt, headers=JPEG)
    assert (answer.status_code, answer.json()["reason"]) == (500, "failed")
    assert "internal detail" not in answer.text
    assert service.client.post("/search", content=red_shirt, headers=JPEG).status_code == 200


def hold_the_index(opened: OpenedService, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Semaphore]:
    """Searches stop before the index until the event; the semaphore counts those that arrived."""
    go, arrived = threading.Event(), threading.Semaphore(0)
    kind = type(opened.service.search.catalogue)
    search = kind.search

    def held(self: object, queries: object) -> object:
        arrived.release()
        assert go.wait(30)
        return search(self, queries)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "search", held)
    return go, arrived


def test_when_all_slots_are_taken_others_are_told_to_come_again(
    service: Running, red_shirt: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, arrived = hold_the_index(service.opened, monkeypatch)
    answers: list[httpx.Response] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(httpx.post(f"{service.url}search", content=red_shirt, headers=JPEG, timeout=40))
        )
        for _ in range(2)
    ]
    try:
        for thread in threads:
            thread.start()
        assert all(arrived.acquire(timeout=30) for _ in threads)
        refused = service.client.post("/search", content=red_shirt, headers=JPEG)
        assert (refused.status_code, refused.json()["reason"], refused.headers["retry-after"]) == (503, "busy", "2")
        assert service.client.get("/livez").status_code == 200
        assert "intake_serve_in_work 2.0" in service.client.get("/metrics").text
    finally:
        go.set()
        for thread in threads:
            thread.join(40)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert service.client.post("/search", content=red_shirt, headers=JPEG).status_code == 200


def test_what_a_client_calls_its_file_is_nowhere(service: Running, caplog: pytest.LogCaptureFixture) -> None:
    answer = service.client.post("/search?colour=zebra-colour", files={"photo": ("my-private-name.jpg", b"not a photo")})
    assert "my-private-name" not in answer.text
    assert not re.search("my-private-name|zebra-colour|not a photo", caplog.text)


def test_the_catalogue_of_the_tests_is_as_the_tests_think(shop: Shop) -> None:
    assert set(shop.points) == {f"{c}-{s}" for c in COLOURS for s in ("plain", "striped")} | {"outside", "linked", "gone"}
