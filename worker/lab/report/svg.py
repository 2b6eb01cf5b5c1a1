"""Line charts as inline SVG: no library, no script, sharp at any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 26, 40
# Told apart also by those who see few colours (Okabe and Ito 2008), then by dashes.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#222222", "#999999")
DASHES = ("", "6 3", "2 3", "8 3 2 3")


@dataclass(frozen=True, slots=True)
class Line:
    """A named line; points are (x, y) in the chart's units."""

    name: str
    points: Sequence[tuple[float, float]]


def style(number: int) -> str:
    """Attributes of the stroke of the line with this number."""
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    return f'stroke="{COLOURS[number % len(COLOURS)]}"' + (f' stroke-dasharray="{dash}"' if dash else "")


@dataclass(frozen=True, slots=True)
class Axes:
    """Where a chart's units lie on its drawing."""

    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] = (0.0, 1.0)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Place of a point in the drawing."""
        wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        left = LEFT + (x - self.x_range[0]) / (self.x_range[1] - self.x_range[0]) * wide
        return left, TOP + high - (y - self.y_range[0]) / (self.y_range[1] - self.y_range[0]) * high

    def line(self, points: Sequence[tuple[float, float]], number: int, name: str) -> str:
        """A line through points, in the style with this number."""
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in points))
        return (
            f'<polyline points="{text}" fill="none" {style(number)} stroke-width="1.8"><title>{escape(name)}</title></polyline>'
        )

    def drawn(self, title: str, x_label: str, y_label: str, x_ticks: Sequence[float], content: Sequence[str]) -> Markup:
        """The chart around `content`, in which every text is escaped."""
        wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
        parts.append(f'<text x="{LEFT}" y="16" class="title">{escape(title)}</text>')
        for step in range(5):
            value = self.y_range[0] + (self.y_range[1] - self.y_range[0]) * step / 4
            _, y = self.at(self.x_range[0], value)
            parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        for value in x_ticks:
            x, _ = self.at(value, self.y_range[0])
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{TOP + high}" class="grid"/>')
            parts.append(f'<text x="{x:.1f}" y="{TOP + high + 15}" text-anchor="middle">{value:g}</text>')
        parts += content
        parts.append(f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>')
        middle = TOP + high / 2
        parts.append(
            f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{escape(y_label)}</text>'
        )
        return Markup("".join(parts) + "</svg>")  # noqa: S704  every text in it was escaped  # nosec B704


def chart(
    title: str,
    lines: Sequence[tuple[int, Line]],
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] = (0.0, 1.0),
    y_range: tuple[float, float] = (0.0, 1.0),
    x_ticks: Sequence[float] = (0, 0.25, 0.5, 0.75, 1),
) -> Markup:
    """A chart; each line comes with the number its style has everywhere in the report."""
    axes = Axes(x_range, y_range)
    return axes.drawn(title, x_label, y_label, x_ticks, [axes.line(line.points, number, line.name) for number, line in lines])


def swatch(number: int) -> Markup:
    """A piece of the line, for the legend."""
    line = f'<line x1="0" x2="28" y1="5" y2="5" {style(number)} stroke-width="2.5"/>'
    return Markup(f'<svg class="swatch" viewBox="0 0 28 10">{line}</svg>')  # noqa: S704  holds no text  # nosec B704
