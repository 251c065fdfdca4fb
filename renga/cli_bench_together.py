"""`renga bench cooperation` and `ensemble`: what models gain by answering together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from renga.cli_bench import Docs, ResultFile, give, look_for_block
from renga.cli_options import DEFAULT_MODEL, AsJson, Debug, ModelReference, tell

if TYPE_CHECKING:
    from renga.models.local import LocalModel


def add_to(bench: typer.Typer) -> None:
    """Put these commands into `renga bench`."""
    bench.command(epilog="Example: renga bench cooperation --part retrieval --part compression")(cooperation)
    bench.command(epilog="Example: renga bench ensemble --data domains --docs docs/benchmarks.md")(ensemble)


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
