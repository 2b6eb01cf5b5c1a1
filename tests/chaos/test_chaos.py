"""The chaos run in short: a few hundred arrivals, every kind of end and of weather that fits into a minute."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.chaos.run import Plan, run
from tests.infra.needs import require

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SHORT_WEATHER = (
    "S3 resets in mid-body",
    "S3's bodies are rubbish",
    "index resets after doing it",
    "index killed and started",
    "Kafka killed and started",
)


def test_nothing_is_lost_repeated_or_missed_while_workers_die_at_named_points_and_everything_around_them_fails(
    tmp_path: Path,
) -> None:
    for module in ("jgo", "moto", "qdrant_edge"):
        require(find_spec(module), f"{module} (pip install '.[embedded]')")
    said: list[str] = []
    wanted = Plan(arrivals=250, kills=15, terms=2, stops=1, rounds=1, seed=20261121, minutes=10.0, weather=SHORT_WEATHER)

    result = run(wanted, tmp_path, said.append)

    assert result.verdict.problems() == []
    assert result.problems == []
    assert result.verdict.kept
    assert result.commits
    assert result.not_injected == []
    assert {row.fault: row.injected for row in result.table if row.fault in SHORT_WEATHER} == dict.fromkeys(SHORT_WEATHER, 1)
    assert result.kills >= wanted.kills
    assert result.verdict.arrivals == wanted.arrivals
    assert result.verdict.inserts + result.verdict.alerts + result.verdict.dead_letters == wanted.arrivals
