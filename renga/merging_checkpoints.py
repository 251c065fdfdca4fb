"""`renga merge` for whole models and for recipes: from what was written on the command line to a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renga.errors import UsageError

if TYPE_CHECKING:
    from renga.server.merging.checkpoints.merge import How
    from renga.server.merging.checkpoints.recipe import Recipe

_TOML, _YAML = (".toml",), (".yml", ".yaml")


def is_recipe(name: str) -> bool:
    """Whether an input of `renga merge` is a recipe and not a model."""
    return name.endswith((*_TOML, *_YAML))


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file: TOML is ours, YAML mergekit's. Raises UsageError."""
    from renga.server.merging.checkpoints import recipe_mergekit, recipe_toml

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the recipe {path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the recipe {path} can't be read: it is no UTF-8 text") from error
    parse = recipe_toml.parse if path.suffix in _TOML else recipe_mergekit.parse
    return parse(text, str(path))


def of_command(
    models: Sequence[str],
    method: str,
    weights: Sequence[float] | None,
    base: str | None,
    options: Mapping[str, Any],
    *,
    dtype: str | None,
    tokenizer: str | None,
) -> Recipe:
    """The recipe that a command line amounts to."""
    from renga.server.merging.checkpoints.recipe import Recipe, of_models

    scope = options.get("scope", "method")
    if not isinstance(scope, str):
        raise UsageError(f"scope can't be {scope!r}", hint="one of tensor, model, method")
    rest = {key: value for key, value in options.items() if key != "scope"}
    stage = of_models(
        models,
        method,
        weights=weights,
        base=base,
        options=rest,
        dtype=dtype,
        scope=scope,
        tokenizer=tokenizer,
    )
    return Recipe((stage,), "")


def run(
    recipe: Recipe, out: Path, how: How, *, match: Path | None = None, vocabulary: str | None = None
) -> dict[str, Any]:
    """Merge, and give the record that the result carries.

    vocabulary: a model whose tokenizer all others get first; match: texts by which the neurons of all models
    are matched to the first one's, which may have other widths and depths.
    """
    _one_thread_each()
    from renga.server.merging.checkpoints.merge import merge

    if match is None and vocabulary is None:
        return merge(recipe, out, folder_of, how)
    from renga.merging_shapes import prepared

    with prepared(recipe, out, folder_of, match, vocabulary, how.tell) as (locate, told):
        record = merge(recipe, out, locate, how)
    from renga.server.merging.checkpoints import provenance

    record = {**record, "prepared": told}
    provenance.write(out, record, recipe.text)
    return record


def run_judged(recipe: Recipe, out: Path, how: How, data: Path, limit: int, **shapes: Any) -> dict[str, Any]:
    """`run`, and the scores of the recipe's models and of the result on the texts of a file."""
    from renga.merging_adapters import texts_of

    examples = texts_of(data, limit)  # what is wrong with them shows before the work
    record = run(recipe, out, how, **shapes)
    from renga.server.merging.checkpoints.judging import judged

    return judged(record, recipe, out, examples, how.tell)


def run_auto(
    models: Sequence[str],
    weights: Sequence[float] | None,
    base: str | None,
    out: Path,
    how: How,
    data: Path | None,
    limit: int,
    **settings: Any,
) -> dict[str, Any]:
    """Merge by several methods and keep what scores best on the texts, which also judge it."""
    from renga.merging_adapters import texts_of

    if data is None:
        raise UsageError("auto needs texts to judge by", hint="--eval FILE names them")
    examples = texts_of(data, limit)
    _one_thread_each()
    from renga.server.merging.checkpoints.judging import best_of, candidates, judged

    tries = [
        (name, of_command(models, method, weights, base if of_changes else None, options, **settings))
        for name, method, options, of_changes in candidates(len(models), base)
    ]
    record, recipe = best_of(tries, out, folder_of, how, examples)
    how.tell(f"kept: {record['chosen']}")
    return judged(record, recipe, out, examples, how.tell)


def folder_of(reference: str) -> Path:
    """The folder of a model reference; a GGUF or an embedded model is unpacked first."""
    path = Path(reference).expanduser()
    if path.is_dir():
        return path
    from renga.models.locate import locate, ready_folder

    return ready_folder(locate(reference), lambda line: print(line, file=sys.stderr))


def _one_thread_each() -> None:
    """The merge has threads of its own; a library's would only stand in their way."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
