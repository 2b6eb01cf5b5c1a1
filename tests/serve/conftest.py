"""The service as it runs: the embedded index, the packaged embedder, no segmenter, drawn garments as its catalogue."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from tests.infra.needs import require
from worker.catalogue.entries import CatalogueEntry
from worker.events import Attributes
from worker.loading import open_desk
from worker.serve.run import OpenedService, Server, listen, make_config, open_service, url_of
from worker.settings import (
    CatalogueSettings,
    ImagingSettings,
    MatchingSettings,
    OpsSettings,
    ServeSettings,
    Settings,
    VisionSettings,
)
from worker.vision.types import ByteArray

COLOURS = {"red": (200, 40, 50), "green": (40, 150, 60), "blue": (40, 60, 190), "grey": (120, 120, 125)}
WAIT_S = 30.0


def drawn_garment(colour: tuple[int, int, int], stripe: bool, *, seed: int = 0, shift: int = 0) -> ByteArray:
    """A shirt on white: (240, 200, 3) uint8 RGB. `shift` moves it, as another photo of it would."""
    picture = np.full((240, 200, 3), 250, np.uint8)
    outline = np.array([[50, 60], [85, 45], [115, 45], [150, 60], [185, 110], [160, 130], [140, 100], [140, 205], [60, 205],
                        [60, 100], [40, 130], [15, 110]])  # fmt: skip
    cv2.fillPoly(picture, [np.add(outline, shift, dtype=np.int32)], colour)
    if stripe:
        cv2.rectangle(picture, (60 + shift, 130 + shift), (140 + shift, 150 + shift), (245, 240, 200), -1)
    noise = np.random.default_rng(seed).integers(-6, 7, picture.shape)
    return np.asarray(np.clip(picture.astype(np.int16) + noise, 0, 255), np.uint8)


def jpeg(rgb: ByteArray) -> bytes:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert done
    return data.tobytes()


@dataclass(frozen=True)
class Shop:
    """A catalogue on disk: photos, and an index of them."""

    settings: Settings
    photos: Path
    secret: Path
    points: dict[str, str]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Eight shirts; one more whose photo lies outside the folder that may be shown, and one whose photo is a link out of it."""
    try:
        import qdrant_edge  # noqa: F401
    except ModuleNotFoundError:
        require(False, "Qdrant Edge (the embedded extra)")
    root = tmp_path_factory.mktemp("shop")
    photos, outside = root / "photos", root / "photos-private"
    photos.mkdir()
    outside.mkdir()
    entries = []
    for colour, rgb in COLOURS.items():
        for stripe in (False, True):
            name = f"{colour}-{'striped' if stripe else 'plain'}"
            (photos / f"{name}.jpg").write_bytes(jpeg(drawn_garment(rgb, stripe)))
            entries.append(CatalogueEntry(name, "front", str(photos / f"{name}.jpg"), Attributes(colour=colour)))
    secret = outside / "secret.jpg"
    secret.write_bytes(jpeg(drawn_garment((240, 220, 40), stripe=True)))
    entries.append(CatalogueEntry("outside", "front", str(secret)))
    (photos / "linked.jpg").symlink_to(secret)
    entries.append(CatalogueEntry("linked", "front", str(photos / "linked.jpg")))
    (photos / "gone.jpg").write_bytes(jpeg(drawn_garment((20, 20, 20), stripe=True)))
    entries.append(CatalogueEntry("gone", "front", str(photos / "gone.jpg")))
    settings = Settings(
        _env_file=None,
        catalogue=CatalogueSettings(engine="edge", path=root / "index", filter_attributes=("colour",), min_free_mb=0),
        vision=VisionSettings(segmenter="none", threads=1),
        imaging=ImagingSettings(isolation="none", max_bytes=400_000),
        matching=MatchingSettings(duplicate_threshold=0.97, review_threshold=0.9),
        ops=OpsSettings(log_level="warning"),
        serve=ServeSettings(port=0, photo_folders=(photos,), max_photos=3, max_body_bytes=1_000_000, concurrent=2),
    )
    with open_desk(settings) as desk:
        assert desk.load(entries).loaded == len(entries)
    (photos / "gone.jpg").unlink()
    return Shop(settings, photos, secret, {entry.article_id: str(entry.point_id) for entry in entries})


@dataclass(frozen=True)
class Running:
    """A service that answers on a real socket."""

    url: str
    client: httpx.Client
    opened: OpenedService
    stop: Callable[[], None]


@contextmanager
def running(settings: Settings) -> Iterator[Running]:
    """Serve in a thread, as `intake serve` does in a process (signals are tested there)."""
    with ExitStack() as stack:
        listening = stack.enter_context(listen(settings.serve))
        opened = stack.enter_context(open_service(settings))
        server = Server(make_config(opened.app, settings.serve), opened.drain)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
        thread.start()

        def stop() -> None:
            server.should_exit = True
            thread.join(WAIT_S)
            assert not thread.is_alive()

        stack.callback(stop)
        url = url_of(listening)
        client = stack.enter_context(httpx.Client(base_url=url, timeout=WAIT_S, transport=httpx.HTTPTransport(retries=5)))
        client.get("/livez")  # answered: raw connections, which are not tried again, are taken from here on
        yield Running(url, client, opened, stop)


@pytest.fixture(scope="module")
def service(shop: Shop) -> Iterator[Running]:
    """One service for a module's tests (one process holds the index)."""
    with running(shop.settings) as started:
        yield started


@pytest.fixture
def red_shirt() -> bytes:
    """Another photo of the plain red shirt of the catalogue."""
    return jpeg(drawn_garment(COLOURS["red"], stripe=False, seed=7, shift=4))
