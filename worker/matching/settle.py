"""The settle stage: from what a search showed to a decision that is safe against rivals, replays and crashes.

Sixteen new arrivals cost five calls to the catalogue (look, write, search, settle, confirm); arrivals that match a settled article
share the first of them only. Nothing here decides: the rules are `Race`'s, the thresholds `decide`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from worker.calibration import Calibration
from worker.catalogue.protocol import Catalogue
from worker.matching.batch import Batch
from worker.matching.patience import Patience
from worker.matching.queries import SearchPlan
from worker.matching.requests import SettleOutcome, SettleRequest
from worker.matching.tools import SettleTools
from worker.settings import MatchingSettings


class Settler:
    """Settles arrivals in one catalogue. Thread-safe: it holds nothing but how long each arrival has waited."""

    def __init__(
        self,
        catalogue: Catalogue,
        calibration: Calibration,
        settings: MatchingSettings,
        plan: SearchPlan,
        tools: SettleTools | None = None,
    ) -> None:
        """`calibration` is already overridden by the settings' thresholds; `plan` is the one of the search stage."""
        self._catalogue = catalogue
        self._calibration = calibration
        self._settings = settings
        self._plan = plan
        self._tools = tools or SettleTools()
        self._patience = Patience(settings.twin_wait_s, self._tools.clock)

    def settle(self, requests: Sequence[SettleRequest]) -> list[SettleOutcome]:
        """One outcome for each request, in order.

        A `TwinInFlight` in the place of an outcome asks for the same arrival again later: nothing of it is left in the catalogue.

        Raises:
            CatalogueUnavailable: the index did not answer; stands for the whole batch. Nothing is decided: pending points that were
                written stay, and the replay finds them.
        """
        if not requests:
            return []
        return Batch(requests, self._catalogue, self._calibration, self._settings, self._plan, self._tools, self._patience).run()

    def abandon(self, arrival_ids: Sequence[str]) -> None:
        """Withdraw what these arrivals have pending, before their dead letters are committed. Settled points stay."""
        if arrival_ids:
            self._catalogue.withdraw(list(dict.fromkeys(arrival_ids)))
            for arrival_id in arrival_ids:
                self._patience.forget(arrival_id)
