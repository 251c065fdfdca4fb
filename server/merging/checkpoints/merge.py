"""Merging checkpoints: a recipe in, a model's folder out.

    merge(recipe, Path("merged"), locate=Path)

Whatever can be wrong is found before anything is written: every stage is planned first, later stages on what
earlier ones will make. Models of stages before the last lie beside the target until it is whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from renga.errors import UsageError
from renga.server.merging.checkpoints import provenance
from renga.server.merging.checkpoints.carried import carry, check_vocabularies
from renga.server.merging.checkpoints.draft import Draft, opened_draft, refuse_existing
from renga.server.merging.checkpoints.files import CONFIG, Checkpoint, Tensor, open_checkpoint
from renga.server.merging.checkpoints.inspection import fingerprint
from renga.server.merging.checkpoints.opened import Opened
from renga.server.merging.checkpoints.parts import Part
from renga.server.merging.checkpoints.planning import Planned, plan
from renga.server.merging.checkpoints.realigned import Realigned, realigned
from renga.server.merging.checkpoints.recipe import UNION, Recipe, Stage
from renga.server.merging.checkpoints.shards import INDEX, index, lay_out
from renga.server.merging.checkpoints.streamed import cores, merge_parts
from renga.server.merging.device import chosen as chosen_device

_LARGEST = 5 * 10**9  # bytes of a file


@dataclass(frozen=True)
class How:
    """What decides how a merge runs, and (but for `seed`, `largest` and `device`) no byte of its result."""

    seed: int = 0
    largest: int = _LARGEST
    threads: int = 0  # 0: all cores
    resume: bool = False
    tick: Callable[[str, int, int], None] = lambda stage, done, total: None
    tell: Callable[[str], None] = lambda line: None
    device: str = "cpu"  # or auto, cuda, cuda:N; another one rounds its sums in another way


def merge(
    recipe: Recipe, target: Path, locate: Callable[[str], Path], how: How | None = None
) -> dict[str, Any]:
    """Run a recipe; the record that also lies in the result as `provenance.json`.

    `locate` leads from a model's reference to its folder. Raises UsageError and RengaError, of one line that
    names the model, the file or the tensor; before anything is written, but for a disk that fills up and for
    values that a chosen format can't hold.
    """
    how = how or How()
    _check_names(recipe)
    chosen_device(how.device)
    refuse_existing(target, resume=how.resume)
    opened = _open(recipe, locate, how)
    _rehearse(recipe, opened, how)
    held = target.parent / f".{target.name}.stages"
    records: list[dict[str, Any]] = []
    for stage in recipe.stages[:-1]:
        records.append(_record(stage, opened))
        place = held / stage.name.replace("/", "_")
        if not (how.resume and place.exists()):
            _run(stage, opened, place, how, {"stages": records}, "")
        made = open_checkpoint(place, stage.name)
        opened[stage.name] = Opened(made, fingerprint(made, how.threads or cores()))
    last = recipe.stages[-1]
    records.append(_record(last, opened))
    record = {"renga": provenance.renga_version(), "seed": how.seed, "stages": records}
    _run(last, opened, target, how, record, recipe.text)
    if held.exists():
        shutil.rmtree(held)
    return record


def _check_names(recipe: Recipe) -> None:
    for number, stage in enumerate(recipe.stages):
        later = {other.name for other in recipe.stages[number:]}
        if used := [model for model in stage.models() if model in later and model != ""]:
            raise UsageError(f"stage {stage.name!r} uses {used[0]!r}, which isn't made before it")


def _open(recipe: Recipe, locate: Callable[[str], Path], how: How) -> dict[str, Opened]:
    """All models of the recipe that are not stages, read through once."""
    made = {stage.name for stage in recipe.stages}
    named = dict.fromkeys(
        model
        for stage in recipe.stages
        for model in [*stage.models(), *([stage.tokenizer] if stage.tokenizer not in (None, UNION) else [])]
        if model is not None and model not in made
    )
    checkpoints = {model: open_checkpoint(locate(model), model) for model in named}
    return {
        name: Opened(each, fingerprint(each, how.threads or cores())) for name, each in checkpoints.items()
    }


def _rehearse(recipe: Recipe, opened: Mapping[str, Opened], how: How) -> None:
    """Plan every stage on what will be there by then, so that a late stage's mistake shows now."""
    there = dict(opened)
    for stage in recipe.stages:
        brought = realigned(stage, there, Path("rows"))
        if brought is None:
            check_vocabularies(
                {model: there[model].checkpoint for model in stage.models()},
                by_number=stage.by_number,
                tell=how.tell,
            )
        elif brought.union is not None and stage is not recipe.stages[-1]:
            raise UsageError("a union of tokenizers must be the last stage", hint="merge in two commands")
        else:
            how.tell(f"rows of the embedding follow their tokens, {brought.rows} of them")
        planned = _planned(stage, there, brought)
        there[stage.name] = Opened(_promised(stage, planned), f"stage {stage.name}")


