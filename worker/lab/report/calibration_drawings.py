"""Drawings of a calibration: reliability with counts, curves, and thresholds on the distributions of similarity."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from worker.calibration import Curve
from worker.lab.calibration.measure import CalibrationResult
from worker.lab.report.svg import COLOURS, Axes, style

BINS = 40
CURVE_STEPS = 200
GREY = len(COLOURS) - 1
SAME, STRANGER, NEW_STYLE, NEW_COLOURWAY = 2, 0, 1, 3
NUMBERS = {"stranger": STRANGER, "new style": NEW_STYLE, "new colourway": NEW_COLOURWAY}
QUARTERS = (0, 0.25, 0.5, 0.75, 1)
# The largest dot; areas go with the logarithm of the count, as bins hold from a few pairs to thousands.
DOT = 13.0


def reliability_chart(result: CalibrationResult) -> Markup:
    """Probability against what was the case, on the part kept aside; each dot a bin, with the number of its pairs."""
    axes = Axes()
    content = [axes.line([(0, 0), (1, 1)], GREY, "what it should be")]
    content.append(axes.line([(b.probability, b.observed) for b in result.bins], SAME, "the curve"))
    most = max((b.pairs for b in result.bins), default=1)
    for b in result.bins:
        x, y = axes.at(b.probability, b.observed)
        radius = 3 + (DOT - 3) * float(np.log1p(b.pairs) / np.log1p(most)) ** 2
        label = f"{b.low:g} to {b.high:g}: probability {b.probability:.3f}, the same {b.observed:.3f}, {b.pairs} pairs"
        content.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{COLOURS[SAME]}" fill-opacity=".35"><title>{escape(label)}</title></circle>'
        )
        # Beside the dot, on the side where there is room.
        right = b.probability < 0.75
        place = (
            f'x="{x + (radius + 3 if right else -radius - 3):.1f}" y="{y + 4:.1f}" text-anchor="{"start" if right else "end"}"'
        )
        content.append(f"<text {place}>{b.pairs}</text>")
    title = "Probability against truth, held out (number of pairs)"
    return axes.drawn(title, "probability of being the same article", "share that is", QUARTERS, content)


def similarity_axes(result: CalibrationResult, top: float = 1.0) -> tuple[Axes, list[float]]:
    """Axes that hold every similarity, and round ticks on them."""
    values = [*result.distributions.same, *(v for part in result.distributions.different.values() for v in part)]
    finite = np.asarray([v for v in values if np.isfinite(v)] or [0.0, 1.0])
    low, high = float(finite.min()), max(float(finite.max()), result.thresholds.duplicate)
    step = 10 ** np.floor(np.log10(max(high - low, 1e-6)))
    step = next(s for s in (step / 5, step / 2, step, step * 2) if (high - low) / s <= 9)
    first, last = np.floor(low / step), np.ceil(high / step)
    ticks = [round(float(n * step), 6) for n in np.arange(first, last + 1)]
    return Axes((ticks[0], ticks[-1]), (0.0, top)), ticks


def distribution_chart(result: CalibrationResult) -> Markup:
    """Of the right article, and of the likest one where there is no right one; each filling the same area; and the thresholds."""
    spans, _ = similarity_axes(result)
    edges = np.linspace(*spans.x_range, BINS + 1)
    named = [("same article", SAME, result.distributions.same)]
    named += [(f"likest article: {name}", NUMBERS[name], values) for name, values in result.distributions.different.items()]
    shares = [(name, number, _shares(values, edges)) for name, number, values in named if len(values)]
    # A multiple of 0.04: the axis has round numbers at its quarters.
    top = float(np.ceil(max(float(share.max()) for _, _, share in shares) * 25) / 25) or 1.0
    axes, ticks = similarity_axes(result, top)
    content = [axes.line(_steps(edges, share), number, name) for name, number, share in shares]
    content += _marks(axes, result)
    return axes.drawn("Similarities and the thresholds", "similarity", "share of queries", ticks, content)


def curve_chart(result: CalibrationResult, curve: Curve) -> Markup:
    """The curve that the worker uses, and the thresholds."""
    axes, ticks = similarity_axes(result)
    points = [(float(x), curve.at(float(x))) for x in np.linspace(*axes.x_range, CURVE_STEPS)]
    content = [axes.line(points, SAME, "probability"), *_marks(axes, result)]
    return axes.drawn("Similarity to probability", "similarity", "probability of being the same article", ticks, content)


def legend(result: CalibrationResult) -> list[tuple[str, int]]:
    """Names and style numbers in the distributions."""
    return [("same article", SAME), *((f"likest article: {name}", NUMBERS[name]) for name in result.distributions.different)]


def _marks(axes: Axes, result: CalibrationResult) -> list[str]:
    made = []
    both = ((result.thresholds.review, "review", 0.97), (result.thresholds.duplicate, "duplicate", 0.91))
    for value, name, height in both:
        x, y = axes.at(value, axes.y_range[1] * height)
        _, low = axes.at(value, axes.y_range[0])
        _, high = axes.at(value, axes.y_range[1])
        made.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" {style(6)} stroke-dasharray="4 3"/>')
        made.append(f'<text x="{x - 4:.1f}" y="{y:.1f}" text-anchor="end">{name} {value:.3f}</text>')
    return made


def _shares(
    values: Sequence[float], edges: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    counts, _ = np.histogram(np.asarray(values)[np.isfinite(values)], edges)
    return np.asarray(counts / max(1, counts.sum()), np.float64)


def _steps(
    edges: np.ndarray[tuple[int], np.dtype[np.float64]], share: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> list[tuple[float, float]]:
    """The outline of bars."""
    sides = [side for (a, b), s in zip(pairwise(edges.tolist()), share.tolist(), strict=True) for side in ((a, s), (b, s))]
    return [(float(edges[0]), 0.0), *sides, (float(edges[-1]), 0.0)]
