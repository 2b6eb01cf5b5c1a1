"""The shipped policies are enough, and no more than enough: proved with a user who has nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.infra.s3 import VersityGateway, new_bucket
from worker.embedded.s3 import S3Endpoint
from worker.errors import AccessDenied, PhotoRefused, Reason
from worker.events import PhotoLocation
from worker.imaging.storage import S3Photos
from worker.imaging.store import PhotoStore

pytestmark = pytest.mark.integration

POLICIES = Path(__file__).resolve().parents[2] / "deploy" / "iam"
USER = "intake-worker"


def statements(name: str, photos: str, pictures: str) -> list[dict[str, Any]]:
    """The policy with the test's buckets in place of its own."""
    text = (POLICIES / name).read_text(encoding="utf-8")
    text = text.replace("arn:aws:s3:::intake-photos", f"arn:aws:s3:::{photos}").replace(
        "arn:aws:s3:::intake-pictures", f"arn:aws:s3:::{pictures}"
    )
    found: list[dict[str, Any]] = json.loads(text)["Statement"]
    return found


def grant(admin: S3Endpoint, user: str, wanted: list[dict[str, Any]]) -> None:
    """Give `user` these statements as bucket policies: the gateway has no policies of users."""
    client = admin.client()
    by_bucket: dict[str, list[dict[str, Any]]] = {}
    for statement in wanted:
        bucket = statement["Resource"][0].removeprefix("arn:aws:s3:::").split("/", 1)[0]
        by_bucket.setdefault(bucket, []).append(statement | {"Principal": {"AWS": [user]}})
    for bucket, owned in by_bucket.items():
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": owned}))


@pytest.fixture(scope="module")
def worker(s3_gateway: VersityGateway) -> S3Endpoint:
    return s3_gateway.add_user(USER, "intake-worker-secret")


@pytest.fixture
def photos(s3_gateway: VersityGateway) -> str:
    bucket = new_bucket(s3_gateway.endpoint, versioning=True)
    PhotoStore(s3_gateway.endpoint.settings()).put(bucket, "inbox/a.jpg", b"photo", "image/jpeg")
    return bucket


@pytest.fixture
def pictures(s3_gateway: VersityGateway) -> str:
    return new_bucket(s3_gateway.endpoint)


def reason(source: S3Photos, bucket: str, key: str, **more: Any) -> Reason:
    [answer] = source.fetch_photos([PhotoLocation(bucket=bucket, key=key, **more)])
    assert isinstance(answer, PhotoRefused), answer
    return answer.reason


def test_the_worker_policy_is_enough(s3_gateway: VersityGateway, worker: S3Endpoint, photos: str, pictures: str) -> None:
    grant(s3_gateway.endpoint, USER, statements("worker-policy.json", photos, pictures))
    version = s3_gateway.endpoint.client().head_object(Bucket=photos, Key="inbox/a.jpg")["VersionId"]
    source = S3Photos(worker.settings(photos), 1000)
    assert source.check() == []
    assert source.fetch(PhotoLocation(bucket=photos, key="inbox/a.jpg")).data == b"photo"
    assert source.fetch(PhotoLocation(bucket=photos, key="inbox/a.jpg", version_id=version)).data == b"photo"
    assert reason(source, photos, "inbox/missing.jpg") is Reason.PHOTO_MISSING
    assert PhotoStore(worker.settings()).put(pictures, "intake-pictures/crop.jpg", b"crop", "image/jpeg")