def _planned(stage: Stage, opened: Mapping[str, Opened], brought: Realigned | None) -> Planned:
    """The plan, on models brought to one tokenizer where that is needed."""
    if brought is None:
        known = opened if stage.tokenizer != UNION else {**opened, UNION: opened[stage.models()[0]]}
        return plan(stage, known)
    planned = plan(stage, {**opened, **brought.opened()})
    return replace(planned, config=brought.config(planned.config))


def _promised(stage: Stage, planned: Planned) -> Checkpoint:
    """The checkpoint that a stage will make: shapes and formats, and no numbers yet."""
    nowhere = planned.donor.folder / f"{stage.name} isn't made yet"
    tensors: dict[str, Tensor] = {}
    for part in planned.parts:
        kept = part.sources[0].checkpoint.tensors[part.sources[0].name] if part.method is None else None
        same = kept if kept is not None and kept.dtype == part.dtype else None
        tensors[part.name] = (
            replace(same, name=part.name)
            if same is not None
            else Tensor(part.name, part.dtype, part.shape, nowhere, 0, 0)
        )
    return Checkpoint(stage.name, planned.donor.folder, planned.config, tensors)


def _run(
    stage: Stage, opened: Mapping[str, Opened], target: Path, how: How, record: Mapping[str, Any], recipe: str
) -> None:
    """One stage, from its plan to the folder under its name."""
    brought = realigned(stage, opened, target.parent / f".{target.name}.rows")
    planned = _planned(stage, opened, brought)
    shards = lay_out(planned.parts, how.largest)
    total = sum(shard.size - len(shard.header) for shard in shards)
    done = 0

    def tick(size: int) -> None:
        nonlocal done
        done += size
        how.tick(stage.name, done, total)

    with (
        opened_draft(target, shards, _digest(planned.parts, how), resume=how.resume) as draft,
        brought.written() if brought is not None else nullcontext(),
    ):
        merge_parts(
            planned.parts,
            draft,
            seed=how.seed,
            threads=how.threads or cores(),
            tick=tick,
            device=chosen_device(how.device),
        )
        _finish(draft, planned, record, recipe)
        draft.publish(target)


def _finish(draft: Draft, planned: Planned, record: Mapping[str, Any], recipe: str) -> None:
    """All that lies beside the weights."""
    carry(planned.donor, draft.folder)
    _write_json(draft.folder / CONFIG, planned.config)
    if len(draft.shards) > 1:
        _write_json(draft.folder / INDEX, index(draft.shards))
    if "seed" in record:  # a stage on the way is nobody's model
        provenance.write(draft.folder, record, recipe)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _digest(parts: list[Part], how: How) -> str:
    """What identifies a merge: an interrupted one is gone on with only if it is the same."""
    facts = [provenance.renga_version(), how.seed, how.largest, [part.facts() for part in parts]]
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()


def _record(stage: Stage, opened: Mapping[str, Opened]) -> dict[str, Any]:
    """A stage as provenance tells it."""
    return {
        "name": stage.name,
        "method": stage.method,
        "base": {"model": stage.base, "fingerprint": opened[stage.base].fingerprint} if stage.base else None,
        "inputs": [
            {
                "model": entry.model,
                "fingerprint": opened[entry.model].fingerprint,
                "settings": {**piece.settings, **entry.settings},
                **({"layers": list(entry.layers)} if entry.layers else {}),
            }
            for piece in stage.slices
            for entry in piece.inputs
        ],
        "options": dict(stage.settings) | ({"dtype": stage.dtype} if stage.dtype else {}),
        "scope": stage.scope,
        "tokenizer": stage.tokenizer,
    }
