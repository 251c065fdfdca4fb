"""The server of a client's federation, asked for answers: what is asked passes the outbox, pieces come back.

Calls run on a loop of their own in a thread, so that commands, chats and the local endpoint ask alike.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import grpc

from renga.client.enrolment import refused
from renga.client.ledger import Ledger
from renga.client.outbox import Outbox
from renga.client.policy import read_policy
from renga.errors import RengaError, UsageError
from renga.models.contract import Clearance, Piece, Prompt, Sampling
from renga.models.meter import Meter
from renga.protocol import link_pb2 as wire
from renga.protocol.credentials import Credentials, has_credentials, load_credentials
from renga.protocol.link_pb2_grpc import LinkStub
from renga.protocol.prompts import said

PATIENCE = 600.0
MOMENT = 20.0

T = TypeVar("T")


class Federation:
    """Of the client in `folder`; `outbox`: the one that its daemon has. Raises UsageError if there is no
    client."""

    def __init__(self, folder: Path, outbox: Outbox | None = None) -> None:
        keys, saved = folder / "keys", folder / "server.json"
        if not has_credentials(keys) or not saved.exists():
            raise UsageError(
                f"{folder} is not the state of a client", hint="renga join first, or --state DIR"
            )
        self.address: str = json.loads(saved.read_text())["address"]
        self._keys = keys
        self._credentials: Credentials = load_credentials(keys)
        self._dated = self._date()
        self.outbox = outbox or Outbox(
            self.address, read_policy(folder / "policy.toml"), Ledger(folder / "ledger.jsonl")
        )
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="federation").start()
        self._channel: grpc.aio.Channel | None = None

    def describe(self) -> wire.DescribeReply:
        """What the server offers. Raises RengaError if it can't be reached."""

        async def asked() -> wire.DescribeReply:
            reply: wire.DescribeReply = await self._stub().Describe(wire.DescribeRequest(), timeout=MOMENT)
            return reply

        try:
            found: wire.DescribeReply = self._run(asked()).result(MOMENT + 5)
            return found
        except grpc.aio.AioRpcError as error:
            raise refused(error, self.address) from None

    def ask(self, prompt: Prompt, sampling: Sampling, plan: str = "") -> Reply:
        """Ask; pieces come when the reply is read. Raises Withheld if policy or clearance say no."""
        try:
            request = wire.RespondRequest(
                prompt=prompt.text,
                clearance=wire.CLEARANCE_PUBLIC
                if prompt.clearance is Clearance.PUBLIC
                else wire.CLEARANCE_SANITISED,
                plan=plan,
                before=said((one.role, one.text) for one in prompt.before),
                sampling=wire.Sampling(
                    temperature=sampling.temperature,
                    top_p=sampling.top_p,
                    top_k=sampling.top_k,
                    max_tokens=sampling.max_tokens,
                    seed=sampling.seed,
                ),
            )
        except (UnicodeEncodeError, ValueError):
            raise UsageError(
                "the prompt holds half of a character, which can't be sent", hint="remove it"
            ) from None
        self.outbox.release_prompt(prompt.clearance, len(prompt.whole.encode("utf-8", "surrogatepass")))
        return Reply(self, request)

    def close(self) -> None:
        async def end() -> None:
            if self._channel is not None:
                await self._channel.close()

        self._run(end()).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _stub(self) -> Any:
        """On the loop only. A certificate that was renewed is used from then on."""
        if self._date() != self._dated:
            self._dated, self._credentials, self._channel = self._date(), load_credentials(self._keys), None
        if self._channel is None:
            self._channel = self._credentials.channel(self.address)
        return LinkStub(self._channel)  # type: ignore[no-untyped-call]

    def _date(self) -> int:
        return (self._keys / "certificate.pem").stat().st_mtime_ns

    def _run(self, work: Coroutine[Any, Any, T]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop)


class Reply:
    """One answer on its way: iterate for its pieces; `usage`, `sent` and `received` (bytes) hold after
    that."""

    def __init__(self, federation: Federation, request: wire.RespondRequest) -> None:
        self._federation = federation
        self._request = request
        self.usage = wire.Usage()
        self.sent = request.ByteSize()
        self.received = 0

    def __iter__(self) -> Iterator[Piece]:
        """Raises RengaError if the server can't answer. Who stops reading stops the answer."""
        pieces: queue.Queue[wire.RespondReply | BaseException | None] = queue.Queue()

        async def read() -> None:
            try:
                call = self._federation._stub().Respond(self._request, timeout=PATIENCE)
                async for reply in call:
                    pieces.put(reply)
                pieces.put(None)
            except BaseException as error:
                pieces.put(error)
                raise

        reading = self._federation._run(read())
        try:
            while (reply := pieces.get()) is not None:
                if isinstance(reply, grpc.aio.AioRpcError):
                    raise refused(reply, self._federation.address) from None
                if isinstance(reply, BaseException):
                    raise RengaError("the answer was broken off") from reply
                self.received += reply.ByteSize()
                if reply.WhichOneof("reply") == "text":
                    yield Piece(reply.text)
                else:
                    self.usage = reply.usage
        finally:
            reading.cancel()


class ServerPlan:
    """A plan that the server has under a name, as a responder here. `federation` is opened when it is to
    answer."""

    def __init__(self, federation: Callable[[], Federation], name: str) -> None:
        self.name = name
        self._federation = federation
        self.meter = Meter()

    def respond(self, prompt: Prompt, sampling: Sampling) -> Iterator[Piece]:
        reply = self._federation().ask(prompt, sampling, self.name)
        with self.meter.working():
            yield from reply
        self.meter.passes += int(reply.usage.passes)
        self.meter.tokens += int(reply.usage.tokens_read)
        self.meter.bytes_up += reply.sent
        self.meter.bytes_down += reply.received
