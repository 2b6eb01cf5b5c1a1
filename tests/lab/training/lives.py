"""Lives of a run: each a real process that is killed in the middle of a batch, the last one not.

``python -m tests.lab.training.lives CONFIG RUN [STEP...]``: torch is loaded once, each life is a fork of that.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import tests.lab.training.toy as toys
from worker.lab.training.config import read_config
from worker.lab.training.run import train


def live(config: Path, folder: Path, death: int | None) -> int:
    """How a life ended, as `waitpid` says: 0 or minus the signal."""
    child = os.fork()
    if child == 0:
        loss = toys.Toy.loss

        def deadly(self: toys.Toy, batch: tuple[Any, ...]) -> tuple[Any, dict[str, float]]:
            if int(batch[3]) == death:
                os.kill(os.getpid(), signal.SIGKILL)
            return loss(self, batch)

        toys.Toy.loss = deadly  # type: ignore[method-assign]
        try:
            train(read_config(config), config, folder, lambda *_: None)
        except BaseException:  # noqa: BLE001  a fork must not go on as its parent
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(arguments: list[str]) -> int:
    config, folder = Path(arguments[0]), Path(arguments[1])
    for step in arguments[2:]:
        if live(config, folder, int(step)) != -signal.SIGKILL:
            return 2
    return live(config, folder, None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
