"""GET /photo/{point_id}: photos of the catalogue, and nothing else in the world."""

from __future__ import annotations

import io
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from PIL import Image

from tests.serve.conftest import Running, Shop
from tests.serve.wire import ask
from worker.errors import EventRefused, PhotoRefused, Reason, StorageUnavailable
from worker.imaging.types import Photo
from worker.serve.thumbnails import Thumbnails, resolved_folders, shrunk
from worker.settings import ImagingSettings


def test_a_photo_of_the_catalogue_is_shown_small(service: Running, shop: Shop) -> None:
    answer = service.client.get(f"/photo/{shop.points['red-plain']}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, max-age=300"
    assert Image.open(io.BytesIO(answer.content)).size == (200, 240)
    assert service.client.get(f"/photo/{shop.points['red-plain']}").content == answer.content


@pytest.mark.parametrize("article", ["outside", "linked", "gone"])
def test_a_photo_outside_the_folders_behind_a_link_or_gone_is_not_shown(service: Running, shop: Shop, article: str) -> None:
    answer = service.client.get(f"/photo/{shop.points[article]}")
    assert (answer.status_code, answer.json()["reason"]) == (404, "not-found")
    unknown = service.client.get(f"/photo/{uuid4()}")
    assert answer.json() == unknown.json()  # a stranger cannot tell one from the other
    assert str(shop.secret.parent) not in answer.text


def hostile_targets(shop: Shop) -> list[str]:
    photo = shop.photos / "red-plain.jpg"
    up = "/.." * 30
    return [
        f"/photo/{photo}",
        f"/photo/..{up}{shop.secret}",
        f"/photo/%2e%2e%2f%2e%2e%2f{str(shop.secret).replace('/', '%2f')}",
        f"/photo/{shop.points['red-plain']}/../../..{shop.secret}",
        f"/photo/{shop.points['red-plain']}%2f..%2f..%2fetc%2fpasswd",
        f"/photo/{shop.points['red-plain']}%00.jpg",
        "/photo/..%5c..%5cetc%5cpasswd",
        "/photo/file:%2f%2f%2fetc%2fpasswd",
        "/photo/s3:%2f%2fintake-photos%2fx.jpg",
        "/photo/http:%2f%2flocalhost%2fx.jpg",
        "/photo/",
        "/photo/red-plain",
        "/photo/{" + shop.points["red-plain"] + "}x",
        "/../etc/passwd",
        "//etc/passwd",
        "/%2e%2e/etc/passwd",
        "/templates/page.js",
    ]


def test_no_path_leads_anywhere(service: Running, shop: Shop) -> None:
    for target in hostile_targets(shop):
        status, headers, body = ask(service.url, "GET", target)
        assert status == 404, target
        assert headers["content-type"] == "application/problem+json", target
        assert b"root:" not in body
        assert b"\xff\xd8" not in body


def test_photos_in_s3_are_read_through_the_allow_list_and_never_as_files(service: Running, shop: Shop, tmp_path: Path) -> None:
    """The real reader of locations: what is not allowed is refused before any request."""
    thumbnails = service.opened.service.thumbnails
    for location in (
        "s3://other-bucket/x.jpg",
        "s3://intake-photos/../x.jpg",
        "s3://intake-photos/%2e%2e/x",
        "s3:///etc/passwd",
        "s3://",
    ):
        assert thumbnails._allowed(location) == location
        [answer] = thumbnails.fetch([location])
        assert isinstance(answer, EventRefused | PhotoRefused), location
        assert answer.reason is Reason.LOCATION_FORBIDDEN


def test_a_storage_that_is_away_is_no_missing_photo(service: Running, shop: Shop) -> None:
    part = service.opened.service.thumbnails

    def away(_: object) -> list[Photo | StorageUnavailable]:
        return [StorageUnavailable("no answer")]

    with_no_storage = Thumbnails(part.catalogue, away, part.decoder, part.folders, 64)  # type: ignore[arg-type]
    with pytest.raises(StorageUnavailable):
        with_no_storage.jpeg(UUID(shop.points["red-plain"]))


def test_a_folder_is_compared_by_its_parts_and_not_by_its_letters(service: Running, shop: Shop, tmp_path: Path) -> None:
    """`photos-private` begins like `photos`; and a folder given by a link is the folder it leads to."""
    part = service.opened.service.thumbnails
    link = tmp_path / "link"
    link.symlink_to(shop.photos)
    by_link = Thumbnails(part.catalogue, part.fetch, part.decoder, resolved_folders([link]), 64)
    assert by_link.jpeg(UUID(shop.points["red-plain"])) is not None
    assert by_link.jpeg(UUID(shop.points["outside"])) is None
    for odd in ("relative.jpg", "\0", "x" * 5000, ".", "/", "~"):
        assert by_link._allowed(odd) is None


def test_without_folders_no_local_photo_is_shown(service: Running, shop: Shop) -> None:
    part = service.opened.service.thumbnails
    closed = Thumbnails(part.catalogue, part.fetch, part.decoder, (), 64)
    assert all(closed.jpeg(UUID(point)) is None for point in shop.points.values())


def test_thumbnails_keep_their_shape_and_are_never_enlarged() -> None:
    import numpy as np

    assert shrunk(np.zeros((1000, 500, 3), np.uint8), 320).shape == (320, 160, 3)
    assert shrunk(np.zeros((1, 5000, 3), np.uint8), 320).shape == (1, 320, 3)
    assert shrunk(np.zeros((10, 20, 3), np.uint8), 320).shape == (10, 20, 3)
    assert ImagingSettings().target_side >= 320  # decoded photos are at least as large as the default thumbnail
