"""`renga merge` for adapters: from what was written on the command line to a folder that PEFT loads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from renga.errors import UsageError

Tell = Callable[[str], None]

# Arguments of `merge` itself that `--set` may give.
_SETTINGS = ("scale", "normalise", "alpha")

# Methods that try merges out: "auto" on the texts of --eval, the others on those of --texts.
SEARCHED = {
    "auto": "the best of several methods, by their score",
    "greedy": "the mean of those that make it better (arXiv:2203.05482)",
    "cmaes": "coefficients searched for by CMA-ES (as LoraHub, arXiv:2307.13269)",
    "bayes": "coefficients searched for by Bayesian optimisation",
}


def are_adapters(inputs: Sequence[str]) -> bool:
    """Whether the inputs of `renga merge` are adapters; UsageError where some are and others aren't."""
    found = [(Path(name) / "adapter_config.json").is_file() for name in inputs]
    if any(found) and not all(found):
        other = inputs[found.index(False)]
        raise UsageError(f"{other} is no adapter, and others are", hint="adapters merge with adapters")
    return all(found)


def run(
    inputs: Sequence[str],
    out: Path,
    *,
    method: str,
    weights: Sequence[Any] | None,
    options: Mapping[str, Any],
    rank: int | None,
    energy: float | None,
    only: Sequence[str],
    rules: Mapping[str, Sequence[Any]],
    seed: int,
    threads: int | None,
    data: Path | None,
    texts: Sequence[Path] = (),
    surgery: Sequence[Path] = (),
    model: str | None,
    limit: int,
    tell: Tell,
) -> dict[str, Any]:
    """Merge adapter folders into `out`; give the record that is written beside the result.

    With `data` the inputs and the result are scored on its texts, with the model that the adapters name or
    `model`. The method "auto" tries several and keeps what scores best there. Methods that look at texts are
    given `texts`: a file for each adapter, or one for all. `surgery`: a file of texts for each adapter, by
    which the merge is mended for its task (`server.merging.surgery`), in the folder `surgery` of `out`.
    """
    if out.exists():
        raise UsageError(f"{out} exists already", hint="name a new folder")
    if surgery and len(surgery) != len(inputs):
        raise UsageError(
            f"{len(inputs)} adapters but {len(surgery)} files for --surgery",
            hint="one for each, with texts of its task",
        )
    if method == "fold":
        if data is not None or texts or surgery or only or rules:
            raise UsageError("fold takes weights, --rank and --set room=N alone")
        return _folded(inputs, out, weights, options, rank, threads)
    if method == "auto" and data is None:
        raise UsageError("auto needs texts to judge by", hint="--eval FILE names them")
    from renga.server.merging import folders
    from renga.server.merging.adapters import found_method, merge

    about = SEARCHED.get(method) or found_method(method).about
    needs = "texts" if method in SEARCHED and method != "auto" else ""
    needs = needs or ("" if method == "auto" else found_method(method).needs)
    if bool(needs) != bool(texts):
        hint = "--texts FILE names them" if needs else "it merges without looking at any"
        raise UsageError(f"{method} {'needs texts' if needs else 'takes no texts'}", hint=hint)
    examples = texts_of(data, limit) if data is not None else []
    shown = [texts_of(path, limit) for path in texts]
    tasks = [texts_of(path, limit) for path in surgery]
    sources = folders.read([Path(name) for name in inputs])
    adapters = [source.adapter for source in sources]
    settings = {key: value for key, value in options.items() if key in _SETTINGS}
    own = {key: value for key, value in options.items() if key not in _SETTINGS}
    whole: dict[str, Any] = {"rank": rank, "energy": energy, "only": only, "rules": rules}
    whole |= {"seed": seed, "threads": threads, **settings}
    judge = None
    tried: dict[str, Any] = {}
    if data is not None or texts or surgery:
        reference = model or next((source.base_name for source in sources if source.base_name), "")
        if not reference:
            raise UsageError("the adapters don't name their base model", hint="--base names it")
        from renga.models.weights import SharedWeights
        from renga.server.merging.judging import Judge

        tell(f"loading {reference}")
        judge = Judge(SharedWeights.load(reference), examples)
        adapters = [judge.fitting(adapter) for adapter in adapters]  # what doesn't fit shows before the work
    if method in SEARCHED:
        from renga.server.merging.judging import chosen_by_score

        assert judge is not None
        together = examples if method == "auto" else [example for one in shown for example in one]
        found = chosen_by_score(method, adapters, weights, judge.on(together), own, whole, tell)
        merged, own, tried = found.merged, {**own, **found.options}, found.tried
        tell(f"kept: {found.options}")
    else:
        if needs:
            from renga.server.merging.judging import looked_at

            assert judge is not None
            own |= looked_at(method, judge.weights, adapters, shown, own, seed, tell)
        merged = merge(adapters, method, weights, **whole, **own)
        own = {key: value for key, value in own.items() if key not in ("statistics", "learning")}
    mended = _mended(judge, merged.adapter, sources, tasks, seed, tell) if judge is not None else {}
    scores = None
    if judge is not None and data is not None:
        models: dict[str, Any] = {"base": judge(None).as_dict()}
        for source in sources:
            models[source.name] = judge(source.adapter).as_dict()
        models["merged"] = judge(merged.adapter).as_dict()
        for name, done in mended.items():
            with done.on(judge.weights):
                models[f"merged, mended for {name}"] = judge(merged.adapter).as_dict()
        scores = {"data": data.name, "texts": len(examples), "models": models}
        if tried:
            scores["tried"] = {name: score.as_dict() for name, score in tried.items()}
    told = {
        key: value for key, value in whole.items() if key != "threads" and value not in (None, [], (), {})
    }
    asked = {
        "method": method,
        "about": about,
        "weights": list(weights) if weights is not None else None,
        "options": {**own, **told},
    }
    if mended:
        asked["surgery"] = {name: {"before": d.before, "after": d.after} for name, d in mended.items()}
    record = folders.write(merged, out, sources, asked, scores)
    for name, done in mended.items():
        done.save(out / "surgery" / f"{name}.safetensors")
    return record


