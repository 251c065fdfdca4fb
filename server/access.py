"""What each kind of peer may call; asked at every call, so that a revoked client is out at once."""

from __future__ import annotations

import logging
from typing import NoReturn

import grpc

from renga.errors import RefusedPayload
from renga.protocol.certificates import Identity, Role, identity_of
from renga.protocol.credentials import peer_certificate
from renga.protocol.failure import one_line
from renga.server.registry import Registry

log = logging.getLogger("renga.server")

PEERS = frozenset({Role.CLIENT, Role.OPERATOR})


async def identified(
    context: grpc.aio.ServicerContext[object, object], registry: Registry, allowed: frozenset[Role] = PEERS
) -> Identity:
    """Who is calling. The call ends here if that is nobody, nobody any more, or somebody who may not."""
    try:
        certificate = peer_certificate(context.auth_context())  # type: ignore[arg-type]
        who = identity_of(certificate)
        if who.role is not Role.BOOTSTRAP:  # invitations are looked up where they are redeemed
            registry.known(certificate)
    except RefusedPayload as error:
        await refuse(context, grpc.StatusCode.UNAUTHENTICATED, error.message)
    if who.role not in allowed:
        await refuse(
            context, grpc.StatusCode.PERMISSION_DENIED, f"a {who.role.value} certificate may not do this"
        )
    return who


def _caller(context: grpc.aio.ServicerContext[object, object]) -> str:
    """Who is calling, for the log: what its certificate says, believed or not."""
    try:
        who = identity_of(peer_certificate(context.auth_context()))  # type: ignore[arg-type]
    except RefusedPayload:
        return "somebody"
    return one_line(f"{who.role.value} {who.name}", 80)


async def exhausted(
    context: grpc.aio.ServicerContext[object, object], reason: str, retry_after: float
) -> NoReturn:
    """End the call because there is no room now. When there may be is said to people, and to programs: in
    the trailing metadata, as gRPC's own retry policies read it."""
    context.set_trailing_metadata((("grpc-retry-pushback-ms", str(int(1000 * retry_after))),))
    await refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, f"{reason}; retry in {retry_after:.0f} s")


async def refuse(
    context: grpc.aio.ServicerContext[object, object], code: grpc.StatusCode, reason: str
) -> NoReturn:
    """End the call with one line that says why, here and there."""
    log.info("refused %s: %s", _caller(context), one_line(reason))
    await context.abort(code, one_line(reason))
    raise AssertionError("abort raises")
