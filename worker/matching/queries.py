"""The one way from an arrival to its searches: the first search and the second must ask the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.catalogue.protocol import Query
from worker.events import Attributes
from worker.settings import CatalogueSettings


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How every arrival is searched for.

    Attributes:
        point_limit: points asked for by one photo. A peer that this limit hides is hidden behind as many nearer points: these are
            peers themselves, so that an arrival with a peer never sees nobody.
        filter_attributes: attributes that narrow a search to points that have the arrival's value or none, where the arrival has one.
    """

    point_limit: int
    filter_attributes: tuple[str, ...] = ()

    @classmethod
    def from_settings(cls, settings: CatalogueSettings) -> SearchPlan:
        """Ask for more points than articles are wanted: one article has several."""
        return cls(settings.limit * settings.points_per_article, settings.filter_attributes)

    def queries(
        self, arrival_id: str | None, vectors: Iterable[npt.NDArray[np.float32]], attributes: Attributes
    ) -> Sequence[Query]:
        """One query a photo, in order, none of which returns the arrival's own points. Photos that are no arrival's have no id."""
        narrowed = self.narrowed(attributes)
        return [Query(vector, self.point_limit, narrowed, exclude_arrival=arrival_id) for vector in vectors]

    def narrowed(self, attributes: Attributes) -> dict[str, str]:
        """Those of `attributes` that narrow a search."""
        present = attributes.present()
        return {name: present[name] for name in self.filter_attributes if name in present}
