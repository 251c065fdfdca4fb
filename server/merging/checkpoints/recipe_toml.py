"""Recipes in TOML.

    method = "ties"                      # one merge
    base = "SmolLM2-135M"
    density = 0.3
    inputs = [{ model = "maths", weight = 2 }, { model = "code", density = [0.1, 0.5] }]

    [[stages]]                           # or several, each a merge; later ones name earlier ones
    name = "skills"
    method = "task_arithmetic"
    …

What stands beside `name`, `method`, `base`, `inputs`, `slices`, `dtype`, `tokenizer` and `scope` is an option
of the method, and beside `model` and `layers` one of that input alone (see `recipe` for what a setting may
be). Slices are `[[slices]]` with `inputs` whose `layers` are [first, after the last].
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from renga.errors import UsageError, did_you_mean
from renga.server.merging.checkpoints.recipe import Input, Recipe, Slice, Stage

_WORDS = ("name", "method", "base", "inputs", "slices", "dtype", "tokenizer", "scope")


def parse(text: str, where: str) -> Recipe:
    """The recipe that a TOML text writes down. Raises UsageError, naming the stage, for what is wrong in
    it."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not TOML: {error}") from error
    several = data.get("stages")
    if several is None:
        return Recipe((_stage(data, where, ""),), text)
    if extra := sorted(set(data) - {"stages"}):
        raise UsageError(f"{where}: {extra[0]!r} stands beside stages", hint="write it inside a stage")
    if not isinstance(several, list) or not several:
        raise UsageError(f"{where}: stages must be a list of tables")
    stages = tuple(
        _stage(entry, f"{where}, stage {k + 1}", f"stage {k + 1}") for k, entry in enumerate(several)
    )
    names = [stage.name for stage in stages]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{where}: two stages are called {twice[0]!r}")
    return Recipe(stages, text)


def _stage(data: Any, where: str, name: str) -> Stage:
    if not isinstance(data, Mapping):
        raise UsageError(f"{where}: a stage is a table")
    if "method" not in data:
        raise UsageError(f"{where} names no method")
    if ("inputs" in data) == ("slices" in data):
        raise UsageError(f"{where} needs either inputs or slices")
    if "inputs" in data:
        slices = [Slice(_inputs(data["inputs"], where))]
    else:
        slices = [
            _slice(entry, f"{where}, slice {k + 1}") for k, entry in enumerate(_tables(data["slices"], where))
        ]
    return Stage(
        name=_text(data, "name", where) or name,
        method=_text(data, "method", where) or "",
        slices=tuple(slices),
        base=_text(data, "base", where),
        settings={key: value for key, value in data.items() if key not in _WORDS},
        dtype=_text(data, "dtype", where),
        tokenizer=_text(data, "tokenizer", where),
        scope=_text(data, "scope", where) or "method",
    )


def _slice(data: Mapping[str, Any], where: str) -> Slice:
    if "inputs" not in data:
        raise UsageError(f"{where} has no inputs")
    settings = {key: value for key, value in data.items() if key != "inputs"}
    return Slice(_inputs(data["inputs"], where), settings)


def _inputs(data: Any, where: str) -> tuple[Input, ...]:
    return tuple(_input(entry, f"{where}, input {k + 1}") for k, entry in enumerate(_tables(data, where)))


def _input(data: Mapping[str, Any], where: str) -> Input:
    model = _text(data, "model", where)
    if model is None:
        near = did_you_mean("model", data) if data else ""
        raise UsageError(f"{where} names no model", hint=near)
    settings = {key: value for key, value in data.items() if key not in ("model", "layers")}
    return Input(model, settings, layer_range(data.get("layers"), where))


def layer_range(value: Any, where: str) -> tuple[int, int] | None:
    """[first, after the last] as a pair."""
    if value is None:
        return None
    whole = isinstance(value, list) and len(value) == 2 and all(type(number) is int for number in value)
    if not whole or not 0 <= value[0] < value[1]:
        raise UsageError(f"{where}: layers are [first, after the last], not {value!r}")
    return (value[0], value[1])


def _tables(value: Any, where: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(entry, Mapping) for entry in value):
        raise UsageError(f"{where}: inputs and slices are lists of tables")
    return value


def _text(data: Mapping[str, Any], key: str, where: str) -> str | None:
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{where}: {key} must be a text, not {value!r}")
    return value
