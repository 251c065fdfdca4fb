"""Tables of `renga bench sanitisation`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from renga.simulations.bench_tables import Sheet
from renga.simulations.units import MISSING

_REQUIRED: tuple[tuple[str, Callable[[Any], float], Callable[[float], bool]], ...] = (
    ("recall ≥ 0.90", lambda s: s["recall"][0], lambda x: x >= 0.90),
    ("prompts that leak ≤ 30% (hoped for: 12%)", lambda s: s["leak"][0], lambda x: x <= 0.30),
    ("secrets ≥ 0.95", lambda s: s["kinds"]["SECRET"]["recall"], lambda x: x >= 0.95),
    ("formats with checksums ≥ 0.99", lambda s: s["checked_recall"], lambda x: x >= 0.99),
    ("clean prompts changed ≤ 10%", lambda s: s["clean_changed"], lambda x: x <= 0.10),
)


def sanitisation_sheets(result: dict[str, Any]) -> list[Sheet]:
    """What was required, the systems beside each other, and recall by kind and by noise."""
    systems = result["systems"]
    names = tuple(systems)
    first = systems["renga"]
    targets = tuple(
        (said, "met" if met(value(first)) else "missed", f"{value(first):.3f}")
        for said, value, met in _REQUIRED
    )
    return [
        Sheet("Targets", ("target", "", "measured"), targets, words=frozenset({"", "measured"})),
        Sheet(
            "Systems",
            ("measure", *names),
            tuple((said, *(show(systems[n]) for n in names)) for said, show in _ROWS),
            note=(
                f"{result['prompts']} prompts of part `{result['side']}` of volume {result['volume']}, "
                f"seed {result['seed']}. In brackets 95 % "
                "of 400 resamplings of the prompts. A value leaks if more than a tenth of it stays visible."
            ),
        ),
        Sheet("Recall by kind", ("kind", "values", *names), _by(systems, "kinds")),
        Sheet("Recall by noise", ("noise", "values", *names), _by(systems, "noises")),
        Sheet(
            "Length, renga, CPU seconds",
            ("characters", "formats only", "all"),
            tuple(
                (f"{r['characters']:,}", f"{r['formats']:.2f}", f"{r['all']:.2f}") for r in result["length"]
            ),
        ),
    ]


def _with_interval(value: tuple[float, float, float]) -> str:
    return f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"


def _time(key: str, which: str) -> Any:
    return lambda s: f"{s[key][which]:.1f}"


_ROWS: tuple[tuple[str, Any], ...] = (
    ("recall", lambda s: _with_interval(s["recall"])),
    ("prompts that leak", lambda s: _with_interval(s["leak"])),
    ("precision", lambda s: f"{s['precision']:.3f}"),
    ("clean prompts changed", lambda s: f"{s['clean_changed']:.1%}"),
    ("over-redaction", lambda s: f"{s['over_redaction']:.1%}"),
    ("p50, ms", _time("milliseconds", "p50")),
    ("p95, ms", _time("milliseconds", "p95")),
    ("p50, ms of CPU", _time("cpu_milliseconds", "p50")),
    ("p95, ms of CPU", _time("cpu_milliseconds", "p95")),
    ("peak memory, MiB", lambda s: f"{s['mebibytes']:.0f}"),
)


def _by(systems: dict[str, Any], key: str) -> tuple[tuple[str, ...], ...]:
    rows = []
    for label, cell in systems["renga"][key].items():
        shown = [s[key][label]["recall"] if label in s[key] else None for s in systems.values()]
        rows.append((label, str(cell["values"]), *(MISSING if x is None else f"{x:.2f}" for x in shown)))
    return tuple(rows)
