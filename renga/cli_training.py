"""`renga train-router` and `renga train-reward`: what plans learn from texts with known answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from renga.cli_options import DEFAULT_MODEL, Debug, ModelReference, tell
from renga.cli_plan import AdapterFolder, Lets, State

Texts = Annotated[Path, typer.Option("--data", metavar="FILE", help="JSONL with prompts and responses.")]
Limit = Annotated[int, typer.Option(min=2, help="Only the first texts.")]


def add_to(app: typer.Typer) -> None:
    """Make the commands known."""
    app.command(name="train-router", epilog="Example: renga train-router edge host --data few.jsonl")(router)
    app.command(name="train-reward", epilog="Example: renga train-reward --data few.jsonl")(reward)


def router(
    members: Annotated[list[str], typer.Argument(metavar="NAME...")],
    data: Texts,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")] = Path(
        "router.safetensors"
    ),
    share: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of prompts that may go to the last model."),
    ] = None,
    model: ModelReference = DEFAULT_MODEL,
    adapter: AdapterFolder = None,
    let: Lets = None,
    state: State = Path("client"),
    limit: Limit = 200,
    debug: Debug = False,
) -> None:
    """Train a router for route(NAME, ...) on what each model makes of texts with known answers.

    NAMEs are models as plans name them, in the order of the plan, the dearest last. A model's reward is the
    log-likelihood of the response per byte. The router looks through the first model that is here.
    """
    import numpy as np

    from renga.cli_plan import names
    from renga.errors import UsageError
    from renga.models.data import read_jsonl
    from renga.models.ensemble.features import prompt_features
    from renga.models.ensemble.measuring import measure
    from renga.models.ensemble.route import seeing
    from renga.models.ensemble.router import fit_router
    from renga.models.plans.build import build
    from renga.models.plans.language import Name

    if len(members) < 2:
        raise UsageError("a router chooses among at least two models")
    _, known = names(members[0], model, adapter, let, state)
    examples = [example for example in read_jsonl(data) if example.response][:limit]
    if len(examples) < 2:
        raise UsageError(f"{data} has fewer than two texts with responses")
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
    fitted = fit_router(features, table, members, groups=domains if all(domains) else None)
    if share is not None:
        fitted = fitted.calibrated(features, share)
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
    from renga.cli import load
    from renga.errors import UsageError
    from renga.models.data import read_jsonl
    from renga.models.ensemble.features import answer_features
    from renga.models.ensemble.reward import fit_heads

    examples = [example for example in read_jsonl(data) if example.response and example.choices][:limit]
    pairs = [
        (e.prompt, e.response or "", other) for e in examples for other in e.choices if other != e.response
    ]
    if len(pairs) < 2:
        raise UsageError(
            f"{data} has no texts with choices, of which a right and a wrong answer could be had"
        )
    loaded = load(model, None)
    tell(f"reading {len(pairs)} pairs of answers")
    better = answer_features(loaded, [(prompt, right) for prompt, right, _ in pairs])
    worse = answer_features(loaded, [(prompt, wrong) for prompt, _, wrong in pairs])
    fit_heads(better, worse, heads=heads).save(out)
    print(f"{out}  {heads} heads on {len(pairs)} pairs")
