"""The program of a decoder process: photo bytes in, pixels or a refusal out, and nothing else to lose.

It has no secret in its environment, writes no file, dumps no core, and is the first the kernel ends when memory is short. The kernel
ends it too when one photo takes longer than allowed (an interval timer with the default action: no Python code has to run), and when
its parent is gone it reads the end of its input and exits.

Photo and pixels travel through one shared file in memory (the arena: first the photo's bytes, then the pixels in their place); lengths
and answers through standard input and output, as a length of four bytes and JSON. JSON, because the parent trusts nothing from here.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import struct
import sys
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
from PIL import AvifImagePlugin

from worker.errors import PhotoRefused, Reason
from worker.imaging.codec import Limits, decode_bytes

FRAME = struct.Struct(">I")
MEMORY_EXIT_CODE = 3


def main(arguments: list[str]) -> None:
    """Serve until input ends. Arguments: JSON of arena_fd, arena_bytes, memory_bytes, timeout_s, limits."""
    options = json.loads(arguments[0])
    answers = _take_over_output()
    _prepare(options["memory_bytes"])
    limits = Limits(**options["limits"])
    with mmap.mmap(options["arena_fd"], options["arena_bytes"]) as arena:
        _send(answers, {"ready": True})
        while (length := _receive(sys.stdin.fileno())) is not None:
            signal.setitimer(signal.ITIMER_REAL, options["timeout_s"])
            answer = _answer(arena, length, limits)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _send(answers, answer)
            if answer.get("reason") == Reason.PHOTO_DECODER_CRASHED:
                os._exit(MEMORY_EXIT_CODE)  # memory ran out: what is left of the heap is not worth trusting


def _answer(arena: mmap.mmap, length: int, limits: Limits) -> dict[str, Any]:
    try:
        decoded = decode_bytes(arena[:length], limits)
    except PhotoRefused as refusal:
        return {"reason": refusal.reason.value, "message": str(refusal)}
    pixels = np.ascontiguousarray(decoded.rgb).reshape(-1)
    arena[: pixels.size] = pixels.data
    return {
        "height": decoded.rgb.shape[0],
        "width": decoded.rgb.shape[1],
        "original_size": decoded.original_size,
        "format": decoded.format,
        "flags": decoded.flags,
    }


def _take_over_output() -> int:
    """Keep standard output for answers alone: what libraries print goes nowhere."""
    answers = os.dup(sys.stdout.fileno())
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return answers


def _prepare(memory_bytes: int) -> None:
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # One photo at a time, one thread: threads of a library would reserve stacks and heaps against the memory limit.
    cv2.setNumThreads(1)
    pillow_heif.options.DECODE_THREADS = 1
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        # Address space is what can be limited, and the libraries' own is no photo's: count from here.
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # What libraries report while they load was let through to standard error; what photos make them say is not.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _receive(source: int) -> int | None:
    """The length of the next photo in the arena; None at the end of input."""
    head = b""
    while len(head) < FRAME.size:
        piece = os.read(source, FRAME.size - len(head))
        if not piece:
            return None
        head += piece
    (length,) = FRAME.unpack(head)
    return int(length)


def _send(target: int, answer: dict[str, Any]) -> None:
    text = json.dumps(answer).encode()
    os.write(target, FRAME.pack(len(text)) + text)


if __name__ == "__main__":
    main(sys.argv[1:])
