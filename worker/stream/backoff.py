"""How long a partition waits after a failure: exponential backoff with full jitter, by kind of error.

Full jitter (uniform between zero and the exponential ceiling) spreads the retries of many workers best when a shared service comes
back (M. Brooker, "Exponential Backoff And Jitter", 2015).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from worker.errors import CatalogueUnavailable, InferenceUnavailable, RetryError, StorageUnavailable, TwinInFlight
from worker.settings.stream import RetrySettings, StreamSettings

# Beyond this many doublings the ceiling is `maximum_s` for every sane setting, and the power would overflow a float.
_MOST_STEPS = 64


@dataclass(frozen=True, slots=True)
class Backoff:
    """The retry policies of a worker. `random` is the source of jitter, seeded in tests."""

    settings: StreamSettings
    random: random.Random = field(default_factory=random.Random)

    def policy(self, error: RetryError) -> RetrySettings:
        """The policy for this kind of error; the storage policy stands for kinds that have none of their own."""
        by_kind: tuple[tuple[type[RetryError], RetrySettings], ...] = (
            (CatalogueUnavailable, self.settings.catalogue_retry),
            (InferenceUnavailable, self.settings.inference_retry),
            (TwinInFlight, self.settings.twin_retry),
            (StorageUnavailable, self.settings.storage_retry),
        )
        return next((policy for kind, policy in by_kind if isinstance(error, kind)), self.settings.storage_retry)

    def delay_s(self, error: RetryError, attempt: int) -> float:
        """Seconds to wait after failure number `attempt` (from 1)."""
        policy = self.policy(error)
        steps = min(attempt - 1, _MOST_STEPS)
        ceiling = min(policy.maximum_s, policy.initial_s * policy.factor**steps)
        return self.random.uniform(0.0, ceiling)

    def gives_up(self, error: RetryError, waited_s: float) -> bool:
        """True if the policy sets an end and it is reached."""
        end = self.policy(error).give_up_after_s
        return end is not None and waited_s >= end
