"""`renga join`: from a config, an invitation and a state folder to a client that stays attached."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import grpc

from renga.client.app import client_app
from renga.client.enrolment import bootstrap_credentials, enrol, refused, renew, settle, was_used
from renga.client.federation import Federation
from renga.client.ledger import Ledger
from renga.client.lending import Lender
from renga.client.link import Link
from renga.client.member import Member, state_of
from renga.client.outbox import Outbox
from renga.client.policy import read_policy
from renga.client.state import ClientState
from renga.client.supernode import SuperNode
from renga.client.witness import Witness
from renga.client.work import Work
from renga.deployment import ClientConfig, check_format
from renga.endpoint_models import Edge, Offered, served
from renga.errors import RefusedPayload, RengaError, UsageError
from renga.models.alignment import Crosswalk
from renga.models.batching import BatchedModel
from renga.models.contract import LanguageModel
from renga.models.data import read_examples, split
from renga.models.example import Example
from renga.models.local import LocalModel
from renga.models.references import load_tokenizer
from renga.models.template import Template
from renga.models.vocabulary import Vocabulary
from renga.models.weights import SharedWeights
from renga.protocol import link_pb2 as wire
from renga.protocol import transfer_set
from renga.protocol.blobs import BlobStore
from renga.protocol.certificates import due
from renga.protocol.credentials import Credentials, has_credentials, load_credentials
from renga.protocol.invitations import OPERATOR, Ticket, read_ticket
from renga.protocol.link_pb2_grpc import LinkStub, OperatorStub
from renga.protocol.signing import public_key
from renga.protocol.versions import speaks
from renga.sections import member_settings

log = logging.getLogger("renga.client")

VALIDATION_SHARE = 0.1
PATIENCE = 20.0
DAY = 24 * 3600.0
DEV_PATIENCE = 120.0  # a server in --dev may still be loading its model
FIRST_PAUSE = 1.0
FORMAT = 1  # of the state folder


def join(
    config: ClientConfig,
    folder: Path,
    address: str,
    invite: Ticket | None,
    *,
    dev: str = "",
    policy: Path | None = None,
    tell: Callable[[str], None],
) -> None:
    """Enrol if need be, then stay attached until told to stop. Raises UsageError, RengaError.

    `dev`: the name to enrol under, by the token that a server in `--dev` on this machine left.
    """
    with _held(folder):
        asyncio.run(_join(config, folder, address, invite, dev, policy, tell))


async def _join(
    config: ClientConfig,
    folder: Path,
    address: str,
    invite: Ticket | None,
    dev: str,
    policy: Path | None,
    tell: Callable[[str], None],
) -> None:
    keys = folder / "keys"
    settle(keys)
    credentials = load_credentials(keys) if has_credentials(keys) else None
    if credentials is not None and invite is not None:
        if bootstrap_credentials(invite).federation != credentials.federation:
            raise UsageError(f"{folder} belongs to another federation", hint="choose another --state")
        if not was_used(invite, keys):  # a new one, for a client that was shut out or ran out of time
            credentials = None
    if credentials is not None:
        credentials.in_time("this client's certificate", "ask for a new invitation, and join with it")
    else:
        if invite is None and dev:
            invite = await _dev_invitation(address, dev)
        if invite is None:
            raise UsageError(
                "this client is not enrolled yet",
                hint="give the line that `renga keys invite` printed: --invite …",
            )
        credentials = await enrol(invite, keys, address)
        address = address or invite.address
        tell(f"enrolled as {credentials.identity.name}")
    saved = folder / "server.json"
    address = address or (json.loads(saved.read_text())["address"] if saved.exists() else "")
    if not address:
        raise UsageError("where is the server?", hint="renga join grpcs://HOST:PORT")
    saved.write_text(json.dumps({"address": address}))
    credentials = await _renewed(credentials, keys, address, tell)
    name = credentials.identity.name
    transfer, host = await _fetched(credentials, address, folder, tell)
    tell(f"loading {config.edge.model}")
    weights = await asyncio.to_thread(SharedWeights.load, config.edge.model)
    server_key = public_key((keys / "server-signing.key").read_bytes())
    witness = Witness(folder / "published.json", server_key)
    member = replace(member_of(config, name, folder, weights, transfer, host), witness=witness)
    outbox = Outbox(address, read_policy(policy or folder / "policy.toml"), Ledger(folder / "ledger.jsonl"))
    failures = _Failures(folder / "failures.log")
    own = _Lent(weights, member.state)
    lender = Lender(name, own.now, outbox) if outbox.policy.lend else None
    link = Link(
        credentials=credentials,
        address=address,
        server_key=server_key,
        work=Work.of(name, client_app(lambda context: member), failures.note),
        blobs=BlobStore(folder / "blobs"),
        outbox=outbox,
        base=weights.fingerprint,
        on_state=lambda state: tell(f"{name}: {state}"),
        witness=witness,
        lender=lender,
        lent=(lender.described(weights.reference, weights.fingerprint),) if lender else (),
    )
    local = None
    if config.endpoint.serve:
        edge = Edge(weights.reference, own.now, lambda: weights)
        local = served(config.endpoint, Offered(folder, Federation(folder, outbox), edge), name, tell)
    node = None
    if config.carrier == "superlink":
        fleet, flower = config.fleet or _after(address), folder / "flower"
        node = SuperNode(credentials, fleet, flower, link.work, outbox, lambda said: tell(f"{name}: {said}"))
    staying = asyncio.ensure_future(link.stay())
    renewing = asyncio.ensure_future(_keep_renewed(link, node, keys, address, tell))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, staying.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        try:
            await staying
        finally:
            renewing.cancel()
            if node is not None:
                await asyncio.to_thread(node.stop)
            if local is not None:
                await asyncio.to_thread(local.stop)
    tell("stopped")


def _after(address: str) -> str:
    """Where the SuperLink of a server at `host:port` is, if nothing else is said."""
    host, _, port = address.rpartition(":")
    return f"{host}:{int(port) + 1}"


async def _keep_renewed(
    link: Link, node: SuperNode | None, keys: Path, address: str, tell: Callable[[str], None]
) -> None:
    """Once a day: a client that runs for months must not be locked out by its own certificate."""
    while True:
        await asyncio.sleep(DAY)
        link.credentials = await _renewed(link.credentials, keys, address, tell)
        if node is not None:
            node.renew(link.credentials)


async def _renewed(
    credentials: Credentials, keys: Path, address: str, tell: Callable[[str], None]
) -> Credentials:
    """The credentials, with a new certificate if the old one runs out soon; the old ones if that fails."""
    if not due(credentials.certificate):
        return credentials
    try:
        return await renew(credentials, keys, address)
    except RengaError as error:
        tell(f"the certificate runs out soon, and can't be renewed now: {error.message}")
        return credentials


async def _fetched(
    credentials: Credentials, address: str, folder: Path, tell: Callable[[str], None]
) -> tuple[list[Example], wire.Model]:
    """The transfer set, and what the server's host model is; waits for a server that is away."""
    blobs, pause = BlobStore(folder / "blobs"), FIRST_PAUSE
    while True:
        try:
            async with credentials.channel(address) as channel:
                stub = LinkStub(channel)  # type: ignore[no-untyped-call]
                described = await stub.Describe(wire.DescribeRequest(), timeout=PATIENCE)
                speaks(described.protocol)
                digest, size = described.transfer.hex(), int(described.transfer_size)
                if size > transfer_set.LIMIT:
                    raise RefusedPayload(f"the server's transfer set is too large ({size} bytes)")
                if digest and not blobs.has(digest):
                    have = blobs.arrived(digest, size)
                    call = stub.Get(wire.GetRequest(digest=described.transfer, **{"from": have}))
                    async for part in call:
                        have = blobs.append(digest, part.data, have, size)
                    blobs.finish(digest)
            lines = transfer_set.unpacked(blobs.read(digest)) if digest else []
            if not described.models:
                raise RefusedPayload("the server describes no host model")
            return [Example(p, r, tuple(c), d) for p, r, c, d in lines], described.models[0]
        except grpc.aio.AioRpcError as error:
            problem = refused(error, address)
            if error.code() is not grpc.StatusCode.UNAVAILABLE or "certificates" in problem.message:
                raise problem from None
            tell(f"{problem.message}; again in {pause:.0f} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, 60.0)


def member_of(
    config: ClientConfig,
    name: str,
    folder: Path,
    weights: SharedWeights,
    transfer: Sequence[Example],
    host: wire.Model,
) -> Member:
    examples = _texts(config)
    share = min(VALIDATION_SHARE, config.edge.validation / max(1, len(examples)))
    private, validation = split(examples, share, config.seed)
    if not private or not validation:
        raise UsageError(
            f"{config.data}: {len(examples)} texts are too few",
            hint="a tenth is set apart to judge what the client is offered; give at least 5 prompts",
        )
    lines = [(e.prompt, e.response, list(e.choices), e.domain) for e in transfer]
    return Member(
        settings=member_settings(name, config.edge, config.weight),
        private=private,
        validation=validation,
        transfer=transfer,
        transfer_fingerprint=transfer_set.fingerprint(lines),
        weights=weights,
        state=state_of(folder, "rounds"),
        crosswalk_of=_Crosswalks(weights, host).of,
        on_progress=_log_progress,
    )


def _texts(config: ClientConfig) -> list[Example]:
    if config.data is None:
        raise UsageError("no private text", hint="--data FILE.jsonl")
    examples = read_examples(config.data)
    bare = next((example for example in examples if example.response is None), None)
    if bare is not None:
        raise UsageError(f"{config.data}: a text has no response: {bare.prompt[:40]!r}")
    return examples


@dataclass
class _Crosswalks:
    """From the host's tokens to the edge model's; the host's tokenizer is read when it is first needed."""

    weights: SharedWeights
    host: wire.Model
    _known: Crosswalk | None = None

    def of(self, teacher: str) -> Crosswalk:
        if teacher != self.host.reference:
            raise RefusedPayload(f"the host is {self.host.reference}, not {teacher}")
        if self._known is None:
            if teacher == self.weights.reference:
                vocabulary = self.weights.vocabulary
            else:
                tokenizer = load_tokenizer(teacher)
                vocabulary = Vocabulary(tokenizer, Template.of_tokenizer(tokenizer).end)
            if vocabulary.fingerprint != self.host.vocabulary:
                raise RengaError(f"the vocabulary of {teacher} here is not the server's")
            self._known = Crosswalk(vocabulary, self.weights.vocabulary)
        return self._known


@dataclass
class _Lent:
    """The edge model that a client lends and asks: with the newest adapter that it goes on with."""

    weights: SharedWeights
    state: ClientState
    _turn: tuple[int, int] | None = None
    _model: LanguageModel | None = None

    def now(self) -> LanguageModel:
        turn, adapter = self.state.latest("kept") or (None, None)
        if self._model is None or turn != self._turn:
            if isinstance(self._model, BatchedModel):
                # Its sessions have read with another adapter: they end, and are opened anew.
                threading.Thread(target=self._model.close, daemon=True).start()
            fits = self.weights.keeps_keys
            self._model = (BatchedModel if fits else LocalModel)(self.weights, adapter)
            self._turn = turn
        return self._model


async def _dev_invitation(address: str, name: str) -> Ticket:
    """An invitation from a server in `--dev` on this machine; it may still be starting."""
    from renga.serving import dev_token

    host, _, port = address.rpartition(":")
    if host not in ("localhost", "127.0.0.1", "[::1]"):
        raise UsageError("--dev works on this machine only", hint="renga join localhost --dev")
    path, waited = dev_token(int(port)), 0.0
    while not path.exists():
        if waited >= DEV_PATIENCE:
            raise RengaError(f"no `renga serve --dev` on port {port}")
        await asyncio.sleep(0.5)
        waited += 0.5
    operator = bootstrap_credentials(read_ticket(path.read_text(), OPERATOR))
    async with operator.channel(address) as channel:
        try:
            stub = OperatorStub(channel)  # type: ignore[no-untyped-call]
            reply = await stub.Invite(wire.InviteRequest(name=name), timeout=PATIENCE, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            raise refused(error, address) from None
    return read_ticket(reply.line)


@dataclass
class _Failures:
    """The client's own log of what failed; the server hears no more than one line."""

    path: Path

    def note(self, name: str, trace: str) -> None:
        log.info("%s failed:\n%s", name, trace)
        with contextlib.suppress(OSError), open(self.path, "a", encoding="utf-8") as file:
            file.write(trace)


def _log_progress(who: str, phase: str, step: int, steps: int, loss: float | None, tokens: int) -> None:
    if step == steps:
        said = "" if loss is None else f", loss {loss:.3f}"
        log.info("%s: %s done (%d%s)", who, phase, steps, said)


class _held:
    """The state folder, held by one client at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = open(self._folder / ".lock", "w")
        except OSError as error:
            raise RengaError(f"can't write in {self._folder}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"{self._folder} is in use by another client", hint="choose another --state"
            ) from None
        check_format(self._folder, FORMAT)

    def __exit__(self, *_: object) -> None:
        self._lock.close()
