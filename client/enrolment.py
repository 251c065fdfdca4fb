"""How a client gets its certificate: keys are made here, and never leave."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from renga.errors import RengaError, UsageError
from renga.protocol import link_pb2 as wire
from renga.protocol.certificates import new_key, request_for
from renga.protocol.credentials import Credentials, has_credentials, save_credentials
from renga.protocol.failure import one_line
from renga.protocol.invitations import Ticket
from renga.protocol.key_files import key_pem, read_signing_key, read_tls_key, write_secret
from renga.protocol.link_pb2_grpc import LinkStub
from renga.protocol.signing import ENROL
from renga.protocol.versions import PROTOCOL

PATIENCE = 20.0  # seconds to wait for the server
NEXT = "next"  # where renewed credentials wait until all of them are there


def bootstrap_credentials(ticket: Ticket) -> Credentials:
    """What an invitation or a token opens a connection with. Raises UsageError if it is damaged."""
    try:
        key = load_pem_private_key(ticket.key.encode(), None)
        authority = x509.load_pem_x509_certificate(ticket.authority.encode())
        certificate = x509.load_pem_x509_certificate(ticket.certificate.encode())
    except ValueError:
        raise UsageError("the invitation is damaged", hint="copy the whole line") from None
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Credentials(authority, certificate, key)


async def enrol(ticket: Ticket, folder: Path, address: str = "") -> Credentials:
    """Exchange an invitation for credentials, written to `folder`; may be repeated if it was interrupted.

    Raises UsageError for an invitation that is damaged, used or expired, RengaError if nobody is there.
    """
    bootstrap = bootstrap_credentials(ticket)
    bootstrap.in_time("this invitation", "ask for another: renga keys invite NAME")
    key, signing = _keys(folder)
    request = _stored_request(folder, key, ticket.name)
    where = address or ticket.address
    async with bootstrap.channel(where) as channel:
        stub = LinkStub(channel)  # type: ignore[no-untyped-call]
        try:
            reply = await stub.Enrol(
                wire.EnrolRequest(
                    name=ticket.name,
                    certificate_request=request,
                    signing_key=signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
                    signing_proof=signing.sign(ENROL + request),
                    protocol=PROTOCOL,
                ),
                timeout=PATIENCE,
            )
        except grpc.aio.AioRpcError as error:
            raise refused(error, where) from None
    credentials = _issued(reply, key, signing)
    write_secret(folder / "server-signing.key", reply.server_signing_key)
    save_credentials(folder, credentials)
    write_secret(folder / "invited", _mark(ticket))
    (folder / "request.der").unlink(missing_ok=True)
    return credentials


def was_used(ticket: Ticket, folder: Path) -> bool:
    """Whether the credentials in a folder came by this very invitation: a service is started with the same
    command for ever."""
    mark = folder / "invited"
    return not mark.exists() or mark.read_bytes() == _mark(ticket)


def _mark(ticket: Ticket) -> bytes:
    return hashlib.sha256(ticket.certificate.encode()).hexdigest().encode()


async def renew(credentials: Credentials, folder: Path, address: str) -> Credentials:
    """New keys and a certificate for them, asked for with the present ones, which they replace in `folder`.

    Killed at any instant, the folder holds the old or the new, whole (see `settle`).
    Raises RengaError if nobody is there or the server says no: the present ones hold on.
    """
    key, signing = new_key(), Ed25519PrivateKey.generate()
    request = request_for(key, credentials.identity.name)
    async with credentials.channel(address) as channel:
        stub = LinkStub(channel)  # type: ignore[no-untyped-call]
        try:
            reply = await stub.Renew(
                wire.RenewRequest(
                    certificate_request=request,
                    signing_key=signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
                    signing_proof=signing.sign(ENROL + request),
                ),
                timeout=PATIENCE,
            )
        except grpc.aio.AioRpcError as error:
            raise refused(error, address) from None
    renewed = _issued(reply, key, signing)
    if renewed.federation != credentials.federation or renewed.identity != credentials.identity:
        raise RengaError(f"{address} gave a certificate for somebody else", hint="the present one is kept")
    save_credentials(folder / NEXT, renewed)
    settle(folder)
    return renewed


def settle(folder: Path) -> None:
    """Put renewed credentials in place, if they are there whole; goes on where it was interrupted."""
    waiting = folder / NEXT
    if not has_credentials(waiting):
        return
    for name in ("ca.pem", "key.pem", "signing.pem", "certificate.pem"):  # last: the mark that all is there
        if (waiting / name).exists():
            os.replace(waiting / name, folder / name)


def _issued(
    reply: wire.EnrolReply, key: ec.EllipticCurvePrivateKey, signing: Ed25519PrivateKey
) -> Credentials:
    """Raises RengaError unless the reply holds a certificate for this very key."""
    try:
        authority = x509.load_der_x509_certificate(reply.authority)
        certificate = x509.load_der_x509_certificate(reply.certificate)
        fits = certificate.public_key() == key.public_key()
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        fits = False
    if not fits:
        raise RengaError("the server's certificate is not for this client's key")
    return Credentials(authority, certificate, key, signing)


def refused(error: grpc.aio.AioRpcError, address: str) -> RengaError:
    """What a failed call means to a person."""
    details = one_line(error.details() or "")
    match error.code():
        case grpc.StatusCode.PERMISSION_DENIED | grpc.StatusCode.UNAUTHENTICATED:
            return UsageError(f"{address} refuses: {details}", hint="ask the operator for a new invitation")
        case grpc.StatusCode.FAILED_PRECONDITION | grpc.StatusCode.INVALID_ARGUMENT:
            return UsageError(f"{address}: {details}")
        case grpc.StatusCode.UNAVAILABLE if "certificate" in details.lower() or "ssl" in details.lower():
            said = details.rpartition("CERTIFICATE_VERIFY_FAILED: ")[2].removesuffix(": OK")
            return RengaError(
                f"{address}: the certificates don't fit: {said}",
                hint="is it the server that invited you, and are both clocks right?",
            )
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED:
            return RengaError(
                f"{address} can't be reached", hint="is `renga serve` running there, and the port open?"
            )
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return RengaError(f"{address} is busy: {details}", hint="try again in a moment")
        case _:
            return RengaError(f"{address}: {details or error.code().name}")


def _keys(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, Ed25519PrivateKey]:
    """The keys in the folder; made, and written first, if there are none."""
    if not (folder / "signing.pem").exists():
        write_secret(folder / "key.pem", key_pem(new_key()))
        write_secret(folder / "signing.pem", key_pem(Ed25519PrivateKey.generate()))
    return read_tls_key(folder / "key.pem"), read_signing_key(folder / "signing.pem")


def _stored_request(folder: Path, key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """The same request each time: a reply that got lost is asked for again, and the invitation is good once.

    ECDSA draws a random number, so that two requests for one key differ.
    """
    path = folder / "request.der"
    if not path.exists():
        write_secret(path, request_for(key, name))
    return path.read_bytes()
