"""What cooperation gains and costs, part by part: a table each, with its controls and where it loses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from renga.errors import UsageError, did_you_mean
from renga.models.local import LocalModel
from renga.simulations.bench_tables import Sheet, Tell, conditions

Sheets = Callable[[Mapping[str, Any]], list[Sheet]]


@dataclass(frozen=True)
class Setting:
    """What a part is measured with. limit: texts, questions or claims; 0: the part's own number. data: a
    folder with one per domain, or None."""

    edge: str
    host: str
    limit: int
    seed: int
    data: Path | None
    tell: Tell
    load: Callable[[str], LocalModel]
    bare: bool = False  # without models: what needs none
    llmlingua: Path | None = None  # a Python that has it

    def some(self, own: int) -> int:
        return self.limit or own


@dataclass(frozen=True)
class Part:
    """A part of the benchmark: what is measured, and its tables."""

    measure: Callable[[Setting], dict[str, Any]]
    sheets: Sheets


PARTS = {
    "speculation": "cooperation_speculate",
    "lookup": "cooperation_lookup",
    "quoting": "cooperation_quoting",
    "limits": "cooperation_limits",
    "retrieval": "cooperation_retrieve",
    "compression": "cooperation_compress",
    "detectors": "cooperation_detect",
    "steering": "cooperation_steer",
    "guiding": "cooperation_guide",
    "people": "cooperation_people",
    "across": "cooperation_across",
    "soft": "cooperation_soft",
}


BARE = ("retrieval", "detectors")  # parts of which something can be measured without a model


def part(name: str) -> Part:
    """A part by name. Raises UsageError for one that there is not."""
    if name not in PARTS:
        raise UsageError(f"there is no part {name!r}", hint=did_you_mean(name, PARTS))
    module = import_module(f"renga.simulations.{PARTS[name]}")
    return Part(module.measure, module.sheets)


def measure(name: str, setting: Setting) -> dict[str, Any]:
    """Measure one part."""
    if setting.bare and name not in BARE:
        raise UsageError(f"{name} needs models", hint=f"without: {', '.join(BARE)}")
    setting.tell(f"measuring {name}")
    found = part(name).measure(setting)
    models = {"edge": setting.edge, "host": setting.host, "seed": setting.seed, "bare": setting.bare}
    return {"part": name, **models, **found, "conditions": conditions()}


def share(right: Sequence[bool]) -> float:
    """The mean of a list of verdicts; 0 of none."""
    return sum(right) / max(1, len(right))


def interval(right: Sequence[bool]) -> str:
    """A share with its 95 % Wilson interval, as shown."""
    n = len(right)
    if not n:
        return "–"
    p, z = share(right), 1.96
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * ((p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5) / (1 + z * z / n)
    return f"{p:.0%} ({max(0.0, middle - half):.0%}–{min(1.0, middle + half):.0%})"
