"""An invitation becomes a certificate; a certificate becomes a new one before it runs out."""

from __future__ import annotations

import grpc
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from renga.errors import RefusedPayload
from renga.protocol import link_pb2 as wire
from renga.protocol.certificates import Role, fingerprint, identity_of, key_of_request
from renga.protocol.credentials import peer_certificate
from renga.protocol.signing import ENROL, check, public_key
from renga.protocol.versions import speaks
from renga.server.access import identified, refuse
from renga.server.identity import ServerIdentity

OVERLAP = 24 * 3600.0  # seconds for which a client's old certificate holds beside its new one

Context = grpc.aio.ServicerContext[object, object]


async def enrol(who: ServerIdentity, request: wire.EnrolRequest, context: Context) -> wire.EnrolReply:
    """Redeem an invitation: one certificate, for the name in it, for a key that the caller proves to hold."""
    caller = await identified(context, who.registry, frozenset({Role.BOOTSTRAP}))
    bootstrap = peer_certificate(context.auth_context())  # type: ignore[arg-type]
    try:
        speaks(request.protocol)
        key = key_of_request(request.certificate_request)
        check(public_key(request.signing_key), ENROL, request.certificate_request, request.signing_proof)
        if request.name != caller.name:
            raise RefusedPayload("this invitation is for another client")
        before = who.registry.redeem(bootstrap, request.name, request.SerializeToString(deterministic=True))
    except RefusedPayload as error:
        await refuse(context, grpc.StatusCode.PERMISSION_DENIED, error.message)
    if before is not None:  # the reply got lost, and the client asks again
        return _reply(who, before)
    certificate = who.certify(key, request.name)
    who.registry.enrol(certificate, request.signing_key, bootstrap)
    return _reply(who, certificate.public_bytes(Encoding.DER))


async def renew(who: ServerIdentity, request: wire.RenewRequest, context: Context) -> wire.EnrolReply:
    """A new certificate for a client that still has a good one; the old one holds for a day."""
    caller = await identified(context, who.registry, frozenset({Role.CLIENT}))
    try:
        key = key_of_request(request.certificate_request)
        check(public_key(request.signing_key), ENROL, request.certificate_request, request.signing_proof)
    except RefusedPayload as error:
        await refuse(context, grpc.StatusCode.PERMISSION_DENIED, error.message)
    certificate = who.certify(key, caller.name)
    who.registry.enrol(certificate, request.signing_key)
    who.registry.rotate(identity_of(certificate).name, fingerprint(certificate), OVERLAP)
    return _reply(who, certificate.public_bytes(Encoding.DER))


def _reply(who: ServerIdentity, certificate: bytes) -> wire.EnrolReply:
    assert who.credentials.signing is not None
    return wire.EnrolReply(
        certificate=certificate,
        authority=who.authority.certificate.public_bytes(Encoding.DER),
        server_signing_key=who.credentials.signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
        federation=who.federation,
    )
