"""A merge of whole models is judged, not believed: inputs and result scored on texts, and the method that
scores best.

Models are loaded one after the other, so memory holds one. This is the one part of merging checkpoints that
needs torch, and whoever asks for no scores doesn't import it.
"""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from renga.errors import UsageError
from renga.models.evaluation import evaluate
from renga.models.example import Example
from renga.models.local import LocalModel
from renga.models.weights import SharedWeights
from renga.server.merging.checkpoints import provenance
from renga.server.merging.checkpoints.draft import refuse_existing
from renga.server.merging.checkpoints.merge import How, merge
from renga.server.merging.checkpoints.recipe import Recipe

Scores = dict[str, Any]
Tell = Callable[[str], None]

_NOTES = "scores.json"

# What "auto" tries: name, method, options; those of the second kind merge changes of a base. Of equals the
# first is kept. "inputs" stands for their number: the sum of the changes.
PLAIN: Sequence[tuple[str, str, Mapping[str, Any]]] = (("linear", "linear", {}), ("slerp", "slerp", {}))
OF_CHANGES: Sequence[tuple[str, str, Mapping[str, Any]]] = (
    ("sum of changes", "task_arithmetic", {"scale": "inputs"}),
    ("ties", "ties", {"density": 0.3}),
    ("dare_ties", "dare_ties", {"density": 0.5}),
    ("breadcrumbs", "breadcrumbs", {"density": 0.5}),
    ("model_stock", "model_stock", {}),
    ("consensus", "consensus", {}),
)


def score(reference: str, examples: Sequence[Example], *, accuracy: bool = True) -> Scores:
    """Bits per byte and accuracy of a model, a folder or a name."""
    found = evaluate(LocalModel(SharedWeights.load(reference)), examples, accuracy=accuracy)
    gc.collect()  # a model's modules hold each other
    return found.as_dict()


def candidates(inputs: int, base: str | None) -> list[tuple[str, str, dict[str, Any], bool]]:
    """What there is to try for so many models: name, method, options, and whether changes are merged."""
    plain = [entry for entry in PLAIN if entry[1] != "slerp" or inputs == 2]
    changes = OF_CHANGES if base is not None else ()
    return [
        (name, method, {k: float(inputs) if v == "inputs" else v for k, v in options.items()}, of_changes)
        for some, of_changes in ((plain, False), (changes, True))
        for name, method, options in some
    ]


def judged(
    record: Mapping[str, Any], recipe: Recipe, target: Path, examples: Sequence[Example], tell: Tell
) -> dict[str, Any]:
    """The record of a merge with the scores of its models and of the result, also written beside it."""
    made = {stage.name for stage in recipe.stages}
    models = dict.fromkeys(m for stage in recipe.stages for m in stage.models() if m not in made)
    scores: dict[str, Scores] = {}
    for name, reference in {**{model: model for model in models}, "merged": str(target)}.items():
        scores[name] = score(reference, examples)
        tell(f"{name}: {scores[name]['bits_per_byte']:.4f} bits per byte")
    told = {**record, "texts": len(examples), "scores": scores}
    provenance.write(target, told, recipe.text)
    return told


def best_of(
    tries: Sequence[tuple[str, Recipe]],
    target: Path,
    locate: Callable[[str], Path],
    how: How,
    examples: Sequence[Example],
) -> tuple[dict[str, Any], Recipe]:
    """Merge by every recipe and keep, under the target's name, what scores best in bits per byte.

    Only the best so far is on the disk, in `.NAME.tries` beside the target; `resume` goes on there. The
    scores chose it, so on the same texts they flatter: new texts tell what it is worth.
    """
    refuse_existing(target, resume=how.resume)
    place = target.parent / f".{target.name}.tries"
    asked = hashlib.sha256(repr([tries, how.seed, how.largest, examples]).encode()).hexdigest()
    scores = _begun(place, asked, target, how)
    for name, recipe in tries:
        if name not in scores:
            if not (place / name).exists():
                merge(recipe, place / name, locate, how)
            scores[name] = score(str(place / name), examples, accuracy=False)
            _note(place, asked, scores)
            how.tell(f"{name:14} {scores[name]['bits_per_byte']:.4f} bits per byte")
        best = min(scores, key=lambda tried: scores[tried]["bits_per_byte"])
        for other in scores:
            if other != best and (place / other).exists():
                shutil.rmtree(place / other)
    record = json.loads((place / best / provenance.PROVENANCE).read_text("utf-8"))
    (place / best).rename(target)
    shutil.rmtree(place)
    return {**record, "chosen": best, "tried": scores}, dict(tries)[best]


def _begun(place: Path, asked: str, target: Path, how: How) -> dict[str, Scores]:
    """What was scored before an interruption; an empty folder otherwise."""
    if not place.exists():
        place.mkdir(parents=True)
        _note(place, asked, {})
    elif not how.resume:
        raise UsageError(
            f"a merge into {target} was interrupted", hint=f"go on with --resume, or remove {place}"
        )
    notes = json.loads((place / _NOTES).read_text("utf-8"))
    if notes["asked"] != asked:
        raise UsageError(
            f"{place} was left by another merge: other inputs, options or texts",
            hint="repeat the interrupted command as it was, or remove that folder",
        )
    found: dict[str, Scores] = notes["scores"]
    return found


def _note(place: Path, asked: str, scores: Mapping[str, Scores]) -> None:
    new = place / f"{_NOTES}.new"
    new.write_text(json.dumps({"asked": asked, "scores": scores}), encoding="utf-8")
    new.replace(place / _NOTES)