def test_the_worker_policy_is_no_more_than_enough(
    s3_gateway: VersityGateway, worker: S3Endpoint, photos: str, pictures: str
) -> None:
    grant(s3_gateway.endpoint, USER, statements("worker-policy.json", photos, pictures))
    store = PhotoStore(worker.settings())
    for bucket, key in ((photos, "inbox/a.jpg"), (pictures, "elsewhere/crop.jpg")):
        with pytest.raises(AccessDenied, match="deploy/iam"):
            store.put(bucket, key, b"x", "image/jpeg")
    other = new_bucket(s3_gateway.endpoint)
    PhotoStore(s3_gateway.endpoint.settings()).put(other, "inbox/a.jpg", b"photo", "image/jpeg")
    with pytest.raises(AccessDenied):
        S3Photos(worker.settings(other), 1000).fetch(PhotoLocation(bucket=other, key="inbox/a.jpg"))
    client = worker.client()
    calls: list[Callable[[], object]] = [
        lambda: client.delete_object(Bucket=photos, Key="inbox/a.jpg"),
        lambda: client.get_object(Bucket=pictures, Key="intake-pictures/crop.jpg"),
        lambda: client.put_bucket_policy(Bucket=photos, Policy="{}"),
    ]
    for call in calls:
        with pytest.raises(client.exceptions.ClientError, match=r"AccessDenied|Access Denied"):
            call()


def test_without_the_right_to_list_a_denied_photo_beside_one_that_was_read_is_one_refusal(
    s3_gateway: VersityGateway, worker: S3Endpoint, photos: str, pictures: str
) -> None:
    PhotoStore(s3_gateway.endpoint.settings()).put(photos, "closed/a.jpg", b"photo", "image/jpeg")
    read = statements("worker-policy.json", photos, pictures)[0] | {"Resource": [f"arn:aws:s3:::{photos}/inbox/*"]}
    grant(s3_gateway.endpoint, USER, [read])
    source = S3Photos(worker.settings(photos), 1000)
    [warning] = source.check()
    assert "s3:ListBucket" in warning
    with pytest.raises(AccessDenied, match="s3:ListBucket"):
        source.fetch(PhotoLocation(bucket=photos, key="closed/a.jpg"))  # nothing was read yet: no witness
    assert source.fetch(PhotoLocation(bucket=photos, key="inbox/a.jpg"))
    assert reason(source, photos, "closed/a.jpg") is Reason.PHOTO_MISSING
    s3_gateway.endpoint.client().delete_bucket_policy(Bucket=photos)
    with pytest.raises(AccessDenied, match="no other photo"):
        source.fetch(PhotoLocation(bucket=photos, key="closed/a.jpg"))


def test_the_right_to_list_finds_a_witness_before_anything_was_read(
    s3_gateway: VersityGateway, worker: S3Endpoint, photos: str, pictures: str
) -> None:
    PhotoStore(s3_gateway.endpoint.settings()).put(photos, "closed/a.jpg", b"photo", "image/jpeg")
    read, listing, _ = statements("worker-policy.json", photos, pictures)
    grant(s3_gateway.endpoint, USER, [read | {"Resource": [f"arn:aws:s3:::{photos}/inbox/*"]}, listing])
    assert reason(S3Photos(worker.settings(photos), 1000), photos, "closed/a.jpg") is Reason.PHOTO_MISSING


def test_the_submit_policy_uploads_and_nothing_else(s3_gateway: VersityGateway, photos: str, pictures: str) -> None:
    sender = s3_gateway.add_user("intake-submit", "intake-submit-secret")
    grant(s3_gateway.endpoint, "intake-submit", statements("submit-policy.json", photos, pictures))
    assert PhotoStore(sender.settings()).put(photos, "inbox/b.jpg", b"new", "image/jpeg")
    with pytest.raises(AccessDenied):
        S3Photos(sender.settings(photos), 1000).fetch(PhotoLocation(bucket=photos, key="inbox/b.jpg"))


def test_the_policies_name_no_action_but_these() -> None:
    actions = {
        action
        for file in POLICIES.glob("*.json")
        for statement in json.loads(file.read_text())["Statement"]
        for action in statement["Action"]
    }
    assert actions == {"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:PutObject"}
    for file in POLICIES.glob("*.json"):
        for statement in json.loads(file.read_text())["Statement"]:
            assert all(resource.startswith("arn:aws:s3:::intake-") for resource in statement["Resource"])
