"""What several commands take, and how they speak: results to stdout, all else to stderr."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class CarrierName(StrEnum):
    """The carriers of a simulation, as they are typed."""

    LOCAL = "local"
    RAY = "ray"


MODEL_HELP = "A name from `renga models list`, a folder, a .gguf file, package:NAME/FILE.gguf, or a hub id."
DEFAULT_MODEL = "SmolLM2-135M-Instruct"

ModelReference = Annotated[str, typer.Option("--model", "-m", metavar="REF", help=MODEL_HELP)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
AdapterFolder = Annotated[
    Path | None,
    typer.Option("--adapter", metavar="DIR", help="A LoRA adapter for this model, as PEFT saves it."),
]
# Taken out of the arguments by `enter`, so that it may stand anywhere; declared so that --help shows it.
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def tell(line: str) -> None:
    """Say what takes long."""
    print(line, file=sys.stderr)


def print_json(value: Any) -> None:
    """A result for a program to read."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def said(value: object) -> str:
    """A fact, for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else "–" if value is None else str(value)
