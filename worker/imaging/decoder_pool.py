"""Decoder processes that can be killed: a crash, an endless loop or a memory bomb in a codec costs one photo and one process.

Processes are programs of their own (no fork of a process with threads), so they start the same from any thread, and hold nothing of the
worker. Measured on two cores against decoding in this process: see README.
"""

from __future__ import annotations

import json
import mmap
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import numpy as np

from worker.errors import ConfigurationError, PhotoRefused, Reason, RetryError
from worker.imaging.codec import Decoded
from worker.imaging.decode import as_pixels, limits_of, refused
from worker.imaging.decoder_process import FRAME
from worker.imaging.types import Photo, Pixels
from worker.ops.deadline import Deadline
from worker.settings.imaging import ImagingSettings

DECODER_PROGRAM = "worker.imaging.decoder_process"
# A process imports in 0.3 to 0.5 s on an idle core.
START_TIMEOUT_S = 60.0
START_TRIES = 3
# The process ends itself at its time limit; this much later the parent does it.
TIMEOUT_GRACE_S = 2.0
# Codecs leak a little; a new process costs half a second of one core.
PHOTOS_PER_PROCESS = 10_000
MAX_ANSWER_BYTES = 1 << 16
# Freed memory that a process keeps for the next photo. Without it glibc gives every picture's pages back and takes them again: a photo of
# 400 pixels then costs 2.7 ms of CPU instead of 1.1.
KEPT_HEAP_BYTES = 64 << 20
MMAP_THRESHOLD_BYTES = 32 << 20  # the most glibc takes
CHANNELS = 3
LOG_TAIL_CHARACTERS = 1000
# What a decoder process needs of the environment: nothing with a secret in it.
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "TMPDIR", "VIRTUAL_ENV")


# Signals that others send: the kernel short of memory, an operator. The photo may be innocent and gets a second process.
OTHERS_SIGNALS = frozenset({signal.SIGKILL, signal.SIGTERM})


class DecoderDied(Exception):
    """The process ended, hung, or answered nonsense. No error of the worker: it becomes a refusal, or a new process, in this file.

    The message is the end of a sentence about the photo it was decoding. `innocent`: it was ended from outside.
    """

    def __init__(self, how: str, *, innocent: bool = False) -> None:
        super().__init__(how)
        self.innocent = innocent


