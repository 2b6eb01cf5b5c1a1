"""`make soak`: steady load with rebalances and mild faults, then a burst. Exit code 1 if something was lost, grew or was not kept up with."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> int:
    """Run with the options of the command line."""
    from rich.console import Console

    from tests.soak.run import Plan, Result, run

    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--burst-s", type=float, default=20.0, help="length of the burst of ten times the load")
    parser.add_argument("--most-per-second", type=float, help="cap of the load, for a machine that others use too")
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--report", type=Path, default=Path("build/soak.json"))
    options = parser.parse_args()
    console = Console()
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[{time.monotonic() - began:6.0f} s] {text}", highlight=False, markup=False)

    def content(result: Result) -> dict[str, Any]:
        verdict = result.verdict
        return {
            "passed": result.passed,
            "minutes": result.plan.minutes,
            "workers": result.plan.workers,
            "sustained_per_s": round(result.sustained, 1),
            "load_per_s": round(result.load, 1),
            "load_share_of_sustained": round(result.load / result.sustained, 3) if result.sustained else 0.0,
            "load_capped_at_per_s": result.plan.most_per_s,
            "machine_load_median": round(result.machine_load, 1),
            "cores": os.cpu_count(),
            "arrivals_in_the_soak": result.soaked,
            "rss_warm_mb": round(result.warm_mb, 1),
            "rss_end_mb": round(result.end_mb, 1),
            "memory_flat": result.flat,
            "most_lag": result.most_lag,
            "lag_at_the_end": result.lag_at_end,
            "lag_bounded": result.bounded,
            "event_to_decision_p50_s": round(result.p50_s, 3),
            "event_to_decision_p99_s": round(result.p99_s, 3),
            "burst_arrivals": result.burst,
            "burst_per_s": round(result.burst_rate, 1),
            "burst_drained_s": round(result.drained_s, 1),
            "disturbances": dict(result.disturbances),
            "arrivals": verdict.arrivals,
            "lost": len(verdict.lost),
            "repeated": len(verdict.repeated),
            "missed": len(verdict.missed),
            "broken_promises": verdict.problems(),
            "problems": result.problems,
        }

    with tempfile.TemporaryDirectory(prefix="intake-soak-") as folder:
        plan = Plan(options.minutes, options.workers, options.burst_s, options.seed, options.most_per_second)
        result = run(plan, Path(folder), say)
    summary = content(result)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(json.dumps(summary, indent=2) + "\n")
    for name, value in summary.items():
        console.print(f"{name:26} {value}", highlight=False, markup=False)
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
