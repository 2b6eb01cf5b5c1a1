"""The comparison's page: every method's figures and losses, on a scale that they share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from worker.lab.training.comparison_page import PAGE, SMOOTH, loss_curve, write_page

TITLES = {"phone": "phone", "found": "found at 1 % false alerts"}


def row(name: str, phone: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "what": f"what {name} is", "batches": 12, "figures": {"phone": phone, "found": 0.25}, **more}


def test_a_curve_is_the_mean_of_some_batches_as_a_share_of_the_first() -> None:
    losses = [(float(at), 4.0) for at in range(SMOOTH)] + [(float(SMOOTH + at), 1.0) for at in range(SMOOTH // 2)]
    assert loss_curve(losses) == [((SMOOTH - 1) / 2, 1.0), (SMOOTH + (SMOOTH // 2 - 1) / 2, 0.25)]


@pytest.mark.parametrize("losses", [[], [(0.0, 0.0), (1.0, 0.0)]])
def test_without_a_first_loss_there_is_no_curve(losses: list[tuple[float, float]]) -> None:
    assert loss_curve(losses) == []


def test_the_page_says_what_each_method_finds_and_marks_the_best(tmp_path: Path) -> None:
    write_page([row("weak", 0.204), row("strong", 0.91)], TITLES, "60 s each & one thread", tmp_path)
    text = (tmp_path / PAGE).read_text()
    assert "60 s each &amp; one thread" in text
    assert re.findall(r'<td class="(share[^"]*)" style="--share:([0-9.]+)%">(\d+)</td>', text) == [
        ("share", "20.4", "20"),
        ("share best", "25.0", "25"),
        ("share best", "91.0", "91"),
        ("share best", "25.0", "25"),
    ]
    assert "what strong is" in text
    assert "<h2>Losses</h2>" not in text


def test_a_figure_that_a_method_lacks_is_an_empty_cell(tmp_path: Path) -> None:
    write_page([{"name": "bare", "what": "", "batches": 0, "figures": {"phone": 0.5}}], TITLES, "", tmp_path)
    assert "<td></td><td>0</td>" in (tmp_path / PAGE).read_text()


def test_every_method_that_learned_has_a_line_and_its_name_in_the_legend(tmp_path: Path) -> None:
    rows = [
        row("untrained", 0.5),
        row("A<B", 0.5, curve=[(0.0, 1.0), (30.0, 0.4)]),
        row("C", 0.5, curve=[(0.0, 1.0), (60.0, 1.7)]),
    ]
    write_page(rows, TITLES, "", tmp_path)
    text = (tmp_path / PAGE).read_text()
    assert len(re.findall("<polyline", text)) == 2
    assert "</svg>A&lt;B" in text
    assert "A<B" not in text
    # Every point lies within the drawing.
    points = [float(y) for line in re.findall('<polyline points="([^"]*)"', text) for y in re.findall(r",([0-9.-]+)", line)]
    assert all(26 <= y <= 260 for y in points)
