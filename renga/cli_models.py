"""`renga models`: the models on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from renga.cli_options import AsJson, Debug, print_json, said, tell

models = typer.Typer(suggest_commands=False, rich_markup_mode=None, help="The models on this machine.")


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
        table.add_row(*(said(row[key]) for key in ("name", "fetched", "parameters", "licence", "note")))
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
        print(f"{name.replace('_', ' '):{width}}  {said(value)}")
