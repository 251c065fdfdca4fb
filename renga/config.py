"""The config of `renga simulate`: what every key means, its default and its bounds.

`load` reads a TOML file into frozen objects, or raises a UsageError of one line that says where the file is
wrong. Nothing is read here but the config itself; `renga check` looks at what it names.

docs/config.md is made from these classes (`make docs`), so that it can't say anything else.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails

from renga.errors import UsageError, did_you_mean

Positive = Annotated[int, Field(strict=True, ge=1)]
Count = Annotated[int, Field(strict=True, ge=0)]
Rate = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Amount = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Flag = Annotated[bool, Field(strict=True)]
Reference = Annotated[str, Field(strict=True, min_length=1)]
Name = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9_][a-z0-9_-]*$", max_length=64)]
Modules = Literal["all", "attention", "upper"]
Coding = Literal["blocks8", "bf16", "float32"]
FaultKind = Literal["drop", "slow", "fail", "nan", "shape", "base", "vocabulary"]


def _from_config_folder(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder", Path())
    return Path(folder) / path.expanduser()


ConfigPath = Annotated[Path, AfterValidator(_from_config_folder)]


class Section(BaseModel):
    """One table of the config. Keys it does not know are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Host(Section):
    """The server's model."""

    model: Reference = Field(description="model reference: a name, a folder, a `.gguf` file, `package:…`")
    rank: Positive = Field(16, description="rank of the host's LoRA adapter")
    alpha: Rate = Field(32.0, description="its scale: an update is (alpha/rank)·B·A")
    learning_rate: Rate = Field(1e-3, description="of AdamW")
    batch: Positive = Field(8, description="texts per step")
    tokens: Positive = Field(20_000, description="training tokens per round")
    modules: Modules = Field(
        "all", description="layers with an adapter; `upper`: of the upper half of the blocks"
    )


class Edge(Section):
    """A client's model and what it spends per round. Each key may be set again for one client."""

    model: Reference = Field(description="model reference")
    rank: Positive = Field(8, description="rank of the client's LoRA adapter")
    alpha: Rate = Field(16.0, description="its scale: an update is (alpha/rank)·B·A")
    learning_rate: Rate = Field(1e-3, description="of AdamW")
    batch: Positive = Field(8, description="texts per step")
    tokens: Positive = Field(6_000, description="training tokens of private text per round")
    transfer_tokens: Count = Field(3_000, description="training tokens per round for learning from the host")
    transfer_rate: Rate = Field(0.33, description="learning rate of that step, as a share of `learning_rate`")
    replay: Annotated[float, Field(strict=True, ge=0, lt=1)] = Field(
        0.5,
        description="share of private texts among those of the transfer step, so that it unlearns nothing",
    )
    transfer_tolerance: Share = Field(
        0.02,
        description="share by which the client's own validation text may be worse after that step; if it is, "
        "half of the step is tried, then none",
    )
    validation: Positive = Field(
        24, description="private texts set apart to judge what is offered: a tenth of them, at most so many"
    )
    modules: Modules = Field(
        "all", description="layers with an adapter; `upper`: of the upper half of the blocks"
    )
    coding: Coding = Field("blocks8", description="how an adapter's numbers travel")


class Client(Section):
    """One client. Any key of `[edge]` may stand here too and then holds for this client alone."""

    name: Name = Field(description="unique; lower-case letters, digits, `_` and `-`")
    data: ConfigPath = Field(description="private training text: JSONL, or what `datasets` reads")
    held_out: ConfigPath = Field(description="text of the same domain that is never trained on")
    weight: Amount = Field(0.0, description="share in the merge; 0: its number of texts")
    edge: Edge = Field(description="`[edge]` with this client's own keys over it")


class Transfer(Section):
    """Public texts that both sides hold, and how models learn from each other on them."""

    data: tuple[ConfigPath, ...] = Field(
        (), description="files of public text; one without response is a bare prompt"
    )
    validation: tuple[ConfigPath, ...] = Field(
        (), description="files of labelled public text for the host's gate"
    )
    slice: Count = Field(0, description="texts with a response per round; 0: all")
    questions: Count = Field(0, description="bare prompts per round; 0: all")
    top_k: Annotated[int, Field(strict=True, ge=1, le=254)] = Field(  # a row's count is a byte on the wire
        16, description="tokens per position in a knowledge row"
    )
    floor: Share = Field(1e-4, description="tokens with less probability are left out of a row")
    temperature: Rate = Field(1.0, description="of teacher and student in distillation")
    weight: Share = Field(0.5, description="of distillation; the rest is the loss on the text itself")
    agreement: Share = Field(
        0.5, description="how probable a client must find its own answer to a bare prompt"
    )
    answer_tokens: Positive = Field(16, description="longest answer to a bare prompt")


