"""A decoder process whose codec has every bug: what a photo's bytes say is what happens. Anything else is decoded as ever."""

from __future__ import annotations

import ctypes
import io
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from worker.imaging import codec, decoder_process
from worker.imaging.codec import Decoded, Limits

LIE = b'{"height": 100000, "width": 100000, "original_size": [1, 1], "format": "jpeg", "flags": []}'


def decode_bytes(data: bytes, limits: Limits) -> Decoded:
    word, _, argument = data.partition(b" ")
    if word in FAULTS:
        FAULTS[word](argument)
        return codec.decode_bytes(ordinary(), limits)
    return codec.decode_bytes(data, limits)


def loop(_: bytes) -> None:
    """In C, holding the interpreter lock: no Python code can end it."""
    sum(range(10**13))


def eat(_: bytes) -> None:
    """Inside the codec, as a bomb would."""
    hoard: list[bytearray] = []

    def take_all(*_: object) -> None:
        while True:
            hoard.append(bytearray(1 << 24))

    codec._open = take_all  # type: ignore[assignment]


def killed_once(marker: bytes) -> None:
    if not Path(marker.decode()).exists():
        Path(marker.decode()).touch()
        os.kill(os.getpid(), signal.SIGKILL)


def chatter(_: bytes) -> None:
    for number in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.write(number, b"libpng warning: hello\n" * 1000)


def answer(text: bytes, length: int | None = None) -> None:
    """What a codec taken over by a photo might write to the parent."""
    os.write(answers_pipe(), (len(text) if length is None else length).to_bytes(4, "big") + text)


def answers_pipe() -> int:
    for number in range(3, 64):
        link = Path(f"/proc/self/fd/{number}")
        if link.is_symlink() and str(link.readlink()).startswith("pipe:"):
            return number
    raise AssertionError("no pipe")


def ordinary() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(out, "PNG")
    return out.getvalue()


FAULTS: dict[bytes, Callable[[bytes], object]] = {
    b"SEGFAULT": lambda _: ctypes.string_at(0),
    b"ABORT": lambda _: os.abort(),
    b"LOOP": loop,
    b"SLEEP": lambda _: time.sleep(1000),
    b"STOP": lambda _: os.kill(os.getpid(), signal.SIGSTOP),
    b"EXIT": lambda _: os._exit(7),
    b"EAT": eat,
    b"KILLED": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    b"KILLED-ONCE": killed_once,
    b"CHATTER": chatter,
    b"RUBBISH": lambda _: answer(b"{]]]]"),
    b"HUGE-ANSWER": lambda _: answer(b"", 0xFFFFFFFF),
    b"LIE": lambda _: answer(LIE),
}

if __name__ == "__main__":
    decoder_process.decode_bytes = decode_bytes  # type: ignore[attr-defined]
    decoder_process.main(sys.argv[1:])
