"""`intake doctor`: is everything as a worker needs it, and if not, what is to be done?"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Annotated

import typer
from rich.console import Console

from worker.doctor import (
    catalogue_checks,
    kafka_checks,
    machine_checks,
    model_checks,
    photo_checks,
    report,
    settings_checks,
    storage_checks,
)
from worker.doctor.findings import Check, Finding, of_error, run_checks
from worker.errors import ConfigurationError
from worker.ops.logs import configure_logging
from worker.ops.redaction import Redactor, secrets_of
from worker.settings import Settings, load_settings
from worker.settings.ops import OpsSettings

# Loading models for a GPU compiles kernels: minutes.
MODELS_TIMEOUT_S = 300.0
NAMES = ("settings", "machine", "installation", "models", "photos", "kafka", "s3", "index")


def all_checks(settings: Settings) -> list[Check]:
    """Every check, in the order of the report."""

    def of(*functions: Callable[[Settings], Iterator[Finding]]) -> Callable[[], Iterator[Finding]]:
        return lambda: chain.from_iterable(function(settings) for function in functions)

    return [
        Check(
            "settings",
            of(lambda _s: settings_checks.check_names(os.environ), settings_checks.check_values, settings_checks.check_secrets),
        ),
        Check("machine", of(machine_checks.check_machine, machine_checks.check_disk)),
        Check("installation", of(model_checks.check_installation)),
        Check("models", of(model_checks.check_models), MODELS_TIMEOUT_S),
        Check("photos", of(photo_checks.check_photos)),
        Check("kafka", of(kafka_checks.check_kafka)),
        Check("s3", of(storage_checks.check_storage)),
        Check("index", of(catalogue_checks.check_catalogue)),
    ]


def examine(only: frozenset[str] = frozenset()) -> list[Finding]:
    """Run the checks (all, or those named). Settings that cannot be read are the only finding beside misspelt names."""
    try:
        settings = load_settings()
    except ConfigurationError as error:
        return [of_error("settings", error), *(f for f in settings_checks.check_names(os.environ) if f.level != "ok")]
    redactor = Redactor.of(secrets_of(settings))
    # Libraries log what the findings say better.
    configure_logging(OpsSettings(log_format="console", log_level="error"), redactor)
    logging.getLogger().setLevel(logging.CRITICAL)
    return run_checks([check for check in all_checks(settings) if not only or check.name in only], redactor.text)


def command(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON document.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"Only these checks: {', '.join(NAMES)}.")] = None,
) -> None:
    """Check every dependency and setting, and say what to do. Exit code 0: a worker would do its work; 1: it would not."""
    unknown = sorted(set(only or ()) - set(NAMES))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: the checks are {', '.join(NAMES)}", param_hint="--only")
    findings = examine(frozenset(only or ()))
    if as_json:
        typer.echo(report.as_json(findings))
    else:
        console = Console(highlight=False)
        console.print(report.as_table(findings))
        console.print(report.summary(findings), markup=False)
    if not report.healthy(findings):
        raise typer.Exit(1)
