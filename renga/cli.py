"""The `renga` command: what each verb takes, and whom it asks to do the work.

Results go to stdout, everything else to stderr. Heavy imports live inside the commands, so that
`renga --help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
import typer.core

from renga.boundary import enter
from renga.cli_ask import add_to as add_ask_to
from renga.cli_bench import bench
from renga.cli_bench_link import add_to as add_link_benches
from renga.cli_bench_merging import add_to as add_merging_bench
from renga.cli_bench_private import add_to as add_private_benches
from renga.cli_bench_together import add_to as add_benches_together
from renga.cli_cooperation import add_to as add_cooperation_to
from renga.cli_eval import add_to as add_eval_to
from renga.cli_federation import add_to as add_federation_to
from renga.cli_merge import add_to as add_merge_to
from renga.cli_models import models
from renga.cli_options import AsJson, CarrierName, Debug, print_json
from renga.cli_plan import plan
from renga.cli_private import add_private
from renga.cli_training import add_to as add_training_to

# Plain help: rich's takes longer than all else together, and typer escapes brackets for it even when off.
typer.core.HAS_RICH = False

app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    suggest_commands=False,  # click does it
    rich_markup_mode=None,
)
add_benches_together(bench)
add_merging_bench(bench)
add_private_benches(bench)
add_link_benches(bench)
app.add_typer(bench, name="bench")
app.add_typer(models, name="models")
app.add_typer(plan, name="plan")
add_ask_to(app)
add_eval_to(app)
add_federation_to(app)
add_cooperation_to(app)
add_training_to(app)
add_merge_to(app)
add_private(app)

# What an argument means stands in the docstrings: this typer loses an argument's own help under click 8.5.
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG")]


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
