"""Photos on their way into the bucket while the load runs: always a few ahead of what is sent, never all of a long run at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from tests.chaos.truth import Planned

# A busy machine may let a server's connections time out for a while; only one that stays away is an error.
TRIES, PAUSE_S = 60, 1.0


class Uploads:
    """Threads that put the photos of `planned` into the bucket in order, at most `ahead` arrivals before the one that is sent next.

    `put` uploads the photo of one arrival, or does nothing for an arrival that has none; it is tried `tries` times, `pause_s` apart.
    """

    def __init__(
        self,
        put: Callable[[Planned], None],
        planned: Sequence[Planned],
        ahead: int,
        threads: int,
        tries: int = TRIES,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._put, self._planned, self._ahead = put, planned, ahead
        self._tries, self._pause_s = tries, pause_s
        self._changed = threading.Condition()
        self._sent = self._begun = self._ready = 0
        self._out_of_order: set[int] = set()
        self._ended = False
        self._error: BaseException | None = None
        self._threads = [threading.Thread(target=self._work, name=f"upload-{number}", daemon=True) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def ready(self) -> int:
        """So many of the planned arrivals, from the first on, have their photo in the bucket.

        Raises:
            RuntimeError: a photo could not be uploaded.
        """
        with self._changed:
            if self._error is not None:
                raise RuntimeError("a photo could not be uploaded") from self._error
            return self._ready

    def sent(self, count: int) -> None:
        """So many arrivals are sent: the threads may go on."""
        with self._changed:
            self._sent = count
            self._changed.notify_all()

    def wait(self, count: int, timeout_s: float) -> None:
        """Return once `count` photos lie there (or as many as may lie there now)."""
        with self._changed:
            most = min(count, self._sent + self._ahead, len(self._planned))
            if not self._changed.wait_for(lambda: self._ready >= most or self._error is not None, timeout_s):
                raise TimeoutError(f"{self._ready} of {most} photos were uploaded in {timeout_s:.0f} s")

    def end(self) -> None:
        """Let the threads finish the photo they have in hand, and end."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (index := self._take()) is not None:
            if not self._patiently(self._planned[index]):
                return
            with self._changed:
                self._out_of_order.add(index)
                while self._ready in self._out_of_order:
                    self._out_of_order.remove(self._ready)
                    self._ready += 1
                self._changed.notify_all()

    def _patiently(self, arrival: Planned) -> bool:
        """Upload, again if it fails; False if it was in vain, or is not wanted any more."""
        for left in reversed(range(self._tries)):
            try:
                self._put(arrival)
            except Exception as error:  # noqa: BLE001  whatever it is, the one who sends has to hear of it
                with self._changed:
                    if left == 0:
                        self._error = error
                        self._changed.notify_all()
                    elif self._changed.wait_for(lambda: self._ended, self._pause_s):
                        break
            else:
                return True
        return False

    def _take(self) -> int | None:
        """Number of the next arrival, once it is near enough; None when there is nothing left to do."""
        with self._changed:
            self._changed.wait_for(self._may_go_on)
            if self._ended or self._begun >= len(self._planned):
                return None
            self._begun += 1
            return self._begun - 1

    def _may_go_on(self) -> bool:
        return self._ended or self._begun >= len(self._planned) or self._begun < self._sent + self._ahead
