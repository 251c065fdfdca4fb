"""The `renga` command: what each verb takes, and whom it asks to do the work.

Results go to stdout, everything else to stderr. Heavy imports live inside the commands, so that
`renga --help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from renga.boundary import enter
from renga.cli_bench import bench
from renga.cli_bench_link import add_to as add_link_benches
from renga.cli_cooperation import add_to as add_cooperation_to
from renga.cli_federation import add_to
from renga.cli_merge import add_to as add_merge_to
from renga.cli_options import (
    DEFAULT_MODEL,
    MODEL_HELP,
    AsJson,
    CarrierName,
    Debug,
    ModelReference,
    print_json,
    tell,
)
from renga.cli_plan import Lets
from renga.cli_plan import plan as plan_commands
from renga.cli_private import VaultFile, add_private
from renga.cli_training import add_to as add_training_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

    from renga.models.contract import Sampling
    from renga.models.local import LocalModel

# Plain help: rich's takes longer than all else together, and typer escapes brackets for it even when off.
typer.core.HAS_RICH = False

app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    suggest_commands=False,  # click does it
    rich_markup_mode=None,
)
models = typer.Typer(suggest_commands=False, rich_markup_mode=None, help="The models on this machine.")
add_link_benches(bench)
app.add_typer(bench, name="bench")
app.add_typer(models, name="models")
app.add_typer(plan_commands, name="plan")
add_to(app)
add_cooperation_to(app)
add_training_to(app)
add_merge_to(app)
add_private(app)

# What an argument means stands in the docstrings: this typer loses an argument's own help under click 8.5.
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG")]
AdapterFolder = Annotated[
    Path | None,
    typer.Option("--adapter", metavar="DIR", help="A LoRA adapter for this model, as PEFT saves it."),
]


PlanOption = Annotated[
    str | None,
    typer.Option("--plan", metavar="PLAN", help="Several models answer together: docs/plans.md."),
]


def main() -> None:
    """Run the command line of this process, and leave with its exit status."""
    sys.exit(enter(sys.argv[1:], run))


def run(arguments: list[str]) -> object:
    """Run one command; errors are raised, `enter` tells them."""
    return app(arguments, prog_name="renga", standalone_mode=False)


@app.callback(invoke_without_command=True, epilog="Start with: renga simulate examples/quickstart.toml")
def renga(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Debug = False,
) -> None:
    """Language models that learn from and answer with each other, while private text stays where it is."""
    if version:
        from importlib.metadata import version as version_of

        print(f"renga {version_of('renga')}")
    elif context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


@app.command(epilog="Example: renga simulate examples/quickstart.toml --out runs/first")
def simulate(
    config: ConfigFile,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of the results.  [default: runs/NAME]")
    ] = None,
    carrier: Annotated[
        CarrierName, typer.Option("--carrier", help="Where clients learn: in this process, or in Ray's.")
    ] = CarrierName.LOCAL,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run a federation on this machine, and compare before and after.

    CONFIG is a TOML file; docs/config.md lists its keys.
    """
    from renga.config import load

    read = load(config)
    from renga.simulations.simulate import run as run_federation

    result = run_federation(
        read, out or Path("runs") / read.name, resume=resume, display=not as_json, carrier=carrier.value
    )
    if as_json:
        print_json(result)


@app.command(epilog="Example: renga check examples/quickstart.toml")
def check(config: ConfigFile, as_json: AsJson = False, debug: Debug = False) -> int:
    """Say what is wrong with a config, and what a run would take.

    Everything that can fail cheaply fails here, before anything dear begins. CONFIG is the TOML file that
    `renga simulate` would run.
    """
    from renga.config import load

    read = load(config)
    from renga.simulations.check import check as check_config
    from renga.simulations.check_table import render

    report = check_config(read)
    if as_json:
        print_json(report.as_dict())
    else:
        from rich.console import Console

        Console().print(render(report))
    for problem in report.problems:
        print(f"renga: {problem}", file=sys.stderr)
    return 2 if report.problems else 0


