"""`renga eval`: what a model, or several together, make of a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from renga.cli_ask import PlanOption
from renga.cli_options import (
    DEFAULT_MODEL,
    AdapterFolder,
    AsJson,
    Debug,
    ModelReference,
    print_json,
    said,
)
from renga.cli_plan import Lets

if TYPE_CHECKING:
    from rich.progress import Progress


def add_to(app: typer.Typer) -> None:
    """The command, in the program's list."""
    epilog = "Example: renga eval --model gemma-3-270m --data held_out.jsonl --json"
    app.command(name="eval", epilog=epilog)(evaluate)


def evaluate(
    data: Annotated[Path, typer.Option("--data", metavar="FILE", help="JSONL with prompts and responses.")],
    model: ModelReference = DEFAULT_MODEL,
    adapter: AdapterFolder = None,
    surgery: Annotated[
        Path | None,
        typer.Option("--surgery", metavar="FILE", help="Of a merge: what mends it for these texts' task."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Only the first texts; 0: all.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Texts per forward pass.")] = 16,
    plan: PlanOption = None,
    let: Lets = None,
    public: Annotated[
        bool, typer.Option("--public", help="With --plan: the prompts may go to models elsewhere.")
    ] = False,
    state: Annotated[
        Path, typer.Option("--state", metavar="DIR", help="With --plan: the client's state folder.")
    ] = Path("client"),
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Measure bits per byte and accuracy on a file.

    docs/metrics.md defines both.
    """
    from renga.errors import UsageError
    from renga.models.data import read_examples

    examples = read_examples(data)
    if bare := sum(example.response is None for example in examples):
        raise UsageError(
            f"{data}: {bare} of {len(examples)} lines have no response to measure",
            hint="evaluation needs a response on every line",
        )
    chosen = examples[: limit or None]
    if plan is not None:
        if surgery is not None:
            raise UsageError("--surgery mends one model, not a plan", hint="leave one of them out")
        from renga.cli_plan import names
        from renga.planning import measure_by

        read, known = names(plan, model, adapter, let, state)
        with _progress() as bar:
            task = bar.add_task("texts", total=len(chosen))
            measured = measure_by(
                read.root, known, chosen, public, lambda done, _: bar.update(task, completed=done)
            )
        if as_json:
            print_json({"plan": plan, "data": str(data), **measured})
        else:
            print("\n".join(f"{key.replace('_', ' '):14} {said(value)}" for key, value in measured.items()))
        return
    from contextlib import nullcontext

    from renga.loading import load
    from renga.server.merging.surgery import Surgery

    loaded = load(model, adapter)
    from renga.models.evaluation import evaluate as measure

    mended = nullcontext() if surgery is None else Surgery.load(surgery).on(loaded.weights)
    with mended, _progress() as bar:
        task = bar.add_task("texts", total=len(chosen))
        scores = measure(
            loaded,
            chosen,
            batch=batch,
            tick=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        print_json({"model": model, "data": str(data), **scores.as_dict()})
        return
    accuracy = "" if scores.accuracy is None else f"accuracy       {100 * scores.accuracy:.1f} %\n"
    print(f"bits per byte  {scores.bits_per_byte:.4f}\n{accuracy}texts          {scores.texts}")


def _progress() -> Progress:
    """A bar on stderr that leaves nothing behind, and that isn't drawn where nobody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
