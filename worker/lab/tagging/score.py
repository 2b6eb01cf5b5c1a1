"""A tagger of the registry on labelled photos: what it gets right, where it is sure, and what it takes for what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from worker.errors import ConfigurationError
from worker.lab.tagging.data import Classes, IntArray, Labelled, PartName
from worker.lab.tagging.metrics import (
    TOPS,
    Confusion,
    confusion_matrix,
    f1_scores,
    hardest,
    precision_recall,
    top_shares,
)
from worker.tagging import parts
from worker.vision.types import FloatArray, Tagger

BATCH = 64
Teller = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class. `curve` holds (recall, precision); `average_precision` is the area below it."""

    label: str
    images: int
    photos: int
    precision: float
    recall: float
    f1: float
    average_precision: float
    curve: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class HeadScore:
    """One head on the photos whose label is one of its classes.

    Attributes:
        photos: how many those are.
        tops: share whose class is among the first k.
        chance: top-1 of always saying the most frequent class.
        sure: the probability from which the worker takes it for true.
        sure_share: share of photos it is sure of; `sure_right` the share of those that are right.
        matrix: rows are truths, columns answers.
        reference: top-1 that a publication reports; None where none is known.
    """

    name: str
    photos: int
    tops: dict[int, float]
    chance: float
    macro_f1: float
    mean_average_precision: float
    sure: float
    sure_share: float
    sure_right: float
    classes: list[ClassScore]
    matrix: list[list[int]]
    confusions: list[Confusion]
    reference: float | None


@dataclass(frozen=True, slots=True)
class SplitScore:
    """All heads, with the classes that have at least `min_images` images."""

    min_images: int
    heads: list[HeadScore]


@dataclass(frozen=True, slots=True)
class TaggerScore:
    """Everything measured.

    Attributes:
        twins: of each head, sets of photos with the same bytes, and how many of them carry two labels: what no tagger gets right.
        splits: the classes the tagger knows; and those with as many images as the paper asks for, where that leaves some out.
    """

    model: str
    data: str
    part: PartName
    photos: int
    reference_name: str
    twins: dict[str, tuple[int, int]]
    splits: list[SplitScore]


def score_tagger(
    tagger: Tagger, data: Labelled, part: PartName, limits: Sequence[int], reference_name: str, tell: Teller
) -> TaggerScore:
    """Run a tagger over a part of labelled photos and judge it.

    Args:
        tagger: of the registry.
        data: as the configuration it was trained with describes them; its parts are by content, so the test part is the same again.
        part: which.
        limits: least images of a class; the first is that of the configuration. A head without such a class is left out.
        reference_name: whose figures the heads' references are.
        tell: hears how many photos were done.

    Raises:
        ConfigurationError: tagger and data do not have the same heads and classes.
    """
    matched = [_matched(head.name, head.labels, data) for head in tagger.heads]
    numbers = data.of_part(part)
    if not len(numbers):
        raise ConfigurationError(f"{data.source.place}: the {part} part holds no photos")
    found = []
    for start in range(0, len(numbers), BATCH):
        some = numbers[start : start + BATCH]
        found.append(tagger.tag([data.source.read(data.names[number]) for number in some]))
        tell(len(some))
    probabilities = parts(np.concatenate(found), tagger.heads)
    splits = []
    for limit in dict.fromkeys(limits):
        heads = []
        for head, (at, order), own in zip(tagger.heads, matched, probabilities, strict=True):
            classes = data.heads[at]
            if max(classes.counts) < limit:
                continue
            # Probabilities in the order of the data's classes.
            heads.append(judge(classes, own[:, order], data.labels[numbers, at], limit, head.sure))
        if heads:
            splits.append(SplitScore(limit, heads))
    return TaggerScore(
        model=tagger.model_id,
        data=str(data.source.place.resolve()),
        part=part,
        photos=len(numbers),
        reference_name=reference_name,
        twins={head.config.name: twins(data, at) for at, head in enumerate(data.heads)},
        splits=splits,
    )


