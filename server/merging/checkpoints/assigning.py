"""One tensor of the result: which tensors it is made of, by which method, weights and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from renga.errors import RengaError, UsageError
from renga.server.merging.checkpoints.opened import Opened
from renga.server.merging.checkpoints.parts import Part, Source
from renga.server.merging.checkpoints.precision import FLOATS, NAMES
from renga.server.merging.checkpoints.recipe import Input, Settings, Stage, found
from renga.server.merging.methods import COMMON, METHODS, PER_INPUT, kernel
from renga.server.merging.shares import shares

PASSTHROUGH = "passthrough"
# What the papers measure over the whole model; all else is measured tensor by tensor.
_OVER_THE_MODEL = ("ties", "magnitude", "pcb")


@dataclass(frozen=True)
class Place:
    """Where a tensor stands: its name in the result, and that of each input, with the settings that hold."""

    name: str
    inputs: Sequence[tuple[Input, str]]
    scopes: tuple[Settings, ...]  # the slice's, the stage's
    depth: float

    def own(self, key: str, entry: Input, there: str) -> Any:
        """A setting of one input."""
        return found(key, (entry.settings, *self.scopes), there, self.depth)

    def shared(self, key: str) -> Any:
        """A setting of all inputs together."""
        return found(key, self.scopes, self.name, self.depth)


def of_updates(stage: Stage) -> bool:
    """Whether the stage merges changes of its base."""
    return stage.method in METHODS and METHODS[stage.method].of_updates


def assigned(stage: Stage, place: Place, opened: Mapping[str, Opened]) -> Part:
    """The part at a place. Raises as `planning.plan`."""
    sources = [opened[entry.model].source(there) for entry, there in place.inputs]
    models = [entry.model for entry, _ in place.inputs]
    base = _base(stage, place, sources, models, opened)
    first = base or sources[0]
    for model, source in zip(models, sources, strict=True):
        if source.shape != first.shape:
            other = stage.base if base else models[0]
            raise RengaError(
                f"tensor {source.name} is {list(source.shape)} in {model}, {list(first.shape)} in {other}",
                hint="merge models of one size and vocabulary",
            )
    if any(source.dtype not in FLOATS for source in (*sources, first)):
        return _untouched(place.name, first, zip(models, sources, strict=True))
    dtype = NAMES[stage.dtype] if stage.dtype is not None else first.dtype
    if stage.method == PASSTHROUGH:
        return _passed(place, first, dtype)
    chosen = [
        (source, entry, there)
        for source, (entry, there) in zip(sources, place.inputs, strict=True)
        if not (of_updates(stage) and entry.model == stage.base)
    ]
    weights = _weights(stage, place, [(entry, there) for _, entry, there in chosen])
    options = _options(stage, place, [(entry, there) for _, entry, there in chosen])
    if not chosen:
        raise UsageError(f"{stage.method} has nothing to merge into {stage.base}")
    kernel(stage.method, len(chosen), options)  # says what is wrong with the options
    if any(weights) or not of_updates(stage):
        shares(weights, len(weights), normalise=options["normalise"])
    return Part(
        place.name,
        first.shape,
        dtype,
        tuple(source for source, _, _ in chosen),
        stage.method,
        base if of_updates(stage) else None,
        weights,
        options,
        whole_model=_scope(stage) == "model",
    )


def _base(
    stage: Stage, place: Place, sources: list[Source], models: list[str], opened: Mapping[str, Opened]
) -> Source | None:
    if stage.base is None or stage.method == PASSTHROUGH:
        return None
    if stage.base in models:
        return sources[models.index(stage.base)]
    return opened[stage.base].source(place.name) if of_updates(stage) else None


def _scope(stage: Stage) -> str:
    if stage.scope not in ("tensor", "model", "method"):
        raise UsageError(f"scope can't be {stage.scope!r}", hint="one of tensor, model, method")
    if stage.scope == "method":
        return "model" if stage.method in _OVER_THE_MODEL else "tensor"
    if stage.scope == "model" and stage.method not in _OVER_THE_MODEL:
        raise UsageError(
            f"{stage.method} measures nothing over the whole model", hint="leave scope out, or write tensor"
        )
    return stage.scope


def _options(stage: Stage, place: Place, inputs: Sequence[tuple[Input, str]]) -> dict[str, Any]:
    """All options of the method; those of inputs as tuples."""
    options: dict[str, Any] = {}
    for key, default in {**COMMON, **METHODS[stage.method].defaults}.items():
        if key in PER_INPUT:
            values = [place.own(key, entry, there) for entry, there in inputs]
            options[key] = tuple(default if value is None else value for value in values)
        else:
            value = place.shared(key)
            options[key] = default if value is None else value
    return options


def _weights(stage: Stage, place: Place, inputs: Sequence[tuple[Input, str]]) -> tuple[float, ...]:
    """The weight of every input; for slerp also from `t`, the share of the one that is not the base."""
    t = place.shared("t") if stage.method == "slerp" else None
    if t is not None:
        if len(inputs) != 2 or [entry.model for entry, _ in inputs].count(stage.base or "") != 1:
            raise UsageError("slerp with t takes the base and one other model")
        share = _number("t", t)
        return tuple(1 - share if entry.model == stage.base else share for entry, _ in inputs)
    weights = [place.own("weight", entry, there) for entry, there in inputs]
    return tuple(1.0 if weight is None else _number("weight", weight) for weight in weights)


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{key} must be a number, not {value!r}")
    return float(value)


def _passed(place: Place, source: Source, dtype: str) -> Part:
    """A tensor passed through, perhaps scaled."""
    entry, there = place.inputs[0]
    scale = place.own("scale", entry, there)
    if scale is None:
        return Part(place.name, source.shape, dtype, (source,))
    options = {**COMMON, "scale": _number("scale", scale)}
    return Part(place.name, source.shape, dtype, (source,), "linear", None, (1.0,), options)


def _untouched(name: str, first: Source, sources: Any) -> Part:
    """A tensor that holds no floating-point numbers: all inputs must agree on it."""
    for model, source in sources:
        if source.dtype != first.dtype or not np.array_equal(source.elements, first.elements):
            raise RengaError(f"tensor {name} is in {source.dtype} and differs in {model}: it can't be merged")
    return Part(name, first.shape, first.dtype, (first,))
