"""The demo's page is one file, and nothing that came from outside can act in it."""

from __future__ import annotations

from worker.demo.page import PageCandidate, PageRow, PageSummary, render_page, thumbnail
from worker.imaging.decode import encode_jpeg
from worker.simulate.garments import garment, studio_photo

SUMMARY = PageSummary("What arrived", (("Arrivals", "2"),), (("all: right", "1 of 2"),))


def row(**fields: object) -> PageRow:
    plain: dict[str, object] = {
        "arrival_id": "arrival-1",
        "decision": "review",
        "reason": "why",
        "photo": None,
        "crop": None,
        "overlay": None,
    }
    return PageRow(**(plain | fields))  # type: ignore[arg-type]


def test_text_from_events_is_escaped() -> None:
    page = render_page(SUMMARY, [row(arrival_id="<script>alert(1)</script>", reason='"><img src=x onerror=alert(1)>')])
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page


def test_every_arrival_has_its_row_with_candidates_in_order() -> None:
    candidates = (PageCandidate("shirt-1", 0.91, 0.97, None, correct=True), PageCandidate("shirt-2", 0.52, 0.1, None))
    page = render_page(SUMMARY, [row(candidates=candidates), row(arrival_id="arrival-2", decision="dead-letter")])
    assert page.count("<article ") == 2
    assert page.index("shirt-1") < page.index("shirt-2")
    assert "0.910" in page
    assert 'class="hit"' in page


def test_a_wrong_decision_is_marked() -> None:
    assert 'class="wrong"' in render_page(SUMMARY, [row(correct=False, expected="new")])
    assert 'class="wrong"' not in render_page(SUMMARY, [row(correct=None)])


def test_a_photo_becomes_a_small_data_uri() -> None:
    data = encode_jpeg(studio_photo(garment(1)).rgb, 92)
    shown = thumbnail(data)
    assert shown is not None
    assert shown.startswith("data:image/jpeg;base64,")
    assert len(shown) < 30_000


def test_what_is_no_photo_is_not_shown() -> None:
    assert thumbnail(None) is None
    assert thumbnail(b"") is None
    assert thumbnail(b"\xff\xd8 not a photo") is None
