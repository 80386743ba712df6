"""Line charts as inline SVG: no script, no font, no file of their own."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 200, 56, 24, 26
COLOURS = ("#2f6fde", "#d9534f", "#2a9d62", "#b07cd8", "#e0912f", "#3aa6b9", "#8a8f98")
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Span:
    """A stretch of time that is shaded and named."""

    name: str
    begin: float
    end: float


def chart(title: str, unit: str, lines: Sequence[tuple[str, Points]], spans: Sequence[Span] = ()) -> str:
    """One chart. All lines share its axes, which begin at 0; nothing to show makes an empty one that says so."""
    lines = [(name, points) for name, points in lines if points]
    right = max([1.0, *(x for _, points in lines for x, _ in points), *(span.end for span in spans)])
    top = nice(max([0.0, *(y for _, points in lines for _, y in points)]))
    parts = [
        *(_span(span, right) for span in spans),
        *_grid(top, right, unit),
        *(_line(points, right, top, COLOURS[number % len(COLOURS)]) for number, (_, points) in enumerate(lines)),
        _legend(lines),
        f'<text class="title" x="{LEFT}" y="14">{html.escape(title)}{"" if lines else ": nothing was seen"}</text>',
    ]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 18}" role="img" aria-label="{html.escape(title)}">{"".join(parts)}</svg>'
    )


def nice(value: float) -> float:
    """The next of 1, 2, 5 and so on times a power of ten; 1 for nothing."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if value <= step * power * 1.0000001)


def _x(value: float, right: float) -> float:
    return LEFT + (WIDTH - LEFT - 8) * value / right


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value / top)


def _line(points: Points, right: float, top: float, colour: str) -> str:
    path = " ".join(f"{_x(x, right):.1f},{_y(y, top):.1f}" for x, y in points)
    return f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{path}"/>'


def _span(span: Span, right: float) -> str:
    left, width = _x(span.begin, right), _x(span.end, right) - _x(span.begin, right)
    return (
        f'<rect class="span" x="{left:.1f}" y="{TOP}" width="{width:.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
        f'<text class="axis" x="{left + 4:.1f}" y="{TOP + 11}">{html.escape(span.name)}</text>'
    )


def _grid(top: float, right: float, unit: str) -> list[str]:
    parts = []
    for step in range(3):
        value = top * step / 2
        y = _y(value, top)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="axis" x="{LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{value:g} {unit}</text>')
    step_seconds = nice(right / 8)
    for step in range(int(right / step_seconds) + 1):
        value = step * step_seconds
        x = min(_x(value, right), WIDTH - 16)
        parts.append(f'<text class="axis" x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{value:g} s</text>')
    return parts


def _legend(lines: Sequence[tuple[str, Points]]) -> str:
    parts, x = [], float(LEFT)
    for number, (name, _) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<rect x="{x:.0f}" y="{HEIGHT + 4}" width="10" height="4" fill="{colour}"/>')
        parts.append(f'<text class="axis" x="{x + 14:.0f}" y="{HEIGHT + 10}">{html.escape(name)}</text>')
        x += 26 + 6.2 * len(name)
    return "".join(parts)
