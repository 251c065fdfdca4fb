"""`renga bench link`, `serving` and `edge`: what the federation between machines costs."""

from __future__ import annotations

from typing import Annotated

import typer

from renga.cli_bench import Docs, ResultFile, give, look_for_block
from renga.cli_options import DEFAULT_MODEL, AsJson, Debug, ModelReference, tell


def add_to(bench: typer.Typer) -> None:
    """Put these commands into `renga bench`."""
    bench.command(epilog="Example: renga bench link --streams 1000 --docs docs/benchmarks.md")(link)
    bench.command(epilog="Example: renga bench carriers --clients 2 --clients 10 --docs docs/benchmarks.md")(
        carriers
    )
    bench.command(epilog="Example: renga bench serving --model SmolLM2-135M-Instruct")(serving)
    bench.command(epilog="Example: renga bench edge --model SmolLM2-135M-Instruct")(edge)


def link(
    streams: Annotated[int, typer.Option(min=1, help="Idle clients.")] = 1000,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds without work.")] = 20,
    seconds: Annotated[float, typer.Option(min=0.1, help="For which the clients are idle.")] = 10.0,
    megabytes: Annotated[int, typer.Option(min=0, help="Of the large payload; 0: none.")] = 256,
    out: ResultFile = None,
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What do idle clients, a round without work and large payloads cost?"""
    look_for_block(docs, "link")
    from renga.simulations.bench_link import measure
    from renga.simulations.bench_link_sheets import link_sheets

    result = measure(
        streams=streams, rounds=rounds, seconds=seconds, payload=megabytes * 1_000_000, tell=tell
    )
    give(result, link_sheets(result), "link", out, docs, as_json)


def carriers(
    carrier: Annotated[
        list[str] | None,
        typer.Option("--carrier", metavar="NAME", help="Only this one; repeat it.  [default: all]"),
    ] = None,
    clients: Annotated[
        list[int] | None, typer.Option("--clients", min=1, help="How many; repeat it.  [default: 2, 10]")
    ] = None,
    megabytes: Annotated[
        list[int] | None,
        typer.Option("--megabytes", min=1, help="Of a payload; repeat it.  [default: 1, 50]"),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds without work.")] = 3,
    out: ResultFile = None,
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What does each carrier cost by itself?"""
    look_for_block(docs, "carriers")
    from renga.errors import UsageError, did_you_mean
    from renga.simulations.bench_carriers import CARRIERS, measure
    from renga.simulations.bench_link_sheets import carrier_sheets

    for name in carrier or ():
        if name not in CARRIERS:
            raise UsageError(f"no carrier is called {name!r}", hint=did_you_mean(name, CARRIERS))
    result = measure(carrier or CARRIERS, clients or [2, 10], megabytes or [1, 50], rounds, tell)
    give(result, carrier_sheets(result), "carriers", out, docs, as_json)


def serving(
    model: ModelReference = DEFAULT_MODEL,
    sessions: Annotated[
        list[int] | None,
        typer.Option("--sessions", min=1, metavar="N", help="At once; repeat it.  [default: 1, 4, 16, 64]"),
    ] = None,
    tokens: Annotated[int, typer.Option(min=2, help="Tokens of each session.")] = 24,
    answer: Annotated[int, typer.Option(min=2, help="Tokens of the answer made here and there.")] = 64,
    repeats: Annotated[int, typer.Option(min=1, help="Times that it is made.")] = 5,
    out: ResultFile = None,
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What does it give to read for many sessions at once, and what does the link cost an answer?"""
    look_for_block(docs, "serving")
    from renga.models.locate import locate, ready_folder

    ready_folder(locate(model), tell)
    from renga.simulations.bench_link_sheets import serving_sheets
    from renga.simulations.bench_serving import measure

    counts = sessions or (1, 4, 16, 64)
    result = measure(model, sessions=counts, tokens=tokens, answer=answer, repeats=repeats, tell=tell)
    give(result, serving_sheets(result), "serving", out, docs, as_json)


def edge(
    model: ModelReference = DEFAULT_MODEL,
    repeats: Annotated[int, typer.Option(min=1, help="Times that every process is started.")] = 3,
    out: ResultFile = None,
    docs: Docs = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What does an idle client weigh, and an edge install?"""
    look_for_block(docs, "edge")
    from renga.models.locate import locate, ready_folder

    ready_folder(locate(model), tell)
    from renga.simulations.bench_edge import measure
    from renga.simulations.bench_link_sheets import edge_sheets

    result = measure(model, repeats=repeats, tell=tell)
    give(result, edge_sheets(result), "edge", out, docs, as_json)
