"""The disk under the embedded index fills up: decisions wait, nothing is lost, and work goes on when there is room again.

Three things are to be proved, and not every machine allows all of them:

- The worker stops writing in time and goes on by itself. Proved everywhere, on the disk that is there, whose free room falls below
  what the worker is told to leave; and on a small disk of its own where mounting is allowed.
- The engine's own write fails. Proved everywhere, by a limit on the size of files (EFBIG, not ENOSPC), in tests/catalogue/test_edge.py.
- The disk is full to the last byte (ENOSPC, and SIGBUS for the mapped files). Only where a small disk may be mounted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.feeder import Feeder
from tests.chaos.life import Life
from tests.chaos.model import register
from tests.chaos.reader import OutcomeReader
from tests.chaos.truth import plan
from tests.chaos.verdict import judge
from tests.infra.kafka import KafkaServer, wait_until
from tests.infra.needs import require
from tests.integration.system import System
from worker.embedded.s3 import S3Endpoint
from worker.settings import CatalogueSettings

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ARRIVALS = 60
DISK_MB = 256
# Outcomes that were on their way when the disk filled up are out after this; with none following it, the worker waits.
QUIET_S = 3.0
MEGABYTE = 1 << 20
# As the settings count.
MB = 1_000_000
# Far more than others write to or delete from the same disk while a test runs.
TAKE_MB = 2_000


@dataclass
class Disk:
    """A folder on a disk that can be filled. `min_free_mb` is what the worker is told to leave free there."""

    folder: Path
    min_free_mb: int
    take_mb: int | None = None  # None: all there is

    def fill(self) -> Path:
        """Take the room away; removing the file gives it back."""
        filler = self.folder / "filler"
        if self.take_mb is not None:
            with filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self.take_mb * MEGABYTE)
            return filler
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * MEGABYTE)
        with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
            while True:
                file.write(b"\0" * 512)
        return filler


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    """A small disk of its own, which is really full in the end."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)], capture_output=True, check=False
    ).returncode
    if mounted != 0:  # also in CI, where containers may not mount: see the module's docstring for what is proved there
        pytest.skip("mounting a small disk needs root and CAP_SYS_ADMIN")
    yield Disk(folder, min_free_mb=32)
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def large_disk(tmp_path: Path) -> Disk:
    """The disk everybody has: the worker is told to leave so much free that one large file is too much."""
    folder = tmp_path / "disk"
    folder.mkdir()
    free_mb = shutil.disk_usage(folder).free // MB
    require(free_mb > 2 * TAKE_MB, f"{2 * TAKE_MB} MB of free disk")
    return Disk(folder, free_mb - TAKE_MB // 2, TAKE_MB)


@pytest.fixture(params=["small", "large"])
def disk(request: pytest.FixtureRequest) -> Disk:
    """Both."""
    found: Disk = request.getfixturevalue(f"{request.param}_disk")
    return found


class Bench:
    """One worker with the embedded index on the small disk, and its arrivals."""

    def __init__(self, kafka: KafkaServer, s3: S3Endpoint, folder: Path, disk: Path, min_free_mb: int) -> None:
        models = folder / "models"
        models.mkdir()
        index = CatalogueSettings(engine="edge", path=disk / "index", alias="full")
        self.system = System(
            kafka,
            s3,
            index,
            folder,
            models=register(models),
            more={
                "INTAKE_CATALOGUE__MIN_FREE_MB": str(min_free_mb),
                "INTAKE_STREAM__CATALOGUE_RETRY__MAXIMUM_S": "0.5",
                "INTAKE_STREAM__DEAD_LETTER_LIMITS__RUN_LENGTH": "1000",
            },
        ).set_up()
        self.feeder = Feeder(self.system, plan(ARRIVALS, seed=11), seed=11)
        self.feeder.upload()
        topics = tuple(self.system.topic(name) for name in ("match-alert", "catalogue-insert", "dead-letter"))
        self.reader = OutcomeReader(kafka.bootstrap_servers, topics)  # type: ignore[arg-type]
        self.lives: list[Life] = []

    def start(self) -> Life:
        self.lives.append(Life(self.system.environment(), self.system.folder / f"life-{len(self.lives)}.log").start())
        return self.lives[-1]

    def wait_for(self, count: int) -> None:
        wait_until(lambda: self.reader.poll(0.05) >= count, f"{count} outcomes; {self.lives[-1].log()[-2000:]}", 90.0)

    def read_until_quiet(self) -> int:
        """How many outcomes there are once none has come for a while."""
        seen, since = self.reader.poll(), time.monotonic()
        while time.monotonic() - since < QUIET_S:
            if (found := self.reader.poll(0.05)) > seen:
                seen, since = found, time.monotonic()
        return seen

    def close(self) -> None:
        for life in self.lives:
            life.end()
        self.reader.close()

    def assert_kept(self) -> None:
        """Everything sent has its one outcome, and the index agrees; asked when the worker has let go of the index."""
        self.feeder.finish(30)
        self.close()
        sent = Counter((each.key or b"").decode() for each in self.system.kafka.read(self.system.topic("item-photographed")))
        assert sum(sent.values()) == ARRIVALS
        verdict = judge(self.feeder.planned, sent, self.reader.found, self.system.points())
        assert verdict.problems() == []
        assert verdict.kept


def test_a_full_disk_stops_decisions_and_loses_none(kafka: KafkaServer, s3_plain: S3Endpoint, tmp_path: Path, disk: Disk) -> None:
    bench = Bench(kafka, s3_plain, tmp_path, disk.folder, disk.min_free_mb)
    try:
        worker = bench.start()
        bench.feeder.send_up_to(ARRIVALS // 3)
        bench.wait_for(ARRIVALS // 3)
        filler = disk.fill()
        bench.feeder.send_up_to(ARRIVALS)
        wait_until(lambda: "INTAKE_CATALOGUE__MIN_FREE_MB" in worker.log(), "the worker to say that the disk is full", 60.0)
        assert bench.read_until_quiet() < ARRIVALS  # spoiled arrivals and known garments need no room
        assert worker.code is None  # it waits

        filler.unlink()
        bench.wait_for(ARRIVALS)
        bench.assert_kept()
    finally:
        bench.close()


def test_a_disk_that_is_full_to_the_last_byte_loses_nothing_whatever_it_does_to_the_process(
    kafka: KafkaServer, s3_plain: S3Endpoint, tmp_path: Path, small_disk: Disk
) -> None:
    bench = Bench(kafka, s3_plain, tmp_path, small_disk.folder, min_free_mb=0)
    try:
        bench.start()
        bench.feeder.send_up_to(ARRIVALS // 3)
        bench.wait_for(ARRIVALS // 3)
        filler = small_disk.fill()
        bench.feeder.send_up_to(ARRIVALS)
        bench.read_until_quiet()
        filler.unlink()
        if bench.lives[-1].wait(1.0) is not None:  # a write to a mapped file without room ends the process
            bench.start()
        bench.wait_for(ARRIVALS)
        bench.assert_kept()
    finally:
        bench.close()
