"""`renga merge --match` and `--vocabulary`: models of other shapes, made ready for a merge."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renga.errors import UsageError

if TYPE_CHECKING:
    from renga.server.merging.checkpoints.recipe import Recipe

Locate = Callable[[str], Path]


@contextmanager
def prepared(
    recipe: Recipe,
    out: Path,
    locate: Locate,
    match: Path | None,
    vocabulary: str | None,
    tell: Callable[[str], None],
) -> Iterator[tuple[Locate, dict[str, Any]]]:
    """Where the recipe's models lie once they fit each other, and what was done to them, by model.

    They lie beside the target, in `.NAME.shapes`, until the merge is done. Raises UsageError and RengaError
    as `server.merging.shapes.folders` does, before the target is begun.
    """
    from renga.merging_adapters import texts_of
    from renga.server.merging.checkpoints.draft import refuse_existing
    from renga.server.merging.shapes.folders import in_shape_of, with_vocabulary

    if len(recipe.stages) > 1:
        raise UsageError("models of other shapes merge in one stage", hint="merge them first, on their own")
    refuse_existing(out, resume=True)
    texts = texts_of(match, 0) if match is not None else []
    models = list(dict.fromkeys(recipe.stages[0].models()))
    place = out.parent / f".{out.name}.shapes"
    shutil.rmtree(place, ignore_errors=True)
    at, told = {model: locate(model) for model in models}, dict[str, Any]()
    try:
        if vocabulary is not None:
            donor = locate(vocabulary)
            for number, model in enumerate(models):
                if at[model] != donor:
                    tell(f"{model} gets the tokenizer of {vocabulary}")
                    common = with_vocabulary(at[model], donor, place / f"words{number}")
                    at[model], told[model] = (
                        place / f"words{number}",
                        {"vocabulary": vocabulary, "shared": common},
                    )
        for number, model in enumerate(models[1:] if texts else []):
            tell(f"matching {model} to {models[0]}")
            likeness = in_shape_of(at[models[0]], at[model], texts, place / f"shape{number}")
            at[model] = place / f"shape{number}"
            told[model] = {**told.get(model, {}), "matched to": models[0], "likeness": round(likeness, 4)}
        yield at.__getitem__, told
    finally:
        shutil.rmtree(place, ignore_errors=True)
