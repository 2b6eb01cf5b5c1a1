"""What an arrival's points remember: the body it came with, and once it is settled the event that was decided.

The `record` of a point is JSON text ``{"body_hash": ..., "event": ...}``. `body_hash` identifies the body of the
`item-photographed` event, so that another body under the same id is noticed. `event` is the `catalogue-insert` event as text (a JSON
string, so that a replay publishes the very same bytes), or null while the point is pending.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from worker.errors import EventRefused, Reason


@dataclass(frozen=True, slots=True)
class Record:
    """One point's memory."""

    body_hash: str
    event: str | None = None

    def to_text(self) -> str:
        """The JSON text that is stored."""
        return json.dumps({"body_hash": self.body_hash, "event": self.event}, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str | None, arrival_id: str) -> Record:
        """Read what a point of `arrival_id` holds.

        Raises:
            EventRefused: it is no record; only a person can tell what was decided.
        """
        try:
            fields = json.loads(text or "")
            body_hash, event = fields["body_hash"], fields["event"]
        except (ValueError, KeyError, TypeError) as error:
            raise _unreadable(arrival_id) from error
        if not isinstance(body_hash, str) or not isinstance(event, str | None):
            raise _unreadable(arrival_id)
        return cls(body_hash, event)


def _unreadable(arrival_id: str) -> EventRefused:
    return EventRefused(
        Reason.EVENT_CONFLICT,
        f"the catalogue holds points of arrival {arrival_id} whose record cannot be read: "
        "look at them, delete the article if it is none, and redrive",
    )