def judge(classes: Classes, probabilities: FloatArray, truths: IntArray, min_images: int, sure: float) -> HeadScore:
    """Judge one head on its classes with at least `min_images` images; photos of others are left out, answers among these alone.

    Args:
        classes: of the head.
        probabilities: (photos, classes).
        truths: (photos,), -1 where the label is no class.
        min_images: least images of a class.
        sure: the head's probability from which it is sure.
    """
    kept = np.flatnonzero(np.array(classes.counts) >= min_images)
    if not len(kept):
        raise ConfigurationError(f"head {classes.config.name}: no class has {min_images} images")
    place = np.full(len(classes.labels) + 1, -1)  # the last entry is what -1 finds
    place[kept] = np.arange(len(kept))
    own = place[truths]
    rows = own >= 0
    own, chosen = own[rows], probabilities[rows][:, kept]
    chosen = chosen / np.maximum(chosen.sum(1, keepdims=True), np.finfo(np.float32).tiny)
    if not len(own):
        raise ConfigurationError(f"head {classes.config.name}: no photo of this part has one of its labels")
    answers = chosen.argmax(1)
    matrix = confusion_matrix(answers, own, len(kept))
    labels = [classes.labels[at] for at in kept]
    f1 = f1_scores(matrix)
    right, said, there = np.diag(matrix), matrix.sum(0), matrix.sum(1)
    scores = []
    for at, label in enumerate(labels):
        curve, average = precision_recall(chosen[:, at], own == at)
        scores.append(
            ClassScore(
                label=label,
                images=classes.counts[kept[at]],
                photos=int(there[at]),
                precision=float(right[at] / said[at]) if said[at] else 0.0,
                recall=float(right[at] / there[at]) if there[at] else float("nan"),
                f1=float(f1[at]),
                average_precision=average,
                curve=curve,
            )
        )
    certain = chosen.max(1) >= sure
    return HeadScore(
        name=classes.config.name,
        photos=len(own),
        tops=top_shares(chosen, own, TOPS),
        chance=float(there.max() / len(own)),
        macro_f1=float(np.nanmean(f1)),
        mean_average_precision=float(np.nanmean([score.average_precision for score in scores])),
        sure=sure,
        sure_share=float(certain.mean()),
        sure_right=float((answers == own)[certain].mean()) if certain.any() else float("nan"),
        classes=scores,
        matrix=matrix.tolist(),
        confusions=hardest(matrix, labels),
        reference=classes.config.reference,
    )


def twins(data: Labelled, head: int) -> tuple[int, int]:
    """Sets of photos with the same bytes whose labels are classes of this head, and how many of the sets carry more than one."""
    sums = data.source.sums(data.names)
    by_sum: dict[str, list[int]] = {}
    for name, label in zip(data.names, data.labels[:, head].tolist(), strict=True):
        if label >= 0:
            by_sum.setdefault(sums[name], []).append(label)
    several = [labels for labels in by_sum.values() if len(labels) > 1]
    return len(several), sum(len(set(labels)) > 1 for labels in several)


def _matched(name: str, labels: Sequence[str], data: Labelled) -> tuple[int, list[int]]:
    """Which head of the data this is, and for each of its classes the place among the tagger's labels."""
    at = next((number for number, head in enumerate(data.heads) if head.config.name == name), None)
    if at is None:
        raise ConfigurationError(
            f"the tagger has a head {name}, the data have {', '.join(head.config.name for head in data.heads)}: score it with the "
            "configuration it was trained with"
        )
    if set(labels) != set(data.heads[at].labels):
        other = sorted(set(labels) ^ set(data.heads[at].labels))
        raise ConfigurationError(f"head {name}: tagger and data differ in {', '.join(other[:5])}; is recipe.min_images the same?")
    return at, [labels.index(label) for label in data.heads[at].labels]
