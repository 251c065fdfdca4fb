"""`renga ask`: who answers, and what leaves for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renga.cli_options import DEFAULT_MODEL, MODEL_HELP, AdapterFolder, Debug, tell
from renga.cli_plan import Lets
from renga.cli_private import VaultFile
from renga.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from renga.models.contract import Sampling
    from renga.models.local import LocalModel

PlanOption = Annotated[
    str | None,
    typer.Option("--plan", metavar="PLAN", help="Several models answer together: docs/plans.md."),
]


def add_to(app: typer.Typer) -> None:
    """The command, in the program's list."""
    app.command(epilog='Example: renga ask "What is a renga?" --model SmolLM2-135M-Instruct')(ask)


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
    text = _read().strip() if prompt == "-" else prompt
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
        from renga.loading import load

        _ask_here(load(model or DEFAULT_MODEL, adapter), text, sampling)


def _read() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        raise UsageError("stdin is no UTF-8 text", hint="convert it first: iconv -t utf-8") from None


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
    from renga.loading import load
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


def _say(piece: str) -> None:
    print(piece, end="", flush=True)
