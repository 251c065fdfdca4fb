"""mergekit's YAML recipes, read as they are: mergekit's names, defaults and habits in our terms.

What mergekit does otherwise than the papers stands in `_METHODS`: thresholds tensor by tensor, plain sums for
task arithmetic, signs that elect plus where the vote is even, DARE and DELLA grown by their L1 norm, slerp on
the straight line beyond a cosine of 0.9995. Random numbers are ours (by element), not torch's (by order of
calls). Formats are mergekit's, too, except that all arithmetic is in float32: its updates of bfloat16 models
are rounded to bfloat16 on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from renga.errors import UsageError, did_you_mean
from renga.server.merging.checkpoints.recipe import UNION, Input, Recipe, Slice, Stage
from renga.server.merging.checkpoints.recipe_toml import layer_range
from renga.server.merging.methods import COMMON, METHODS

_SUM = {"normalise": False}
_ELECT = {"even": "positive"}
_ALL = {"density": 1.0}
_GROW = {"grow": "norm"}

# mergekit's method: ours, and the settings that it implies.
_METHODS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "linear": ("linear", {}),
    "slerp": ("slerp", {"straight": 0.9995}),
    "task_arithmetic": ("task_arithmetic", _SUM),
    "ties": ("ties", {**_ALL, **_ELECT}),
    "dare_ties": ("dare_ties", {**_ALL, **_SUM, **_ELECT, **_GROW}),
    "dare_linear": ("dare", {**_ALL, **_SUM, **_GROW}),
    "breadcrumbs": ("breadcrumbs", {**_ALL, **_SUM}),
    "breadcrumbs_ties": ("breadcrumbs_ties", {**_ALL, **_SUM, **_ELECT}),
    "della": ("della", {**_ALL, **_ELECT, **_GROW}),
    "della_linear": ("della_linear", {**_ALL, **_SUM, **_GROW}),
    "model_stock": ("model_stock", {}),
    "passthrough": ("passthrough", {}),
}
_OPTIONS = {"normalize": "normalise", "lambda": "scale", "rescale": "grow"}
_SAME = ("weight", "density", "gamma", "epsilon", "t", "filter_wise", "scale")
_MEANINGLESS = ("int8_mask",)  # how mergekit holds its masks
_WORDS = (
    "merge_method", "base_model", "models", "slices", "parameters", "dtype", "out_dtype", "tokenizer_source",
    "chat_template", "name",
)  # fmt: skip


def parse(text: str, where: str) -> Recipe:
    """The recipe that a mergekit YAML writes down; several documents are stages, each with a `name`.

    Raises UsageError for what isn't supported, naming it.
    """
    import yaml

    try:
        documents = [data for data in yaml.safe_load_all(text) if data is not None]
    except yaml.YAMLError as error:
        raise UsageError(f"{where} is not YAML: {str(error).splitlines()[0]}") from error
    if not documents:
        raise UsageError(f"{where} is empty")
    return Recipe(tuple(_stage(data, where, number) for number, data in enumerate(documents)), text)


def _stage(data: Any, where: str, number: int) -> Stage:
    if not isinstance(data, Mapping):
        raise UsageError(f"{where} is no mergekit recipe: it is no table")
    for key in data:
        if key not in _WORDS:
            raise UsageError(f"{where}: {key} is not supported", hint=did_you_mean(str(key), _WORDS))
    method = str(data.get("merge_method"))
    if method not in _METHODS:
        raise UsageError(
            f"{where}: merge_method {method!r} is not supported", hint=did_you_mean(method, _METHODS)
        )
    if ("models" in data) == ("slices" in data):
        raise UsageError(f"{where} needs either models or slices")
    if data.get("chat_template") not in (None, "auto"):
        raise UsageError(f"{where}: chat_template is not supported", hint="edit it in the result's folder")
    ours, implied = _METHODS[method]
    base = _model(data["base_model"], where) if data.get("base_model") else None
    if "models" in data:
        slices = [Slice(tuple(_input(entry, where) for entry in _list(data["models"], where)))]
        if method in ("linear", "slerp") and base and base not in {e.model for e in slices[0].inputs}:
            slices = [Slice((*slices[0].inputs, Input(base)))]  # mergekit merges its base in
    else:
        slices = [_slice(entry, where) for entry in _list(data["slices"], where)]
    own = [_bases(entry, where) for entry in data.get("slices", [])]
    if bases := [model for model in own if model]:
        if len(set(bases)) > 1 or (base and bases[0] != base):
            raise UsageError(f"{where}: slices with different base models are not supported")
        base = bases[0]
    known = {**COMMON, **METHODS[ours].defaults, "weight": 1, "t": 0} if ours in METHODS else {"scale": 1}

    def settings(given: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in given.items() if key in known}  # mergekit passes over the rest

    slices = [
        Slice(
            tuple(replace(entry, settings=settings(entry.settings)) for entry in piece.inputs),
            settings(piece.settings),
        )
        for piece in slices
    ]
    return Stage(
        name=str(data.get("name") or f"document {number + 1}"),
        method=ours,
        slices=tuple(slices),
        base=base,
        settings={**implied, **settings(_settings(data.get("parameters"), where))},
        dtype=data.get("out_dtype") or data.get("dtype"),
        tokenizer=_tokenizer(data.get("tokenizer_source"), base, slices, where),
        scope="tensor",
        by_number=data.get("tokenizer_source") is None,
    )


def _tokenizer(source: Any, base: str | None, slices: list[Slice], where: str) -> str:
    """Whose tokenizer is carried; without a word of it rows go by their number, as mergekit has it."""
    donor = base or slices[0].inputs[0].model
    if source is None or source == "base":
        return donor
    return UNION if source == UNION else _model(source, where)


def _slice(data: Any, where: str) -> Slice:
    if not isinstance(data, Mapping) or "sources" not in data:
        raise UsageError(f"{where}: a slice has sources")
    return Slice(
        tuple(_input(entry, where) for entry in _list(data["sources"], where)),
        _settings(data.get("parameters"), where),
    )


def _bases(data: Any, where: str) -> str | None:
    named = data.get("base_model") if isinstance(data, Mapping) else None
    return _model(named, where) if named else None


def _input(data: Any, where: str) -> Input:
    if not isinstance(data, Mapping) or "model" not in data:
        raise UsageError(f"{where}: an input has a model")
    return Input(
        _model(data["model"], where),
        _settings(data.get("parameters"), where),
        layer_range(data.get("layer_range"), where),
    )


def _model(value: Any, where: str) -> str:
    path: Any = value
    if isinstance(value, Mapping):
        if value.get("lora"):
            raise UsageError(f"{where}: adapters inside a recipe are not supported", hint="merge them first")
        path = value.get("model", value)
        path = path.get("path") if isinstance(path, Mapping) else path
    if not isinstance(path, str) or not path:
        raise UsageError(f"{where}: {value!r} names no model")
    if "+" in path:
        raise UsageError(
            f"{where}: adapters inside a recipe are not supported ({path})", hint="merge them first"
        )
    return path


def _settings(data: Any, where: str) -> dict[str, Any]:
    """Parameters under our names."""
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise UsageError(f"{where}: parameters are no table")
    settings: dict[str, Any] = {}
    for key, value in data.items():
        if key in _MEANINGLESS:
            continue
        if key not in _OPTIONS and key not in _SAME:
            known = [*_OPTIONS, *_SAME]
            raise UsageError(f"{where}: parameter {key} is not supported", hint=did_you_mean(str(key), known))
        settings[_OPTIONS.get(str(key), str(key))] = _grown(value) if key == "rescale" else value
    return settings


def _grown(value: Any) -> Any:
    """mergekit's rescale as our grow, inside lists and filters, too."""
    if isinstance(value, list):
        return [_grown(entry) for entry in value]
    if isinstance(value, Mapping):
        return {**value, "value": _grown(value.get("value"))}
    return "norm" if value else "none"


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise UsageError(f"{where}: models, slices and sources are lists")
    return value
