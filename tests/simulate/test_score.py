from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from worker.simulate.outcomes import Got, Outcome, read_outcome, read_outcomes
from worker.simulate.score import ScoreReport, score
from worker.simulate.truth import Expected, Kind, Truth


def truth(kind: Kind, arrival_id: str = "a1", **more: Any) -> Truth:
    expected: Expected = "found"
    if kind in {Kind.NEW, Kind.COLOURWAY, Kind.TWIN}:
        expected = "new"
    elif kind in {Kind.CORRUPT, Kind.MISSING}:
        expected = "dead-letter"
    if expected == "found":
        more = {"article_id": "shirt-1", **more}
    return Truth(arrival_id=arrival_id, kind=kind, expected=expected, **more)


def alert(*articles: str, got: Got = "duplicate", arrival_id: str = "a1") -> Outcome:
    return Outcome(arrival_id, f"alert-{arrival_id}", got, articles=articles, similarity=0.9)


def insert(arrival_id: str = "a1", article_id: str | None = None) -> Outcome:
    return Outcome(arrival_id, f"insert-{arrival_id}", "new", article_id=article_id or f"article-{arrival_id}", similarity=0.3)


def dead(reason: str, arrival_id: str = "a1", event_id: str = "dead-1") -> Outcome:
    return Outcome(arrival_id, event_id, "dead-letter", reason=reason)


def verdict(line: Truth, *outcomes: Outcome) -> str:
    report = score([line], outcomes)
    return report.misses[0].verdict if report.misses else "right"


@pytest.mark.parametrize("kind", [Kind.REPHOTOGRAPHED, Kind.BACK, Kind.MULTI])
@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (alert("shirt-1", "shirt-2"), "right"),
        (alert("shirt-1", got="review"), "right"),
        (alert("shirt-2", "shirt-1"), "near"),
        (alert("shirt-2", "shirt-1", got="review"), "near"),
        (alert("shirt-2", "shirt-3"), "wrong"),
        (alert(got="review"), "wrong"),
        (insert(), "wrong"),
        (dead("photo-corrupt"), "wrong"),
    ],
)
def test_a_known_garment_is_found_when_the_alert_names_it(kind: Kind, outcome: Outcome, expected: str) -> None:
    assert verdict(truth(kind), outcome) == expected


@pytest.mark.parametrize("kind", [Kind.NEW, Kind.COLOURWAY])
@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (insert(), "right"),
        (alert("shirt-1", got="review"), "right"),
        (alert("shirt-1", got="duplicate"), "wrong"),
        (dead("photo-no-garment"), "wrong"),
    ],
)
def test_a_new_garment_must_not_be_a_duplicate(kind: Kind, outcome: Outcome, expected: str) -> None:
    assert verdict(truth(kind), outcome) == expected


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [(dead("photo-corrupt"), "right"), (dead("photo-format"), "near"), (insert(), "wrong"), (alert("shirt-1"), "wrong")],
)
def test_a_bad_photo_is_a_dead_letter_with_a_right_reason(outcome: Outcome, expected: str) -> None:
    assert verdict(truth(Kind.CORRUPT, reasons=("photo-corrupt", "photo-empty")), outcome) == expected


def test_without_reasons_any_dead_letter_is_right() -> None:
    assert verdict(truth(Kind.MISSING), dead("photo-missing")) == "right"


@pytest.mark.parametrize("kind", list(Kind))
def test_an_arrival_without_an_outcome_is_lost_whatever_it_is(kind: Kind) -> None:
    report = score([truth(kind)], [])
    assert report.lost == 1
    assert not report.complete
    assert report.misses[0].verdict == "lost"
    assert report.misses[0].got == "nothing"


def test_a_replayed_outcome_counts_once() -> None:
    report = score([truth(Kind.NEW)], [insert(), insert(), insert()])
    assert report.right == 1
    assert report.complete


def test_outcomes_of_two_ids_contradict_each_other() -> None:
    report = score([truth(Kind.REPHOTOGRAPHED)], [alert("shirt-1"), insert()])
    assert report.contradicted == 1
    assert not report.complete
    assert report.misses[0].verdict == "wrong"


def test_a_repeat_is_right_when_all_its_outcomes_have_one_id() -> None:
    lines = [truth(Kind.NEW), truth(Kind.REPEAT).model_copy(update={"expected": "new", "article_id": None})]
    assert score(lines, [insert(), insert()]).right == 2
    contradicted = score(lines, [insert(), alert("article-a1")])
    assert contradicted.right == 0
    assert {miss.kind for miss in contradicted.misses} == {Kind.NEW, Kind.REPEAT}


def twins() -> list[Truth]:
    return [truth(Kind.TWIN, "a1", twin="a2"), truth(Kind.TWIN, "a2", twin="a1")]


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((insert("a1"), alert("article-a1", arrival_id="a2")), "right"),
        ((alert("article-a2", arrival_id="a1", got="review"), insert("a2")), "right"),
        ((insert("a1"), alert("shirt-9", "article-a1", arrival_id="a2")), "near"),
        ((alert("article-a2", arrival_id="a1", got="review"), alert("shirt-9", arrival_id="a2", got="review")), "near"),
        ((alert("shirt-9", arrival_id="a1"), alert("article-a1", arrival_id="a2")), "near"),
        ((insert("a1"), insert("a2")), "wrong"),
        ((insert("a1"), alert("shirt-9", arrival_id="a2")), "wrong"),
        ((alert("shirt-9", arrival_id="a1"), alert("shirt-9", arrival_id="a2")), "wrong"),
        ((insert("a1"), dead("photo-corrupt", "a2")), "wrong"),
    ],
)
def test_of_twins_exactly_one_becomes_an_article(outcomes: tuple[Outcome, ...], expected: str) -> None:
    report = score(twins(), outcomes)
    [line] = report.kinds
    assert getattr(line, expected) == 2


