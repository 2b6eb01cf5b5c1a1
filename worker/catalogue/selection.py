"""Which points a request is about, in words both engines are told in their own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from worker.catalogue import payload
from worker.catalogue.protocol import PointState, Query


@dataclass(frozen=True, slots=True)
class Selection:
    """Points whose fields are one of the values of each entry of `among` and none of those of `none_of`. Empty: all points.

    Fields named by `unless_absent` are equal to its value, or are not there.
    """

    among: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unless_absent: Mapping[str, str] = field(default_factory=dict)
    none_of: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def everything(self) -> bool:
        """True if no point is left out."""
        return not (self.among or self.unless_absent or self.none_of)


PENDING = Selection({payload.STATE: (PointState.PENDING.value,)})


def of_query(query: Query) -> Selection:
    """What a search may find."""
    known = {payload.attribute_field(name): value for name, value in query.attributes.items()}
    none_of = {} if query.exclude_arrival is None else {payload.ARRIVAL: (query.exclude_arrival,)}
    return Selection(unless_absent=known, none_of=none_of)


def of_arrivals(arrival_ids: Sequence[str]) -> Selection:
    """All points of these arrivals."""
    return Selection({payload.ARRIVAL: tuple(arrival_ids)})


def pending_of(arrival_ids: Sequence[str]) -> Selection:
    """The pending points of these arrivals."""
    return Selection({payload.ARRIVAL: tuple(arrival_ids), **PENDING.among})


def of_articles(article_ids: Sequence[str]) -> Selection:
    """All points of these articles."""
    return Selection({payload.ARTICLE: tuple(article_ids)})
