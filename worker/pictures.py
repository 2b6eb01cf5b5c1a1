"""Pictures for people's eyes: the crop the embedder saw, and the mask laid over the photo."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from worker.embedding import CutOut
from worker.events import ItemPhotographed, StoredPicture
from worker.imaging.decode import encode_jpeg
from worker.imaging.store import PhotoStore
from worker.imaging.types import Pixels
from worker.vision.types import ByteArray, Mask

JPEG_QUALITY = 85
CONTENT_TYPE = "image/jpeg"
# What is not garment is dimmed to this share: the garment stands out and the surroundings stay recognisable.
BACKGROUND_SHARE = 0.35
OUTLINE_COLOUR = (0, 200, 120)
OUTLINE_WIDTH = 2


@dataclass(frozen=True, slots=True)
class PictureShelf:
    """Where an arrival's pictures are stored. Keys follow from the arrival's id, so that a replay writes the same objects."""

    store: PhotoStore
    bucket: str
    prefix: str
    threads: ThreadPoolExecutor

    def places(self, event: ItemPhotographed) -> tuple[StoredPicture, ...]:
        """Where the pictures of this arrival are, or will be."""
        return tuple(
            StoredPicture(
                view=photo.view,
                crop=f"s3://{self.bucket}/{self._key(event, index, 'crop')}",
                overlay=f"s3://{self.bucket}/{self._key(event, index, 'overlay')}",
            )
            for index, photo in enumerate(event.photos)
        )

    def put(self, event: ItemPhotographed, pixels: Sequence[Pixels], cuts: Sequence[CutOut]) -> None:
        """Store the pictures of every photo of one arrival; raises `StorageUnavailable` where S3 does not take them."""
        jobs = []
        for index, (photo, cut) in enumerate(zip(pixels, cuts, strict=True)):
            jobs.append((self._key(event, index, "crop"), cut.crop.rgb))
            jobs.append((self._key(event, index, "overlay"), overlay(photo.rgb, cut.mask)))
        list(self.threads.map(lambda job: self._put(*job), jobs))

    def _put(self, key: str, rgb: ByteArray) -> None:
        self.store.put(self.bucket, key, encode_jpeg(rgb, JPEG_QUALITY), CONTENT_TYPE)

    def _key(self, event: ItemPhotographed, index: int, what: str) -> str:
        return f"{self.prefix}{event.arrival_id}/{index:02d}-{event.photos[index].view}-{what}.jpg"


def overlay(rgb: ByteArray, mask: Mask) -> ByteArray:
    """The photo with everything but the garment dimmed and the garment outlined. (h, w, 3) uint8, as `rgb`."""
    share = BACKGROUND_SHARE + (1.0 - BACKGROUND_SHARE) * (mask.alpha.astype(np.float32)[..., None] / 255.0)
    picture = np.ascontiguousarray((rgb * share).astype(np.uint8))
    contours, _ = cv2.findContours((mask.alpha >= 128).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(picture, contours, -1, OUTLINE_COLOUR, OUTLINE_WIDTH)
    return picture
