"""The findings, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

import orjson
from rich.table import Table
from rich.text import Text

from worker.doctor.findings import Finding, Level

STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether a worker would do its work."""
    return all(finding.level is not Level.FAIL for finding in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """``{"ok": ..., "findings": [{"check", "level", "message", "advice"}]}``."""
    document = {"ok": healthy(findings), "findings": [asdict(finding) for finding in findings]}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def as_table(findings: Sequence[Finding]) -> Table:
    """One row a finding. Texts are shown as they are: a message is no markup."""
    table = Table("", "check", title="intake doctor")
    for heading in ("found", "what to do"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        level = Text(finding.level.value, style=STYLES[finding.level])
        table.add_row(level, Text(finding.check), Text(finding.message), Text(finding.advice))
    return table


def summary(findings: Sequence[Finding]) -> str:
    """One sentence."""
    count = Counter(finding.level for finding in findings)
    if count[Level.FAIL]:
        return f"{count[Level.FAIL]} thing(s) keep a worker from doing its work; {count[Level.WARN]} more to look at"
    if count[Level.WARN]:
        return f"a worker would do its work; {count[Level.WARN]} thing(s) to look at"
    return "all is well"
