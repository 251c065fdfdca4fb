"""`renga bench`: measure what the documentation claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renga.cli_options import DEFAULT_MODEL, MODEL_HELP, AsJson, Debug, ModelReference, print_json, tell

if TYPE_CHECKING:
    from renga.models.example import Example
    from renga.simulations.bench_tables import Sheet

bench = typer.Typer(
    suggest_commands=False,
    rich_markup_mode=None,
    help="Measure what the documentation claims (docs/benchmarks.md has the tables).",
)

Docs = Annotated[
    Path | None,
    typer.Option("--docs", metavar="FILE", help="Write the tables into this page's block, too."),
]
ResultFile = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write the result there as JSON, too.")
]
TextsFile = Annotated[Path, typer.Option("--data", metavar="FILE", help="JSONL with prompts and responses.")]


@bench.command(epilog="Example: renga bench learning --data domains --seeds 3 --docs docs/benchmarks.md")
def learning(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="DIR",
            help="A folder per domain, each with train.jsonl, public.jsonl and validation.jsonl.",
        ),
    ],
    seeds: Annotated[int, typer.Option(min=1, help="Runs, each with a seed of its own.")] = 3,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the runs.")] = Path(
        "runs/bench-learning"
    ),
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="TOML with other budgets and models than the benchmark's own."
        ),
    ] = None,
    labelled: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Share of public texts with a response; the others only ask."),
    ] = 1.0,
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Does the federation teach its clients and its host?

    One client per domain, compared with each client alone, the host on public text only, and all text in
    one place. A benchmark that was stopped goes on; runs that are finished are read. The result is
    learning.json in the folder of the runs.
    """
    look_for_block(docs, "learning")
    from renga.simulations.bench_learning import bench as run
    from renga.simulations.bench_learning_sheets import sheets

    result = run(data, out, seeds=seeds, file=config, tell=tell, labelled=labelled)
    give(result, sheets(result), "learning", out / "learning.json", docs, as_json)


@bench.command(epilog="Example: renga bench wire --data domains/intent/public.jsonl")
def wire(
    data: TextsFile,
    model: ModelReference = DEFAULT_MODEL,
    limit: Annotated[int, typer.Option(min=1, help="Only the first texts.")] = 16,
    top_k: Annotated[int, typer.Option(min=1, max=254, help="Tokens per place in a row of ours.")] = 16,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the adapter.")] = 8,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens that the adapter is trained on first.")] = 6_000,
    out: ResultFile = None,
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """How many bytes do knowledge and adapters take, and at what loss?"""
    look_for_block(docs, "wire")
    examples = labelled_texts(data, limit)
    from renga.models.locate import locate, ready_folder

    ready_folder(locate(model), tell)
    from renga.models.weights import SharedWeights
    from renga.simulations.bench_sheets import wire_sheets
    from renga.simulations.bench_wire import measure

    tell(f"loading {model}")
    weights = SharedWeights.load(model)
    result = measure(weights, examples, top_k=top_k, rank=rank, alpha=2.0 * rank, tokens=tokens, tell=tell)
    give(result, wire_sheets(result), "wire", out, docs, as_json)


@bench.command(epilog="Example: renga bench memory --model SmolLM2-135M-Instruct --host gemma-3-270m")
def memory(
    clients: Annotated[
        list[int] | None,
        typer.Option(
            "--clients", min=1, metavar="N", help="Clients of a federation; repeat it.  [default: 4, 32, 100]"
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="REF", help="Measure a round's overhead with this edge model."),
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="REF", help="And this host model.  [default: the same]")
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens each of them learns in that round.")] = 4_000,
    trace: Annotated[bool, typer.Option("--trace", help="Say where Python's memory grew; slow.")] = False,
    out: ResultFile = None,
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What does a simulated federation take beside its models and data?

    Memory is that of federations of a tiny model, each in a process of its own. Overhead is the time of a
    round over the time inside torch; it is measured only with --model.
    """
    from renga.errors import UsageError
    from renga.models.locate import locate, ready_folder
    from renga.simulations.bench_memory import measure
    from renga.simulations.bench_sheets import memory_sheets

    look_for_block(docs, "memory")
    if host is not None and model is None:
        raise UsageError("--host needs --model", hint="overhead is measured with both")
    for reference in filter(None, (model, host)):
        ready_folder(locate(reference), tell)
    result = measure(clients or (4, 32, 100), model=model, host=host, tokens=tokens, trace=trace, tell=tell)
    give(result, memory_sheets(result), "memory", out, docs, as_json)


@bench.command(
    epilog="Example: renga bench transfer --data x.jsonl --teacher SmolLM2-135M-Instruct "
    "--student gemma-3-270m"
)
def transfer(
    data: TextsFile,
    teacher: Annotated[str, typer.Option(metavar="REF", help=f"Whose rows are learned. {MODEL_HELP}")],
    student: Annotated[str, typer.Option(metavar="REF", help="Whose vocabulary they are brought to.")],
    limit: Annotated[int, typer.Option(min=1, help="Texts in the batch: the first.")] = 8,
    top_k: Annotated[int, typer.Option(min=1, max=254, help="Tokens per place in a row.")] = 16,
    repeats: Annotated[int, typer.Option(min=1, help="Times that either way is taken.")] = 3,
    out: ResultFile = None,
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What does a distillation step cost, sparse against dense?"""
    look_for_block(docs, "transfer")
    examples = labelled_texts(data, limit)
    from renga.models.locate import locate, ready_folder

    for reference in (teacher, student):
        ready_folder(locate(reference), tell)
    from renga.simulations.bench_sheets import transfer_sheets
    from renga.simulations.bench_transfer import bench as run

    result = run(teacher, student, examples, top_k=top_k, repeats=repeats, tell=tell)
    give(result, transfer_sheets(result), "transfer", out, docs, as_json)


def labelled_texts(data: Path, limit: int) -> list[Example]:
    """The first labelled texts of a file."""
    from renga.errors import UsageError
    from renga.models.data import read_examples

    labelled = [example for example in read_examples(data) if example.response is not None]
    if not labelled:
        raise UsageError(f"{data}: no text has a response", hint="every line that is measured needs one")
    return labelled[:limit]


def look_for_block(docs: Path | None, name: str) -> None:
    """A page that can't take the tables is told before hours are spent on them."""
    if docs is not None:
        from renga.simulations.bench_tables import around_block

        around_block(docs, name)


def give(
    result: dict[str, Any],
    sheets: list[Sheet],
    name: str,
    out: Path | None,
    docs: Path | None,
    as_json: bool,
) -> None:
    """Write and show a result."""
    from rich.console import Console

    from renga.simulations.bench_tables import markdown, render, write_block, write_json

    if out is not None:
        write_json(out, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    if docs is not None:
        write_block(docs, name, markdown(sheets))
    if as_json:
        print_json(result)
    else:
        Console().print(render(sheets))
