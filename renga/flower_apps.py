"""The two apps as Flower's engines start them, in processes of Flower's own.

A bundle names them in its `pyproject.toml` (`renga.flower_apps:server`, `renga.flower_apps:client`) and
carries no code: every node runs the Renga that its owner installed. Nothing heavy is loaded here: on a
client this module is imported anew for every message.
"""

from __future__ import annotations

from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from renga.errors import RengaError
from renga.protocol.envelope import MESSAGE_TYPES
from renga.protocol.failure import scrub_failures
from renga.protocol.relay import forward, lend

server = ServerApp()
client = ClientApp(mods=[scrub_failures()])


@server.main()
def play(grid: Grid, context: Context) -> None:
    """Lend the grid to the Renga on this machine that plays the rounds."""
    socket = str(context.run_config.get("socket", ""))
    if not socket:
        raise RengaError(
            "the run config names no socket", hint="renga train starts runs, and says where it is"
        )
    lend(grid, Path(socket))


def answer(message: Message, context: Context) -> Message:
    """Pass the message on to the client's daemon, which keeps its model warm."""
    socket = str(context.node_config.get("socket", ""))
    if not socket:
        raise RengaError("the node config names no socket", hint="renga join starts the SuperNode with one")
    return forward(message, Path(socket))


for _kind in MESSAGE_TYPES.values():
    _family, _, _action = _kind.partition(".")
    getattr(client, _family)(_action)(answer)
