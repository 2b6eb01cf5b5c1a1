"""Whatever a photo does to its decoder, it costs that photo and that process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.imaging.pictures import corners, encoded, photo, smooth
from worker.errors import ConfigurationError, PhotoRefused, Reason, RetryError
from worker.imaging.decode import InProcessDecoder, make_decoder
from worker.imaging.decoder_pool import DecoderPool, DecoderProcess
from worker.imaging.types import Pixels
from worker.settings.imaging import ImagingSettings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="decoder processes limit themselves with Linux's means")

FAULTY = "tests.imaging.faulty_decoder"
GOOD = encoded(corners(), "PNG")


@pytest.fixture(scope="module")
def faulty() -> Iterator[DecoderPool]:
    pool = DecoderPool(ImagingSettings(decoder_processes=2, decode_timeout_s=60, decoder_memory_mb=256), FAULTY)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def impatient() -> Iterator[DecoderPool]:
    """For what never ends."""
    pool = DecoderPool(ImagingSettings(decoder_processes=2, decode_timeout_s=3, decoder_memory_mb=256), FAULTY)
    yield pool
    pool.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition: object, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("word", "how"),
    [
        (b"SEGFAULT", "SIGSEGV"),
        (b"ABORT", "SIGABRT"),
        (b"LOOP", "longer than 3 s"),
        (b"SLEEP", "longer than 3 s"),
        (b"STOP", "longer than 3 s"),
        (b"EXIT", "code 7"),
        (b"EAT", "memory"),
        (b"KILLED", "SIGKILL"),
        (b"RUBBISH", "nonsense"),
        (b"HUGE-ANSWER", "nonsense"),
        (b"LIE", "nonsense"),
    ],
)
def test_a_photo_that_breaks_its_decoder_is_refused_and_its_neighbours_are_not(
    faulty: DecoderPool, impatient: DecoderPool, word: bytes, how: str
) -> None:
    pool = impatient if "longer" in how else faulty
    first, broken, last = pool.decode([photo(GOOD), photo(word), photo(GOOD)])
    assert isinstance(first, Pixels)
    assert isinstance(last, Pixels)
    assert isinstance(broken, PhotoRefused)
    assert broken.reason is Reason.PHOTO_DECODER_CRASHED
    assert how in str(broken)
    assert "s3://intake-photos/inbox/photo" in str(broken)
    assert len(pool.pids) == 2
    assert all(isinstance(answer, Pixels) for answer in pool.decode([photo(GOOD)] * 4))


def test_a_photo_whose_decoder_was_killed_from_outside_gets_another_one(faulty: DecoderPool, tmp_path: Path) -> None:
    before = faulty.pids
    [answer] = faulty.decode([photo(b"KILLED-ONCE " + os.fsencode(tmp_path / "marker"))])
    assert isinstance(answer, Pixels)
    assert faulty.pids != before


def test_what_a_codec_prints_does_not_disturb_the_answers(faulty: DecoderPool) -> None:
    before = faulty.pids
    answers = faulty.decode([photo(b"CHATTER")] * 4)
    assert all(isinstance(answer, Pixels) for answer in answers)
    assert faulty.pids == before


def test_a_decoder_process_sees_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INTAKE_STORAGE__SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "KAFKA_PASSWORD"):
        monkeypatch.setenv(name, "hidden")
    pool = DecoderPool(ImagingSettings(decoder_processes=1), FAULTY)
    try:
        process = DecoderProcess(ImagingSettings(), FAULTY)
        process.start()
        process.wait_ready()
        names = Path(f"/proc/{process.pid}/environ").read_bytes()
        process.stop()
    finally:
        pool.close()
    assert b"PYTHONPATH" in names
    assert b"hidden" not in names


def test_both_decoders_give_the_same_pixels_and_refusals() -> None:
    settings = ImagingSettings(decoder_processes=2)
    photos = [
        photo(encoded(smooth(1500, 1100), "JPEG")),
        photo(encoded(corners(), "WEBP")),
        photo(encoded(smooth(900, 700), "HEIF")),
        photo(encoded(smooth(900, 700), "AVIF", speed=9)),
        photo(b"<html>"),
        photo(b""),
        photo(GOOD[:50]),
        photo(encoded(smooth(1000, 40), "PNG")),
    ]
    pool = make_decoder(settings)
    assert isinstance(pool, DecoderPool)
    try:
        isolated = pool.decode(photos)
    finally:
        pool.close()
    here = InProcessDecoder(settings).decode(photos)
    for one, other in zip(isolated, here, strict=True):
        assert type(one) is type(other)
        if isinstance(one, Pixels) and isinstance(other, Pixels):
            assert np.array_equal(one.rgb, other.rgb)
            assert (one.original_size, one.format, one.flags) == (other.original_size, other.format, other.flags)
            assert one.rgb.flags.writeable
        else:
            assert str(one) == str(other)


def test_answers_keep_their_order_from_several_threads() -> None:
    sizes = [(32 + 4 * index, 40) for index in range(12)]
    photos = [photo(encoded(smooth(*size), "PNG")) for size in sizes]
    pool = DecoderPool(ImagingSettings(decoder_processes=2))
    try:
        with ThreadPoolExecutor(3) as callers:
            for answers in callers.map(lambda _: pool.decode(photos), range(6)):
                assert [answer.original_size for answer in answers if isinstance(answer, Pixels)] == sizes
    finally:
        pool.close()


def test_no_photos_are_no_answers(faulty: DecoderPool) -> None:
    assert faulty.decode([]) == []


def test_pixels_outlive_the_next_photo() -> None:
    pool = DecoderPool(ImagingSettings(decoder_processes=1))
    try:
        first, second = pool.decode(
            [photo(encoded(smooth(64, 64, seed=1), "PNG")), photo(encoded(smooth(64, 64, seed=2), "PNG"))]
        )
    finally:
        pool.close()
    assert isinstance(first, Pixels)
    assert isinstance(second, Pixels)
    assert np.array_equal(first.rgb, smooth(64, 64, seed=1))
    assert np.array_equal(second.rgb, smooth(64, 64, seed=2))


def test_an_idle_process_that_was_killed_costs_no_photo(faulty: DecoderPool) -> None:
    for pid in faulty.pids:
        os.kill(pid, signal.SIGKILL)
    assert until(lambda: not any(alive(pid) for pid in faulty.pids))
    assert all(isinstance(answer, Pixels) for answer in faulty.decode([photo(GOOD)] * 4))


def test_closing_ends_every_process_and_photos_in_work_are_for_a_retry() -> None:
    pool = DecoderPool(ImagingSettings(decoder_processes=2, decode_timeout_s=60), FAULTY)
    pids = pool.pids
    caught: list[BaseException] = []

    def decode() -> None:
        try:
            pool.decode([photo(b"SLEEP")] * 3)
        except RetryError as error:
            caught.append(error)

    caller = threading.Thread(target=decode)
    caller.start()
    assert until(lambda: all(process.photos for process in pool._all))
    pool.close()
    caller.join(20)
    assert caught
    assert not any(alive(pid) for pid in pids)
    pool.close()
    with pytest.raises(RetryError):
        pool.decode([photo(GOOD)])


def test_a_program_that_does_not_start_is_one_clear_error() -> None:
    with pytest.raises(ConfigurationError, match=r"do not start.*No module named"):
        DecoderPool(ImagingSettings(decoder_processes=1), "worker.imaging.no_such_program")


PARENT = """
import threading
from tests.imaging.pictures import photo
from worker.imaging.decoder_pool import DecoderPool
from worker.settings.imaging import ImagingSettings

pool = DecoderPool(ImagingSettings(decoder_processes=2, decode_timeout_s=10), "tests.imaging.faulty_decoder")
threading.Thread(target=pool.decode, args=([photo(b"LOOP")],)).start()
print(*pool.pids, flush=True)
threading.Event().wait(60)
"""


def test_processes_end_with_a_killed_parent_even_in_an_endless_loop() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(alive(pid) for pid in pids)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert until(lambda: not any(alive(pid) for pid in pids), 60)


def test_processes_are_replaced_after_many_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.imaging.decoder_pool.PHOTOS_PER_PROCESS", 3)
    pool = DecoderPool(ImagingSettings(decoder_processes=1))
    try:
        before = pool.pids
        answers = pool.decode([photo(GOOD)] * 4)
        assert all(isinstance(answer, Pixels) for answer in answers)
        assert pool.pids != before
        assert len(pool.pids) == 1
    finally:
        pool.close()
