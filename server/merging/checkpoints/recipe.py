"""A merge written down: stages, each of which makes one model of several, and settings that vary with depth.

A setting is a value; or a list of numbers, read off along the depth of the model (the first for the first
layer, the last for the last, linearly between); or a list of tables with `value` and `filter`, of which the
first holds whose filter is part of the tensor's name (or that has none). What an input says goes before what
its slice says, and that before what the stage says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from renga.errors import UsageError

UNION = "union"  # of the tokenizers of all models

Setting = Any
Settings = Mapping[str, Setting]


@dataclass(frozen=True)
class Input:
    """A model of a slice, its layers first .. last (None: all), and what is set for it alone."""

    model: str
    settings: Settings = field(default_factory=dict)
    layers: tuple[int, int] | None = None


@dataclass(frozen=True)
class Slice:
    """Layers of the result and the inputs they are made of. A whole model is one slice."""

    inputs: tuple[Input, ...]
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One merge. `name` stands for its result in later stages; the last one's result is the recipe's."""

    name: str
    method: str
    slices: tuple[Slice, ...]
    base: str | None = None
    settings: Settings = field(default_factory=dict)
    dtype: str | None = None
    # Whose tokenizer is carried, a model's or UNION; rows of embeddings follow their tokens there, unless
    # they go by_number. None: the base's or the first's, and all have the same.
    tokenizer: str | None = None
    scope: str = "method"  # thresholds over each "tensor", over the whole "model", or as the paper has it
    by_number: bool = False

    def models(self) -> list[str]:
        """All models it reads, each once, the base first."""
        named = [self.base] if self.base else []
        named += [entry.model for piece in self.slices for entry in piece.inputs]
        return list(dict.fromkeys(named))


@dataclass(frozen=True)
class Recipe:
    """Stages in the order they run. `text` is the recipe as it was written."""

    stages: tuple[Stage, ...]
    text: str


def value_of(setting: Setting, tensor: str, depth: float) -> Any:
    """What a setting means for a tensor at a depth from 0 to 1; None if no filter lets it pass."""
    if not isinstance(setting, list):
        return (
            setting["value"] if isinstance(setting, Mapping) and _passes(setting, tensor) else _plain(setting)
        )
    if not setting:
        return None
    if any(isinstance(entry, Mapping) for entry in setting):
        for entry in setting:
            if _passes(entry, tensor):
                return value_of(entry["value"], tensor, depth)
        return None
    if any(isinstance(entry, bool) or not isinstance(entry, int | float) for entry in setting):
        return setting[int(depth * (len(setting) - 1))]
    place = depth * (len(setting) - 1)
    first = int(place)
    second = min(first + 1, len(setting) - 1)
    return (1 - (place - first)) * setting[first] + (place - first) * setting[second]


def _plain(setting: Setting) -> Any:
    return None if isinstance(setting, Mapping) else setting


def _passes(entry: Any, tensor: str) -> bool:
    if not isinstance(entry, Mapping) or "value" not in entry or set(entry) - {"value", "filter"}:
        raise UsageError(f"{entry!r} is no setting", hint="write {filter = PART OF A NAME, value = …}")
    wanted = entry.get("filter")
    return wanted is None or wanted == "*" or str(wanted) in tensor


def found(key: str, scopes: Iterable[Settings], tensor: str, depth: float) -> Any:
    """The value of `key` in the first of the scopes that has one for this tensor; None if none has."""
    for scope in scopes:
        if key in scope and (value := value_of(scope[key], tensor, depth)) is not None:
            return value
    return None


def of_models(
    models: Sequence[str],
    method: str,
    *,
    weights: Sequence[float] | None = None,
    base: str | None = None,
    options: Settings | None = None,
    dtype: str | None = None,
    scope: str = "method",
    tokenizer: str | None = None,
) -> Stage:
    """One stage over whole models with a weight each (1 where none are given)."""
    if weights is not None and len(weights) != len(models):
        raise UsageError(
            f"{len(models)} models but {len(weights)} weights",
            hint="give one weight for each, in their order",
        )
    each = [1.0] * len(models) if weights is None else weights
    inputs = tuple(Input(m, {"weight": w}) for m, w in zip(models, each, strict=True))
    return Stage("", method, (Slice(inputs),), base, dict(options or {}), dtype, tokenizer, scope)
