"""`renga serve`: from a config and a state folder to a running server."""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from renga.deployment import Limits, ServerConfig, check_format
from renga.errors import RefusedPayload, RengaError, UsageError
from renga.models.contract import LanguageModel
from renga.models.data import read_examples, split
from renga.models.example import Example
from renga.models.references import load_tokenizer
from renga.models.seeds import derived
from renga.models.serving_sessions import SessionLimits
from renga.models.session_codec import NAMES
from renga.models.template import Template
from renga.models.vocabulary import Vocabulary
from renga.models.weights import SharedWeights
from renga.protocol import link_pb2 as wire
from renga.protocol import published, transfer_set
from renga.protocol.blobs import BlobStore
from renga.protocol.link_pb2_grpc import add_OperatorServicer_to_server
from renga.protocol.messages import Description
from renga.sections import host_settings, round_settings
from renga.server import identity
from renga.server.answering import Answering, AnswerLimits
from renga.server.daemon import Coordinator, OperatorService, dismiss_revoked
from renga.server.host import Host
from renga.server.identity import ServerIdentity
from renga.server.lending import Lending
from renga.server.link import Post
from renga.server.plans import HOST, Bounds, Plans
from renga.server.service import LinkService, listen
from renga.server.sessions import HostSessions
from renga.server.state import ServerState
from renga.server.strategy import Federation, Timing, Told
from renga.server.superlink import SuperLink

log = logging.getLogger("renga.server")

VALIDATION_SHARE, VALIDATION_LIMIT = 0.125, 32
FORMAT = 1
KEPT_BLOBS = 7 * 24 * 3600.0  # seconds, of what nobody came back for
DRAIN_SECONDS = 5.0


def serve(config: ServerConfig, folder: Path, *, dev: bool, tell: Callable[[str], None]) -> None:
    """Serve until told to stop (Ctrl-C, SIGTERM). Raises UsageError, RengaError."""
    if dev and not _loopback(config.listen.host):
        raise UsageError("--dev enrols whoever asks, so it listens on loopback only", hint="leave --host out")
    with held(folder):
        asyncio.run(_serve(config, folder, dev=dev, tell=tell))


def public_address(config: ServerConfig, port: int) -> str:
    """Where clients find the server, as invitations say it."""
    named = config.listen.names[0] if config.listen.names else ""
    anywhere = config.listen.host in ("0.0.0.0", "::")
    host = named or (socket.gethostname() if anywhere else config.listen.host)
    return f"{host}:{port}"


