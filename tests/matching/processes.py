"""Worker processes that race on a Qdrant server, kill themselves at named points, and are started again."""

from __future__ import annotations

import multiprocessing as mp
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

from tests.matching.racing import Entry, live
from worker.catalogue import open_catalogue_admin
from worker.matching.requests import SettleOutcome
from worker.matching.tools import SettleTools
from worker.ops.faults import Faults
from worker.settings import CatalogueSettings, MatchingSettings

NAMED_POINTS = ("after-pending-write", "after-second-search", "before-settle-write", "after-settle-write")
SETTINGS = MatchingSettings(twin_wait_s=120, orphan_after_s=900, settle_wait_s=1)
LONGEST_RACE_S = 60.0


def racer(pipe: Connection, settings: CatalogueSettings, collection: str) -> None:
    """A worker: settles the batches it is told, in the order it is told, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    catalogue = open_catalogue_admin(settings).open(collection)
    while True:
        try:
            batch, plan = pipe.recv()
        except EOFError:
            return
        pipe.send(live(catalogue, batch, SETTINGS, SettleTools(faults=Faults.parse(plan))))


@dataclass
class Lane:
    """One process and the pipe to it."""

    process: BaseProcess
    pipe: Connection


class Track:
    """So many worker processes on one server."""

    def __init__(self, settings: CatalogueSettings, collection: str, sides: int) -> None:
        self._settings = settings
        self._collection = collection
        # Forked from a clean process that has imported what takes long: a new life then takes a fraction of a second.
        self._context = mp.get_context("forkserver")
        self._context.set_forkserver_preload(["worker.catalogue.qdrant_admin", "worker.matching.settle"])
        self._lanes = [self._open() for _ in range(sides)]
        self.deaths = 0

    def race(self, batches: Sequence[list[Entry]], rng: random.Random, deadly: float) -> dict[str, SettleOutcome]:
        """Start all at once; whoever dies lives again with the same batch, now without a fault."""
        lanes = list(range(len(batches)))
        for lane, batch in zip(lanes, batches, strict=True):
            plan = f"{rng.choice(NAMED_POINTS)}:crash" if rng.random() < deadly else ""
            self._lanes[lane].pipe.send((batch, plan))
        outcomes: dict[str, SettleOutcome] = {}
        left = set(lanes)
        while left:
            pipes = {self._lanes[lane].pipe: lane for lane in left}
            ready = wait(list(pipes), timeout=LONGEST_RACE_S)
            if not ready:
                raise AssertionError(f"no outcome after {LONGEST_RACE_S} s of {[batches[lane] for lane in left]}")
            for pipe in ready:
                lane = pipes[pipe]  # type: ignore[index]
                try:
                    outcomes |= self._lanes[lane].pipe.recv()
                    left.discard(lane)
                except EOFError:
                    self._revive(lane)
                    self._lanes[lane].pipe.send((batches[lane], ""))
        return outcomes

    def _revive(self, lane: int) -> None:
        dead = self._lanes[lane]
        dead.process.join(30)
        if dead.process.exitcode != -signal.SIGKILL:
            raise AssertionError(f"a worker ended with {dead.process.exitcode}; see its traceback above")
        self.deaths += 1
        dead.pipe.close()
        self._lanes[lane] = self._open()

    def _open(self) -> Lane:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=racer, args=(theirs, self._settings, self._collection), daemon=True)
        process.start()
        theirs.close()
        return Lane(process, ours)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for lane in self._lanes:
            lane.pipe.close()
        for lane in self._lanes:
            lane.process.join(10)
            if lane.process.is_alive():
                lane.process.kill()
                lane.process.join(10)
