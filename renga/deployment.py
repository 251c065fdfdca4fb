"""The configs of `renga serve` and `renga join`: TOML, environment variables over it, options over both.

`RENGA_SERVER__LISTEN__PORT=9500` sets `port` in `[listen]` of a server; `RENGA_CLIENT__…` does the same for a
client. `--print-config` shows what holds.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from renga.config import ConfigPath, Count, Edge, Host, Name, Reference, Round, Section, Transfer, read_toml
from renga.errors import UsageError, did_you_mean

Port = Annotated[int, Field(strict=True, ge=0, le=65535)]
Carrier = Literal["link", "superlink"]
Above = Annotated[int, Field(strict=True, ge=1)]


def _place(text: str) -> str:
    host, _, port = text.rpartition(":")
    if text and not (host and "/" not in host and port.isdecimal() and 0 < int(port) <= 65535):
        raise ValueError("must be HOST:PORT")
    return text


Place = Annotated[str, Field(strict=True), AfterValidator(_place)]


class Listen(Section):
    """Where a server can be reached."""

    host: Annotated[str, Field(strict=True, min_length=1)] = Field(
        "0.0.0.0", description="address to listen on"
    )
    port: Port = Field(9443, description="port; 0: any free one")
    carrier_port: Port = Field(
        0, description='with `carrier = "superlink"`: port of SuperNodes; 0: the one after `port`'
    )
    names: tuple[str, ...] = Field(
        (), description="names and addresses by which clients reach it; the first stands in invitations"
    )


class Limits(Section):
    """What a peer may ask of the server, small by default; what is more is refused with a reason."""

    prompt_bytes: Above = Field(16_384, description="bytes of a prompt")
    sessions: Above = Field(4, description="sessions that one client may hold at once")
    sessions_in_all: Above = Field(
        16, description="sessions that all clients may hold: the rows of the cache"
    )
    ids_per_feed: Above = Field(512, description="ids in one feed of a session")
    ids_per_session: Above = Field(
        2048, description="ids that a session may read, prompt included: the length of the cache"
    )
    top_k: Above = Field(256, description="tokens of each place that a session may ask for")
    idle_seconds: Above = Field(120, description="seconds after which a session that says nothing is closed")
    answers: Above = Field(1, description="answers that one client may ask for at once")
    answer_tokens: Above = Field(1024, description="tokens of an answer")
    written_plans: Annotated[bool, Field(strict=True)] = Field(
        True, description="whether clients may write plans of their own for the server to run"
    )
    patience: Above = Field(20, description="seconds that a caller is kept waiting while the host learns")
    uploads: Above = Field(2, description="uploads of one client at once")
    upload_bytes: Above = Field(2 << 30, description="bytes of one upload")
    blob_bytes: Above = Field(8 << 30, description="bytes that all blobs on the server's disk may take")
    streams: Above = Field(256, description="calls that one connection may have open at once")


class ServerConfig(Section):
    """A coordinating server."""

    seed: Count = Field(7, description="of slices and first adapters")
    carrier: Carrier = Field("link", description="of rounds: the link, or Flower's own SuperLink")
    listen: Listen = Field(default_factory=Listen)
    host: Host = Field(description="the host model, as in docs/config.md")
    edge_models: tuple[Reference, ...] = Field(
        ("SmolLM2-135M-Instruct", "gemma-3-270m"),
        description="edge models that clients may bring: the server reads their tokenizers",
    )
    transfer: Transfer = Field(default_factory=Transfer, description="as in docs/config.md")
    round: Round = Field(default_factory=Round, description="as in docs/config.md")
    clients: tuple[Name, ...] = Field((), description="who takes part; empty: whoever is attached")
    plans: dict[Name, Annotated[str, Field(strict=True, min_length=1)]] = Field(
        default_factory=dict,
        description="plans that clients may ask for by name, of `host` and of clients that lend",
    )
    limits: Limits = Field(default_factory=Limits, description="what a peer may ask for")


class Endpoint(Section):
    """The OpenAI API on loopback, for programs on the client's machine."""

    serve: Annotated[bool, Field(strict=True)] = Field(True, description="whether it is there at all")
    port: Port = Field(9444, description="port; if it is taken or 0, any free one")


