"""`renga bench merging`: what merges cost beside their peers, and what they are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from renga.cli_bench import Docs, ResultFile, give, labelled_texts, look_for_block
from renga.cli_options import AsJson, Debug, tell


def add_to(bench: typer.Typer) -> None:
    """Put these commands into `renga bench`."""
    bench.command(epilog="Example: renga bench merging --part models --mergekit peers/bin/mergekit-yaml")(
        merging
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

        result = measure_shapes(labelled_texts(data, 10**6), work, tell=tell)
        sheets = [tables.vocabulary_sheet(result["vocabularies"]), tables.neuron_sheet(result["neurons"])]
    give(result, sheets, block, out, docs, as_json)
