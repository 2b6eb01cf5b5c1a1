"""`make chaos`: break everything, then recompute what was promised. Exit code 1 if a promise was broken."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    """Run with the options of the command line."""
    from rich.console import Console

    from tests.chaos import report
    from tests.chaos.run import Plan, run

    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--arrivals", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200, help="workers killed with SIGKILL; seven of ten at the named points")
    parser.add_argument("--terms", type=int, default=20, help="workers ended with SIGTERM and started again")
    parser.add_argument("--stops", type=int, default=16, help="workers stopped past their session, overtaken and woken")
    parser.add_argument("--rounds", type=int, default=3, help="how often each fault of Kafka, S3 and the index happens")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000)
    parser.add_argument("--minutes", type=float, default=60.0, help="longest time in which things break")
    parser.add_argument("--report", type=Path, default=Path("build/chaos"), help="folder for chaos.json and chaos.md")
    parser.add_argument("--folder", type=Path, help="keep data and logs here instead of in a temporary folder")
    options = parser.parse_args()
    plan = Plan(
        options.arrivals, options.kills, options.terms, options.stops, options.rounds, options.seed, options.minutes
    )  # fmt: skip
    console = Console()
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[{time.monotonic() - began:6.0f} s] {text}", highlight=False, markup=False)

    with tempfile.TemporaryDirectory(prefix="intake-chaos-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = run(plan, folder, say)
        report.write(result, options.report)
        report.show(result, console)
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
