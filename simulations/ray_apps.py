"""The clients of a simulation as Ray's actors run them: each actor is a process with models of its own.

The run config says which federation this is; the members' state lies in the run's folder, so that any actor
may answer for any client.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

import torch
from flwr.app import Context, Message

from renga.client.app import client_app
from renga.client.member import Member
from renga.config import Config, load
from renga.protocol.failure import ClientFunction, scrub_failures
from renga.simulations.build import Models, Texts, build_member, read_texts
from renga.simulations.faults import answering, lies
from renga.simulations.progress_socket import teller


@dataclass(frozen=True)
class _Federation:
    config: Config
    texts: Texts
    models: Models


@cache
def _federation(path: str) -> _Federation:
    """Read once in an actor's life; so is every model."""
    config = load(Path(path))
    torch.set_num_threads(config.threads or config.ray.cpus)
    return _Federation(config, read_texts(config), Models(lambda reference: None))


@cache
def _member(path: str, clients: str, progress: str, place: int) -> Member:
    federation = _federation(path)
    config = federation.config
    client = config.clients[place]
    member = build_member(
        config, client, federation.texts, federation.models, Path(clients), teller(Path(progress))
    )
    return cast(Member, answering(member, lies(config.faults).get(client.name)))


def _resolve(context: Context) -> Member:
    run = context.run_config
    return _member(str(run["config"]), str(run["clients"]), str(run["progress"]), _place(context))


def _place(context: Context) -> int:
    return int(cast(int, context.node_config["partition-id"]))


def _scrubbed(message: Message, context: Context, call_next: ClientFunction) -> Message:
    """What fails goes to the client's own log, `failures.log`; the server hears no more than one line."""

    def note(_: str, trace: str) -> None:
        run = context.run_config
        name = _federation(str(run["config"])).config.clients[_place(context)].name
        with suppress(OSError), open(Path(str(run["clients"])) / name / "failures.log", "a") as file:
            file.write(trace)

    return scrub_failures(note)(message, context, call_next)


client = client_app(_resolve, [_scrubbed])
