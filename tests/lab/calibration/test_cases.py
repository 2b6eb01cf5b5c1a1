"""Which queries stand for what, and that nothing that is checked was fitted on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.lab.calibration.make import planned, shop
from worker.errors import ConfigurationError
from worker.lab.calibration.cases import CANDIDATES, KNOWN, NEW_COLOURWAY, NEW_STYLE, STRANGER, make_cases
from worker.lab.calibration.plan import BACKGROUND, CalibrateOptions, make_plan
from worker.lab.manifest import Manifest, ManifestLine
from worker.lab.search import search
from worker.lab.splits import fold_of, part_of_style, style_of


def unit(vector: np.ndarray[tuple[int], np.dtype[np.float32]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    whole = vector.astype(np.float64)
    return np.asarray(whole / np.linalg.norm(whole), np.float64)


def test_candidates_are_what_a_slow_search_with_the_style_hidden_gives() -> None:
    options = CalibrateOptions()
    item, plan = planned(shop(styles=12, unseen=200), options)
    lines = plan.manifest.lines
    cases, size = make_cases(plan, item.vectors, search(plan.manifest, item.vectors, "cosine"), "cosine", options)
    catalogue = [n for n, line in enumerate(lines) if line.role == "catalogue"]
    cohort = [n for n, line in enumerate(lines) if line.kind == BACKGROUND]
    assert size == len(cohort) == plan.cohort > 0
    expected = Counter[tuple[str, tuple[float, ...], tuple[float, ...]]]()
    for n, line in enumerate(lines):
        if line.role == "catalogue" or line.kind == BACKGROUND:
            continue
        to_cohort = [float(unit(item.vectors[n]) @ unit(item.vectors[b])) for b in cohort]
        for population, hides in (
            (KNOWN if line.item_id else STRANGER, lambda _item, _own: False),
            (NEW_STYLE, lambda item_id, own: style_of(item_id) == style_of(own)),
            (NEW_COLOURWAY, lambda item_id, own: item_id == own),
        ):
            if not line.item_id and population != STRANGER:
                continue
            scores = [
                float(unit(item.vectors[n]) @ unit(item.vectors[c]))
                for c in catalogue
                if not hides(lines[c].item_id, line.item_id)
            ]
            best = sorted(scores, reverse=True)[:CANDIDATES]
            z = [(score - np.mean(to_cohort)) / np.std(to_cohort) for score in best]
            expected[population, tuple(np.round(best, 4).tolist()), tuple(np.round(z, 2).tolist())] += 1
    got = Counter(
        (str(name), tuple(np.round(row.astype(float), 4).tolist()), tuple(np.round(z.astype(float), 2).tolist()))
        for name, row, z in zip(cases.population, cases.similarity, cases.z_norm, strict=True)
    )
    # Rounding may fall to either side: compare what is left after the exact matches by their populations.
    missing, surplus = expected - got, got - expected
    assert missing.total() == surplus.total() <= 0.1 * expected.total()
    assert Counter(name for name, *_ in missing.elements()) == Counter(name for name, *_ in surplus.elements())


def test_the_right_article_is_among_candidates_of_known_garments_alone() -> None:
    options = CalibrateOptions()
    item, plan = planned(shop(styles=12, unseen=60), options)
    cases, _ = make_cases(plan, item.vectors, search(plan.manifest, item.vectors, "cosine"), "cosine", options)
    assert not cases.same[~cases.of(KNOWN)].any()
    assert cases.same[cases.of(KNOWN)].sum(axis=1).max() == 1
    assert cases.same[cases.of(KNOWN)].any(axis=1).mean() > 0.9


def test_no_style_and_no_photo_is_on_both_sides_or_in_two_folds() -> None:
    options = CalibrateOptions()
    item, plan = planned(shop(), options)
    cases, _ = make_cases(plan, item.vectors, search(plan.manifest, item.vectors, "cosine"), "cosine", options)
    sides: dict[str, set[tuple[bool, int]]] = {}
    for group, checked, fold in zip(cases.group.tolist(), cases.checked.tolist(), cases.fold.tolist(), strict=True):
        sides.setdefault(group, set()).add((checked, fold))
    assert all(len(side) == 1 for side in sides.values())
    assert 0.15 < cases.checked.mean() < 0.5
    spare = {plan.manifest.location(line) for line in plan.manifest.lines if line.kind == BACKGROUND}
    assert spare
    assert not spare & set(cases.group.tolist())


def test_what_cannot_be_read_is_left_out() -> None:
    options = CalibrateOptions()
    item, plan = planned(shop(styles=12, unseen=60), options)
    before, _ = make_cases(plan, item.vectors, search(plan.manifest, item.vectors, "cosine"), "cosine", options)
    vectors = item.vectors.copy()
    query = next(n for n, line in enumerate(plan.manifest.lines) if line.role == "query" and line.item_id)
    vectors[query] = np.nan
    after, _ = make_cases(plan, vectors, search(plan.manifest, vectors, "cosine"), "cosine", options)
    # As it is, as a new style, and as a new colourway.
    assert len(before) - len(after) == 3
    assert np.isfinite(after.similarity[:, 0]).all()


def test_too_few_unseen_garments_make_no_cohort() -> None:
    options = CalibrateOptions()
    item, plan = planned(shop(styles=12, unseen=40), options)
    cases, size = make_cases(plan, item.vectors, search(plan.manifest, item.vectors, "cosine"), "cosine", options)
    assert (plan.cohort, size) == (0, 0)
    assert cases.of(STRANGER).sum() == 40
    assert np.isnan(cases.z_norm).all()


def test_a_background_set_is_used_whole_and_takes_nothing_from_the_queries() -> None:
    manifest = shop(styles=4, unseen=200).manifest
    other = Manifest(tuple(ManifestLine(f"b{n}.jpg", "x", "catalogue", "") for n in range(35)), Path("/other"))
    plan = make_plan(manifest, other, CalibrateOptions())
    assert plan.cohort == 35
    assert plan.manifest.lines[:-35] == manifest.lines
    assert plan.manifest.locations[-1] == "/other/b34.jpg"
    assert plan.cohort_from == "the background set"


def test_queries_are_drawn_evenly_and_the_same_ones_every_time() -> None:
    manifest = shop(styles=50, unseen=20).manifest
    options = CalibrateOptions(queries=110)
    plan = make_plan(manifest, None, options)
    kinds = Counter(line.kind for line in plan.manifest.lines if line.role == "query")
    assert kinds == {"phone": 50, "harsh phone": 50, "other shop": 10}
    shuffled = replace(manifest, lines=tuple(reversed(manifest.lines)))
    assert set(make_plan(shuffled, None, options).manifest.lines) == set(plan.manifest.lines)
    assert sum(line.role == "catalogue" for line in plan.manifest.lines) == 100


def test_kinds_and_part_choose_queries_but_keep_the_whole_catalogue() -> None:
    manifest = shop(styles=30, unseen=5).manifest
    plan = make_plan(manifest, None, CalibrateOptions(kinds=("phone",), part="held-out"))
    known = [line for line in plan.manifest.lines if line.role == "query" and line.item_id]
    assert known
    assert {line.kind for line in known} == {"phone"}
    assert {part_of_style(style_of(line.item_id)) for line in known} == {"held-out"}
    assert sum(line.role == "catalogue" for line in plan.manifest.lines) == 60
    assert sum(not line.item_id for line in plan.manifest.lines) == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wanted_duplicates": 0.0}, "above 0"),
        ({"wanted_duplicates": 0.4}, "not fewer than duplicates"),
        ({"wanted_reviews": 1.0}, "below 1"),
        ({"known": 1.0}, "in the catalogue"),
        ({"part": "both"}, "development, held-out"),
        ({"style": "prefix"}, "hyphen, article"),
    ],
)
def test_options_that_cannot_be_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        replace(CalibrateOptions(), **change)  # type: ignore[arg-type]


def test_a_kind_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError, match=r"kind fone; there are harsh phone, phone$"):
        make_plan(shop(styles=3, unseen=0).manifest, None, CalibrateOptions(kinds=("fone",)))


def test_names_that_tell_no_style_are_found_out() -> None:
    lines = [ManifestLine(f"{n}.jpg", f"sku-{n}", "catalogue", "") for n in range(20)]
    manifest = Manifest(tuple(lines), Path("/photos"))
    with pytest.raises(ConfigurationError, match="--style article"):
        make_plan(manifest, None, CalibrateOptions())
    assert len(make_plan(manifest, None, CalibrateOptions(style="article")).manifest.lines) == 20


def test_folds_are_even_and_differ_by_purpose() -> None:
    names = [f"style {n}" for n in range(3000)]
    counts = Counter(fold_of(name, 5, "a") for name in names)
    assert set(counts) == set(range(5))
    assert max(counts.values()) - min(counts.values()) < 150
    same = sum(fold_of(name, 5, "a") == fold_of(name, 5, "b") for name in names)
    assert 0.15 < same / len(names) < 0.25
