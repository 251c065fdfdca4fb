"""The gRPC face of a server: every call is identified first, then handed to the part that answers it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import grpc
from cryptography import x509

from renga.errors import RengaError
from renga.protocol import link_pb2 as wire
from renga.protocol.certificates import Role, identity_of
from renga.protocol.credentials import SERVER_OPTIONS, peer_certificate
from renga.protocol.link_pb2_grpc import LinkServicer, add_LinkServicer_to_server
from renga.protocol.versions import PROTOCOL, software
from renga.server.access import identified, refuse
from renga.server.answering import Answering
from renga.server.enrolment import enrol, renew
from renga.server.guard import Guard
from renga.server.identity import ServerIdentity
from renga.server.lending import Lending
from renga.server.link import Post
from renga.server.sessions import Sessions

log = logging.getLogger("renga.server")

Context = grpc.aio.ServicerContext[Any, Any]

CLIENTS = frozenset({Role.CLIENT})


class LinkService(LinkServicer):
    """`renga.link.v1.Link`."""

    def __init__(
        self,
        who: ServerIdentity,
        post: Post,
        models: Sequence[wire.Model] = (),
        answering: Answering | None = None,
        sessions: Callable[[], Sessions] | None = None,
        lending: Lending | None = None,
        limits: wire.Limits | None = None,
        admit: Callable[[str, x509.Certificate], None] | None = None,
    ) -> None:
        """`admit` is told of every certificate that attaches or is renewed."""
        self._who = who
        self._post = post
        self._models = models
        self._answering = answering
        self._sessions = sessions
        self._lending = lending
        self._limits = limits
        self._admit = admit

    async def Enrol(self, request: wire.EnrolRequest, context: Context) -> wire.EnrolReply:
        return await enrol(self._who, request, context)

    async def Renew(self, request: wire.RenewRequest, context: Context) -> wire.EnrolReply:
        reply = await renew(self._who, request, context)
        if self._admit is not None:
            new = x509.load_der_x509_certificate(reply.certificate)
            self._admit(identity_of(new).name, new)
        return reply

    async def Describe(self, request: wire.DescribeRequest, context: Context) -> wire.DescribeReply:
        await identified(context, self._who.registry)
        return wire.DescribeReply(
            protocol=PROTOCOL,
            software=software(),
            models=[*self._models, *(self._lending.described() if self._lending else ())],
            plans=self._answering.plans.names if self._answering else [],
            limits=self._limits,
            transfer=bytes.fromhex(self._post.transfer),
            transfer_size=self._post.transfer_size,
        )

    async def Respond(
        self, request: wire.RespondRequest, context: Context
    ) -> AsyncIterator[wire.RespondReply]:
        who = await identified(context, self._who.registry, CLIENTS)
        if self._answering is None:
            await refuse(context, grpc.StatusCode.UNIMPLEMENTED, "this server does not answer")
        async with aclosing(self._answering.respond(who.name, request, context)) as replies:
            async for reply in replies:
                yield reply

    async def Session(
        self, moves: AsyncIterator[wire.SessionRequest], context: Context
    ) -> AsyncIterator[wire.SessionReply]:
        who = await identified(context, self._who.registry, CLIENTS)
        upcoming = aiter(moves)
        first = await anext(upcoming, None)
        if first is None:
            return
        whole = _chained(first, upcoming)
        if self._lending is not None and self._lending.lends(first.open.model):
            served = self._lending.passed_on(whole, first.open.model, context)
        else:
            if self._sessions is None:
                await refuse(context, grpc.StatusCode.UNIMPLEMENTED, "this server opens no sessions")
            served = self._sessions().session(who.name, whole, context)
        async with aclosing(served) as replies:
            async for reply in replies:
                yield reply

    async def Lend(
        self, replies: AsyncIterator[wire.SessionReply], context: Context
    ) -> AsyncIterator[wire.SessionRequest]:
        who = await identified(context, self._who.registry, CLIENTS)
        if self._lending is None:
            await refuse(context, grpc.StatusCode.UNIMPLEMENTED, "this server borrows no models")
        async with aclosing(self._lending.serve(who.name, replies, context)) as moves:
            async for move in moves:
                yield move

    async def Attach(
        self, frames: AsyncIterator[wire.ClientFrame], context: Context
    ) -> AsyncIterator[wire.ServerFrame]:
        who = await identified(context, self._who.registry, CLIENTS)
        if self._admit is not None:
            self._admit(who.name, peer_certificate(context.auth_context()))  # type: ignore[arg-type]
        async with aclosing(self._post.attach(who.name, frames, context)) as told:
            async for frame in told:
                yield frame

    async def Put(self, parts: AsyncIterator[wire.PutPart], context: Context) -> AsyncIterator[wire.PutReply]:
        who = await identified(context, self._who.registry, CLIENTS)
        async with aclosing(self._post.put(who.name, parts, context)) as replies:
            async for reply in replies:
                yield reply

    async def Get(self, request: wire.GetRequest, context: Context) -> AsyncIterator[wire.GetPart]:
        who = await identified(context, self._who.registry, CLIENTS)
        async with aclosing(self._post.get(who.name, request, context)) as brought:
            async for part in brought:
                yield part


async def _chained(
    first: wire.SessionRequest, rest: AsyncIterator[wire.SessionRequest]
) -> AsyncIterator[wire.SessionRequest]:
    yield first
    async for move in rest:
        yield move


async def listen(
    who: ServerIdentity, service: LinkService, host: str, port: int, streams: int | None = None
) -> tuple[grpc.aio.Server, int]:
    """Open the port (0: any free one) and serve; the server and its port. `streams`: calls that one
    connection may have open at once.

    Raises RengaError if the port is taken or may not be opened.
    """
    options = dict(SERVER_OPTIONS) | ({"grpc.max_concurrent_streams": streams} if streams else {})
    server = grpc.aio.server(options=list(options.items()), interceptors=[Guard(who.registry)])
    add_LinkServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    await _add_health_and_reflection(server)
    shown = f"[{host}]" if ":" in host else host
    try:
        opened = server.add_secure_port(f"{shown}:{port}", who.credentials.server())
    except RuntimeError:
        opened = 0
    if not opened:
        raise RengaError(
            f"can't listen on {shown}:{port}", hint="is another server running there? choose another --port"
        )
    await server.start()
    return server, opened


async def _add_health_and_reflection(server: grpc.aio.Server) -> None:
    """gRPC's own services of that kind, if the server's extra is installed; peers must be known to both."""
    try:
        from grpc_health.v1 import health, health_pb2, health_pb2_grpc
        from grpc_reflection.v1alpha import reflection
    except ModuleNotFoundError:
        log.info("no health and no reflection: pip install 'renga[server]'")
        return
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    names = [service.full_name for service in wire.DESCRIPTOR.services_by_name.values()]
    for name in ("", *names):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