async def _serve(config: ServerConfig, folder: Path, *, dev: bool, tell: Callable[[str], None]) -> None:
    transfer, validation = public_texts(config)
    hosts = [*config.listen.names, socket.gethostname(), "localhost", "127.0.0.1", "::1"]
    if not identity.exists(folder):
        identity.create(folder, public_address(config, config.listen.port), hosts)
        tell(f"a new federation; its keys and the operator's token are in {folder}")
    who = identity.load(folder)
    tell(f"loading {config.host.model}")
    weights = await asyncio.to_thread(SharedWeights.load, config.host.model)
    limits = config.limits
    blobs = BlobStore(folder / "blobs", room=limits.blob_bytes, largest=limits.upload_bytes)
    blobs.forget(KEPT_BLOBS)
    digest, _ = blobs.add([transfer_set.packed(lines_of(transfer))])
    state = ServerState(folder)
    publish_what_stands(who, state)
    chain = map(wire.Published.FromString, state.published())
    post = Post(who, blobs, digest, chain, limits.uploads)
    host = host_of(config, weights, validation)
    host.adapter = state.standing().host
    vocabularies = Vocabularies(config.edge_models, weights)
    build = federation_of(config, transfer, host, state, _publisher(who, post), vocabularies)
    superlink = SuperLink(who, folder / "flower", tell) if config.carrier == "superlink" else None
    grid = None if superlink is None else partial(superlink.grid, post.attached)
    coordinator = Coordinator(who, post, state, build, config.clients, grid)
    sessions = HostSessions(host, _session_limits(limits))
    answers = AnswerLimits(limits.prompt_bytes, limits.answer_tokens, limits.answers)
    lending = Lending(post)
    plans = Plans(
        lambda: {HOST: sessions.model, **_lent(lending, vocabularies)},
        config.plans,
        Bounds(written=limits.written_plans),
    )
    service = LinkService(
        who,
        post,
        [_described(weights)],
        Answering(plans, answers),
        sessions,
        lending,
        _told(limits),
        _admitting(superlink) if superlink is not None else None,
    )
    server, port = await listen(who, service, config.listen.host, config.listen.port, limits.streams)
    address = public_address(config, port)
    if superlink is not None:
        try:
            fleet = config.listen.carrier_port or (port + 1 if port < 65535 else 0)
            fleet = await asyncio.to_thread(superlink.start, config.listen.host, fleet, hosts)
        except BaseException:
            await asyncio.to_thread(superlink.stop)
            await server.stop(0)
            raise
        tell(f"Flower's SuperLink is up; SuperNodes reach it at {public_address(config, fleet)}")
    add_OperatorServicer_to_server(OperatorService(who, coordinator, address), server)  # type: ignore[no-untyped-call]
    watcher = asyncio.create_task(dismiss_revoked(who, post, superlink))
    (folder / "address").write_text(f"{_reachable(config.listen.host)}:{port}\n")
    if dev:
        dev_token(port).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        dev_token(port).write_bytes((folder / "operator.token").read_bytes())
        dev_token(port).chmod(0o600)
    tell(f"serving {config.host.model} on {address}; federation {who.federation[:8]}")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        watcher.cancel()
        tell("stopping")
        await post.close("the server stops", 5.0)
        await server.stop(DRAIN_SECONDS)
        if superlink is not None:
            await asyncio.to_thread(superlink.stop)
        if dev:
            dev_token(port).unlink(missing_ok=True)


def _admitting(superlink: SuperLink) -> Callable[[str, x509.Certificate], None]:
    """Lets SuperNodes in beside the loop: Flower takes a second for each."""
    loop = asyncio.get_running_loop()

    def work(name: str, certificate: x509.Certificate) -> None:
        key = certificate.public_key()
        try:
            assert isinstance(key, ec.EllipticCurvePublicKey)
            superlink.admit(name, key)
        except RengaError as error:
            log.error("the SuperNode of %s can't be let in: %s", name, error.message)

    def admit(name: str, certificate: x509.Certificate) -> None:
        loop.run_in_executor(None, work, name, certificate)

    return admit


def dev_token(port: int) -> Path:
    """Where a server in `--dev` leaves the operator's token for clients of the same user."""
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or Path.home() / ".cache")
    return base / "renga-dev" / f"{port}.token"


def public_texts(config: ServerConfig) -> tuple[list[Example], list[Example]]:
    transfer = [example for path in config.transfer.data for example in read_examples(path)]
    validation = [e for path in config.transfer.validation for e in read_examples(path) if e.response]
    labelled = [example for example in transfer if example.response is not None]
    if not validation and labelled:
        share = min(VALIDATION_SHARE, VALIDATION_LIMIT / len(labelled))
        _, validation = split(labelled, share, config.seed)
        apart = {example.prompt for example in validation}
        transfer = [example for example in transfer if example.prompt not in apart]
    return transfer, validation


def lines_of(examples: Sequence[Example]) -> list[transfer_set.Line]:
    return [(e.prompt, e.response, list(e.choices), e.domain) for e in examples]


def host_of(config: ServerConfig, weights: SharedWeights, validation: Sequence[Example]) -> Host:
    return Host(
        weights=weights,
        settings=host_settings(config.host, config.transfer, config.round),
        validation=validation,
        seed=derived(config.seed, "first", "host"),
    )


def federation_of(
    config: ServerConfig,
    transfer: Sequence[Example],
    host: Host,
    state: ServerState,
    publish: Callable[[int, Mapping[str, str]], bytes] | None,
    vocabularies: Vocabularies,
) -> Callable[[Callable[[], Sequence[str]], int, Callable[[Told], None]], Federation]:
    def build(names: Callable[[], Sequence[str]], rounds: int, told: Callable[[Told], None]) -> Federation:
        share, round = config.transfer, config.round
        return Federation(
            clients=names,
            rounds=rounds,
            seed=config.seed,
            transfer=transfer,
            transfer_fingerprint=transfer_set.fingerprint(lines_of(transfer)),
            slice_size=share.slice,
            questions=share.questions,
            settings=round_settings(share, round, len(names())),
            timing=Timing(round.deadline, round.grace),
            host=host,
            vocabulary_of=vocabularies.of,
            state=state,
            listen=told,
            publish=publish,
        )

    return build


