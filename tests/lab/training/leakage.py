"""Nothing that is judged on was learned from: the check of every recipe's split.

Use it in a recipe's test::

    from tests.lab.training.leakage import Origin, assert_held_apart

    assert_held_apart(
        training=[Origin("sender", "clothing/17"), Origin("style", "luma/WT08"), ...],
        held_out=[Origin("sender", "clothing/30"), ...],
    )
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple, get_args

from worker.lab.splits import part_of_sender, part_of_style

Kind = Literal["sender", "style", "photo"]
SHOWN = 5  # names of leaks in a message


class Origin(NamedTuple):
    """What a photo must not share with a photo on the other side.

    Attributes:
        kind: ``sender`` (clothing/), ``style`` (luma/, venia/) or ``photo`` (ccp/).
        name: of the sender, style or photo, with its data set before it where two sets could share names: ``luma/WT08``.
    """

    kind: Kind
    name: str


def assert_held_apart(
    training: Iterable[Origin | tuple[Kind, str]],
    held_out: Iterable[Origin | tuple[Kind, str]],
    unrelated: Collection[Kind] = (),
) -> None:
    """Fail where a sender, style or photo is on both sides, or where the lists cannot show that none is.

    Args:
        training: of every photo that weights, whitening, thresholds or the choice of a checkpoint learned from.
        held_out: of every photo that figures come from.
        unrelated: kinds that are rightly on one side alone (data of another set). Without them a kind that is held out and never
            trained on fails, because nothing was compared.
    """
    learned, judged = _checked(training, "training"), _checked(held_out, "held-out")
    leaks = sorted(learned & judged)
    shown = ", ".join(f"{kind} {name}" for kind, name in leaks[:SHOWN])
    assert not leaks, f"{len(leaks)} on both sides, among them: {shown}"
    alone = {kind for kind, _ in judged} - {kind for kind, _ in learned} - set(unrelated)
    assert not alone, f"held-out photos are told apart by {', '.join(sorted(alone))}, training photos never: nothing was compared"


def assert_follows_the_rule(training: Iterable[Origin | tuple[Kind, str]], held_out: Iterable[Origin | tuple[Kind, str]]) -> None:
    """Fail where a sender or style is on another side than `worker.lab.splits`, the lab's one rule, puts it (photos have no rule)."""
    for origins, side, wanted in ((training, "training", "development"), (held_out, "held-out", "held-out")):
        wrong = sorted({f"{kind} {name}" for kind, name in _checked(origins, side) if _part(kind, name) not in {wanted, None}})
        assert not wrong, f"{len(wrong)} of the {side} side belong to the other, among them: {', '.join(wrong[:SHOWN])}"


def _checked(origins: Iterable[Origin | tuple[Kind, str]], side: str) -> set[tuple[str, str]]:
    checked: set[tuple[str, str]] = {(kind, str(name)) for kind, name in origins}
    assert checked, f"the {side} list is empty: nothing was compared"
    wrong = sorted({kind for kind, _ in checked} - set(get_args(Kind)))
    assert not wrong, f"{', '.join(wrong)}: no kind of origin; there are {', '.join(get_args(Kind))}"
    nameless = [kind for kind, name in checked if not name]
    assert not nameless, f"the {side} list has a {nameless[0]} without a name"
    return checked


def _part(kind: str, name: str) -> str | None:
    last = name.rpartition("/")[2]
    if kind == "sender":
        return part_of_sender(int(last))
    return part_of_style(last) if kind == "style" else None
