"""What a tagger's probabilities mean for an arrival: attributes its event lacks, and flags where photos and event contradict each other.

Nothing here decides: filled attributes go out with the outcome and narrow no search, a flag is for a person to see.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np

from worker.events import Attributes
from worker.vision.crop import NOT_FOUND_FLAG
from worker.vision.rows import HeadSpec
from worker.vision.types import Crop, FloatArray, Tagger

# After the attribute's name, as in `category-contradicted`.
CONTRADICTED, FROM_PHOTO = "contradicted", "from-photo"


@dataclass(frozen=True, slots=True)
class Reading:
    """The event's attributes with what was lacking and is sure, and what a person should know."""

    attributes: Attributes
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """What a head says: of the values that share labels' probability, the most probable one."""

    head: HeadSpec
    value: str
    probability: float

    @property
    def sure(self) -> bool:
        """Whether it is to be taken for true."""
        return self.probability >= self.head.sure


@dataclass(frozen=True, slots=True)
class AttributeReader:
    """A tagger and the words it understands. `words`: the operator's own, beside those of the model's row."""

    tagger: Tagger
    words: Mapping[str, Sequence[str]]

    def read(self, crops: Sequence[Sequence[Crop]], events: Sequence[Attributes]) -> list[Reading]:
        """One reading for each arrival of its crops and its event's attributes. A crop without garment says nothing."""
        telling = [[crop.rgb for crop in some if NOT_FOUND_FLAG not in crop.flags] for some in crops]
        rows = iter(self.tagger.tag([rgb for some in telling for rgb in some]))
        found = [list(islice(rows, len(some))) for some in telling]
        return [
            self._reading(np.mean(some, axis=0, dtype=np.float32), event) if some else Reading(event)
            for some, event in zip(found, events, strict=True)
        ]

    def _reading(self, probabilities: FloatArray, event: Attributes) -> Reading:
        said = [say(head, part) for head, part in zip(self.tagger.heads, parts(probabilities, self.tagger.heads), strict=True)]
        filled: dict[str, str] = {}
        flags: list[str] = []
        for one in said:
            name = one.head.attribute
            if name is None or not one.sure:
                continue
            given: str | None = getattr(event, name)
            if given is None:
                if name not in filled:
                    filled[name] = one.value
                    flags.append(f"{name}-{FROM_PHOTO}")
            elif (meant := meaning(given, one.head, self.words)) and one.value not in meant:
                flags.append(f"{name}-{CONTRADICTED}")
        return Reading(event.model_copy(update=filled), tuple(dict.fromkeys(flags)))


def parts(probabilities: FloatArray, heads: Sequence[HeadSpec]) -> list[FloatArray]:
    """The numbers of each head, along the last axis."""
    ends = np.cumsum([0, *(len(head.labels) for head in heads)]).tolist()
    return [probabilities[..., start:end] for start, end in pairwise(ends)]


def values_of(head: HeadSpec) -> tuple[str, ...]:
    """What each label stands for."""
    return head.values or head.labels


def say(head: HeadSpec, probabilities: FloatArray) -> Said:
    """The most probable value; labels that stand for the same are added up."""
    sums: dict[str, float] = {}
    for value, probability in zip(values_of(head), probabilities.tolist(), strict=True):
        sums[value] = sums.get(value, 0.0) + probability
    best = max(sums, key=sums.__getitem__)
    return Said(head, best, min(1.0, sums[best]))


def meaning(word: str, head: HeadSpec, own: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """The values a catalogue's word may stand for; empty where the head does not know the word, and so cannot contradict it."""
    wanted = plain(word)
    meant = {
        label
        for words in (head.words, own)
        for other, labels in words.items()
        if plain(other) == wanted
        for label in labels
    }  # fmt: skip
    plainly = {plain(each) for each in meant} | {wanted}
    return frozenset(
        value
        for label, value in zip(head.labels, values_of(head), strict=True)
        if plain(label) in plainly or plain(value) in plainly
    )


def plain(word: str) -> str:
    """A word without what writers differ in: case, spaces, hyphens, the plural's ending."""
    letters = re.sub(r"[\W_]+", "", word.casefold())
    if re.search(r"(ss|ch|sh|x)es$", letters):
        return letters[:-2]
    return letters[:-1] if letters.endswith("s") and not letters.endswith("ss") else letters
