"""Pages of the documentation that are made from code, so that neither can say what the other doesn't.

`make docs` writes them; a test fails when a page in `docs/` is not what would be written.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from renga.config import Client, Config, Section, sections
from renga.deployment import ClientConfig, Endpoint, Limits, Listen, ServerConfig

EXAMPLE = """\
name = "small"
rounds = 2

[host]
model = "gemma-3-270m"
tokens = 8_000

[edge]
model = "SmolLM2-135M-Instruct"
rank = 8
tokens = 6_000

[[clients]]
name = "clinic"
data = "clinic/train.jsonl"
held_out = "clinic/held_out.jsonl"

[[clients]]
name = "foundry"
data = "foundry/train.jsonl"
held_out = "foundry/held_out.jsonl"
rank = 4                                # for this client alone

[transfer]
data = ["public.jsonl"]
validation = ["validation.jsonl"]
"""

_INTRODUCTION = """\
# The config of `renga simulate`

<!-- Made from renga/config.py by `make docs`; don't edit it here. -->

A TOML file. Paths in it start at its own folder. `renga check CONFIG` says what is wrong with it, and what a
run would take; a key that isn't listed here is an error.

Data files are JSONL, one text a line (or, with `pip install "renga[datasets]"`, Parquet, CSV, JSON, Arrow and
folders of data sets, with these keys as columns): `{"prompt": "…", "response": "…"}`, with
`"choices": ["…", "…"]` where the response is picked from some, and `"domain"` if you like; or chat turns,
`{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}`. In the transfer set
a line without a response is a *bare prompt*: clients answer it, and what they agree on is learned.
"""

_CLI_INTRODUCTION = """\
# The command line

<!-- Made from renga/cli*.py by `make docs`; don't edit it here. -->

Results go to stdout, everything else to stderr. Exit status: 0 it worked, 1 it failed, 2 it was asked
wrongly, 130 it was interrupted. An error is one line, and one on what to do; `--debug` adds the traceback.
"""

_DAEMONS_INTRODUCTION = """\
# The configs of `renga serve` and `renga join`

<!-- Made from renga/deployment.py by `make docs`; don't edit it here. -->

TOML, given with `--config`; [deploy.md](deploy.md) has an example of each. `[host]`, `[edge]`, `[transfer]`
and `[round]` hold the keys that [config.md](config.md) lists. Environment variables hold over the file,
options over both: `RENGA_SERVER__LISTEN__PORT` is `port` in `[listen]` of a server,
`RENGA_CLIENT__EDGE__RANK` is `rank` in `[edge]` of a client. `--print-config` shows what holds.
"""

_WORDS = {int: "whole number", float: "number", bool: "true or false", str: "text", Path: "path"}


def config_page() -> str:
    """docs/config.md: an example, then every table with its keys."""
    parts = [
        _INTRODUCTION,
        f"```toml\n{EXAMPLE}```\n",
        "## Top level\n",
        _table(Config, skip=set(sections())),
    ]
    for name, section in sections().items():
        several = name in ("clients", "faults")
        heading = f"`[[{name}]]`, one table for each" if several else f"`[{name}]`"
        skip = {"edge"} if section is Client else set()
        parts += [f"## {heading}\n", f"{section.__doc__}\n", _table(section, skip)]
    return "\n".join(parts)


def daemons_page() -> str:
    """docs/daemons.md: the keys of a server and a client that a simulation doesn't have."""
    shared = {"host", "edge", "transfer", "round", "listen", "limits", "endpoint"}
    parts = [
        _DAEMONS_INTRODUCTION,
        "## Server, top level\n",
        _table(ServerConfig, skip=shared),
        "## Server, `[listen]`\n",
        f"{Listen.__doc__}\n",
        _table(Listen, skip=set()),
        "## Server, `[limits]`\n",
        f"{Limits.__doc__}\n",
        _table(Limits, skip=set()),
        "## Client, top level\n",
        _table(ClientConfig, skip=shared),
        "## Client, `[endpoint]`\n",
        f"{Endpoint.__doc__}\n",
        _table(Endpoint, skip=set()),
    ]
    return "\n".join(parts)


def cli_page() -> str:
    """docs/cli.md: every command with its options, from the same declarations as `--help`."""
    from typer.main import get_command

    from renga.cli import app

    parts = [_CLI_INTRODUCTION]
    for name, command in _commands(get_command(app), "renga"):
        arguments = [param for param in command.params if isinstance(param, click.Argument)]
        options = [param for param in command.params if isinstance(param, click.Option) and param.help]
        usage = [
            name,
            *(str(argument.metavar) for argument in arguments),
            *(["[OPTIONS]"] if options else []),
        ]
        parts += [f"## `{' '.join(usage)}`\n", f"{inspect.cleandoc(command.help or '')}\n"]
        if options:
            parts += ["| option | default | |\n|---|---|---|\n" + "".join(map(_option, options))]
        if command.epilog:
            said, _, example = command.epilog.partition(": ")
            parts += [f"{said}: `{example}`\n"]
    return "\n".join(parts)


PAGES = {"config.md": config_page, "cli.md": cli_page, "daemons.md": daemons_page}


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for key, inner in command.commands.items():
            yield from _commands(inner, f"{name} {key}")
    else:
        yield name, command


def _option(option: click.Option) -> str:
    metavar = option.metavar or ("" if option.is_flag else option.type.name.split()[0].upper())
    default = "required" if option.required else ""
    if not option.required and not option.is_flag and option.default is not None:
        default = f"`{option.default}`"
    return f"| `{', '.join(option.opts)}{metavar and ' ' + metavar}` | {default} | {option.help} |\n"


def _table(section: type[Section], skip: set[str]) -> str:
    rows = ["| key | what it takes | default | what it means |", "|---|---|---|---|"]
    for name, field in section.model_fields.items():
        if name not in skip:
            rows.append(f"| `{name}` | {_kind(field)} | {_default(field)} | {field.description} |")
    return "\n".join(rows) + "\n"


def _kind(field: FieldInfo) -> str:
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal:
        return ", ".join(f'`"{choice}"`' for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "list of paths" if _bare(get_args(annotation)[0]) is Path else "list of texts"
    low = next((one for one in field.metadata if isinstance(one, Ge | Gt)), None)
    high = next((one for one in field.metadata if isinstance(one, Le | Lt)), None)
    if get_origin(annotation) is dict:
        return "table of name and text"
    word = _WORDS[_bare(annotation)]
    if low is None:
        return word
    if high is not None and isinstance(low, Ge):
        return f"{word} from {low.ge} to {high.le if isinstance(high, Le) else f'below {high.lt}'}"
    return f"{word} > {low.gt}" if isinstance(low, Gt) else f"{word} ≥ {low.ge}"


def _bare(annotation: Any) -> Any:
    """The plain type inside Annotated and Optional."""
    while get_args(annotation):
        annotation = get_args(annotation)[0]
    return annotation


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value == {}:
        return "none"
    if value is None:
        return "none"
    if isinstance(value, tuple) and value:
        return f"`{list(value)}`".replace("'", '"')
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "`[]`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def write(folder: Path) -> None:
    """Write every page into `folder`."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
