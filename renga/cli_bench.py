"""`renga bench`: measure what the documentation claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renga.cli_options import DEFAULT_MODEL, MODEL_HELP, AsJson, Debug, ModelReference, print_json, tell

if TYPE_CHECKING:
    from renga.models.example import Example
    from renga.models.local import LocalModel
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
    examples = _texts(data, limit)
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
    examples = _texts(data, limit)
    from renga.models.locate import locate, ready_folder

    for reference in (teacher, student):
        ready_folder(locate(reference), tell)
    from renga.simulations.bench_sheets import transfer_sheets
    from renga.simulations.bench_transfer import bench as run

    result = run(teacher, student, examples, top_k=top_k, repeats=repeats, tell=tell)
    give(result, transfer_sheets(result), "transfer", out, docs, as_json)


@bench.command(epilog="Example: renga bench cooperation --part retrieval --part compression")
def cooperation(
    part: Annotated[
        list[str] | None,
        typer.Option("--part", metavar="NAME", help="A part of it; repeat it.  [default: all]"),
    ] = None,
    model: ModelReference = DEFAULT_MODEL,
    host: Annotated[str, typer.Option("--host", metavar="REF", help="The host model.")] = "gemma-3-270m",
    limit: Annotated[int, typer.Option(min=0, help="Questions of a part; 0: its own number.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up world.")] = 0,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="A folder per domain, for what is measured on one."),
    ] = None,
    bare: Annotated[
        bool, typer.Option("--bare", help="Load no model: measure what needs none. Takes seconds.")
    ] = False,
    llmlingua: Annotated[
        Path | None,
        typer.Option(
            "--llmlingua", metavar="PYTHON", help="A Python that has llmlingua, to compress beside ours."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the results.")] = Path(
        "runs/bench-cooperation"
    ),
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What do models gain by working together on an answer, and what does it cost?

    Every part has its tables, with controls, and a JSON file of its own in the folder of the results.
    """
    from renga.simulations.bench_cooperation import BARE, PARTS, Setting
    from renga.simulations.bench_cooperation import measure as run
    from renga.simulations.bench_cooperation import part as part_of

    names = part or list(BARE if bare else PARTS)
    for name in names:
        part_of(name)
        look_for_block(docs, f"cooperation {name}")
    loaded: dict[str, LocalModel] = {}

    def load(reference: str) -> LocalModel:
        from renga.models.local import LocalModel
        from renga.models.locate import locate, ready_folder

        if reference not in loaded:
            ready_folder(locate(reference), tell)
            loaded[reference] = LocalModel.load(reference)
        return loaded[reference]

    for name in names:
        setting = Setting(model, host, limit, seed, data, tell, load, bare, llmlingua)
        result = run(name, setting)
        give(result, part_of(name).sheets(result), f"cooperation {name}", out / f"{name}.json", docs, as_json)


@bench.command(epilog="Example: renga bench ensemble --data domains --docs docs/benchmarks.md")
def ensemble(
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="DIR", help="A folder per domain: intent, ordering, phonetics, factcheck."
        ),
    ],
    work: Annotated[
        Path, typer.Option("--work", metavar="DIR", help="Adapters, rows, results; it goes on from there.")
    ] = Path("runs/bench-ensemble"),
    texts: Annotated[int, typer.Option(min=2, help="Held-out texts of each domain; as many more fit.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Which texts.")] = 1,
    part: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="quality, reward, acceptance, speed (needs an idle machine with two cores), or all.",
        ),
    ] = "all",
    out: ResultFile = None,
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Several models together against each alone: rules, routers, cascades; quality, passes, speed.

    The tables show every part that was measured in the folder of --work; with --docs the reward heads' curve
    is drawn beside the page.
    """
    from renga.errors import UsageError, did_you_mean
    from renga.simulations.bench_ensemble import PARTS
    from renga.simulations.bench_ensemble import bench as run
    from renga.simulations.bench_ensemble_reward import drawing
    from renga.simulations.bench_ensemble_sheets import ensemble_sheets

    if part not in (*PARTS, "all"):
        raise UsageError(f"unknown part {part!r}", hint=did_you_mean(part, [*PARTS, "all"]))
    look_for_block(docs, "ensemble")
    result = run(data, work, texts=texts, seed=seed, part=part, tell=tell)
    if docs is not None and result.get("reward"):
        (docs.parent / "ensemble-reward.svg").write_text(drawing(result["reward"]), encoding="utf-8")
    give(result, ensemble_sheets(result), "ensemble", out, docs, as_json)


@bench.command(
    epilog="Example: renga bench merging --part models --mergekit peers/bin/mergekit-yaml --work runs/merging"
)
def merging(
    part: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="adapters: against PEFT; domains: what merges are worth; models: against mergekit; shapes.",
        ),
    ] = "models",
    mergekit: Annotated[
        str, typer.Option(metavar="PROGRAM", help="mergekit's program, in an environment of its own.")
    ] = "mergekit-yaml",
    method: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only these; repeat it.  [default: all]")
    ] = None,
    inputs: Annotated[
        list[int] | None, typer.Option(min=2, help="Models that are merged; repeat it.  [default: 2, 4]")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="For shapes: JSONL; for domains: a folder of them."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Adapters: of each side.")] = 1,
    work: Annotated[
        Path, typer.Option("--work", metavar="DIR", help="Models and finished cases; it goes on from there.")
    ] = Path("runs/bench-merging"),
    out: ResultFile = None,
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What does a merge cost against its peers, and where do models of different shapes merge?"""
    from renga.errors import UsageError, did_you_mean

    parts = ("adapters", "domains", "models", "shapes")
    if part not in parts:
        raise UsageError(f"unknown part {part!r}", hint=did_you_mean(part, parts))
    block = f"merging {part}" + (f" {threads} threads" if threads > 1 else "")
    look_for_block(docs, block)
    from renga.simulations import bench_merging_sheets as tables

    if part == "adapters":
        from renga.simulations.bench_merging_adapter_sheets import cost_sheets
        from renga.simulations.bench_merging_adapters import measure as measure_adapters
        from renga.simulations.bench_merging_growth import drawing

        result = measure_adapters(work / "adapters-cost", threads=threads, tell=tell)
        sheets = cost_sheets(result)
        for axis in ("adapters", "rank"):
            for folder in (work, *([docs.parent] if docs and threads == 1 else [])):
                (folder / f"merging-growth-{axis}.svg").write_text(drawing(result["growth"], axis), "utf-8")
    elif part == "domains":
        if data is None:
            raise UsageError("domains need texts", hint="--data DIR, with a folder for each domain")
        from renga.cli_options import DEFAULT_MODEL
        from renga.models.weights import SharedWeights
        from renga.simulations.bench_merging_adapter_sheets import worth_sheets
        from renga.simulations.bench_merging_models import Budget, run

        result = run(SharedWeights.load(DEFAULT_MODEL), data, work, Budget(), tell, only=method or ())
        sheets = worth_sheets(result)
    elif part == "models":
        from renga.simulations.bench_merging_checkpoints import INPUTS, TARGETS, measure

        result = measure(mergekit, work, methods=method or tuple(TARGETS), inputs=inputs or INPUTS, tell=tell)
        sheets = tables.checkpoint_sheets(result)
    else:
        if data is None:
            raise UsageError("shapes need texts", hint="--data FILE, JSONL with prompts and responses")
        from renga.simulations.bench_merging_shapes import measure as measure_shapes

        result = measure_shapes(_texts(data, 10**6), work, tell=tell)
        sheets = [tables.vocabulary_sheet(result["vocabularies"]), tables.neuron_sheet(result["neurons"])]
    give(result, sheets, block, out, docs, as_json)