class Round(Section):
    """When a round ends, and what it needs to count."""

    deadline: Rate = Field(3600.0, description="seconds that clients have for one step of a round")
    quorum: Count = Field(0, description="clients whose work a round needs; 0: all but one, at least 1")
    grace: Amount = Field(5.0, description="seconds to wait for the others once the quorum has replied")
    tolerance: Amount = Field(
        0.0, description="bits per byte by which validation may get worse before the gate shuts"
    )
    rank: Count = Field(0, description="rank of a cohort's merged adapter; 0: the largest of its clients")


class Evaluate(Section):
    """What is measured on held-out text."""

    limit: Count = Field(0, description="texts per file; 0: all")
    others: Count = Field(
        0, description="texts of all other clients' files together to measure a client on; 0: all of them"
    )
    batch: Positive = Field(16, description="texts per forward pass")
    accuracy: Flag = Field(True, description="measure accuracy too, not only bits per byte")
    free: Flag = Field(True, description="also of free answers, which must be written out")
    every: Flag = Field(False, description="measure after every round, not only after the last")


class Baselines(Section):
    """What the federation is compared with."""

    alone: Flag = Field(True, description="every client trained on its own text only, in the same steps")
    public: Flag = Field(False, description="the host trained on the transfer set's own text only")
    centralised: Flag = Field(False, description="the host trained on all private text in one place")


class Fault(Section):
    """For tests: something that goes wrong for one client in one round."""

    client: Name = Field(description="whom it befalls")
    round: Positive = Field(description="when")
    kind: FaultKind = Field(
        description="no reply, a late one, a failure, or a reply with NaN, a wrong shape, base or vocabulary"
    )


class Network(Section):
    """How unreliable the way to the clients is: shares of all messages, drawn by seed."""

    drop: Share = Field(0.0, description="messages that never reach their client")
    lose: Share = Field(0.0, description="messages that a client works on, and whose reply is lost")
    late: Share = Field(0.0, description="replies that come late")
    delay: Amount = Field(0.0, description="seconds by which they do, on average")

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.drop + self.lose + self.late > 1:
            raise ValueError("network.drop, lose and late are shares of all messages: together at most 1")
        return self


class Ray(Section):
    """With `--carrier ray`: what one client is given. Ray runs as many at once as the machine bears."""

    cpus: Positive = Field(1, description="cores for one client")
    gpus: Amount = Field(0.0, description="GPUs for one client; a share lets several take one")
    cluster_cpus: Count = Field(0, description="cores that Ray may use in all; 0: every core")


class Config(Section):
    """A federation on one machine."""

    name: Name = Field(description="names the folder of results, `runs/<name>`")
    seed: Count = Field(7, description="same config, same seed, same machine: same bytes")
    rounds: Positive = Field(2, description="rounds of learning")
    threads: Count = Field(0, description="threads for tensor operations; 0: every core")
    host: Host
    edge: Edge
    clients: tuple[Client, ...]
    transfer: Transfer = Transfer()
    round: Round = Round()
    evaluate: Evaluate = Evaluate()
    baselines: Baselines = Baselines()
    network: Network = Network()
    ray: Ray = Ray()
    faults: tuple[Fault, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _edge_under_clients(cls, data: Any) -> Any:
        """Give each client the whole of `[edge]`, with the keys that it sets itself."""
        if not isinstance(data, Mapping):
            return data
        shared, clients = data.get("edge", {}), data.get("clients")
        if not isinstance(shared, Mapping) or not isinstance(clients, (list, tuple)):
            return data
        return {**data, "clients": [_with_edge(client, shared) for client in clients]}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.clients:
            raise ValueError("there are no clients: add a [[clients]] table for each")
        names = Counter(client.name for client in self.clients)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ValueError(f"two clients are named {twice[0]!r}; names must differ")
        if "host" in names:
            raise ValueError(
                "a client is named 'host', which is what the server's model is called in results"
            )
        if self.round.quorum > len(self.clients):
            raise ValueError(f"round.quorum = {self.round.quorum}, but there are {len(self.clients)} clients")
        for fault in self.faults:
            if fault.client not in names:
                raise ValueError(f"faults name the client {fault.client!r}, which does not exist")
            if fault.round > self.rounds:
                raise ValueError(f"a fault is set for round {fault.round} of {self.rounds}")
        return self


def _with_edge(client: Any, shared: Mapping[str, Any]) -> Any:
    if not isinstance(client, Mapping):
        return client
    own = {key: value for key, value in client.items() if key in Edge.model_fields}
    rest = {key: value for key, value in client.items() if key not in own}
    nested = rest.pop("edge", {})  # a config that was dumped already has it
    if not isinstance(nested, Mapping):
        return client
    return {**rest, "edge": {**shared, **nested, **own}}


def load(path: Path) -> Config:
    """The config in the TOML file `path`; the paths in it are taken from the file's own folder.

    Raises UsageError: no such file, not TOML, or not this schema (first error, with its line).
    """
    text, data = read_toml(path)
    return validated(data, path, text)


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """A TOML file's text, and what it says. Raises UsageError: no such file, or not TOML."""
    text = _read(path)
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).partition(" (at line ")
        line = where.partition(",")[0] if where else str(text.count("\n") + 1)
        raise UsageError(f"{path}:{line}: not TOML: {what[:1].lower()}{what[1:]}") from None


