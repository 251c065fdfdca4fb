"""Small drawings as inline SVG: lines, results on a common scale, flows, stacked bars.

Nothing here knows what a federation is. A colour is a CSS class that sets `--c`; text has the page's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from renga.simulations.markup import Child, Html, element

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A line in a chart, in pieces where it is interrupted."""

    name: str
    colour: str
    pieces: Sequence[Sequence[Point]]
    style: str = ""  # further classes: "faint", "dashed", "dots"


@dataclass(frozen=True)
class Flow:
    """So much from one name to another."""

    source: str
    target: str
    amount: float
    colour: str


def svg(width: float, height: float, label: str, *children: Child, class_: str | None = None) -> Html:
    """A drawing with a description for those who can't see it."""
    box = f"0 0 {width:g} {height:g}"
    return element("svg", *children, viewBox=box, width=width, role="img", aria_label=label, class_=class_)


def text(x: float, y: float, words: str, anchor: str = "start", class_: str | None = None) -> Html:
    """Words at a place."""
    return element("text", words, x=x, y=y, text_anchor=anchor, class_=class_)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers that cover [low, high]: steps of 1, 2 or 5 times a power of ten."""
    span = high - low if high > low else abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span / about))
    step *= next(m for m in (1, 2, 5, 10) if m * step * about >= span * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def line_chart(lines: Sequence[Line], span: Point, x_ticks: Sequence[tuple[float, str]], label: str) -> Html:
    """Lines over `span` of x; the y axis fits the values."""
    width, height, left, top, bottom = 340.0, 210.0, 34.0, 10.0, 24.0
    values = [y for line in lines for piece in line.pieces for _, y in piece]
    marks = ticks(min(values), max(values)) if values else [0.0, 1.0]

    def place(x: float, y: float) -> Point:
        across = (x - span[0]) / ((span[1] - span[0]) or 1)
        up = (y - marks[0]) / ((marks[-1] - marks[0]) or 1)
        return left + across * (width - left - 8), height - bottom - up * (height - bottom - top)

    shapes: list[Html] = []
    for mark in marks:
        _, y = place(span[0], mark)
        shapes.append(element("path", d=f"M{left:g} {y:.1f}H{width - 8:g}", class_="grid"))
        shapes.append(text(left - 6, y + 3.5, f"{mark:g}" if abs(mark) < 1e4 else f"{mark:.0e}", "end"))
    for at, words in x_ticks:
        shapes.append(text(place(at, marks[0])[0], height - 6, words, "middle"))
    for line in lines:
        for piece in line.pieces:
            places = [place(x, y) for x, y in piece]
            shapes.append(_path(places, f"line {line.colour} {line.style}".strip(), line.name))
            if "dots" in line.style or len(places) == 1:
                shapes.extend(
                    element("circle", cx=x, cy=y, r=3, class_=f"dot {line.colour}") for x, y in places
                )
    return svg(width, height, label, *shapes, class_="chart")


def _path(places: Sequence[Point], class_: str, name: str) -> Html:
    d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return element("path", element("title", name), d=d, class_=class_)


def scale_strip(values: Mapping[str, float | None], limits: Point, colour: str, label: str) -> Html:
    """Results of one model on a common scale: a ring before, a bar alone, a disc after, a cross at best."""
    width, middle, low, span = 190.0, 11.0, limits[0], (limits[1] - limits[0]) or 1.0

    def place(value: float) -> float:
        return 8 + (value - low) / span * (width - 16)

    at = {name: place(value) for name, value in values.items() if value is not None}
    shapes = [element("path", d=f"M8 {middle:g}H{width - 8:g}", class_="grid")]
    if "alone" in at and "federated" in at:
        shapes.append(
            element("path", d=f"M{at['alone']:.1f} {middle:g}H{at['federated']:.1f}", class_="move")
        )
    if "before" in at:
        shapes.append(element("circle", cx=at["before"], cy=middle, r=3.5, class_="ring"))
    if "alone" in at:
        shapes.append(element("path", d=f"M{at['alone']:.1f} {middle - 6:g}V{middle + 6:g}", class_="tick"))
    if "centralised" in at:
        x = at["centralised"]
        cross = f"M{x - 3.5:.1f} {middle - 3.5:g}l7 7m0 -7l-7 7"
        shapes.append(element("path", d=cross, class_="cross"))
    if "federated" in at:
        shapes.append(element("circle", cx=at["federated"], cy=middle, r=5, class_="disc"))
    return svg(width, 2 * middle, label, *shapes, class_=f"strip {colour}")


def flow_chart(flows: Sequence[Flow], order: Sequence[str], label: str) -> Html:
    """From sources on the left to targets on the right, as wide as the amount, both sides in `order`."""
    flows = [f for f in flows if f.amount > 0]
    sources = [n for n in order if any(f.source == n for f in flows)]
    targets = [n for n in order if any(f.target == n for f in flows)]
    width, left, right, gap, thick = 640.0, 150.0, 490.0, 14.0, 240.0
    scale = thick / (sum(f.amount for f in flows) or 1)
    height = thick + gap * (max(len(sources), len(targets), 1) - 1) + 16
    shapes: list[Html] = []
    tops: dict[tuple[str, str], float] = {}
    for side, names, x, anchor in (("source", sources, left, "end"), ("target", targets, right, "start")):
        y = 8 + (height - 16 - thick - gap * (len(names) - 1)) / 2
        for name in names:
            amount = sum(f.amount for f in flows if getattr(f, side) == name)
            tops[side, name] = y
            shapes.append(element("rect", x=x - 2, y=y, width=4, height=amount * scale, class_="node"))
            outside = x - 12 if anchor == "end" else x + 12
            shapes.append(text(outside, y + amount * scale / 2 + 4, _cut(name), anchor, "name"))
            y += amount * scale + gap
    for flow in flows:
        wide = flow.amount * scale
        a, b = tops["source", flow.source], tops["target", flow.target]
        tops["source", flow.source], tops["target", flow.target] = a + wide, b + wide
        bend, a, b = (left + right) / 2, a + wide / 2, b + wide / 2
        d = f"M{left + 2:g} {a:.1f}C{bend:g} {a:.1f} {bend:g} {b:.1f} {right - 2:g} {b:.1f}"
        title = element("title", f"{flow.source} → {flow.target}: {flow.amount:,.0f}")
        shapes.append(element("path", title, d=d, stroke_width=max(1.0, wide), class_=f"flow {flow.colour}"))
    return svg(width, height, label, *shapes, class_="chart wide")


def stacked_bar(parts: Sequence[tuple[str, float, str]], full: float, class_: str, label: str) -> Html:
    """Parts (name, amount, colour) side by side in a bar that is full at `full`."""
    width, height = 240.0, 14.0
    edges = [0.0]
    for _, amount, _ in parts:
        edges.append(edges[-1] + amount / (full or 1) * width)
    shapes = [
        element(
            "rect",
            element("title", name),
            x=a,
            y=0,
            width=max(0.0, b - a),
            height=height,
            class_=f"part {colour}",
        )
        for (name, _, colour), (a, b) in zip(parts, pairwise(edges), strict=True)
    ]
    return svg(width, height, label, *shapes, class_=f"bar {class_}")


def _cut(name: str) -> str:
    return name if len(name) <= 18 else name[:17] + "…"
