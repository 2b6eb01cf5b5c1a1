"""JSON to a model, strictly: no number becomes a string, no string a number, and the only exception is `EventRefused`."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from worker.errors import EventRefused, Reason
from worker.events.places import FORBIDDEN

# Of a model's errors, a message names this many.
_NAMED_ERRORS = 5

ModelT = TypeVar("ModelT", bound=BaseModel)


def validated(model: type[ModelT], json: bytes, name: str) -> ModelT:
    """The model of this JSON; all its errors become one `EventRefused` that names the fields, and not what stood in them.

    `name` is what the message calls the event. `json` comes from `canonical`.
    """
    try:
        return model.model_validate_json(json, strict=True)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
    forbidden = [problem for problem in problems if problem["type"] == FORBIDDEN]
    shown = forbidden or problems
    named = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'event'}: {problem['msg']}" for problem in shown[:_NAMED_ERRORS]
    )
    more = f"; and {len(shown) - _NAMED_ERRORS} more" if len(shown) > _NAMED_ERRORS else ""
    raise EventRefused(Reason.LOCATION_FORBIDDEN if forbidden else Reason.EVENT_SCHEMA, f"{name}: {named}{more}")