def _mended(
    judge: Any, merged: Any, sources: Sequence[Any], tasks: Sequence[Any], seed: int, tell: Tell
) -> dict[str, Any]:
    """The surgery of each adapter's task, by the adapter's name."""
    found = {}
    for place, (source, texts) in enumerate(zip(sources, tasks, strict=True) if tasks else ()):
        from renga.server.merging.surgery import operated

        name = (
            source.name if [s.name for s in sources].count(source.name) == 1 else f"{source.name}-{place + 1}"
        )
        tuned = judge.fitting(source.adapter)
        done = found[name] = operated(judge.weights, judge.fitting(merged), tuned, texts, seed=seed)
        tell(f"mended for {name}: the states were {done.before:.4g} off, and are {done.after:.4g}")
    return found


def _folded(
    inputs: Sequence[str],
    out: Path,
    weights: Sequence[Any] | None,
    options: Mapping[str, Any],
    rank: int | None,
    threads: int | None,
) -> dict[str, Any]:
    """The average, one adapter in memory at a time; its error is a bound (`server.merging.folding`)."""
    from dataclasses import replace

    from renga.server.merging import folders
    from renga.server.merging.folding import Fold

    room = options.get("room", 64)
    if set(options) - {"room"} or not isinstance(room, int) or isinstance(room, bool):
        raise UsageError("fold has the option room, a number of directions", hint="--set room=64")
    if weights is not None and len(weights) != len(inputs):
        raise UsageError(f"{len(inputs)} adapters but {len(weights)} weights", hint="one for each")
    fold, sources = Fold(room, threads=threads), []
    for name, weight in zip(inputs, weights or [1.0] * len(inputs), strict=True):
        source = folders.read_one(Path(name))
        if not isinstance(weight, int | float):
            raise UsageError("fold takes no gradients over the depth", hint="one number for each adapter")
        fold.add(source.adapter, float(weight))
        sources.append(replace(source, adapter=replace(source.adapter, factors={})))
        folders.check_bases(sources)
    about = f"the mean, folded one by one in room for {room} directions; its error is a bound"
    asked = {"method": "fold", "about": about, "weights": list(weights) if weights else None}
    return folders.write(fold.result(rank), out, sources, {**asked, "options": {"room": room}})


def lines(record: Mapping[str, Any], out: Path) -> list[str]:
    """What a person is told of a merge."""
    result = record["result"]
    told = [f"{record['method']} of {len(record['inputs'])} adapters: {record['about']}"]
    told.append(f"rank {result['rank']}, error of that rank {100 * result['error']:.3g} %")
    if scores := record.get("scores"):
        told += score_lines(scores["models"])
    return [*told, str(out)]


def score_lines(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each model that was scored."""
    width = max(map(len, scores))
    return [
        f"{name:{width}}  {s['bits_per_byte']:.4f} bits per byte"
        + ("" if s["accuracy"] is None else f"  accuracy {s['accuracy']:.1%}")
        for name, s in scores.items()
    ]


def texts_of(path: Path, limit: int) -> list[Any]:
    """The texts of a file that have a response; UsageError where there are none."""
    from renga.models.data import read_jsonl

    found = [example for example in read_jsonl(path) if example.response is not None]
    if not found:
        raise UsageError(f"{path}: no text has a response", hint="a merge is judged by responses")
    return found[: limit or None]