def test_a_lost_twin_makes_the_other_wrong() -> None:
    [line] = score(twins(), [insert("a1")]).kinds
    assert (line.lost, line.wrong) == (1, 1)


def test_decisions_are_counted_by_kind() -> None:
    lines = [truth(Kind.REPHOTOGRAPHED, f"a{i}") for i in range(4)] + [truth(Kind.NEW, "n1")]
    outcomes = [
        alert("shirt-1", arrival_id="a0"),
        alert("shirt-1", arrival_id="a1", got="review"),
        insert("a2"),
        dead("photo-corrupt", "a3"),
        insert("n1"),
    ]
    report = score(lines, outcomes)
    found = next(line for line in report.kinds if line.kind is Kind.REPHOTOGRAPHED)
    assert (found.duplicate, found.review, found.new, found.dead_letter) == (1, 1, 1, 1)
    assert (found.right, found.wrong, found.share) == (2, 2, 0.5)
    assert (report.right, report.count, report.arrivals) == (3, 5, 5)


def test_outcomes_of_other_runs_are_strangers() -> None:
    report = score([truth(Kind.NEW)], [insert(), insert("someone-else")])
    assert report.strangers == 1
    assert report.right == 1


def test_the_order_of_outcomes_does_not_matter() -> None:
    lines = [*twins(), truth(Kind.NEW, "n1")]
    outcomes = [insert("a1"), alert("article-a1", arrival_id="a2"), insert("n1")]
    assert score(lines, outcomes) == score(lines, outcomes[::-1])


def test_a_miss_says_what_was_expected_and_what_came() -> None:
    [miss] = score([truth(Kind.REPHOTOGRAPHED)], [alert("shirt-2")]).misses
    assert miss.expected == "found shirt-1"
    assert miss.got == "duplicate (shirt-2)"
    assert miss.similarity == 0.9


def test_nothing_sent_is_nothing_scored() -> None:
    report = score([], [])
    assert (report.count, report.right, report.complete) == (0, 0, True)


def test_the_report_survives_json() -> None:
    report = score(twins(), [insert("a1")])
    assert ScoreReport.model_validate_json(report.model_dump_json()) == report


# --- outcomes out of published JSON

ALERT = {
    "event_id": "e1", "arrival_id": "a1", "decision": "review",
    "candidates": [{"article_id": "x", "similarity": 0.8}, {"article_id": "y", "similarity": 0.7}],
}  # fmt: skip
INSERT = {
    "event_id": "e2",
    "arrival_id": "a2",
    "article_id": "article-a2",
    "decision": "new",
    "nearest": {"article_id": "x", "similarity": 0.2},
}
DEAD = {
    "event_id": "e3", "arrival_id": None, "reason": "event-not-json", "original_value_base64": "",
    "original_key_base64": base64.b64encode(b"a3").decode(),
}  # fmt: skip


def test_every_output_event_becomes_an_outcome() -> None:
    assert read_outcome(ALERT) == Outcome("a1", "e1", "review", articles=("x", "y"), similarity=0.8)
    assert read_outcome(INSERT) == Outcome("a2", "e2", "new", similarity=0.2, article_id="article-a2")
    assert read_outcome(DEAD) == Outcome("a3", "e3", "dead-letter", reason="event-not-json")


def test_an_insert_into_an_empty_catalogue_has_no_nearest() -> None:
    outcome = read_outcome({**INSERT, "nearest": None})
    assert outcome is not None
    assert outcome.similarity is None


@pytest.mark.parametrize("wrapper", ["data", "event", "value"])
def test_wrapped_events_are_unwrapped(wrapper: str) -> None:
    assert read_outcome({"topic": "t", wrapper: ALERT}) == read_outcome(ALERT)


@pytest.mark.parametrize(
    "other", [{}, {"event_id": 5}, {"event_id": "e", "verdict": "confirm"}, {"arrival_id": "a1", "photos": []}]
)
def test_other_events_are_no_outcomes(other: dict[str, Any]) -> None:
    assert read_outcome(other) is None


@pytest.mark.parametrize("key", [None, "%%%", base64.b64encode(b"\xff\xfe").decode()])
def test_a_dead_letter_whose_arrival_is_unknown_belongs_to_nobody(key: str | None) -> None:
    outcome = read_outcome({**DEAD, "original_key_base64": key})
    assert outcome is not None
    assert outcome.arrival_id == ""


def test_a_file_of_outcomes_is_read_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in (ALERT, {"other": 1}, INSERT)) + "\n\n")
    assert [outcome.got for outcome in read_outcomes(file)] == ["review", "new"]


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.jsonl"
    file.write_text(json.dumps(ALERT) + "\n{broken\n")
    with pytest.raises(ValueError, match="line 2"):
        list(read_outcomes(file))
