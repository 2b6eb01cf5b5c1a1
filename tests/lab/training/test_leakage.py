"""The leakage check itself: it must be able to fail."""

from __future__ import annotations

import pytest

from tests.lab.training.leakage import Kind, Origin, assert_follows_the_rule, assert_held_apart
from worker.lab.splits import part_of_style

LEARNED = [Origin("sender", "clothing/1"), Origin("style", "luma/WT08"), Origin("photo", "ccp/0001")]
JUDGED = [Origin("sender", "clothing/3"), Origin("style", "luma/WT09"), Origin("photo", "ccp/0002")]


def test_lists_that_share_nothing_pass() -> None:
    assert_held_apart(LEARNED, JUDGED)
    assert_held_apart(LEARNED, JUDGED[:1])


@pytest.mark.parametrize("leak", LEARNED)
def test_one_name_on_both_sides_is_named(leak: Origin) -> None:
    with pytest.raises(AssertionError, match=leak.name):
        assert_held_apart(LEARNED, [*JUDGED, leak])


def test_a_sender_and_a_style_of_one_name_are_no_leak() -> None:
    assert_held_apart([("sender", "7"), ("style", "8")], [("sender", "8"), ("style", "7")])


def test_a_kind_that_only_one_side_knows_fails_unless_it_is_said_to_be_unrelated() -> None:
    with pytest.raises(AssertionError, match="nothing was compared"):
        assert_held_apart([("photo", "17.jpg")], [("sender", "17")])
    unrelated: list[Kind] = ["sender"]
    assert_held_apart([("photo", "17.jpg")], [("sender", "17")], unrelated=unrelated)


def test_empty_lists_and_nameless_entries_fail() -> None:
    nameless: list[tuple[Kind, str]] = [("sender", "")]
    for learned, judged in (([], JUDGED), (LEARNED, []), (LEARNED, nameless)):
        with pytest.raises(AssertionError):
            assert_held_apart(learned, judged)


def test_an_unknown_kind_fails() -> None:
    with pytest.raises(AssertionError, match="no kind of origin"):
        assert_held_apart([("shop", "luma")], JUDGED)  # type: ignore[list-item]


def test_the_lab_s_rule_says_which_side_a_sender_or_style_is_on() -> None:
    styles = [f"style{number}" for number in range(12)]
    ours = [Origin("style", f"luma/{name}") for name in styles if part_of_style(name) == "development"]
    theirs = [Origin("style", f"luma/{name}") for name in styles if part_of_style(name) == "held-out"]
    assert ours
    assert theirs
    assert_follows_the_rule([*ours, Origin("sender", "clothing/1")], [*theirs, Origin("sender", "clothing/3")])
    with pytest.raises(AssertionError, match="belong to the other"):
        assert_follows_the_rule([*ours, theirs[0]], theirs)
    with pytest.raises(AssertionError, match="sender clothing/4"):
        assert_follows_the_rule(ours, [*theirs, Origin("sender", "clothing/4")])
