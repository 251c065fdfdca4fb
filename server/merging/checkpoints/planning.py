"""From a stage and its opened checkpoints to the parts to be written, and the config of the result.

All that can be wrong is found here, before anything is written: tensors that are missing or too many, shapes
and architectures that differ, layers that don't exist, options that a method doesn't have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from renga.errors import RengaError, UsageError, did_you_mean
from renga.server.merging.checkpoints.assigning import PASSTHROUGH, Place, assigned, of_updates
from renga.server.merging.checkpoints.files import Checkpoint
from renga.server.merging.checkpoints.opened import HEAD, LAYER, Opened, depth_of, depths_of, natural
from renga.server.merging.checkpoints.parts import Part
from renga.server.merging.checkpoints.precision import NAMES
from renga.server.merging.checkpoints.recipe import Input, Slice, Stage
from renga.server.merging.methods import COMMON, METHODS

_DEPTH_KEYS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")


@dataclass(frozen=True)
class Planned:
    """The parts of a model in the order of their names, and its config."""

    parts: list[Part]
    config: dict[str, Any]
    donor: Checkpoint  # whose tokenizer and other files are carried


def plan(stage: Stage, opened: Mapping[str, Opened]) -> Planned:
    """What a stage writes. `opened` has every model that it names.

    Raises UsageError for what the stage says wrongly, RengaError, naming tensor and model, for checkpoints
    that don't fit together.
    """
    _check_words(stage)
    _check_models(stage, opened)
    whole = len(stage.slices) == 1 and all(entry.layers is None for entry in stage.slices[0].inputs)
    places = _whole(stage, opened) if whole else _sliced(stage, opened)
    parts = sorted((assigned(stage, place, opened) for place in places), key=lambda part: natural(part.name))
    donor = opened[stage.tokenizer or stage.base or stage.models()[0]].checkpoint
    return Planned(parts, _config(stage, opened, parts, whole), donor)


def _check_words(stage: Stage) -> None:
    """The method, the options and the format exist."""
    if stage.method != PASSTHROUGH and stage.method not in METHODS:
        raise UsageError(
            f"unknown method {stage.method!r}", hint=did_you_mean(stage.method, [*METHODS, PASSTHROUGH])
        )
    known = {"scale"} if stage.method == PASSTHROUGH else {*COMMON, *METHODS[stage.method].defaults, "weight"}
    known |= {"t"} if stage.method == "slerp" else set()
    for piece in stage.slices:
        for settings in (stage.settings, piece.settings, *(entry.settings for entry in piece.inputs)):
            for key in settings:
                if key not in known and (key, stage.method) != ("weight", PASSTHROUGH):
                    raise UsageError(f"{stage.method} has no option {key!r}", hint=did_you_mean(key, known))
    if stage.dtype is not None and stage.dtype not in NAMES:
        raise UsageError(f"unknown dtype {stage.dtype!r}", hint=did_you_mean(stage.dtype, NAMES))


def _check_models(stage: Stage, opened: Mapping[str, Opened]) -> None:
    """There are inputs, a base where one is needed, and one architecture."""
    if not stage.slices or not all(piece.inputs for piece in stage.slices):
        raise UsageError("there is nothing to merge")
    if stage.method == PASSTHROUGH and any(len(piece.inputs) > 1 for piece in stage.slices):
        raise UsageError("passthrough takes one model for each slice")
    if of_updates(stage) and stage.base is None:
        raise UsageError(
            f"{stage.method} merges changes, and needs the model they are changes of",
            hint="name it with --base",
        )
    kinds = {name: opened[name].checkpoint.config.get("model_type") for name in stage.models()}
    if len(set(kinds.values())) > 1:
        said = ", ".join(f"{name} is {kind}" for name, kind in kinds.items())
        raise RengaError(f"models of different architectures can't be merged: {said}")


def _whole(stage: Stage, opened: Mapping[str, Opened]) -> Iterable[Place]:
    """Every tensor of whole models of one depth."""
    piece = stage.slices[0]
    models = list(dict.fromkeys([*([stage.base] if stage.base else []), *(e.model for e in piece.inputs)]))
    depths = {opened[model].layers: model for model in models}
    if len(depths) > 1:
        said = ", ".join(f"{model} has {depth}" for depth, model in depths.items())
        raise RengaError(f"models of different depth can't be merged layer by layer: {said} layers")
    names = _common(models, opened)
    depths_by_stack = depths_of(names)
    for name in names:
        layer = LAYER.match(name)
        count = depths_by_stack[layer["before"]] if layer else 0
        depth = 0.0 if layer is None else int(layer["number"]) / (count - 1) if count > 1 else 1.0
        yield Place(name, [(e, name) for e in piece.inputs], (piece.settings, stage.settings), depth)


def _common(models: list[str], opened: Mapping[str, Opened], *, layers: bool = True) -> list[str]:
    """The tensors of models that must have the same; an output layer may be tied to the embedding."""
    union = {name for model in models for name in opened[model].names if layers or not LAYER.match(name)}
    for model in models:
        for name in sorted(union - opened[model].names, key=natural):
            if opened[model].alias(name) is None:
                other = next(m for m in models if name in opened[m].names)
                raise RengaError(f"{model} lacks tensor {name}, which {other} has")
    return sorted(union, key=natural)


def _sliced(stage: Stage, opened: Mapping[str, Opened]) -> Iterable[Place]:
    """Layers stacked from slices; embeddings as in the first slice, what follows the layers as in the
    last."""
    pieces = [_with_layers(piece, opened) for piece in stage.slices]
    first, last = pieces[0], pieces[-1]
    said = {entry.model: entry.settings for entry in first.inputs}
    closing = [replace(entry, settings=said.get(entry.model, {})) for entry in last.inputs]
    ends = list(dict.fromkeys(entry.model for entry in (*first.inputs, *last.inputs)))
    for name in _common(ends, opened, layers=False):
        opens = any(word in name for word in ("embed", "wte", "wpe"))
        inputs = [(entry, name) for entry in (first.inputs if opens else closing)]
        yield Place(name, inputs, (first.settings, stage.settings), 0.0)
    number = 0
    for piece in pieces:
        ranges = [entry.layers or (0, 0) for entry in piece.inputs]
        count = ranges[0][1] - ranges[0][0]
        templates = _templates(piece, opened)
        for offset in range(count):
            for before, after in templates:
                inputs = [
                    (entry, f"{before}.{start + offset}.{after}")
                    for entry, (start, _) in zip(piece.inputs, ranges, strict=True)
                ]
                depth = offset / (count - 1) if count > 1 else 1.0
                scopes = (piece.settings, stage.settings)
                yield Place(f"{before}.{number}.{after}", inputs, scopes, depth)
            number += 1


def _with_layers(piece: Slice, opened: Mapping[str, Opened]) -> Slice:
    """With the layers of every input as numbers, checked."""
    inputs = []
    for entry in piece.inputs:
        there = opened[entry.model].layers
        start, stop = entry.layers or (0, there)
        if not 0 <= start < stop <= there:
            raise UsageError(f"{entry.model} has no layers {start} to {stop}", hint=f"it has {there}")
        inputs.append(Input(entry.model, entry.settings, (start, stop)))
    lengths = {stop - start for entry in inputs for start, stop in [entry.layers or (0, 0)]}
    if len(lengths) > 1:
        raise UsageError(f"a slice takes {' and '.join(map(str, sorted(lengths)))} layers of its models")
    return Slice(tuple(inputs), piece.settings)


def _templates(piece: Slice, opened: Mapping[str, Opened]) -> list[tuple[str, str]]:
    """(before, after) of the tensors of the slice's layers: the same for every layer of every input."""
    reference: set[tuple[str, str]] | None = None
    of = ""
    for entry in piece.inputs:
        by_layer: dict[int, set[tuple[str, str]]] = {}
        for name in opened[entry.model].names:
            if match := LAYER.match(name):
                by_layer.setdefault(int(match["number"]), set()).add((match["before"], match["after"]))
        for number in range(*(entry.layers or (0, 0))):
            here, it = by_layer.get(number, set()), f"layer {number} of {entry.model}"
            if reference is None:
                reference, of = here, it
            for one, other, lacking in ((it, of, reference - here), (of, it, here - reference)):
                if lacking:
                    raise RengaError(f"{one} lacks the tensor {min(lacking)[1]}, which {other} has")
    return sorted(reference or set())


