"""The contracts: every event as a model. Schemas are generated from these (`make schemas`)."""

from worker.events.catalogue_insert import CatalogueInsert, EmbeddingReference, NearestNeighbour
from worker.events.common import (
    Attributes,
    DecisionKind,
    Event,
    Identifier,
    ModelFingerprint,
    PhotoLocation,
    Timings,
    derived_id,
)
from worker.events.dead_letter import DeadLetter, RecordHeader, RecordSource
from worker.events.dead_letter_redriven import DeadLetterRedriven
from worker.events.item_photographed import ItemPhotographed
from worker.events.match_alert import (
    MAX_CANDIDATES,
    AlertCandidate,
    Explanation,
    MatchAlert,
    MatchedPhoto,
    StoredPicture,
)
from worker.events.match_decision import MatchDecision

__all__ = [
    "MAX_CANDIDATES",
    "AlertCandidate",
    "Attributes",
    "CatalogueInsert",
    "DeadLetter",
    "DeadLetterRedriven",
    "DecisionKind",
    "EmbeddingReference",
    "Event",
    "Explanation",
    "Identifier",
    "ItemPhotographed",
    "MatchAlert",
    "MatchDecision",
    "MatchedPhoto",
    "ModelFingerprint",
    "NearestNeighbour",
    "PhotoLocation",
    "RecordHeader",
    "RecordSource",
    "StoredPicture",
    "Timings",
    "derived_id",
]
