"""Flower's grid and Flower's messages, passed on over UNIX sockets.

Flower's engines start our apps in processes of their own, for one run or even for one message. What is dear
(the models, the state, a client's keys) lives in a process of ours that stays. So the ServerApp there lends
its grid (`lend`) to the process that plays the rounds (`RelayedGrid`), and the ClientApp there passes its
message on (`forward`) to the client's daemon (`Window`). Both ends run on one machine, as one user: the
socket stands in a folder that nobody else may enter.

A frame is a JSON header and, one by one, the blobs it announces (`link_frames`); nothing is pickled.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, cast

from flwr.app import Error, Message
from flwr.serverapp import Grid

from renga.errors import RefusedPayload, RengaError
from renga.protocol.clock import SystemClock
from renga.protocol.flower_internals import CLIENT_FAILED, Run, deflate, empty_run, inflate
from renga.protocol.grid_calls import create_message, send_and_receive
from renga.protocol.link_frames import packed, unpacked

HEADER_LIMIT = 1 << 20
BLOB_LIMIT = 2 << 30
PATH_LIMIT = 100  # bytes of a UNIX socket's path, all systems included


def send(connection: Connection, header: dict[str, Any], messages: Sequence[Message] = ()) -> None:
    """Send a header and messages."""
    connection.send_bytes(json.dumps({**header, "blobs": len(messages)}).encode())
    for wire in deflate(list(messages)):
        connection.send_bytes(b"".join(packed(wire)))


def receive(connection: Connection) -> tuple[dict[str, Any], list[Message]]:
    """A header and its messages. Raises EOFError when the other end is gone, RefusedPayload for nonsense."""
    try:
        header = json.loads(connection.recv_bytes(HEADER_LIMIT))
        messages = [inflate(unpacked(connection.recv_bytes(BLOB_LIMIT))) for _ in range(int(header["blobs"]))]
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedPayload("the relay's other end sends something else than frames") from error
    return header, messages


class Door:
    """A socket at `path` that others of this machine and user may come to. Close it when done."""

    def __init__(self, path: Path) -> None:
        if len(os.fsencode(path)) > PATH_LIMIT:
            raise RengaError(f"{path} is too long for a socket", hint="choose a shorter --state or --out")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._listener = Listener(str(path), "AF_UNIX")
        except OSError as error:
            raise RengaError(f"can't listen at {path}: {error.strerror}") from error
        finally:
            os.umask(before)
        self._path = path

    def accept(self) -> Connection:
        """Wait for the next one. Raises OSError once the door is closed."""
        return self._listener.accept()

    def close(self) -> None:
        with suppress(OSError):
            # A thread that waits in `accept` is not woken by a close alone.
            with suppress(OSError), Client(str(self._path), "AF_UNIX"):
                pass
            self._listener.close()
        self._path.unlink(missing_ok=True)


class RelayedGrid(Grid):
    """The grid that a ServerApp lends from another process over `connection`.

    Any call raises RengaError when that process is gone.
    """

    create_message = create_message
    send_and_receive = send_and_receive

    def __init__(self, connection: Connection, *, run_id: int = 1) -> None:
        self.clock = SystemClock(0.1)
        self._connection = connection
        self._run = empty_run(run_id)
        self._lock = threading.Lock()

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def get_node_ids(self) -> list[int]:
        return [int(node) for node in self._ask({"do": "nodes"})[0]["nodes"]]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        messages = list(messages)
        return cast(list[str], list(self._ask({"do": "push"}, messages)[0]["ids"])) if messages else []

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        ids = list(message_ids)
        return self._ask({"do": "pull", "ids": ids})[1] if ids else []

    def end(self) -> None:
        """Let the ServerApp go home."""
        with suppress(RengaError):
            self._ask({"do": "end"})

    def _ask(
        self, header: dict[str, Any], messages: Sequence[Message] = ()
    ) -> tuple[dict[str, Any], list[Message]]:
        with self._lock:
            try:
                send(self._connection, header, messages)
                reply, found = receive(self._connection)
            except (EOFError, OSError) as error:
                raise RengaError("Flower's ServerApp is gone", hint="its log says why") from error
        if "failed" in reply:
            raise RengaError(f"Flower's grid: {reply['failed']}")
        return reply, found


def lend(grid: Grid, path: Path) -> None:
    """Do with `grid` what the process at the socket `path` asks for, until it says that it is done.

    Raises RengaError if nobody is there, or goes before saying so: a run that was left alone has failed.
    """
    with _connected(path) as connection:
        try:
            while _served(grid, connection):
                pass
        except EOFError as error:
            raise RengaError("the process that played the rounds is gone") from error


def _served(grid: Grid, connection: Connection) -> bool:
    header, messages = receive(connection)
    reply: dict[str, Any] = {}
    found: list[Message] = []
    try:
        match header.get("do"):
            case "nodes":
                reply["nodes"] = list(grid.get_node_ids())
            case "push":
                reply["ids"] = list(grid.push_messages([_own(message) for message in messages]))
            case "pull":
                found = list(grid.pull_messages([str(id) for id in header["ids"]]))
            case "end":
                pass
            case _:
                raise RefusedPayload("the relay asks for something unknown")
    except Exception as error:  # noqa: BLE001 - the edge to the other process, which has the user
        reply, found = {"failed": f"{type(error).__name__}: {error}"[:300]}, []
    send(connection, reply, found)
    return header.get("do") != "end"


def _own(message: Message) -> Message:
    """The message as one of this process's run."""
    metadata = message.metadata
    return Message(
        message.content,
        dst_node_id=metadata.dst_node_id,
        message_type=metadata.message_type,
        ttl=metadata.ttl,
        group_id=metadata.group_id,
    )


def forward(message: Message, path: Path) -> Message:
    """The reply of the daemon at the socket `path` to a message that reached its ClientApp here.

    Raises RengaError if no daemon is there.
    """
    with _connected(path) as connection:
        try:
            send(connection, {"do": "answer"}, [message])
            _, replies = receive(connection)
        except (EOFError, OSError) as error:
            raise RengaError("the client's daemon went away", hint="renga join starts it") from error
    if len(replies) != 1:
        raise RengaError("the client's daemon gave no reply")
    (reply,) = replies
    if reply.has_error():
        return Message(Error(reply.error.code, reply.error.reason), reply_to=message)
    return Message(reply.content, reply_to=message)


class Window:
    """Where a ClientApp's process passes messages in: `answer` replies to each, one at a time."""

    def __init__(self, path: Path, answer: Callable[[Message], Message]) -> None:
        self._door = Door(path)
        self._answer = answer
        self._open = True
        self._thread = threading.Thread(target=self._serve, name="window", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._open = False
        self._door.close()
        self._thread.join(timeout=5.0)

    def _serve(self) -> None:
        while self._open:
            try:
                connection = self._door.accept()
            except OSError:
                return
            with connection, suppress(EOFError, OSError, RefusedPayload):
                header, messages = receive(connection)
                if header.get("do") != "answer" or len(messages) != 1:
                    continue
                try:
                    reply = self._answer(messages[0])
                except RengaError as error:
                    reply = Message(Error(CLIENT_FAILED, error.message), reply_to=messages[0])
                send(connection, {}, [reply])


@contextmanager
def _connected(path: Path) -> Iterator[Connection]:
    try:
        connection = Client(str(path), "AF_UNIX")
    except OSError as error:
        raise RengaError(f"nobody listens at {path}", hint="is renga running on this machine?") from error
    with connection:
        yield connection
