"""What a client does with a Flower message that came over the link: run the ClientApp, scrub what fails."""

from __future__ import annotations

import hashlib
import traceback
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import time

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from renga.client.outbox import Outbox
from renga.errors import RefusedPayload, RengaError
from renga.protocol.envelope import opened
from renga.protocol.failure import FailureLog, failure_reason
from renga.protocol.flower_internals import CLIENT_FAILED, deflate, inflate, set_message_id, stamped
from renga.protocol.link_frames import packed, unpacked
from renga.protocol.names import node_id

REMEMBERED = 8  # replies kept, should the server ask again


@dataclass
class Work:
    """A ClientApp with the Context it keeps between messages."""

    name: str
    app: ClientApp
    context: Context
    on_failure: FailureLog | None = None
    _given: OrderedDict[str, RecordDict] = field(default_factory=OrderedDict)

    @classmethod
    def of(cls, name: str, app: ClientApp, on_failure: FailureLog | None = None) -> Work:
        context = Context(
            run_id=1,
            node_id=node_id(name),
            node_config={"name": name},
            state=RecordDict(),
            run_config={},
        )
        return cls(name, app, context, on_failure)

    def answer(self, blob: bytes | memoryview, id: str, kind: str) -> Iterator[bytes]:
        """The reply to the message in `blob`, packed for the way back; its failures included.

        Raises RefusedPayload if it is not the message that was announced.
        """
        try:
            request = inflate(unpacked(blob))
        except (ValueError, TypeError, KeyError) as error:
            raise RefusedPayload("the message can't be read") from error
        metadata = request.metadata
        if metadata.dst_node_id != self.context.node_id or metadata.message_type != kind:
            raise RefusedPayload("the message is another one than was announced")
        set_message_id(request, id)
        lifetime, metadata.created_at = metadata.ttl, time()
        return packed(deflate([stamped(self.reply(request), time(), lifetime)])[0])

    def reply(self, request: Message) -> Message:
        """The reply to a message, or the error reply that says of a failure what may be said."""
        id = request.metadata.message_id
        asked = stamped(request, request.metadata.created_at)
        set_message_id(asked, id)
        try:
            reply = self.app(request, self.context)
            if not isinstance(reply, Message) or reply.metadata.reply_to_message_id != id:
                raise RengaError("the ClientApp returned something else than a reply to its message")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the edge of the client's side
            if self.on_failure is not None:
                self.on_failure(self.name, traceback.format_exc())
            return Message(Error(CLIENT_FAILED, failure_reason(error)), reply_to=asked)
        return reply

    def released(self, request: Message, outbox: Outbox) -> Message:
        """The reply, once the policy has let it go and the ledger has it. Raises Withheld.

        A request of a round that comes twice is worked on once, and its reply given again.
        """
        kind, group = request.metadata.message_type, request.metadata.group_id
        round = int(group) if group.isdecimal() else 0
        key = hashlib.sha256(f"{kind} {round} ".encode() + opened(request).tobytes()).hexdigest()
        if round == 0 or key not in self._given:
            reply = self.reply(request)
            if reply.has_error():
                outbox.release(kind, round, 0)
                return reply
            self._given[key] = reply.content
            while len(self._given) > REMEMBERED:
                self._given.popitem(last=False)
        content = self._given[key]
        reply = Message(content, reply_to=request)
        outbox.release(kind, round, int(opened(reply).nbytes))
        return reply
