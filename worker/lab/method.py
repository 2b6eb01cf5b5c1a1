"""How a method is written: ``SEGMENTER+DESCRIPTOR[+REDUCTION][:DISTANCE]``, or ``default`` for what the worker uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from worker.errors import ConfigurationError

Distance = Literal["cosine", "l1", "l2"]
DISTANCES = ("cosine", "l1", "l2")
DEFAULT = "default"

_PART = re.compile(r"^[a-z0-9][a-z0-9._-]*$")
_PCA = re.compile(r"^pca(?P<number>\d+(?:\.\d+)?)(?P<count>d?)$")
GRAMMAR = (
    "SEGMENTER+DESCRIPTOR[+REDUCTION][:DISTANCE], as in u2netp+efficientnet-lite0+pca99:cosine or grabcut+gist:l2, or `default`; "
    "`intake lab methods` lists the parts"
)


@dataclass(frozen=True, slots=True)
class Pca:
    """Principal components: as many as keep `share` (0..1) of the variance, or `count` of them."""

    share: float | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Svm:
    """Scores of linear classifiers, one for each value of each attribute (Yam 2018, method 3)."""


Reduction = Pca | Svm


@dataclass(frozen=True, slots=True)
class Method:
    """A method as it was asked for.

    Attributes:
        text: as written.
        segmenter: registry id, or `default`.
        descriptor: a name of the lab's descriptors, a registry id of an embedder, or `default`.
        reduction: what is done to the vectors, or None.
        distance: what compares them; None: the descriptor's own.
    """

    text: str
    segmenter: str
    descriptor: str
    reduction: Reduction | None = None
    distance: Distance | None = None


def parse_method(text: str) -> Method:
    """Read a method.

    Raises:
        ConfigurationError: it is not written as one; says which part. Whether its parts exist is found out when they are loaded.
    """
    wanted = text.strip()
    body, colon, distance = wanted.partition(":")
    if colon and distance not in DISTANCES:
        raise ConfigurationError(f"method {text!r}: {distance!r} is no distance; there are {', '.join(DISTANCES)}")
    chosen = cast("Distance", distance) if colon else None
    if body == DEFAULT:
        return Method(wanted, DEFAULT, DEFAULT, None, chosen)
    parts = body.split("+")
    if len(parts) not in {2, 3} or not all(_PART.match(part) for part in parts):
        raise ConfigurationError(f"method {text!r} is not written {GRAMMAR}")
    reduction = _reduction(parts[2], text) if len(parts) == 3 else None
    return Method(wanted, parts[0], parts[1], reduction, chosen)


def parse_methods(texts: list[str]) -> list[Method]:
    """Read several; the same one twice is an error, as its rows could not be told apart."""
    methods = [parse_method(text) for text in texts]
    twice = {method.text for method in methods if sum(other.text == method.text for other in methods) > 1}
    if twice:
        raise ConfigurationError(f"method {min(twice)!r} is named twice")
    return methods


def read_methods(path: Path) -> list[str]:
    """Methods from a file: one a line; what follows a # is a comment.

    Raises:
        ConfigurationError: it cannot be read, or names none.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read methods from {path}: {error}") from error
    texts = [text for text in (line.partition("#")[0].strip() for line in lines) if text]
    if not texts:
        raise ConfigurationError(f"{path} names no method; it holds one a line, written {GRAMMAR}")
    return texts


def _reduction(part: str, text: str) -> Reduction:
    if part == "svm":
        return Svm()
    match = _PCA.match(part)
    if match is None:
        raise ConfigurationError(
            f"method {text!r}: {part!r} is no reduction; there are pca99 (99 % of the variance; any share), pca128d (128 numbers; any "
            "count) and svm (scores of attribute classifiers)"
        )
    number = float(match["number"])
    if match["count"]:
        if number < 1 or not number.is_integer():
            raise ConfigurationError(f"method {text!r}: {part!r}: a count is a whole number from 1")
        return Pca(count=int(number))
    if not 0 < number < 100:
        raise ConfigurationError(
            f"method {text!r}: {part!r}: a share is above 0 and below 100 percent; {part}d keeps {number:g} numbers"
        )
    return Pca(share=number / 100)
