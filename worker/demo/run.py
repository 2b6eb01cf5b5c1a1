"""The demo, read top to bottom: plan, servers, catalogue, worker, arrivals, score, page."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from worker.demo.plan import DemoPlan, demo_options, folder_plan, simulated_plan
from worker.demo.result import write_outcomes, write_page
from worker.demo.show import LiveTable, score_table
from worker.demo.system import PARTITIONS, DemoSystem, running_system
from worker.demo.traffic import Listener, Published, paced, sending
from worker.errors import ConfigurationError, DeadlineExceeded
from worker.settings import VisionSettings
from worker.simulate.score import ScoreReport, score
from worker.vision.load import model_fingerprint

# With no outcome for this long something is wrong: the slowest batch of four on two busy cores takes five seconds.
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What is shown. `catalogue` and `arrivals` are a user's own folders; without them garments are drawn."""

    output: Path
    catalogue: Path | None = None
    arrivals: Path | None = None
    articles: int = 40
    count: int = 40
    rate: float = 8.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What came out."""

    page: Path
    outcomes: Path
    published: int
    report: ScoreReport | None


def run_demo(options: DemoOptions, console: Console) -> DemoResult:
    """Run it.

    Raises:
        ConfigurationError: a folder is not as it must be, or a child ended; the message has the end of its log.
        DeadlineExceeded: the worker did not decide in time.
    """
    began = time.monotonic()
    output = options.output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    plan = _plan(options, output, console)
    console.print(f"[bold]Catalogue[/] {plan.articles} articles, [bold]arrivals[/] {len(plan.arrivals)}")
    with running_system(output, lambda text: console.print(text, style="dim", markup=False)) as system:
        system.command("topics", "create", "--partitions", str(PARTITIONS), "--replication-factor", "1", quiet=True)
        _load_catalogue(plan, system, output)
        published, seconds = _run_arrivals(plan, system, options.rate, console)
        report = score(plan.truths, [one.outcome for one in published]) if plan.truths else None
        outcomes = write_outcomes(output, published)
        facts = _facts(plan, published, seconds)
        page = write_page(output, plan.arrivals, published, report, facts, system.s3)
    console.print()
    if report is not None:
        console.print(score_table(report))
        for miss in report.misses:
            line = f"  {miss.verdict}: {miss.arrival_id} ({miss.kind}) expected {miss.expected}, got {miss.got}"
            console.print(escape(line), style="dim")
    for label, value in facts:
        console.print(f"{label}: {value}", markup=False, highlight=False)
    console.print(f"[bold]Look at[/] {escape(page.as_uri())}")
    console.print(f"every output event: {escape(str(outcomes))}   ({time.monotonic() - began:.0f} s in all)", highlight=False)
    return DemoResult(page, outcomes, len(published), report)


def _plan(options: DemoOptions, output: Path, console: Console) -> DemoPlan:
    if (options.catalogue is None) != (options.arrivals is None):
        raise ConfigurationError("give both --catalogue and --arrivals, or neither")
    if options.catalogue is not None and options.arrivals is not None:
        return folder_plan(options.catalogue.absolute(), options.arrivals.absolute())
    with console.status("drawing garments and photographing them") as status:
        return simulated_plan(
            output / "photos",
            demo_options(options.articles, options.count, options.seed),
            lambda done, total: status.update(f"drawing garments and photographing them: {done} of {total}"),
            processes=os.cpu_count() or 1,
        )


def _load_catalogue(plan: DemoPlan, system: DemoSystem, output: Path) -> None:
    """Load into a folder that is kept, and work on a copy: the next demo starts with the same catalogue, not with what this one adds."""
    kept = output / "catalogue" / _identity(plan)
    index = Path(system.settings["INTAKE_CATALOGUE__PATH"])
    shutil.rmtree(index, ignore_errors=True)
    if not kept.exists():
        shutil.rmtree(kept.parent, ignore_errors=True)
        system.command("catalogue", "load", str(plan.catalogue))
        shutil.copytree(index, kept)
    else:
        shutil.copytree(kept, index)


def _identity(plan: DemoPlan) -> str:
    """Names a catalogue by its files and the models: the kept index is used only for the same."""
    root = plan.catalogue if plan.catalogue.is_dir() else plan.catalogue.parent
    files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(root.rglob("*")) if path.is_file()]
    text = json.dumps([model_fingerprint(VisionSettings()), files])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _run_arrivals(plan: DemoPlan, system: DemoSystem, rate: float, console: Console) -> tuple[list[Published], float]:
    """Start the worker, send everything, wait for every outcome. Seconds from the first decision to the last."""
    table = LiveTable(len(plan.arrivals), plan.truths)
    published: list[Published] = []
    times: list[float] = []
    failures: list[BaseException] = []

    def send_all() -> None:
        try:
            with sending(system.kafka, system.s3) as sender:
                for arrival in paced(plan.arrivals, rate):
                    sender.send(arrival)
                    table.progress.update(table.sent, advance=1)
        except Exception as error:  # noqa: BLE001  shown by the main thread, which ends the demo
            failures.append(error)

    sender_thread = threading.Thread(target=send_all, name="demo-sender", daemon=True)
    listener = Listener(system.kafka)
    try:
        with system.worker() as worker, Live(table, console=console, refresh_per_second=8):
            sender_thread.start()
            heard = time.monotonic()
            while len(published) < len(plan.arrivals):
                for one in listener.poll():
                    published.append(one)
                    table.add(one)
                    heard = time.monotonic()
                    times.append(heard)
                if failures:
                    raise failures[0]
                worker.check()
                if time.monotonic() - heard > PATIENCE_S:
                    raise DeadlineExceeded(
                        f"no decision for {PATIENCE_S:.0f} s; the worker's log ends with:\n{worker.log_tail()}"
                    )
            sender_thread.join()
    finally:
        listener.close()
    return published, (times[-1] - times[0]) if times else 0.0


def _facts(plan: DemoPlan, published: Sequence[Published], seconds: float) -> list[tuple[str, str]]:
    counts = {got: sum(one.outcome.got == got for one in published) for got in ("duplicate", "review", "new", "dead-letter")}
    models = next((one.event["models"] for one in published if "models" in one.event), None)
    facts = [("Catalogue", f"{plan.articles} articles"), ("Arrivals", str(len(plan.arrivals)))]
    facts += [(name.capitalize(), str(count)) for name, count in counts.items()]
    if seconds > 0 and len(published) > 1:
        facts.append(("Decisions a second", f"{(len(published) - 1) / seconds:.1f}"))
    if models:
        facts.append(("Models", f"{models['segmenter']} + {models['embedder']}"))
    return facts