def _publisher(who: ServerIdentity, post: Post) -> Callable[[int, Mapping[str, str]], bytes]:
    """Signs the link of a round, after the last one that was published."""
    key = who.credentials.signing
    assert key is not None

    def publish(round: int, shown: Mapping[str, str]) -> bytes:
        last = post.last_published()
        known = None if last is None else published.opened(key.public_key(), last)
        return published.publish(key, round, shown, known).SerializeToString()

    return publish


def publish_what_stands(who: ServerIdentity, state: ServerState) -> None:
    """Publish the last round, if it was played where nothing is published, on somebody else's SuperLink:
    clients go on from no other. What was shown in it was shown there, so the link lists nothing."""
    key, round = who.credentials.signing, state.standing().round
    assert key is not None
    links = [wire.Published.FromString(link) for link in state.published()[-1:]]
    known = published.opened(key.public_key(), links[0]) if links else None
    if round > (known.round if known else 0):
        state.publish(round, published.publish(key, round, {}, known).SerializeToString())


def _described(weights: SharedWeights) -> wire.Model:
    return wire.Model(
        name="host",
        reference=weights.reference,
        base=weights.fingerprint,
        vocabulary=weights.vocabulary.fingerprint,
        vocabulary_size=weights.vocabulary.size,
        wants=sorted(NAMES),
    )


def _session_limits(limits: Limits) -> SessionLimits:
    return SessionLimits(
        prompt_bytes=limits.prompt_bytes,
        sessions=limits.sessions,
        ids_per_feed=limits.ids_per_feed,
        ids_per_session=limits.ids_per_session,
        top_k=limits.top_k,
        idle_seconds=limits.idle_seconds,
        sessions_in_all=limits.sessions_in_all,
        patience=limits.patience,
    )


def _told(limits: Limits) -> wire.Limits:
    """The limits, as peers are told them."""
    return wire.Limits(
        prompt_bytes=limits.prompt_bytes,
        sessions=limits.sessions,
        ids_per_feed=limits.ids_per_feed,
        ids_per_session=limits.ids_per_session,
        top_k=limits.top_k,
        idle_seconds=limits.idle_seconds,
        answer_tokens=limits.answer_tokens,
    )


class Vocabularies:
    """Vocabularies of the edge models that this server knows; a client's word loads nothing else."""

    def __init__(self, references: Sequence[str], host: SharedWeights) -> None:
        self._references = frozenset(references)
        self._known = {host.reference: host.vocabulary}

    def of(self, who: Description) -> Vocabulary:
        return self.named(who.model)

    def named(self, reference: str) -> Vocabulary:
        """Raises RefusedPayload for a model that is not among the server's."""
        if reference not in self._known:
            if reference not in self._references:
                raise RefusedPayload(f"brings {reference!r}, which is not among the server's edge_models")
            tokenizer = load_tokenizer(reference)
            self._known[reference] = Vocabulary(tokenizer, Template.of_tokenizer(tokenizer).end)
        return self._known[reference]


def _lent(lending: Lending, vocabularies: Vocabularies) -> dict[str, Callable[[], LanguageModel]]:
    """The models that clients lend now, as plans name them."""

    def opener(name: str, reference: str) -> Callable[[], LanguageModel]:
        return lambda: lending.model(name, vocabularies.named(reference))

    return {
        told.name: opener(told.name, told.reference)
        for told in lending.described()
        if told.name.isidentifier() and told.name != HOST
    }


class held:
    """The state folder, held by one server at a time, and of a version this one can read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        folder = self._folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = open(folder / ".lock", "w")
        except OSError as error:
            raise RengaError(f"can't write in {folder}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"{folder} is in use by another server", hint="choose another --state") from None
        check_format(folder, FORMAT)

    def __exit__(self, *_: object) -> None:
        self._lock.close()


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
