"""The gRPC face of a server: every call is identified first, then handed to the part that answers it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc

from renga.errors import RengaError
from renga.protocol import link_pb2 as wire
from renga.protocol.certificates import Role
from renga.protocol.credentials import SERVER_OPTIONS
from renga.protocol.link_pb2_grpc import LinkServicer, add_LinkServicer_to_server
from renga.protocol.versions import PROTOCOL, software
from renga.server.access import identified, refuse
from renga.server.answering import PLAN, Answering
from renga.server.enrolment import enrol, renew
from renga.server.guard import Guard
from renga.server.identity import ServerIdentity
from renga.server.link import Post
from renga.server.sessions import Sessions

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
    ) -> None:
        self._who = who
        self._post = post
        self._models = models
        self._answering = answering
        self._sessions = sessions

    async def Enrol(self, request: wire.EnrolRequest, context: Context) -> wire.EnrolReply:
        return await enrol(self._who, request, context)

    async def Renew(self, request: wire.RenewRequest, context: Context) -> wire.EnrolReply:
        return await renew(self._who, request, context)

    async def Describe(self, request: wire.DescribeRequest, context: Context) -> wire.DescribeReply:
        await identified(context, self._who.registry)
        return wire.DescribeReply(
            protocol=PROTOCOL,
            software=software(),
            models=self._models,
            plans=[PLAN] if self._answering else [],
            limits=self._answering.described() if self._answering else None,
            transfer=bytes.fromhex(self._post.transfer),
            transfer_size=self._post.transfer_size,
        )

    async def Respond(
        self, request: wire.RespondRequest, context: Context
    ) -> AsyncIterator[wire.RespondReply]:
        who = await identified(context, self._who.registry, CLIENTS)
        if self._answering is None:
            await refuse(context, grpc.StatusCode.UNIMPLEMENTED, "this server does not answer")
        async for reply in self._answering.respond(who.name, request, context):
            yield reply

    async def Session(
        self, moves: AsyncIterator[wire.SessionRequest], context: Context
    ) -> AsyncIterator[wire.SessionReply]:
        who = await identified(context, self._who.registry, CLIENTS)
        if self._sessions is None:
            await refuse(context, grpc.StatusCode.UNIMPLEMENTED, "this server opens no sessions")
        async for reply in self._sessions().session(who.name, moves, context):
            yield reply

    async def Attach(
        self, frames: AsyncIterator[wire.ClientFrame], context: Context
    ) -> AsyncIterator[wire.ServerFrame]:
        who = await identified(context, self._who.registry, CLIENTS)
        async for frame in self._post.attach(who.name, frames, context):
            yield frame

    async def Put(self, parts: AsyncIterator[wire.PutPart], context: Context) -> AsyncIterator[wire.PutReply]:
        who = await identified(context, self._who.registry, CLIENTS)
        async for reply in self._post.put(who.name, parts, context):
            yield reply

    async def Get(self, request: wire.GetRequest, context: Context) -> AsyncIterator[wire.GetPart]:
        who = await identified(context, self._who.registry, CLIENTS)
        async for part in self._post.get(who.name, request, context):
            yield part


async def listen(
    who: ServerIdentity, service: LinkService, host: str, port: int
) -> tuple[grpc.aio.Server, int]:
    """Open the port (0: any free one) and serve; the server and its port.

    Raises RengaError if the port is taken or may not be opened.
    """
    server = grpc.aio.server(options=list(SERVER_OPTIONS), interceptors=[Guard()])
    add_LinkServicer_to_server(service, server)  # type: ignore[no-untyped-call]
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
