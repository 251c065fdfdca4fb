"""`renga train-router`, `train-reward`, `train-scorer` and `train-ranker`: what plans learn from texts with
known answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renga.cli_options import DEFAULT_MODEL, Debug, ModelReference, tell
from renga.cli_plan import AdapterFolder, Lets, State

if TYPE_CHECKING:
    from renga.models.ensemble.router import Table
    from renga.models.example import Example

Texts = Annotated[Path, typer.Option("--data", metavar="FILE", help="JSONL with prompts and responses.")]
FEWEST_FOR_FOLDS = 10  # texts; with fewer a router is judged by those it was fitted to

Limit = Annotated[int, typer.Option(min=2, help="Only the first texts.")]


def add_to(app: typer.Typer) -> None:
    """Make the commands known."""
    app.command(name="train-router", epilog="Example: renga train-router edge host --data few.jsonl")(router)
    app.command(name="train-reward", epilog="Example: renga train-reward --data few.jsonl")(reward)
    app.command(name="train-scorer", epilog="Example: renga train-scorer edge --data few.jsonl")(scorer)
    app.command(name="train-ranker", epilog="Example: renga train-ranker --data few.jsonl")(ranker)


def router(
    members: Annotated[list[str], typer.Argument(metavar="NAME...")],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE", help="JSONL with prompts and responses.")
    ] = None,
    verdicts: Annotated[
        Path | None,
        typer.Option("--verdicts", metavar="QUEUE", help="Answers that people judged, from `renga review`."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")] = Path(
        "router.safetensors"
    ),
    share: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of prompts that may go to the last model."),
    ] = None,
    samples: Annotated[
        int,
        typer.Option(min=0, help="For two models: let each answer so often, learn who is as good as whom."),
    ] = 0,
    model: ModelReference = DEFAULT_MODEL,
    adapter: AdapterFolder = None,
    let: Lets = None,
    state: State = Path("client"),
    limit: Limit = 200,
    debug: Debug = False,
) -> None:
    """Train a router for route(NAME, ...) on what each model makes of texts with known answers.

    NAMEs are models as plans name them, in the order of the plan, the dearest last. A model's reward is the
    log-likelihood of the response per byte, of a judged answer that of what holds by the verdict. The router
    looks through the first model that is here. From ten texts on, how far it is held back, and the threshold
    of --share, are found on texts left out of its fitting.

    With --samples the label of a text is the share of pairs in which the first model's answer is as good as
    the last's, good being likeness to the response (chrF), and all texts serve for fitting and threshold.
    """
    import numpy as np

    from renga.cli_plan import names
    from renga.errors import UsageError
    from renga.models.cooperation.review import judged
    from renga.models.data import read_jsonl
    from renga.models.ensemble.features import prompt_features
    from renga.models.ensemble.measuring import measure
    from renga.models.ensemble.route import seeing
    from renga.models.ensemble.router import as_good_as, best_slack, fit_router, threshold_of
    from renga.models.ensemble.router_folds import fit_by_folds
    from renga.models.plans.build import build
    from renga.models.plans.language import Name

    if len(members) < 2:
        raise UsageError("a router chooses among at least two models")
    if samples and len(members) != 2:
        raise UsageError(
            "--samples compares two models", hint=f"renga train-router {members[0]} {members[-1]}"
        )
    _, known = names(members[0], model, adapter, let, state)
    if data is None and verdicts is None:
        raise UsageError("a router learns from texts, verdicts or both", hint="--data FILE, --verdicts QUEUE")
    examples = judged(verdicts) if verdicts is not None else []
    examples += [example for example in read_jsonl(data) if example.response] if data is not None else []
    examples = examples[:limit]
    if len(examples) < 2:
        raise UsageError(f"{data or verdicts} has fewer than two texts with responses")
    models = [build(Name(name), known) for name in members]
    rewards = []
    for name, each in zip(members, models, strict=True):
        tell(f"asking {name} about {len(examples)} texts")
        found = measure(
            each, examples, said=False, clearance="raw" if known[name].where == "here" else "public"
        )
        rewards.append(-found.bits / found.bytes.clip(1))
    table = np.stack(rewards, 1)
    features = prompt_features(seeing(models), [example.prompt for example in examples])
    domains = [example.domain for example in examples]
    labels = None
    if samples:
        tell(f"{samples} answers of each to each of {len(examples)} texts")
        small, large = (
            _likenesses(each, known[name].where == "here", examples, samples)
            for name, each in zip(members, models, strict=True)
        )
        labels = as_good_as(small, large, best_slack(small, large))
    groups = domains if all(domains) else None
    if labels is None and len(examples) >= FEWEST_FOR_FOLDS:
        by_folds = fit_by_folds(features, table, members, groups=groups)
        fitted, said = by_folds.router, by_folds.left_out
    else:
        fitted = fit_router(features, table, members, groups=groups, good_enough=labels)
        said = fitted.probabilities(features)
    if share is not None:
        fitted = replace(fitted, threshold=threshold_of(said[:, -1], share))
    fitted.save(out)
    picked = fitted.pick(features)
    counts = ", ".join(f"{name} {int((picked == i).sum())}" for i, name in enumerate(members))
    print(f"{out}  on these texts: {counts}")


def reward(
    data: Texts,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write them.")] = Path(
        "reward.safetensors"
    ),
    heads: Annotated[int, typer.Option(min=1, help="How many reward models.")] = 5,
    model: ModelReference = DEFAULT_MODEL,
    limit: Limit = 200,
    debug: Debug = False,
) -> None:
    """Fit reward heads for judge=reward(FILE, edge): the right response of a text against its other choices.

    Texts without choices are passed over.
    """
    from renga.loading import load
    from renga.models.ensemble.features import answer_features
    from renga.models.ensemble.reward import fit_heads

    pairs = _pairs(data, limit)
    loaded = load(model, None)
    tell(f"reading {len(pairs)} pairs of answers")
    better = answer_features(loaded, [(prompt, right) for prompt, right, _ in pairs])
    worse = answer_features(loaded, [(prompt, wrong) for prompt, _, wrong in pairs])
    fit_heads(better, worse, heads=heads).save(out)
    print(f"{out}  {heads} heads on {len(pairs)} pairs")


def ranker(
    data: Texts,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")] = Path(
        "ranker.safetensors"
    ),
    model: ModelReference = DEFAULT_MODEL,
    limit: Limit = 200,
    debug: Debug = False,
) -> None:
    """Fit a comparison of two answers for judge=ranked(FILE, edge): the right response of a text against its
    other choices, read in both orders.

    Texts without choices are passed over.
    """
    from renga.loading import load
    from renga.models.ensemble.ranking import differences, fit_ranker

    pairs = _pairs(data, limit)
    loaded = load(model, None)
    tell(f"reading {len(pairs)} pairs of answers in both orders")
    fit_ranker(differences(loaded, pairs)).save(out)
    print(f"{out}  {len(pairs)} pairs")


def scorer(
    member: Annotated[str, typer.Argument(metavar="NAME")],
    data: Texts,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")] = Path(
        "scorer.safetensors"
    ),
    model: ModelReference = DEFAULT_MODEL,
    adapter: AdapterFolder = None,
    let: Lets = None,
    state: State = Path("client"),
    limit: Limit = 200,
    debug: Debug = False,
) -> None:
    """Fit a judge of whether an answer is right, for cascade(NAME, host, judge=scored(FILE, edge)).

    NAME is a model as plans name it: it answers the texts, and the scorer learns which answers were right.
    """
    import numpy as np

    from renga.cli_plan import names
    from renga.errors import UsageError
    from renga.models.data import read_jsonl
    from renga.models.ensemble.features import answer_features
    from renga.models.ensemble.measuring import measure
    from renga.models.ensemble.route import seeing
    from renga.models.ensemble.scorer import fit_scorer
    from renga.models.plans.build import build
    from renga.models.plans.language import Name

    _, known = names(member, model, adapter, let, state)
    examples = [example for example in read_jsonl(data) if example.response][:limit]
    if len(examples) < 2:
        raise UsageError(f"{data} has fewer than two texts with responses")
    answering = build(Name(member), known)
    here = known[member].where == "here"
    tell(f"{member} answers {len(examples)} texts")
    found = measure(answering, examples, scored=False, clearance="raw" if here else "public")
    eye = seeing(answering if here else build(Name("edge"), known))
    pairs = [(example.prompt, text) for example, text in zip(examples, found.answers, strict=True)]
    fitted = fit_scorer(answer_features(eye, pairs), np.asarray(found.right))
    fitted.save(out)
    print(f"{out}  {int(found.right.sum())} of {len(examples)} answers were right")


def _pairs(data: Path, limit: int) -> list[tuple[str, str, str]]:
    """(prompt, right answer, wrong answer) of texts with choices. Raises UsageError if there are none."""
    from renga.errors import UsageError
    from renga.models.data import read_jsonl

    examples = [example for example in read_jsonl(data) if example.response and example.choices][:limit]
    pairs = [
        (e.prompt, e.response or "", other) for e in examples for other in e.choices if other != e.response
    ]
    if len(pairs) < 2:
        raise UsageError(
            f"{data} has no texts with choices, of which a right and a wrong answer could be had"
        )
    return pairs


def _likenesses(model: Any, here: bool, examples: Sequence[Example], samples: int) -> Table:
    """chrF of a model's sampled answers with the responses: [texts, samples]."""
    import numpy as np

    from renga.models.contract import Clearance, Prompt, Sampling
    from renga.models.ensemble.judges import chrf
    from renga.models.responders import answer_by

    clearance = Clearance.RAW if here else Clearance.PUBLIC
    rows = []
    for example in examples:
        right = example.response or ""
        longest = max(len(text.encode()) for text in (right, *example.choices)) + 4
        hows = [Sampling(temperature=0.8, max_tokens=longest, seed=seed) for seed in range(samples)]
        prompt = Prompt(example.prompt, clearance)
        rows.append([chrf(answer_by(model, prompt, how).strip(), right) for how in hows])
    return np.array(rows)
