"""How the cost of merging adapters grows: the order, fitted, and a drawing that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from renga.simulations.charts import Line, line_chart
from renga.simulations.markup import element

_STYLE = (
    "svg{font:11px sans-serif;background:#fff}.grid{stroke:#ddd}.dot{fill:var(--c)}"
    ".line{fill:none;stroke:var(--c);stroke-width:2}.time{--c:#1f6fb2}.memory{--c:#c2571a}"
)


def along(grown: Sequence[Mapping[str, Any]], axis: str) -> list[Mapping[str, Any]]:
    """The measurements along one axis ("adapters" or "rank"), the other at its fixed value, in order."""
    other, fixed = ("rank", 16) if axis == "adapters" else ("adapters", 8)
    return sorted((g for g in grown if g[other] == fixed), key=lambda g: g[axis])


def order(grown: Sequence[Mapping[str, Any]], axis: str, what: str) -> float | None:
    """The exponent p of what ~ axis^p, by least squares of the logarithms over the upper half of the axis."""
    rows = [g for g in along(grown, axis) if g[what] > 0]
    rows = rows[len(rows) // 2 :]
    if len(rows) < 2:
        return None
    x, y = (np.log([g[key] for g in rows]) for key in (axis, what))
    return float(np.polyfit(x, y, 1)[0])


def drawing(grown: Sequence[Mapping[str, Any]], axis: str) -> str:
    """An SVG of time (in seconds) and memory (in GB) against one axis, as logarithms to the base of 10."""
    rows = along(grown, axis)
    kinds = (("time", "seconds", 1.0), ("memory", "memory", 1e9))
    lines = [
        Line(
            kind,
            kind,
            [[(float(np.log10(g[axis])), float(np.log10(g[key] / unit))) for g in rows if g[key] > 0]],
            "dots",
        )
        for kind, key, unit in kinds
    ]
    ends = [float(np.log10(g[axis])) for g in rows]
    marks = [(float(np.log10(g[axis])), str(g[axis])) for g in rows]
    label = (
        f"Cost of the best of the inputs' rank against {axis}: log10 of CPU seconds (blue) and of GB (orange)"
    )
    chart = line_chart(lines, (min(ends), max(ends)), marks, label)
    inside = element("style", _STYLE) + element("title", label)
    whole = str(chart).replace(">", f">{inside}", 1)
    return whole.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
