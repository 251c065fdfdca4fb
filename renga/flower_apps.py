"""The two apps as Flower's engines start them, in processes of Flower's own.

A bundle names them in its `pyproject.toml` (`renga.flower_apps:server`, `renga.flower_apps:client`) and
carries no code: every node runs the Renga that its owner installed. Nothing heavy is loaded here: on a
client this module is imported anew for every message.

Where Renga's own server or client runs on the machine, it is passed on to by a socket. Where there is none,
on a SuperLink that is somebody else's, the work is done in these processes (`flower_standalone.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from renga.errors import UsageError, did_you_mean
from renga.protocol.envelope import MESSAGE_TYPES
from renga.protocol.failure import one_line, scrub_failures
from renga.protocol.relay import forward, lend

RUN_KEYS = ("clients", "rounds", "server", "socket", "state")
NODE_KEYS = ("config", "name", "socket", "state")


def _note(_: str, trace: str) -> None:
    """What went wrong on a node goes to the log of its SuperNode; the server hears a line at most."""
    print(trace, file=sys.stderr, flush=True)


server = ServerApp()
client = ClientApp(mods=[scrub_failures(_note)])


@server.main()
def play(grid: Grid, context: Context) -> None:
    """Lend the grid to the Renga on this machine that plays the rounds, or play them here."""
    if socket := str(context.run_config.get("socket", "")):
        lend(grid, Path(socket))
        return
    run = checked(context.run_config, RUN_KEYS, "run")
    from renga.flower_standalone import play_here

    play_here(grid, context, run)


def answer(message: Message, context: Context) -> Message:
    """Pass the message on to the client's daemon, which keeps its model warm, or answer it here."""
    if socket := str(context.node_config.get("socket", "")):
        return forward(message, Path(socket))
    node = checked(context.node_config, NODE_KEYS, "node")
    from renga.flower_standalone import answer_here

    return answer_here(message, node)


def checked(config: Mapping[str, object], known: tuple[str, ...], what: str) -> Mapping[str, object]:
    """The config, if it has no other keys than these. Raises UsageError that names the first."""
    for key in sorted(config):
        if key not in known:
            # All in the message: of an error in its processes Flower passes nothing else on.
            told = f"unknown key {one_line(key, 40)!r} in the {what} config: {did_you_mean(key, known)}"
            raise UsageError(told)
    return config


for _kind in MESSAGE_TYPES.values():
    _family, _, _action = _kind.partition(".")
    getattr(client, _family)(_action)(answer)