@app.command(epilog='Example: renga ask "What is a renga?" --model SmolLM2-135M-Instruct')
def ask(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="REF", help=f"Ask it on this machine. {MODEL_HELP}")
    ] = None,
    adapter: AdapterFolder = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 256,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="0 always takes the most probable token.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same answer.")] = 0,
    public: Annotated[
        bool, typer.Option("--public", help="Nothing in it is private: let it leave as it is.")
    ] = False,
    plan: PlanOption = None,
    let: Lets = None,
    review: Annotated[
        bool, typer.Option("--review", help="Look at what is hidden before anything leaves.")
    ] = False,
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Let the edge model ask for less, and merge the answer here.")
    ] = False,
    words_epsilon: Annotated[
        float | None,
        typer.Option(
            "--words-epsilon",
            metavar="EPS",
            help="Replace every word at random, so private each; merge here.",
        ),
    ] = None,
    conversation: Annotated[
        str | None, typer.Option("--conversation", metavar="ID", help="Go on with one; kept in the vault.")
    ] = None,
    vault_file: VaultFile = None,
    state: Annotated[Path, typer.Option("--state", metavar="DIR", help="The client's state folder.")] = Path(
        "client"
    ),
    debug: Debug = False,
) -> None:
    """Ask a model something; the answer streams to stdout.

    PROMPT is the question; `-` reads it from stdin. With a client's state folder and no --model the
    federation answers: what is private is replaced before the prompt leaves, and put back into the answer.
    Else a model on this machine does.
    """
    text = sys.stdin.read().strip() if prompt == "-" else prompt
    if not text.strip():
        raise typer.BadParameter("the prompt is empty")
    from renga.models.contract import Clearance, Sampling

    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)
    if plan is not None:
        from renga.cli_plan import names
        from renga.models.plans.report import report
        from renga.planning import answer_by

        read, known = names(plan, model or DEFAULT_MODEL, adapter, let, state)

        def by_plan(prompt: str, clearance: Clearance, write: Callable[[str], None]) -> None:
            answer_by(read.root, known, prompt, clearance, sampling, write, tell, state)

        leaves = bool(report(read.root, known).edges)
        answered: Callable[[str, Clearance, Callable[[str], None]], None] = by_plan
    else:
        from renga.cli_private import by_federation, is_client

        leaves = public or (model is None and adapter is None and is_client(state))
        answered = by_federation(state, sampling, tell)
    if rewrite or words_epsilon is not None:
        from renga.cli_private import refuse_unless_indirect

        refuse_unless_indirect(leaves, public, review, conversation, rewrite, words_epsilon)
        _ask_indirectly(answered, text, sampling, vault_file, adapter, words_epsilon)
    elif public and (leaves or plan is not None):
        answered(text, Clearance.PUBLIC, _say)
    elif leaves or review or conversation is not None:
        from renga.asking import ask_privately
        from renga.cli_private import desk_of, review_of

        look = review_of(tell, terminal=prompt == "-") if review else None
        told = ask_privately(
            lambda clean, write: answered(clean, Clearance.SANITISED, write),
            text,
            desk_of(vault_file),
            conversation,
            _say,
            look,
        )
        tell(told.line)
    elif plan is not None:
        answered(text, Clearance.RAW, _say)
    else:
        _ask_here(load(model or DEFAULT_MODEL, adapter), text, sampling)


