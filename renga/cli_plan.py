"""`renga plan`: what a collaboration of models would do, and what it can be made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renga.cli_options import DEFAULT_MODEL, AsJson, Debug, ModelReference, print_json

if TYPE_CHECKING:
    from renga.models.plans.build import Leaf
    from renga.models.plans.language import Call, PlanText

plan = typer.Typer(
    suggest_commands=False,
    rich_markup_mode=None,
    help="Collaborations of models, written down (docs/plans.md).",
)

PlanText_ = Annotated[str, typer.Argument(metavar="PLAN")]
Lets = Annotated[
    list[str] | None,
    typer.Option(
        "--let", metavar="NAME=REF[@ADAPTER]", help="What a name in the plan stands for; repeatable."
    ),
]
State = Annotated[Path, typer.Option("--state", metavar="DIR", help="The client's state folder.")]
AdapterFolder = Annotated[
    Path | None, typer.Option("--adapter", metavar="DIR", help="A LoRA adapter for the model `edge`.")
]


def names(
    text: str, model: str, adapter: Path | None, lets: list[str] | None, state: Path
) -> tuple[PlanText, dict[str, Leaf]]:
    """A plan, and what its names stand for."""
    from renga.loading import load
    from renga.models.plans.language import read_plan
    from renga.planning import names_of

    read = read_plan(text)
    return read, names_of(read, load, edge=model, adapter=adapter, lets=lets or [], state=state)


@plan.command(epilog="Example: renga plan check \"speculate(edge, fuse(host, edge, align='union'))\"")
def check(
    text: PlanText_,
    model: ModelReference = DEFAULT_MODEL,
    adapter: AdapterFolder = None,
    let: Lets = None,
    state: State = Path("client"),
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Say what a plan does: its parts, where each runs, what crosses the network, and whether it is lossless.

    PLAN is an expression or a TOML file. `edge` is --model, `host` the federation's, or the embedded one
    where no client has joined.
    """
    from renga.models.plans.report import report

    read, known = names(text, model, adapter, let, state)
    said = report(read.root, known)
    if as_json:
        print_json(said.as_dict())
        return
    print("\n".join(said.lines))
    for edge in said.edges:
        print(
            f"crosses: {edge.name} ({edge.where}): {edge.travels}, {edge.journeys}; "
            f"{edge.up} B up and {edge.down:,} B down for each"
        )
    if not said.edges:
        print("crosses: nothing, all of it is here")
    print(f"lossless: {'yes, it says what ' + said.lossless + ' alone says' if said.lossless else 'no'}")
    for note in said.notes:
        print(f"note: {note}")


@plan.command(name="list", epilog="Example: renga plan list")
def list_strategies(as_json: AsJson = False, debug: Debug = False) -> None:
    """Show the strategies that a plan can be made of."""
    from renga.errors import RengaError
    from renga.models.plans.build import usage
    from renga.models.plans.strategies import gives, strategies

    rows: list[dict[str, Any]] = []
    for name, found in sorted(strategies().items()):
        try:
            row = {"name": name, "gives": gives(found), "usage": usage(found), "summary": found.summary}
        except RengaError as error:  # another package's, which is broken
            row = {"name": name, "gives": "–", "usage": name, "summary": error.message}
        rows.append(row)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['usage']}\n    {row['gives']}: {row['summary']}")


@plan.command(epilog="Example: renga plan fit 'fuse(edge, host, align=\"string\")' --data few.jsonl")
def fit(
    text: PlanText_,
    data: Annotated[Path, typer.Option("--data", metavar="FILE", help="JSONL with prompts and responses.")],
    model: ModelReference = DEFAULT_MODEL,
    adapter: AdapterFolder = None,
    let: Lets = None,
    state: State = Path("client"),
    share: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="For a cascade: share of texts that may go to the last model."),
    ] = 0.5,
    limit: Annotated[int, typer.Option(min=1, help="Only the first texts.")] = 64,
    debug: Debug = False,
) -> None:
    """Fit the weights (or with rule="defer" the gate) of a fuse, or the thresholds of a cascade, to a few
    texts, and print the plan with them.

    PLAN is a fuse of models by name, or a cascade of whatever answers.
    """
    from renga.errors import UsageError
    from renga.models.data import read_jsonl
    from renga.models.ensemble.fitting import fit_gate, fit_weights
    from renga.models.plans.build import build
    from renga.models.plans.language import Call, written

    read, known = names(text, model, adapter, let, state)
    root = read.root
    if not isinstance(root, Call) or root.strategy not in ("fuse", "cascade"):
        raise UsageError("what is fitted is a fuse or a cascade", hint="renga plan fit 'fuse(edge, host)'")
    if root.strategy == "cascade":
        _fit_cascade(root, known, data, limit, share)
        return
    gate = root.options.get("rule") == "defer"
    plain = {key: value for key, value in root.options.items() if not (gate and key == "rule")}
    build(Call("fuse", root.operands, plain), known)  # what is wrong with it is said before anything is read
    examples = [example for example in read_jsonl(data) if example.response][:limit]
    made: dict[str, Any] = {}
    models = [made.setdefault(operand.name, known[operand.name].open()) for operand in root.operands]
    if gate:
        options = {**root.options, "gate": fit_gate(models, examples)}
    else:
        rule = str(root.options.get("rule", "mean"))
        fitted = fit_weights(models, examples, rule=rule)
        options = {**root.options, "weights": [round(weight, 4) for weight in fitted]}
    print(written(Call("fuse", root.operands, options)))


def _fit_cascade(root: Call, known: dict[str, Leaf], data: Path, limit: int, share: float) -> None:
    from renga.errors import UsageError
    from renga.models.contract import Clearance
    from renga.models.data import read_jsonl
    from renga.models.ensemble.cascade import fit_cascade
    from renga.models.plans.build import build
    from renga.models.plans.language import Call, written
    from renga.models.plans.report import report

    leaves = bool(report(root, known).edges)
    made = build(root, known)
    examples = [example for example in read_jsonl(data) if example.response][:limit]
    if not examples:
        raise UsageError(f"{data} has no texts with responses to fit thresholds to")
    found = fit_cascade(made, examples, share, Clearance.PUBLIC if leaves else Clearance.RAW)
    accept = [max(-1e9, min(1e9, round(value, 4))) for value in found]  # a plan knows no infinity
    print(written(Call("cascade", root.operands, {**root.options, "accept": accept})))


@plan.command(epilog="Example: renga plan feedback router.bandit --good")
def feedback(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    good: Annotated[
        bool | None, typer.Option("--good/--bad", help="Whether the last answer was right.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Tell a bandit what became of the last answer that route(..., router="bandit:FILE") gave.

    FILE is the bandit's memory. It learns whom to ask from that.
    """
    from renga.errors import UsageError
    from renga.models.ensemble.bandit import Bandit

    if not file.exists():
        raise UsageError(f"there is no bandit in {file}", hint='route(…, router="bandit:FILE") makes one')
    if good is None:
        raise UsageError("was the answer right?", hint="--good or --bad")
    name = Bandit.open(file, []).feedback(1.0 if good else 0.0)
    print(f"{name} {'was right' if good else 'was not'}")
