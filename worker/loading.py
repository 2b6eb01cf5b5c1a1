"""The catalogue's side of the worker put together: loading, searching by hand and reindexing, without Kafka.

`intake catalogue`, the demo and the lab come here; photos become vectors exactly as in the pipeline (`worker.embedding`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from worker.assembly import open_embedder
from worker.catalogue.entries import S3_SCHEME, CatalogueEntry
from worker.catalogue.grouping import ArticleHit, group_by_article
from worker.catalogue.live import ensure_live_catalogue, open_catalogue_admin
from worker.catalogue.loading import Loader, LoadReport, tasks_of
from worker.catalogue.naming import collection_name
from worker.catalogue.protocol import Catalogue, CatalogueAdmin, Query
from worker.catalogue.reindexing import ReindexReport, reindex
from worker.embedding import EmbeddedPhoto, PhotoEmbedder
from worker.errors import ConfigurationError, DeadLetterError, IntakeError, PhotoRefused, Reason
from worker.events import PhotoLocation
from worker.imaging.local import LocalPhotos, local_location
from worker.imaging.storage import S3Photos
from worker.imaging.types import Photo, Pixels
from worker.settings import Settings

Progress = Callable[[int], None]


def _quiet(_: int) -> None:
    """No progress is shown."""


class AnyPhotos:
    """Photos by the location text that points carry: local files, and S3 within the allow-list. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._local = LocalPhotos(settings.imaging.max_bytes)
        self._s3: S3Photos | None = None
        self._lock = threading.Lock()

    def fetch(self, locations: Sequence[str]) -> list[Photo | IntakeError]:
        """One answer for each location, in order."""
        answers: list[Photo | IntakeError | None] = [None] * len(locations)
        remote: list[tuple[int, PhotoLocation]] = []
        for index, text in enumerate(locations):
            try:
                if text.startswith(S3_SCHEME):
                    bucket, _, key = text.removeprefix(S3_SCHEME).partition("/")
                    remote.append((index, PhotoLocation(bucket=bucket, key=key)))
                else:
                    answers[index] = self._local.fetch(local_location(Path(text)))
            except DeadLetterError as error:
                answers[index] = error
            except ValueError:
                answers[index] = PhotoRefused(
                    Reason.LOCATION_FORBIDDEN, f"{text!r} is no location in S3: its bucket or key is not one S3 allows"
                )
        if remote:
            for (index, _), answer in zip(remote, self._remote().fetch_photos([location for _, location in remote]), strict=True):
                answers[index] = answer
        return [answer for answer in answers if answer is not None]

    def close(self) -> None:
        """Give back connections."""
        if self._s3 is not None:
            self._s3.close()

    def _remote(self) -> S3Photos:
        """S3, opened when the first photo lies there: who loads a folder needs none, and boto3 takes half a second to start."""
        with self._lock:
            if self._s3 is None:
                self._s3 = S3Photos(self._settings.storage, self._settings.imaging.max_bytes)
            return self._s3


@dataclass(frozen=True, slots=True)
class CatalogueDesk:
    """Everything a command on the catalogue needs, opened: models, photos, collections.

    Attributes:
        fingerprint: of the configured models.
    """

    settings: Settings
    admin: CatalogueAdmin
    embedder: PhotoEmbedder
    photos: AnyPhotos
    fingerprint: str
    dimension: int

    def load(self, entries: Iterable[CatalogueEntry], *, progress: Progress = _quiet, again: bool = False) -> LoadReport:
        """Load photos into the live catalogue; what is there already is skipped unless `again`."""
        catalogue = ensure_live_catalogue(self.admin, self.fingerprint, self.dimension)
        return self._loader(catalogue, progress).load(tasks_of(entries, self.fingerprint), again=again)

    def search(self, photo: Path, limit: int, attributes: dict[str, str] | None = None) -> tuple[EmbeddedPhoto, list[ArticleHit]]:
        """The articles most like a local photo, best first. Raises the photo's own error if it cannot be embedded."""
        catalogue = ensure_live_catalogue(self.admin, self.fingerprint, self.dimension)
        [embedded] = self.embedder.embed_photos(_fetched(self.photos.fetch([str(photo)])))
        if isinstance(embedded, IntakeError):
            raise embedded
        points = limit * self.settings.catalogue.points_per_article
        hits = catalogue.search([Query(embedded.vector, points, attributes or {})])
        return embedded, group_by_article(hits, limit)

    def reindex(self, source: str | None, *, progress: Progress = _quiet, allow_missing: bool = False) -> ReindexReport:
        """Build the collection of the configured models from `source` (default: the live one) and switch to it."""
        target_name = collection_name(self.fingerprint, self.admin.alias)
        source = source or self.admin.alias_target()
        if source is None:
            raise ConfigurationError("there is no catalogue to reindex: run `intake catalogue load`")
        if source == target_name:
            raise ConfigurationError(
                f"{source!r} is already of the configured models: set INTAKE_VISION__SEGMENTER and __EMBEDDER to the new ones, "
                "or name the collection to copy from with --from"
            )
        self.admin.ensure_collection(target_name, self.dimension)
        target = self.admin.open(target_name)
        loader = self._loader(target, progress)
        return reindex(self.admin, self.admin.open(source), target, loader, self.fingerprint, allow_missing=allow_missing)

    def pixels(self, locations: Sequence[str]) -> list[Pixels | None]:
        """Decoded photos for showing; None where one cannot be read."""
        fetched = self.photos.fetch(locations)
        decoded = iter(self.embedder.decode([photo for photo in fetched if isinstance(photo, Photo)]))
        shown = [next(decoded) if isinstance(photo, Photo) else None for photo in fetched]
        return [item if isinstance(item, Pixels) else None for item in shown]

    def _loader(self, catalogue: Catalogue, progress: Progress) -> Loader:
        return Loader(catalogue, self.photos, self.embedder, progress)


@contextmanager
def open_desk(settings: Settings) -> Iterator[CatalogueDesk]:
    """Open what the commands need, cheapest and likeliest to fail first; everything is closed again."""
    with ExitStack() as stack:
        admin = stack.enter_context(closing(open_catalogue_admin(settings.catalogue)))
        photos = stack.enter_context(closing(AnyPhotos(settings)))
        models, embedder = stack.enter_context(open_embedder(settings))
        yield CatalogueDesk(settings, admin, embedder, photos, models.fingerprint, models.embedder.dimension)


def _fetched(answers: Sequence[Photo | IntakeError]) -> list[Photo]:
    for answer in answers:
        if isinstance(answer, IntakeError):
            raise answer
    return [answer for answer in answers if isinstance(answer, Photo)]