def _config(stage: Stage, opened: Mapping[str, Opened], parts: list[Part], whole: bool) -> dict[str, Any]:
    """The base's (or first model's) config, with the depth and format of the result."""
    model = opened[stage.base or stage.models()[0]]
    config = dict(model.checkpoint.config)
    layers = depth_of(part.name for part in parts)
    kinds = config.get("layer_types")
    if not whole:
        config.update({key: layers for key in _DEPTH_KEYS if key in config})
        if isinstance(kinds, list) and len(kinds) == model.layers:
            config["layer_types"] = [kind for piece in stage.slices for kind in _kinds(piece, opened, kinds)]
    if stage.dtype is not None:
        config.pop("torch_dtype", None)
        config["dtype"] = stage.dtype
    untied = not all(opened[name].tied for name in stage.models())
    if untied and any(part.name.endswith(HEAD) for part in parts):
        config["tie_word_embeddings"] = False
    return config


def _kinds(piece: Slice, opened: Mapping[str, Opened], default: list[Any]) -> list[Any]:
    """The kinds of layers (of attention, say) that a slice brings."""
    entry = piece.inputs[0]
    own = opened[entry.model].checkpoint.config.get("layer_types", default)
    return list(own[slice(*(entry.layers or (0, opened[entry.model].layers)))])
