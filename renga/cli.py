"""The `renga` command."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def renga() -> None:
    """Language models that learn from and answer with each other."""


def main() -> None:
    app()
