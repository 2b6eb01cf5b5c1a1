"""S3 that fails: nothing is decided about a photo, or the worker stops; no photo is blamed for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.kafka import wait_until
from tests.infra.s3 import VersityGateway, new_bucket
from tests.infra.s3_proxy import Fault, FaultProxy, Mode
from worker.embedded.s3 import S3Endpoint
from worker.errors import AccessDenied, ConfigurationError, PhotoRefused, Reason, StorageUnavailable
from worker.events import PhotoLocation
from worker.imaging.storage import S3Photos
from worker.imaging.store import PhotoStore
from worker.imaging.types import Photo

pytestmark = pytest.mark.integration

DATA = bytes(range(256)) * 400
QUICK: dict[str, Any] = {"connect_timeout_s": 0.5, "read_timeout_s": 0.5, "max_attempts": 1, "photo_timeout_s": 2.0, "threads": 4}


@pytest.fixture
def bucket(s3_plain: S3Endpoint) -> str:
    name = new_bucket(s3_plain)
    PhotoStore(s3_plain.settings()).put(name, "a", DATA, "image/jpeg")
    return name


@pytest.fixture
def proxy(s3_plain: S3Endpoint) -> Iterator[FaultProxy]:
    with FaultProxy(s3_plain.endpoint_url) as running:
        yield running


def at(bucket: str, key: str = "a", **more: Any) -> PhotoLocation:
    return PhotoLocation(bucket=bucket, key=key, **more)


def photos_through(proxy: FaultProxy, s3: S3Endpoint, bucket: str, **more: Any) -> S3Photos:
    return S3Photos(proxy.endpoint(s3).settings(bucket, **(QUICK | more)), 1_000_000)


def fetched(photos: S3Photos, where: PhotoLocation) -> Photo:
    """A photo from a server that is well: also on a machine that pauses for longer than `QUICK` waits."""
    end = time.monotonic() + 30
    while True:
        try:
            return photos.fetch(where)
        except StorageUnavailable:
            if time.monotonic() > end:
                raise


FAULTS = [
    Fault(Mode.ERROR, 500, "InternalError"),
    Fault(Mode.ERROR, 503, "SlowDown"),
    Fault(Mode.ERROR, 503, ""),
    Fault(Mode.ERROR, 429, "TooManyRequests"),
    Fault(Mode.ERROR, 400, "RequestTimeout"),
    Fault(Mode.ERROR, 404, ""),
    Fault(Mode.ERROR, 403, ""),
    Fault(Mode.ERROR, 418, "Teapot"),
    Fault(Mode.PAGE, 200),
    Fault(Mode.PAGE, 404),
    Fault(Mode.PAGE, 403),
    Fault(Mode.PAGE, 502),
    Fault(Mode.TIMEOUT),
    Fault(Mode.SLOW_HEAD, delay_s=1.5),
    Fault(Mode.SLOW_BODY, delay_s=0.2),
    Fault(Mode.RUBBISH),
    Fault(Mode.RUBBISH_BODY),
    Fault(Mode.SHORT),
    Fault(Mode.RESET),
    Fault(Mode.RESET_MIDWAY),
    Fault(Mode.LYING_LENGTH),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.mode}-{fault.status}-{fault.code}")
def test_a_failing_server_is_a_retry_and_heals(fault: Fault, proxy: FaultProxy, s3_plain: S3Endpoint, bucket: str) -> None:
    photos = photos_through(proxy, s3_plain, bucket)
    assert fetched(photos, at(bucket)).data == DATA
    proxy.set(fault)
    started = time.monotonic()
    [answer] = photos.fetch_photos([at(bucket)])
    assert isinstance(answer, StorageUnavailable), answer
    assert bucket in str(answer)
    assert time.monotonic() - started < 10
    wait_until(lambda: proxy.hits[fault.mode] == 1, "the proxy to count it")
    proxy.set(Mode.PASS)
    assert fetched(photos, at(bucket)).data == DATA
    photos.close()


def test_a_fault_that_passes_is_retried_within_the_client(proxy: FaultProxy, s3_plain: S3Endpoint, bucket: str) -> None:
    photos = photos_through(proxy, s3_plain, bucket, max_attempts=10, photo_timeout_s=60)
    proxy.set(Fault(Mode.ERROR, 503, "SlowDown", share=0.5))
    assert photos.fetch(at(bucket)).data == DATA
    for mode in (Mode.RESET, Mode.RUBBISH):
        proxy.set(Fault(mode, share=0.5))
        assert photos.fetch(at(bucket)).data == DATA


def test_one_slow_photo_does_not_keep_its_neighbours_from_being_answered(
    proxy: FaultProxy, s3_plain: S3Endpoint, bucket: str
) -> None:
    photos = photos_through(proxy, s3_plain, bucket)
    proxy.set(Fault(Mode.SLOW_BODY, delay_s=0.3, share=0.5))
    answers = photos.fetch_photos([at(bucket)] * 8)
    assert all(isinstance(answer, (Photo, StorageUnavailable)) for answer in answers)
    assert {type(answer) for answer in answers} == {Photo, StorageUnavailable}
    proxy.set(Mode.PASS)
    wait_until(lambda: all(isinstance(answer, Photo) for answer in photos.fetch_photos([at(bucket)] * 8)), "all eight")


def test_a_server_that_is_gone_is_a_retry(s3_plain: S3Endpoint) -> None:
    with FaultProxy(s3_plain.endpoint_url) as proxy:
        gone = proxy.endpoint(s3_plain)
    photos = S3Photos(gone.settings("bucket", **QUICK), 1000)
    with pytest.raises(StorageUnavailable):
        photos.fetch(at("bucket"))
    with pytest.raises(StorageUnavailable):
        photos.check()
    with pytest.raises(StorageUnavailable):
        PhotoStore(gone.settings(**QUICK)).put("bucket", "a", b"x", "image/jpeg")
    with pytest.raises(StorageUnavailable):
        PhotoStore(gone.settings(**QUICK)).ensure_bucket("bucket")


def test_an_upload_that_meets_a_page_is_no_success(proxy: FaultProxy, s3_plain: S3Endpoint, bucket: str) -> None:
    store = PhotoStore(proxy.endpoint(s3_plain).settings(**QUICK))
    for fault in (Fault(Mode.PAGE, 200), Fault(Mode.ERROR, 500, "InternalError"), Fault(Mode.RESET)):
        proxy.set(fault)
        with pytest.raises(StorageUnavailable):
            store.put(bucket, "b", b"x", "image/jpeg")


def test_an_etag_is_compared_also_where_the_server_knows_no_if_match(
    proxy: FaultProxy, s3_plain: S3Endpoint, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = photos_through(proxy, s3_plain, bucket)
    get = photos._client.get_object

    def without_conditions(**request: Any) -> Any:
        request.pop("IfMatch", None)
        return get(**request)

    monkeypatch.setattr(photos._client, "get_object", without_conditions)
    [answer] = photos.fetch_photos([at(bucket, etag="0" * 32)])
    assert isinstance(answer, PhotoRefused)
    assert answer.reason is Reason.PHOTO_CHANGED


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "RequestTimeTooSkewed"])
def test_refused_credentials_stop_the_worker(code: str, proxy: FaultProxy, s3_plain: S3Endpoint, bucket: str) -> None:
    photos = photos_through(proxy, s3_plain, bucket)
    assert fetched(photos, at(bucket))
    proxy.set(Fault(Mode.ERROR, 400 if code == "ExpiredToken" else 403, code))
    with pytest.raises(AccessDenied, match="credentials") as refusal:
        photos.fetch(at(bucket))
    assert s3_plain.secret_access_key not in str(refusal.value)


@pytest.mark.parametrize("code", ["PermanentRedirect", "AuthorizationHeaderMalformed"])
def test_a_wrong_region_or_endpoint_stops_the_worker(code: str, proxy: FaultProxy, s3_plain: S3Endpoint, bucket: str) -> None:
    proxy.set(Fault(Mode.ERROR, 301 if code == "PermanentRedirect" else 400, code))
    with pytest.raises(ConfigurationError, match="__REGION"):
        photos_through(proxy, s3_plain, bucket).fetch(at(bucket))


def test_a_redirect_is_not_followed(proxy: FaultProxy, s3_plain: S3Endpoint, bucket: str) -> None:
    proxy.set(Fault(Mode.ERROR, 307, ""))
    [answer] = photos_through(proxy, s3_plain, bucket).fetch_photos([at(bucket)])
    assert isinstance(answer, (StorageUnavailable, ConfigurationError))
    assert "INTAKE_STORAGE__ENDPOINT_URL" in str(answer)


def test_a_denied_key_beside_readable_ones_is_one_dead_letter(proxy: FaultProxy, s3_plain: S3Endpoint, bucket: str) -> None:
    photos = photos_through(proxy, s3_plain, bucket)
    # Only GET is denied: the witness, asked for with HEAD, shows that the grant stands. It is found by listing: nothing was read yet.
    PhotoStore(s3_plain.settings()).put(bucket, "witness", b"x", "image/jpeg")
    proxy.set(Fault(Mode.ERROR, 403, "AccessDenied", methods=frozenset({"GET"})))
    with pytest.raises(AccessDenied, match="s3:ListBucket"):
        photos.fetch(at(bucket))  # the listing is a GET as well: no witness
    proxy.set(Mode.PASS)
    assert fetched(photos, at(bucket, "witness"))
    proxy.set(Fault(Mode.ERROR, 403, "AccessDenied", methods=frozenset({"GET"})))
    [answer] = photos.fetch_photos([at(bucket)])
    assert isinstance(answer, PhotoRefused)
    assert answer.reason is Reason.PHOTO_MISSING


def test_a_grant_that_is_gone_stops_the_worker(proxy: FaultProxy, s3_plain: S3Endpoint, bucket: str) -> None:
    photos = photos_through(proxy, s3_plain, bucket)
    assert fetched(photos, at(bucket))
    proxy.set(Fault(Mode.ERROR, 403, "AccessDenied"))
    with pytest.raises(AccessDenied, match="deploy/iam"):
        photos.fetch(at(bucket, "other"))


def test_closing_gives_up_what_is_in_flight(proxy: FaultProxy, s3_plain: S3Endpoint, bucket: str) -> None:
    photos = photos_through(proxy, s3_plain, bucket)
    proxy.set(Mode.TIMEOUT)
    started = time.monotonic()
    answers = photos.fetch_photos([at(bucket)] * 12)
    assert all(isinstance(answer, StorageUnavailable) for answer in answers)
    photos.close()
    assert time.monotonic() - started < 10


def test_a_wrong_secret_and_an_unknown_user_stop_the_worker(s3_gateway: VersityGateway) -> None:
    bucket = new_bucket(s3_gateway.endpoint)
    PhotoStore(s3_gateway.endpoint.settings()).put(bucket, "a", DATA, "image/jpeg")
    right = s3_gateway.endpoint
    for access, secret in ((right.access_key_id, "wrong-secret"), ("nobody", right.secret_access_key)):
        wrong = S3Endpoint(right.endpoint_url, access, secret)
        with pytest.raises(AccessDenied, match="credentials") as refusal:
            S3Photos(wrong.settings(bucket), 1_000_000).fetch(at(bucket))
        assert "wrong-secret" not in str(refusal.value)
        with pytest.raises(AccessDenied):
            PhotoStore(wrong.settings()).put(bucket, "b", b"x", "image/jpeg")
        with pytest.raises(AccessDenied):
            S3Photos(wrong.settings(bucket), 1_000_000).check()


def test_no_credentials_at_all_stop_the_worker(s3_gateway: VersityGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    settings = s3_gateway.endpoint.settings("bucket", access_key_id=None, secret_access_key=None)
    with pytest.raises(AccessDenied, match="INTAKE_STORAGE__ACCESS_KEY_ID"):
        S3Photos(settings, 1000).fetch(at("bucket"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint_url": "no url"},
        {"endpoint_url": "ftp://host"},
        {"ca_bundle": "/nonexistent", "endpoint_url": "https://127.0.0.1:9"},
    ],
)
def test_an_unusable_endpoint_or_ca_bundle_is_named(wrong: dict[str, Any], s3_plain: S3Endpoint) -> None:
    with pytest.raises(ConfigurationError, match="INTAKE_STORAGE__"):
        S3Photos(s3_plain.settings("bucket", **(QUICK | wrong)), 1000).fetch(at("bucket"))
