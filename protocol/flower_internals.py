"""Everything of Flower's private API that Renga uses, and nothing else.

Flower's public modules (`flwr.app`, `flwr.serverapp`, `flwr.clientapp`) are imported wherever they
are needed. What is private changes without notice, so it is imported here alone, with the reason and
what breaks without it. Verified with flwr 1.41 and 1.42, which are identical in all of this;
tests/protocol/test_flower_internals.py is what to run before the range in pyproject.toml is widened.

Importing this module also switches off what Flower does on its own account: telemetry, the look for
a newer version, and the installation of an app's dependencies at run time. The three are read from
the environment, the first of them when Flower is imported, the others when used (by child processes
too, which inherit them).
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from renga.errors import RengaError

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}
os.environ.update(QUIET)
if (_telemetry := sys.modules.get("flwr.supercore.telemetry")) is not None:
    # Someone imported flwr before us, and it has read its switch already.
    _telemetry.FLWR_TELEMETRY_ENABLED = "0"  # type: ignore[attr-defined]

try:
    from flwr.app import Message, RecordDict

    # A message with given metadata; the public constructor only makes new metadata. Without it a
    # message can't be sent without altering the caller's own object.
    from flwr.app.message.message import make_message

    # Numbers that peers compare: the node id that every ServerApp has, and the code of an error
    # reply from a ClientApp that raised. They are not exported publicly.
    from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode

    # The wire form of a message: a tree of objects, each named by the sha256 of its bytes. There is
    # no public way from a Message to bytes. Without these a carrier has nothing to carry.
    from flwr.supercore.inflatable.inflatable_object import (
        get_all_nested_objects,
        no_object_id_recompute,
    )
    from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

    # `Grid.run` must return one, and Flower's own strategies may read it.
    from flwr.supercore.run import Run as Run

    # `Message(...)` asks which run and node it is built in, and raises outside of a run that Flower
    # itself has started. Without it the ServerApp can't make a message on any carrier of ours.
    from flwr.supercore.task_identity import TaskIdentity
except ImportError as error:  # pragma: no cover - needs another Flower
    raise RengaError(
        f"the installed Flower is not one that Renga knows: {error.name} lacks what we use",
        hint="pip install 'flwr>=1.41,<1.43'",
    ) from error

SERVER_NODE_ID: int = SUPERLINK_NODE_ID
CLIENT_FAILED: int = ErrorCode.CLIENT_APP_RAISED_EXCEPTION


@dataclass(frozen=True)
class Wire:
    """A message as it travels: the id of its root and the bytes of every object under it, by sha256.

    Objects that occur twice travel once. Messages of one `deflate` call share the bytes of equal objects.
    """

    id: str
    objects: dict[str, bytes]

    @property
    def size(self) -> int:
        """Bytes of payload, ids not counted (they are carried inside their parents)."""
        return sum(map(len, self.objects.values()))


def deflate(messages: Sequence[Message]) -> list[Wire]:
    """The wire form of each message. Nothing of the messages is altered."""
    wires: list[Wire] = []
    known: dict[str, bytes] = {}
    # Inside this context ids are computed once, not once per level of the tree and message.
    with no_object_id_recompute():
        for message in messages:
            _forget_ids(message)
            nested = get_all_nested_objects(message)
            objects = {i: known[i] if i in known else thing.deflate() for i, thing in nested.items()}
            known.update(objects)
            wires.append(Wire(message.object_id, objects))
    return wires


def inflate(wire: Wire) -> Message:
    """The message of a wire form. For bytes that are already trusted: ids are not checked again."""
    message = inflate_object_from_contents(wire.id, dict(wire.objects))
    if not isinstance(message, Message):
        raise TypeError(f"the root is a {type(message).__name__}, not a Message")
    set_message_id(message, wire.id)
    return message


def _forget_ids(message: Message) -> None:
    # Flower trusts a remembered id when any object met in the same context has that id, also for a
    # record that was altered since; such a record would travel under the name of its old content.
    content = message.content if message.has_content() else RecordDict()
    for thing in (message, content, *content.values()):
        thing.__dict__.pop("_object_id", None)


def set_message_id(message: Message, message_id: str) -> None:
    """Name a message. The id is not part of its wire form and has no public setter."""
    message.metadata.__dict__["_message_id"] = message_id


def stamped(message: Message, created_at: float, ttl: float | None = None) -> Message:
    """The same content under a copy of the metadata with another date (Unix seconds) and ttl (seconds)."""
    metadata = copy.copy(message.metadata)
    metadata.created_at = created_at
    if ttl is not None:
        metadata.ttl = ttl
    if message.has_error():
        return make_message(metadata, error=message.error)
    return make_message(metadata, content=message.content)


def without_content(message: Message) -> Message:
    """The same message with nothing in it: to know by, later, what a reply would answer."""
    return make_message(copy.copy(message.metadata), content=RecordDict())


def from_node(message: Message, node: int) -> Message:
    """The same message, as if it came from `node`: Flower gives nodes numbers of its own.

    The sender is not settable in public; without this, replies could not be told apart by client names.
    """
    moved = stamped(message, message.metadata.created_at)
    moved.metadata.__dict__["_src_node_id"] = node
    return moved


def answering(message: Message, request: str) -> Message:
    """The same reply, as if it were to the message `request`: that of an older sending of the same.

    Not settable in public either; without it, what was sent twice could not be matched with who waits for it.
    """
    moved = stamped(message, message.metadata.created_at)
    moved.metadata.__dict__["_reply_to_message_id"] = request
    return moved


@contextmanager
def acting_as_server(run_id: int) -> Iterator[None]:
    """Let `Message(...)` be built in this process on behalf of the server of a run.

    The identity is one per process (Flower's choice), so it must not be used for two runs at a time.
    Clients need none: a reply takes its metadata from the message that it answers.
    """
    fields = ("_task_id", "_run_id", "_node_id")
    before = {name: getattr(TaskIdentity, name) for name in fields}
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, run_id, SERVER_NODE_ID
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(TaskIdentity, name, value)


def empty_run(run_id: int) -> Run:
    """A Run that says nothing but its id."""
    return Run.create_empty(run_id)


def sign_off(fleet: str, authority: Path, key: ec.EllipticCurvePrivateKey, node: int) -> bool:
    """Tell the SuperLink at `host:port` that the SuperNode `node`, whose key this is, has gone; whether it
    took that in.

    A SuperNode says so itself, unless it was killed. Without this Flower takes one that was for present, and
    lets it back in after a minute at the earliest. There is neither a command nor a public function for it.
    """
    import httpx
    from flwr.proto.fleet_pb2 import DeactivateNodeRequest
    from flwr.supernode.fleet_http_client import FleetHttpClient
    from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

    signed = NodeAuthHttpInterceptor(key, key.public_key())
    try:
        with FleetHttpClient.from_server_address(fleet, False, authority.read_bytes(), [signed]) as client:
            client.DeactivateNode(DeactivateNodeRequest(node_id=node))
    except (OSError, ValueError, httpx.HTTPError, RuntimeError):
        return False
    return True
