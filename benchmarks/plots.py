"""Plots of bars and lines, as SVG without a library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_COLOURS = ("#1b6ca8", "#e07b39", "#3a9d5d", "#a23b72", "#8a8d91", "#c9a227", "#5b4b8a", "#2a9d8f")
_WIDTH, _BAR, _LABEL, _RIGHT = 820, 18, 300, 90
_HEAD, _FOOT = 56, 30
_TALL, _LEFT = 360, 70


def bars(title: str, unit: str, groups: Mapping[str, Mapping[str, float]], *, stacked: bool = False) -> str:
    """A horizontal bar for each part of each group, or one stacked bar for each group."""
    parts = list(dict.fromkeys(name for group in groups.values() for name in group))
    lines = {name: 1 if stacked else len(group) for name, group in groups.items()}
    largest = max(sum(group.values()) if stacked else max(group.values()) for group in groups.values())
    scale = (_WIDTH - _LABEL - _RIGHT) / largest
    drawn: list[str] = []
    y = _HEAD
    for name, group in groups.items():
        drawn.append(_text(_LABEL - 8, y + lines[name] * _BAR / 2 + 4, name, anchor="end"))
        x = float(_LABEL)
        for part, value in group.items():
            drawn.append(_rect(x, y, value * scale, _BAR - 3, _colour(parts.index(part))))
            if stacked:
                x += value * scale
            else:
                drawn.append(_text(x + value * scale + 5, y + 12, f"{_number(value)} {unit}"))
                y += _BAR
        if stacked:
            drawn.append(_text(x + 5, y + 12, f"{_number(sum(group.values()))} {unit}"))
            y += _BAR
        y += 8
    return _svg(title, y + 4, drawn, parts if len(parts) > 1 else [])


def lines(
    title: str,
    x_label: str,
    y_label: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    guides: Mapping[str, float] | None = None,
) -> str:
    """A line for each series over a logarithmic x, and a dashed one for each guide."""
    guides = guides or {}
    xs = sorted({x for points in series.values() for x, _ in points})
    largest = 1.1 * max([y for points in series.values() for _, y in points] + list(guides.values()))
    low, high = math.log(xs[0]), math.log(xs[-1]) if xs[-1] > xs[0] else math.log(xs[0]) + 1

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log(x) - low) / (high - low)
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEAD + (1 - y / largest) * _TALL

    drawn = [_rect(_LEFT, _HEAD + _TALL, _WIDTH - _LEFT - _RIGHT, 1, "#333"), _rect(_LEFT, _HEAD, 1, _TALL, "#333")]
    drawn += [_text(place(x, 0)[0], _HEAD + _TALL + 16, _number(x), anchor="middle") for x in xs]
    drawn += [_text(_LEFT - 6, place(xs[0], y)[1] + 4, _number(y), anchor="end") for y in _ticks(largest)]
    drawn += [_text(_WIDTH / 2, _HEAD + _TALL + 34, x_label, anchor="middle"), _text(_LEFT, _HEAD - 6, y_label)]
    for number, points in enumerate(series.values()):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{_colour(number)}" stroke-width="2.5"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{_colour(number)}"/>' for x, y in (place(*p) for p in points)]
    for name, value in guides.items():
        y = place(xs[0], value)[1]
        drawn.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#555" stroke-dasharray="6 4"/>'
        )
        drawn.append(_text(_LEFT + 8, y - 4, name))
    return _svg(title, _HEAD + _TALL + 40, drawn, list(series))


def _svg(title: str, height: float, drawn: Sequence[str], legend: Sequence[str]) -> str:
    marks: list[str] = []
    x, y = 20.0, height + 6
    for number, name in enumerate(legend):
        width = 7.0 * len(name) + 30
        if x + width > _WIDTH:
            x, y = 20.0, y + 18
        marks += [_rect(x, y, 12, 12, _colour(number)), _text(x + 17, y + 10, name)]
        x += width
    tall = y + _FOOT if legend else height + 10
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {tall:.0f}" font-family="sans-serif" font-size="12" fill="#222">'
    named = f'<text x="20" y="24" font-size="15" font-weight="bold">{escape(title)}</text>'
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{tall:.0f}" fill="#fff"/>', named, *drawn, *marks, "</svg>", ""])


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.5, width):.1f}" height="{height:.1f}" fill="{fill}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _ticks(largest: float) -> list[float]:
    step = 10 ** math.floor(math.log10(largest))
    step = step if largest / step >= 4 else step / 2 if largest / step >= 2 else step / 5
    return [number * step for number in range(int(largest / step) + 1)]
