"""Run a program that cannot outlive this process: ``python -I tether.py PARENT_PID PROGRAM ARGUMENT...``.

The program replaces this process (so the caller's `Popen.pid` is the program's own), and a small watcher stays behind that kills it when
the parent is gone, however the parent ended. Linux's PR_SET_PDEATHSIG is no substitute: it fires when the *thread* that started the
program ends. Only the standard library is used, so that it starts in milliseconds.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Sequence

# Without pidfds (not Linux) the watcher looks this often.
_POLL_S = 0.25


def tethered(command: Sequence[str]) -> list[str]:
    """`command` as it must be given to `subprocess.Popen` to end with the calling process."""
    return [sys.executable, "-I", __file__, str(os.getpid()), *command]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait_for_either(parent: int, program: int) -> None:
    """Return as soon as one of the two processes has ended."""
    if hasattr(os, "pidfd_open"):
        try:
            watched = [os.pidfd_open(pid) for pid in (parent, program)]
        except ProcessLookupError:
            return
        poll = select.poll()  # not select.select: it cannot watch descriptors from 1024 on
        for descriptor in watched:
            poll.register(descriptor, select.POLLIN)
        poll.poll()
        return
    while _alive(parent) and os.getppid() == program:
        time.sleep(_POLL_S)


def _watch(parent: int, program: int) -> None:
    """Kill `program` once `parent` is gone; never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # or whoever reads the program's output would wait for the watcher too
        os.dup2(null, standard)
    _wait_for_either(parent, program)
    if os.getppid() == program:  # still ours, so the number was not given to another process
        os.kill(program, signal.SIGKILL)
    os._exit(0)


def main(arguments: Sequence[str]) -> None:
    """Fork the watcher, become the program."""
    parent, command = int(arguments[0]), list(arguments[1:])
    program = os.getpid()
    if os.getppid() != parent:  # the parent died before this line
        sys.exit(1)
    if os.fork() == 0:
        _watch(parent, program)
    os.execvp(command[0], command)  # noqa: S606  # nosec B606  the caller names the program, no shell is involved


if __name__ == "__main__":
    main(sys.argv[1:])
