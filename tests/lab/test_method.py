"""How methods are written."""

from __future__ import annotations

import pytest

from worker.errors import ConfigurationError
from worker.lab.method import Method, Pca, Svm, parse_method, parse_methods


def test_the_examples_mean_what_they_say() -> None:
    text = "u2netp+efficientnet-lite0+pca99:cosine"
    assert parse_method(text) == Method(text, "u2netp", "efficientnet-lite0", Pca(share=0.99), "cosine")
    assert parse_method("grabcut+gist:l2") == Method("grabcut+gist:l2", "grabcut", "gist", None, "l2")
    assert parse_method("default") == Method("default", "default", "default")
    assert parse_method(" none+resnet18+svm ") == Method("none+resnet18+svm", "none", "resnet18", Svm())


def test_components_are_a_share_or_a_count() -> None:
    assert parse_method("none+gist+pca99.5").reduction == Pca(share=0.995)
    assert parse_method("none+gist+pca64d").reduction == Pca(count=64)
    assert parse_method("none+gist+pca5").reduction == Pca(share=0.05)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gist", "is not written SEGMENTER"),
        ("", "is not written SEGMENTER"),
        ("a+b+pca9+d", "is not written SEGMENTER"),
        ("none+", "is not written SEGMENTER"),
        ("none+GIST", "is not written SEGMENTER"),
        ("none+gist:euclid", "'euclid' is no distance; there are cosine, l1, l2"),
        ("none+gist:", "'' is no distance"),
        ("none+gist+lda5", "'lda5' is no reduction"),
        ("none+gist+pca0", "a share is above 0"),
        ("none+gist+pca128", "pca128d keeps 128 numbers"),
        ("none+gist+pca0d", "a whole number from 1"),
        ("none+gist+pca1.5d", "a whole number from 1"),
    ],
)
def test_what_is_no_method_is_refused_with_the_part_that_is_wrong(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        parse_method(text)


def test_the_same_method_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="named twice"):
        parse_methods(["default", "none+gist", "default"])