def _texts(data: Path, limit: int) -> list[Example]:
    """The first labelled texts of a file."""
    from renga.errors import UsageError
    from renga.models.data import read_examples

    labelled = [example for example in read_examples(data) if example.response is not None]
    if not labelled:
        raise UsageError(f"{data}: no text has a response", hint="every line that is measured needs one")
    return labelled[:limit]


@bench.command(
    epilog="Example: renga bench sanitisation --presidio peers/bin/python --docs docs/benchmarks.md"
)
def sanitisation(
    seed: Annotated[int, typer.Option(help="Which values are drawn.")] = 7,
    copies: Annotated[int, typer.Option(min=1, help="Drawings of every template.")] = 5,
    volume: Annotated[
        int,
        typer.Option(
            min=1,
            max=4,
            help="Which templates: 2 and 4 were written blind; 3 after the detectors were read.",
        ),
    ] = 2,
    side: Annotated[str, typer.Option(help="build (of 1 and 2), judge, or (but of 1) final.")] = "final",
    presidio: Annotated[
        Path | None,
        typer.Option(
            "--presidio",
            metavar="PYTHON",
            help="Compare with Presidio: the python of an environment that has it and ja-ginza.",
        ),
    ] = None,
    out: ResultFile = None,
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What private text is found, what else is hidden, and how long does it take?"""
    look_for_block(docs, "sanitisation")
    from renga.simulations.bench_sanitisation import measure
    from renga.simulations.bench_sanitisation_sheets import sanitisation_sheets
    from renga.simulations.private_prompts import part

    prompts = part(seed, copies, volume, side)
    result = measure(prompts, presidio=presidio, tell=tell)
    result |= {"seed": seed, "copies": copies, "volume": volume, "side": side}
    give(result, sanitisation_sheets(result), "sanitisation", out, docs, as_json)


@bench.command(
    "private-answers", epilog="Example: renga bench private-answers --docs docs/benchmarks.md --copies 3"
)
def private_answers(
    host: Annotated[str, typer.Option(metavar="REF", help=f"Who answers. {MODEL_HELP}")] = "gemma-3-270m",
    edge: Annotated[str, typer.Option(metavar="REF", help="The client's own model.")] = DEFAULT_MODEL,
    seed: Annotated[int, typer.Option(help="Which values are drawn.")] = 7,
    copies: Annotated[int, typer.Option(min=1, help="Drawings of every question.")] = 3,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 40,
    out: ResultFile = None,
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What does hiding cost the answer?"""
    look_for_block(docs, "private-answers")
    from renga.models.contract import Sampling
    from renga.models.generate import answer
    from renga.models.local import LocalModel
    from renga.models.locate import locate, ready_folder
    from renga.simulations.bench_private_answers import Ask, measure, private_answers_sheets, tasks

    sampling = Sampling(max_tokens=max_tokens)

    def asked(reference: str) -> Ask:
        ready_folder(locate(reference), tell)
        model = LocalModel.load(reference)
        return lambda question: answer(model, question, sampling)

    result = measure(asked(host), asked(edge), tasks(seed, copies), seed, tell)
    result |= {"host": host, "edge": edge, "copies": copies}
    give(result, private_answers_sheets(result), "private-answers", out, docs, as_json)


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