class DecoderProcess:
    """One process and its arena. One caller at a time. `start` returns at once; the first `decode` waits until it is ready."""

    def __init__(self, settings: ImagingSettings, program: str = DECODER_PROGRAM) -> None:
        self._program = program
        self._timeout_s = settings.decode_timeout_s
        # Pixels are never more than the target allows: shorter side x (shorter side x aspect) x 3.
        pixels = CHANNELS * settings.target_side * (int(settings.target_side * settings.max_aspect) + 1)
        self._arena_bytes = max(settings.max_bytes, pixels)
        self._options = {
            "arena_bytes": self._arena_bytes,
            "memory_bytes": settings.decoder_memory_mb << 20,
            "timeout_s": settings.decode_timeout_s,
            "limits": asdict(limits_of(settings)),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._arena: mmap.mmap | None = None
        self._log = tempfile.TemporaryFile(prefix="intake-decoder-")  # noqa: SIM115  closed in stop()
        self._ready = False
        self.photos = 0

    @property
    def pid(self) -> int | None:
        """Process id, or None once stopped."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Begin to start; does not wait."""
        handle = _memory_file(self._arena_bytes)
        try:
            self._arena = mmap.mmap(handle, self._arena_bytes)
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", self._program, json.dumps(self._options | {"arena_fd": handle})],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=_environment(),
                pass_fds=(handle,),
                start_new_session=True,  # Ctrl-C is for the worker, which drains with its decoders alive
            )
        finally:
            os.close(handle)

    def wait_ready(self) -> None:
        """Wait until it can decode; raises `DecoderDied`."""
        if not self._ready:
            self._ready = self._receive(Deadline.after(START_TIMEOUT_S)).get("ready") is True
            if not self._ready:
                raise DecoderDied("answered nonsense")

    def decode(self, data: bytes) -> Decoded:
        """Decode one photo. Raises `PhotoRefused`, or `DecoderDied` after which this object is of no more use."""
        if self._process is None or self._process.stdin is None or self._arena is None:
            raise DecoderDied("was not started")
        if len(data) > self._arena_bytes:
            raise PhotoRefused(Reason.PHOTO_TOO_LARGE, f"it has {len(data)} bytes (INTAKE_IMAGING__MAX_BYTES)")
        self.wait_ready()
        self.photos += 1
        self._arena[: len(data)] = data
        try:
            self._process.stdin.write(FRAME.pack(len(data)))
        except OSError as error:
            raise DecoderDied(str(self._death()), innocent=True) from error  # it ended before it saw this photo
        return self._as_decoded(self._receive(Deadline.after(self._timeout_s + TIMEOUT_GRACE_S)))

    def kill(self) -> None:
        """End it; a caller waiting for it notices."""
        process = self._process
        if process is not None:
            process.kill()

    def stop(self) -> None:
        """Kill it and give back its memory; harmless when it has ended."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        if self._arena is not None:
            self._arena.close()
            self._arena = None
        self._log.close()

    def _as_decoded(self, answer: dict[str, Any]) -> Decoded:
        """Checked as what comes from a process that a hostile photo may have taken over."""
        try:
            if "reason" in answer:
                raise PhotoRefused(Reason(answer["reason"]), str(answer["message"]))
            height, width = int(answer["height"]), int(answer["width"])
            size = height * width * CHANNELS
            if self._arena is None or height < 1 or width < 1 or size > self._arena_bytes:
                raise DecoderDied("answered nonsense")
            rgb = np.frombuffer(self._arena, dtype=np.uint8, count=size).reshape(height, width, CHANNELS).copy()
            original_width, original_height = (int(side) for side in answer["original_size"])
            return Decoded(
                rgb, (original_width, original_height), str(answer["format"]), tuple(str(flag) for flag in answer["flags"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DecoderDied("answered nonsense") from error

    def _receive(self, deadline: Deadline) -> dict[str, Any]:
        (length,) = FRAME.unpack(self._read(FRAME.size, deadline))
        if length > MAX_ANSWER_BYTES:
            raise DecoderDied("answered nonsense")
        try:
            answer = json.loads(self._read(length, deadline))
        except ValueError as error:
            raise DecoderDied("answered nonsense") from error
        if not isinstance(answer, dict):
            raise DecoderDied("answered nonsense")
        return answer

    def _read(self, size: int, deadline: Deadline) -> bytes:
        if self._process is None or self._process.stdout is None:
            raise DecoderDied("was not started")
        handle = self._process.stdout.fileno()
        data = b""
        while len(data) < size:
            ready, _, _ = select.select([handle], [], [], deadline.remaining())
            if not ready:
                raise DecoderDied(f"took longer than {self._timeout_s:g} s (INTAKE_IMAGING__DECODE_TIMEOUT_S)")
            piece = os.read(handle, size - len(data))
            if not piece:
                raise self._death()
            data += piece
        return data

    def _death(self) -> DecoderDied:
        if self._process is None:
            return DecoderDied("was stopped")
        try:
            code = self._process.wait(TIMEOUT_GRACE_S)
        except subprocess.TimeoutExpired:
            return DecoderDied("closed its output")
        if code == -signal.SIGALRM:
            return DecoderDied(f"took longer than {self._timeout_s:g} s (INTAKE_IMAGING__DECODE_TIMEOUT_S)")
        if code < 0:
            name = signal.Signals(-code).name
            return DecoderDied(f"was ended by {name}", innocent=-code in OTHERS_SIGNALS)
        self._log.seek(0)
        return DecoderDied(f"ended with code {code}: {self._log.read().decode(errors='replace')[-LOG_TAIL_CHARACTERS:].strip()}")


class DecoderPool:
    """`PhotoDecoder` over `settings.decoder_processes` processes. May be called from several threads.

    Raises (when made, and from `decode` once no process can be started any more):
        ConfigurationError: decoder processes do not start; the message holds their last output.
    """

    def __init__(self, settings: ImagingSettings, program: str = DECODER_PROGRAM) -> None:
        """`program`: the module each process runs."""
        self._settings = settings
        self._program = program
        self._idle: queue.SimpleQueue[DecoderProcess] = queue.SimpleQueue()
        self._all: set[DecoderProcess] = set()
        self._closed = False
        self._threads = ThreadPoolExecutor(settings.decoder_processes, thread_name_prefix="decode")
        try:
            started = [self._new_process() for _ in range(settings.decoder_processes)]
            for process in started:
                self._idle.put(self._surely_ready(process))
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the decoders, for tests and `doctor`."""
        return tuple(sorted(process.pid for process in tuple(self._all) if process.pid is not None))

    def decode(self, photos: Sequence[Photo]) -> list[Pixels | PhotoRefused]:
        """See `PhotoDecoder`. Raises RetryError if the pool is closed meanwhile: that is no photo's fault."""
        try:
            return list(self._threads.map(self._decode, photos))
        except (CancelledError, RuntimeError) as error:
            raise self._closing() from error

    def close(self) -> None:
        """Kill the processes. Repeatable."""
        self._closed = True
        for process in tuple(self._all):
            process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)  # its threads see their process end, and end
        for process in tuple(self._all):
            process.stop()
        self._all.clear()

    def _decode(self, photo: Photo) -> Pixels | PhotoRefused:
        process = self._idle.get()
        try:
            for last in (False, True):
                process = self._surely_ready(process)
                try:
                    return as_pixels(photo, process.decode(photo.data))
                except DecoderDied as death:
                    process = self._replaced(process)
                    if last or not death.innocent:
                        refusal = PhotoRefused(Reason.PHOTO_DECODER_CRASHED, f"the process decoding it {death}")
                        return refused(photo, refusal)
        except PhotoRefused as refusal:
            if refusal.reason is Reason.PHOTO_DECODER_CRASHED:
                process = self._replaced(process)
            return refused(photo, refusal)
        finally:
            if process.photos >= PHOTOS_PER_PROCESS:
                process = self._replaced(process)
            self._idle.put(process)
        raise AssertionError("not reached: the second try returns")

    @staticmethod
    def _closing() -> RetryError:
        return RetryError("the decoder is closed; the photo is decoded again by the worker that reads its event next")

    def _surely_ready(self, process: DecoderProcess) -> DecoderProcess:
        """`process`, or one in its place if it did not even start: no photo is to blame for that."""
        for _ in range(START_TRIES):
            try:
                process.wait_ready()
            except DecoderDied as death:
                reason = str(death)
                process = self._replaced(process)
            else:
                return process
        raise ConfigurationError(f"decoder processes do not start: the last one {reason}")

    def _replaced(self, process: DecoderProcess) -> DecoderProcess:
        if self._closed:
            raise self._closing()
        self._all.discard(process)
        process.stop()
        return self._new_process()

    def _new_process(self) -> DecoderProcess:
        process = DecoderProcess(self._settings, self._program)
        self._all.add(process)
        process.start()
        return process


def _memory_file(size: int) -> int:
    """An open file of `size` zero bytes that has no name and takes memory only where it is written."""
    if sys.platform == "linux":
        handle = os.memfd_create("intake-decoder")
    else:
        with tempfile.TemporaryFile() as file:
            handle = os.dup(file.fileno())
    os.ftruncate(handle, size)
    return handle


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return kept | {
        # The parent's import path, wherever it was started.
        "PYTHONPATH": os.pathsep.join(sys.path),
        # One thread and one heap: others would count against the memory limit.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": str(MMAP_THRESHOLD_BYTES),
        "MALLOC_TRIM_THRESHOLD_": str(KEPT_HEAP_BYTES),
    }
