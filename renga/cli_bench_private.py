"""`renga bench sanitisation`, `private-answers` and `private-rewriting`: what is hidden, what that costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from renga.cli_bench import Docs, ResultFile, give, look_for_block
from renga.cli_options import DEFAULT_MODEL, MODEL_HELP, AsJson, Debug, tell

if TYPE_CHECKING:
    from renga.models.local import LocalModel

Seed = Annotated[int, typer.Option(help="Which values are drawn.")]
Questions = Annotated[str, typer.Option(help="Which questions: build (looked at while mending) or judge.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")]
Keep = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Keep the answers here, and go on from those that are there."),
]


def add_to(bench: typer.Typer) -> None:
    """Put these commands into `renga bench`."""
    bench.command(
        epilog="Example: renga bench sanitisation --presidio peers/bin/python --docs docs/benchmarks.md"
    )(sanitisation)
    bench.command(
        "private-answers", epilog="Example: renga bench private-answers --docs docs/benchmarks.md --copies 3"
    )(private_answers)
    bench.command(
        "private-rewriting", epilog="Example: renga bench private-rewriting --docs docs/benchmarks.md"
    )(private_rewriting)


def sanitisation(
    seed: Seed = 7,
    copies: Annotated[int, typer.Option(min=1, help="Drawings of every template.")] = 5,
    volume: Annotated[
        int,
        typer.Option(
            min=1,
            max=6,
            help="Which templates: 2 and 4 to 6 were written blind; 3 after the detectors were read.",
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


def private_answers(
    host: Annotated[str, typer.Option(metavar="REF", help=f"Who answers. {MODEL_HELP}")] = "gemma-3-270m",
    edge: Annotated[str, typer.Option(metavar="REF", help="The client's own model.")] = DEFAULT_MODEL,
    seed: Seed = 7,
    copies: Annotated[int, typer.Option(min=1, help="Drawings of every question.")] = 2,
    volume: Questions = "judge",
    max_tokens: MaxTokens = 32,
    keep: Keep = None,
    out: ResultFile = None,
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What does hiding cost the answer?"""
    look_for_block(docs, "private-answers")
    from collections.abc import Sequence
    from functools import cache

    from renga.models.contract import Prompt, Sampling
    from renga.models.generate import answer_many
    from renga.simulations.bench_private_answers import AskMany, measure, private_answers_sheets
    from renga.simulations.private_tasks import tasks

    asked, sampling = tasks(seed, copies, volume), Sampling(max_tokens=max_tokens)

    def asking(reference: str) -> AskMany:
        loaded = cache(lambda: _loaded(reference))

        def ask(prompts: Sequence[Prompt]) -> list[str]:
            return [each.text for each in answer_many(loaded(), prompts, sampling)]

        return ask

    result = measure(asking(host), asking(edge), asked, seed, tell, keep)
    result |= {"host": host, "edge": edge, "copies": copies, "volume": volume}
    give(result, private_answers_sheets(result), "private-answers", out, docs, as_json)


def private_rewriting(
    host: Annotated[str, typer.Option(metavar="REF", help=f"Who answers. {MODEL_HELP}")] = "gemma-3-270m",
    edge: Annotated[str, typer.Option(metavar="REF", help="Who rewrites and merges.")] = DEFAULT_MODEL,
    seed: Seed = 7,
    volume: Questions = "judge",
    max_tokens: MaxTokens = 32,
    keep: Keep = None,
    out: ResultFile = None,
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Does a question that asks for less still ask it, and does merging help?"""
    look_for_block(docs, "private-rewriting")
    from renga.models.contract import Sampling
    from renga.simulations.bench_private_rewriting import measure, private_rewriting_sheets
    from renga.simulations.private_rewriting import questions

    asked = questions(seed, volume)
    result = measure(_loaded(host), _loaded(edge), asked, Sampling(max_tokens=max_tokens), tell, keep)
    result |= {"host": host, "edge": edge, "seed": seed, "volume": volume}
    give(result, private_rewriting_sheets(result), "private-rewriting", out, docs, as_json)


def _loaded(reference: str) -> LocalModel:
    from renga.models.local import LocalModel
    from renga.models.locate import locate, ready_folder

    ready_folder(locate(reference), tell)
    return LocalModel.load(reference)