def validated(data: Mapping[str, Any], path: Path, text: str = "") -> Config:
    """The config that `data` says; `path`, and a line of `text`, are named where it is wrong.

    Raises UsageError for the first thing that is not this schema.
    """
    try:
        return Config.model_validate(data, context={"folder": path.parent})
    except ValidationError as error:
        raise _usage_error(path, text, data, error) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        others = sorted(str(other) for other in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        hint = did_you_mean(str(path), others) if others else "give the path of a TOML file"
        raise UsageError(f"no config at {path}", hint=hint) from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder, not a config", hint="give the path of a TOML file") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


# What a person wrote, instead of what pydantic calls it.
_TYPES = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be a text in quotes",
    "path_type": "must be a path in quotes",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "dict_type": "must be a table",
}


def _usage_error(path: Path, text: str, data: Mapping[str, Any], error: ValidationError) -> UsageError:
    """The first error of a validation, in the words of the file."""
    found = [
        (one, tuple(_as_written(one["loc"]))) for one in error.errors() if not _inherited(one["loc"], data)
    ]
    # A typo first: it explains the key that is then missing.
    first, loc = next((pair for pair in found if pair[0]["type"] == "extra_forbidden"), found[0])
    lines = _lines(text)
    line = next((lines[loc[:n]] for n in range(len(loc), 0, -1) if loc[:n] in lines), 0)
    where = f"{path}:{line}" if line else f"{path}"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    message, hint = _explain(first, loc)
    return UsageError(f"{where}: {message}{more}", hint=hint)


def _as_written(loc: tuple[int | str, ...]) -> Iterator[int | str]:
    """Clients carry `[edge]` inside; the file has no such level."""
    return (part for n, part in enumerate(loc) if not (n == 2 and loc[0] == "clients" and part == "edge"))


def _inherited(loc: tuple[int | str, ...], data: Mapping[str, Any]) -> bool:
    """Whether the error lies in `[edge]` and is only repeated in a client."""
    if loc[:1] != ("clients",) or len(loc) < 4 or loc[2] != "edge":
        return False
    return loc[3] not in data["clients"][loc[1]]


def _lines(text: str) -> dict[tuple[int | str, ...], int]:
    """The line, from 1, of every table and key that stands on a line of its own."""
    lines: dict[tuple[int | str, ...], int] = {}
    table: tuple[int | str, ...] = ()
    seen: Counter[str] = Counter()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\[\s*([\w.-]+)\s*\]\]", line):
            table = (header[1], seen[header[1]])
            seen[header[1]] += 1
            lines[table] = number
        elif header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            table = tuple(header[1].split("."))
            lines[table] = number
        elif key := re.match(r"\s*([\w.-]+)\s*=", line):
            lines.setdefault((*table, *key[1].split(".")), number)
    return lines


def _explain(error: ErrorDetails, loc: tuple[int | str, ...]) -> tuple[str, str]:
    """What is wrong, and a hint."""
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    if error["type"] == "extra_forbidden":
        return f"unknown key {key!r}", did_you_mean(str(loc[-1]), _keys_at(loc[:-1]))
    if error["type"] == "missing":
        return f"missing key {key!r}", "docs/config.md lists every key"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"]), ""
    if error["type"] == "string_pattern_mismatch":
        return f"{key} = {error['input']!r}: only lower-case letters, digits, _ and -", ""
    said = _TYPES.get(error["type"]) or error["msg"].replace("Input should be", "must be")
    given = "" if isinstance(error["input"], (dict, list)) else f" = {error['input']!r}"
    return f"{key}{given}: {said[:1].lower()}{said[1:]}", ""


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the table at `loc` may hold."""
    if not loc:
        return list(Config.model_fields)
    if loc[0] == "clients":
        return [key for key in (*Client.model_fields, *Edge.model_fields) if key != "edge"]
    return list(sections()[str(loc[0])].model_fields)


def sections() -> dict[str, type[Section]]:
    """The tables of a config by name, in the order of the documentation."""
    return {
        "host": Host,
        "edge": Edge,
        "clients": Client,
        "transfer": Transfer,
        "round": Round,
        "evaluate": Evaluate,
        "baselines": Baselines,
        "network": Network,
        "ray": Ray,
        "faults": Fault,
    }
