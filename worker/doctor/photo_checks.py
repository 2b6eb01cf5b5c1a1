"""Photos: the decoder does what it must with a good one and a bad one."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import closing

from PIL import Image

from worker.doctor.findings import Finding, fail, ok, warn
from worker.errors import PhotoRefused
from worker.events import PhotoLocation
from worker.imaging.decode import make_decoder
from worker.imaging.types import Photo, Pixels
from worker.settings import Settings

# Twelve megapixels, as a phone's.
PHOTO_SIZE = (4032, 3024)


def check_photos(settings: Settings) -> Iterator[Finding]:
    """Start the decoder and give it a phone-sized JPEG, then the same cut short at its header."""
    imaging = settings.imaging
    if imaging.isolation == "none":
        yield warn(
            "photos",
            "photos are decoded in the worker's own process: a crash of a codec ends it",
            "set INTAKE_IMAGING__ISOLATION=process",
        )
    buffer = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize(PHOTO_SIZE).save(buffer, "JPEG", quality=90)
    location = PhotoLocation(bucket="intake-doctor", key="photo.jpg")
    photos = [Photo(location, data) for data in (buffer.getvalue(), buffer.getvalue()[:100])]
    with closing(make_decoder(imaging)) as decoder:
        decoder.decode(photos[:1])  # starts the processes
        began = time.perf_counter()
        good, bad = decoder.decode(photos)
        took = (time.perf_counter() - began) * 1000
    if not isinstance(good, Pixels):
        yield fail("photos", f"an ordinary JPEG is refused: {good}", "raise INTAKE_IMAGING__DECODER_MEMORY_MB, or reinstall")
    elif not isinstance(bad, PhotoRefused):
        yield fail("photos", "a photo that is cut short is taken for a whole one", "reinstall: a codec is not as it should be")
    else:
        yield ok("photos", f"decoded ({imaging.isolation} isolation): a 12-megapixel JPEG and a broken one in {took:.0f} ms")
