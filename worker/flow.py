"""What one arrival becomes on its way: a frozen type after each stage, each holding the one before.

`Arrival` -(fetch)-> `Fetched` -(decode)-> `Decoded` -(segment)-> `Segmented` -(embed)-> `Embedded` -(search)-> `Searched` -(settle)->
`Settled` -(publish)-> output records. Pixels and masks travel along because pictures of them are stored at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from worker.catalogue.protocol import Hit
from worker.embedding import CutOut
from worker.events import Attributes, ItemPhotographed
from worker.events.codec import ParsedArrival
from worker.imaging.types import Photo, Pixels
from worker.outcome import Outcome
from worker.tagging import Reading
from worker.vision.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """One photographed item, as parsed from its event. `stages_ms` grows from stage to stage (milliseconds of its batch)."""

    parsed: ParsedArrival
    stages_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def event(self) -> ItemPhotographed:
        """The event's body."""
        return self.parsed.event


@dataclass(frozen=True, slots=True, eq=False)
class Fetched:
    """An arrival with its photos' bytes, in the event's order."""

    arrival: Arrival
    photos: tuple[Photo, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """An arrival with its photos' pixels."""

    arrival: Arrival
    pixels: tuple[Pixels, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Segmented:
    """An arrival with its garment cut out of each photo."""

    arrival: Arrival
    pixels: tuple[Pixels, ...]
    cuts: tuple[CutOut, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """An arrival with one vector for each photo, (photos, dimension) float32, and what a tagger read off them, where one runs."""

    arrival: Arrival
    pixels: tuple[Pixels, ...]
    cuts: tuple[CutOut, ...]
    vectors: FloatArray
    reading: Reading | None = None

    @property
    def attributes(self) -> Attributes:
        """The event's, with what was read off the photos: for what is published, never for a search."""
        return self.reading.attributes if self.reading else self.arrival.event.attributes

    @property
    def flags(self) -> tuple[str, ...]:
        """What a person should know of the photos, and of event and photos together."""
        of_photos = (
            flag for pixels, cut in zip(self.pixels, self.cuts, strict=True) for flag in (*pixels.flags, *cut.crop.flags)
        )
        return tuple(dict.fromkeys((*of_photos, *(self.reading.flags if self.reading else ()))))


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """An arrival with the hits of each of its photos."""

    embedded: Embedded
    hits: tuple[tuple[Hit, ...], ...]

    @property
    def arrival(self) -> Arrival:
        """The arrival in work."""
        return self.embedded.arrival


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """An arrival with its outcome: the event to publish."""

    searched: Searched
    outcome: Outcome

    @property
    def arrival(self) -> Arrival:
        """The arrival in work."""
        return self.searched.arrival