def _ask_indirectly(
    answered: Callable[[str, Any, Callable[[str], None]], None],
    text: str,
    sampling: Any,
    vault_file: Path | None,
    adapter: Path | None,
    words_epsilon: float | None,
) -> None:
    from renga.asking_indirectly import ask_indirectly, drawn_words, rewritten
    from renga.cli_private import desk_of
    from renga.models.contract import Clearance

    edge = load(DEFAULT_MODEL, adapter)
    leaving = rewritten(edge, sampling) if words_epsilon is None else drawn_words(edge, words_epsilon, tell)
    left = ask_indirectly(
        edge,
        leaving,
        lambda clean, write: answered(clean, Clearance.SANITISED, write),
        text,
        sampling,
        desk_of(vault_file),
        _say,
        by_chance=words_epsilon is not None,
    )
    tell(f"what left: {left}")


def _ask_here(loaded: LocalModel, text: str, sampling: Sampling) -> None:
    from renga.models.generate import respond

    for piece in respond(loaded, text, sampling):
        print(piece.text, end="", flush=True)
    print()


@app.command(name="eval", epilog="Example: renga eval --model gemma-3-270m --data held_out.jsonl --json")
def evaluate(
    data: Annotated[Path, typer.Option("--data", metavar="FILE", help="JSONL with prompts and responses.")],
    model: ModelReference = DEFAULT_MODEL,
    adapter: AdapterFolder = None,
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
            print("\n".join(f"{key.replace('_', ' '):14} {_said(value)}" for key, value in measured.items()))
        return
    loaded = load(model, adapter)
    from renga.models.evaluation import evaluate as measure

    with _progress() as bar:
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


@models.command(name="list", epilog="Example: renga models list")
def list_models(as_json: AsJson = False, debug: Debug = False) -> None:
    """Show the models that come without a hub or an account."""
    from dataclasses import asdict

    from renga.models.embedded import EMBEDDED
    from renga.models.references import describe

    rows = [{**asdict(describe(name)), "note": model.note} for name, model in EMBEDDED.items()]
    if as_json:
        print_json(rows)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("name", "fetched", "parameters", "licence"):
        table.add_column(title, no_wrap=True)
    table.add_column("what it is")
    for row in rows:
        table.add_row(*(_said(row[key]) for key in ("name", "fetched", "parameters", "licence", "note")))
    Console().print(table)


@models.command(epilog="Example: renga models fetch SmolLM2-135M-Instruct gemma-3-270m")
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    debug: Debug = False,
) -> None:
    """Install models, with pinned hashes.

    NAME is one that `renga models list` shows, or a hub id.
    """
    from renga.models.fetch import fetch as fetch_model

    for name in names:
        print(f"{name}  {fetch_model(name, progress=tell)}")


@models.command(epilog="Example: renga models show gemma-3-270m")
def show(
    model: Annotated[str, typer.Argument(metavar="REF")],
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show what a model is, without loading it.

    REF is a name from `renga models list`, a folder, a .gguf file, package:NAME/FILE.gguf, or a hub id.
    """
    from dataclasses import asdict

    from renga.models.references import describe

    facts = asdict(describe(model))
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):{width}}  {_said(value)}")


def load(reference: str, adapter: Path | None) -> LocalModel:
    """The model of a command, with the adapter that it names."""
    from renga.models.local import LocalModel
    from renga.models.locate import locate, ready_folder

    ready_folder(locate(reference), tell)  # by itself a first load would take half a minute without a word
    if adapter is None:
        return LocalModel.load(reference)
    from dataclasses import replace

    from renga.models.adapter import checked
    from renga.models.adapter_files import load_peft

    worn = load_peft(adapter)  # before the model: a wrong folder shows at once
    weights = LocalModel.load(reference).weights
    if not worn.base:  # made elsewhere: that its layers fit is all that can be known
        worn = replace(worn, base=weights.fingerprint)
    return LocalModel(weights, checked(worn, weights.linear_shapes, weights.fingerprint, max_rank=worn.rank))


def _say(piece: str) -> None:
    print(piece, end="", flush=True)


def _said(value: object) -> str:
    """A fact, for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else "–" if value is None else str(value)


def _progress() -> Progress:
    """A bar on stderr that leaves nothing behind, and that isn't drawn where nobody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
