"""The one way from a photo to a vector: decode, segment, crop, embed.

The pipeline, the catalogue loader, the lab, the demo and the one-photo service all go through here, so that a photo has the same
vector wherever it is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from worker.errors import DeadLetterError, IntakeError, PhotoRefused
from worker.imaging.decode import PhotoDecoder
from worker.imaging.types import Photo, Pixels
from worker.vision.crop import make_crop
from worker.vision.types import Crop, Embedder, FloatArray, Mask, Segmenter


@dataclass(frozen=True, slots=True, eq=False)
class CutOut:
    """A photo's garment: where it is, and what the embedder sees of it."""

    mask: Mask
    crop: Crop


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedPhoto:
    """One photo, all the way. `vector` is (dimension,) float32, L2-normalised."""

    pixels: Pixels
    mask: Mask
    crop: Crop
    vector: FloatArray


@dataclass(frozen=True, slots=True)
class PhotoEmbedder:
    """Decoder and models put together. Thread-safe as far as its parts are: each step is called by one thread at a time."""

    decoder: PhotoDecoder
    segmenter: Segmenter
    embedder: Embedder
    crop_side: int

    def decode(self, photos: Sequence[Photo]) -> list[Pixels | PhotoRefused]:
        """Photo bytes to pixels; a photo that is refused gives its error."""
        return self.decoder.decode(photos) if photos else []

    def cut_out(self, photos: Sequence[Pixels], categories: Sequence[str | None] | None = None) -> list[CutOut | DeadLetterError]:
        """Pixels to mask and crop. `categories` are the events' attribute, one for each photo."""
        if not photos:
            return []
        masks = self.segmenter.segment([photo.rgb for photo in photos], categories)
        return [self._cut(photo, mask) for photo, mask in zip(photos, masks, strict=True)]

    def embed(self, crops: Sequence[Crop]) -> FloatArray:
        """Crops to (len(crops), dimension) float32, L2-normalised."""
        return self.embedder.embed(crops)

    def embed_photos(
        self, photos: Sequence[Photo], categories: Sequence[str | None] | None = None
    ) -> list[EmbeddedPhoto | IntakeError]:
        """All steps at once, for callers without an assembly line. One result for each photo, in order."""
        decoded = self.decode(photos)
        results: list[EmbeddedPhoto | IntakeError | None] = [item if isinstance(item, IntakeError) else None for item in decoded]
        kept = [(index, item) for index, item in enumerate(decoded) if isinstance(item, Pixels)]
        wanted = [categories[index] for index, _ in kept] if categories is not None else None
        whole: list[tuple[int, Pixels, CutOut]] = []
        for (index, pixels), cut in zip(kept, self.cut_out([pixels for _, pixels in kept], wanted), strict=True):
            if isinstance(cut, IntakeError):
                results[index] = cut
            else:
                whole.append((index, pixels, cut))
        if whole:
            vectors = self.embed([cut.crop for _, _, cut in whole])
            for (index, pixels, cut), vector in zip(whole, vectors, strict=True):
                results[index] = EmbeddedPhoto(pixels, cut.mask, cut.crop, vector)
        return [result for result in results if result is not None]

    def _cut(self, photo: Pixels, mask: Mask) -> CutOut | DeadLetterError:
        try:
            return CutOut(mask, make_crop(photo.rgb, mask, self.crop_side))
        except DeadLetterError as error:
            return error