class ClientConfig(Section):
    """A client on an edge device."""

    seed: Count = Field(7, description="of which private texts are set apart to judge by")
    carrier: Carrier = Field("link", description="of rounds, as the server has it")
    fleet: Place = Field(
        "",
        description="HOST:PORT of the federation's SuperLink; empty: the port after the server's",
    )
    public: tuple[ConfigPath, ...] = Field(
        (), description="transfer set, where no server of Renga's gives it: on somebody else's SuperLink"
    )
    host: str = Field("", description="the host model's reference, there")
    data: ConfigPath | None = Field(None, description="private training text, JSONL; needed to join")
    weight: Annotated[float, Field(strict=True, ge=0)] = Field(
        0.0, description="share in the merge; 0: its number of texts"
    )
    edge: Edge = Field(description="the edge model and what it spends, as in docs/config.md")
    endpoint: Endpoint = Field(default_factory=Endpoint, description="the local endpoint, below")


Model = TypeVar("Model", bound=Section)


def read_deployment(
    kind: type[Model],
    path: Path | None,
    options: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
) -> Model:
    """The config that holds: `path`, then the environment, then `options` ("listen.port" -> value or None).

    Raises UsageError for what is wrong, naming the file, variable or key.
    """
    data: dict[str, Any] = read_toml(path)[1] if path else {}
    prefix = "RENGA_SERVER__" if kind is ServerConfig else "RENGA_CLIENT__"
    for name, text in sorted((os.environ if environment is None else environment).items()):
        if name.startswith(prefix):
            _set(data, name.removeprefix(prefix).lower().split("__"), _value(text))
    for key, value in options.items():
        if value is not None:
            _set(data, key.split("."), value)
    try:
        folder = path.parent if path else Path()
        return kind.model_validate(data, context={"folder": folder})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = [*kind.model_fields, *(f"{first['loc'][0]}.{k}" for k in _fields(kind, first["loc"][0]))]
            raise UsageError(f"unknown key {where!r}", hint=did_you_mean(where, known)) from None
        if first["type"] == "missing":
            flag = {"host": "--model", "edge": "--model"}.get(where.split(".")[0], "")
            raise UsageError(f"missing {where!r}", hint=f"give {flag} REF" if flag else "") from None
        wrong = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"].lower()
        raise UsageError(f"{where} = {first['input']!r}: {wrong}") from None


def check_format(folder: Path, format: int) -> None:
    """Note the version of a state folder, or compare it. Raises UsageError for a folder of another one."""
    about = folder / "format.json"
    try:
        found = json.loads(about.read_text())["format"]
    except FileNotFoundError:
        about.write_text(json.dumps({"format": format}))
        return
    except (OSError, ValueError, TypeError, KeyError):
        found = "unreadable"
    if found != format:
        raise UsageError(
            f"{folder} was written by another version of renga (format {found}, this one writes {format})",
            hint="use the version that wrote it, or another --state",
        )


def shown(config: Section) -> str:
    """A config as TOML, as it would be written to say the same."""
    import tomli_w

    return tomli_w.dumps(_without_none(config.model_dump(mode="json")))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(part) for key, part in value.items() if part is not None}
    return value


def _fields(kind: type[Section], section: int | str) -> list[str]:
    field = kind.model_fields.get(str(section))
    inner = field.annotation if field else None
    return list(inner.model_fields) if isinstance(inner, type) and issubclass(inner, Section) else []


def _set(data: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        data = data.setdefault(part, {})
        if not isinstance(data, dict):
            raise UsageError(f"{part!r} is no table")
    data[path[-1]] = value


def _value(text: str) -> Any:
    """What a variable says: TOML where it is TOML (numbers, true, lists), else the text itself."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text
