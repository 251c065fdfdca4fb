"""Models at the other end of the link, as models here: the server's, and those that other clients lend it.

Every session opened on one is let go by the policy and noted in the ledger before its prompt leaves.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import grpc

from renga.client.enrolment import refused
from renga.client.ledger import Ledger
from renga.client.outbox import Outbox
from renga.client.policy import read_policy
from renga.errors import RengaError, UsageError
from renga.models.contract import Prompt
from renga.models.references import load_tokenizer
from renga.models.remote import ConnectionLost, RemoteModel, RemoteSession, SessionChannel
from renga.models.session_codec import NAMES
from renga.models.slots import Slots
from renga.models.template import Template
from renga.models.vocabulary import Vocabulary
from renga.protocol import link_pb2 as wire
from renga.protocol.credentials import has_credentials, load_credentials
from renga.protocol.link_pb2_grpc import LinkStub
from renga.protocol.session_stream import SessionStream

T = TypeVar("T")


def is_client(folder: Path) -> bool:
    """Whether `folder` is the state of a client that has joined."""
    return has_credentials(folder / "keys") and (folder / "server.json").exists()


class HostedModels:
    """The models that the server of the client in `folder` offers. Raises UsageError if there is no
    client."""

    def __init__(self, folder: Path) -> None:
        if not is_client(folder):
            raise UsageError(
                f"{folder} is not the state of a client", hint="renga join first, or --state DIR"
            )
        self._address = json.loads((folder / "server.json").read_text())["address"]
        self._outbox = Outbox(
            self._address, read_policy(folder / "policy.toml"), Ledger(folder / "ledger.jsonl")
        )
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="hosted").start()
        self._credentials = load_credentials(folder / "keys")
        self._channel: grpc.aio.Channel = self._do(self._connected())
        try:
            described = self._do(self._described())
        except grpc.aio.AioRpcError as error:
            raise refused(error, self._address) from None
        self.described = {model.name: model for model in described.models}
        self.plans = [name for name in described.plans if name not in self.described]
        self._vocabularies: dict[str, Vocabulary] = {}

    def model(self, name: str) -> RemoteModel:
        """The model of that name, as one here. Raises RengaError if its tokens can't be counted here."""
        told = self.described[name]
        vocabulary = self._vocabularies.get(told.reference)
        if vocabulary is None:
            tokenizer = load_tokenizer(told.reference)
            vocabulary = Vocabulary(tokenizer, Template.of_tokenizer(tokenizer).end)
            self._vocabularies[told.reference] = vocabulary
        if told.vocabulary and vocabulary.fingerprint != told.vocabulary:
            raise RengaError(
                f"{name} at the server has other tokens than {told.reference} has here",
                hint="both sides need the same version of the model",
            )
        return _Released(self._outbox, self._dial, name, vocabulary, told.wants)

    def _dial(self) -> SessionChannel:
        return SessionStream(self._loop, self._channel, ConnectionLost)

    async def _connected(self) -> grpc.aio.Channel:
        return self._credentials.channel(self._address)

    async def _described(self) -> wire.DescribeReply:
        reply: wire.DescribeReply = await LinkStub(self._channel).Describe(  # type: ignore[no-untyped-call]
            wire.DescribeRequest(), timeout=20
        )
        return reply

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


class _Released(RemoteModel):
    """Its prompts pass the outbox."""

    def __init__(self, outbox: Outbox, dial: Any, name: str, vocabulary: Vocabulary, wants: Any) -> None:
        super().__init__(dial, name, vocabulary, wants=tuple(wants) or tuple(NAMES))
        self._outbox = outbox

    def open(self, prompt: Prompt) -> RemoteSession:
        self._outbox.release_prompt(prompt.clearance, len(prompt.whole.encode()), "session")
        return super().open(prompt)

    def open_slots(self, prompt: Prompt, slots: Slots) -> RemoteSession:
        size = len(prompt.text.encode()) + slots.nbytes
        self._outbox.release_prompt(prompt.clearance, size, "session")
        return super().open_slots(prompt, slots)
