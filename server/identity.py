"""The server's own identity, kept in its state folder: the authority, its certificate, its registry."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from renga.errors import UsageError
from renga.protocol.certificates import (
    CLIENT_DAYS,
    OPERATOR_DAYS,
    SERVER_DAYS,
    Authority,
    Identity,
    Role,
    due,
    fingerprint,
    issue,
    new_authority,
    new_key,
)
from renga.protocol.credentials import Credentials, has_credentials, load_credentials, save_credentials
from renga.protocol.invitations import OPERATOR, Ticket, read_ticket, write_ticket
from renga.protocol.key_files import (
    certificate_pem,
    key_pem,
    open_pem,
    read_certificate,
    read_secret,
    read_tls_key,
    write_secret,
)
from renga.protocol.names import check_name
from renga.server.registry import Registry

INVITATION_HOURS = 24.0


@dataclass(frozen=True)
class ServerIdentity:
    """Who this server is, and who may speak to it."""

    folder: Path
    authority: Authority
    credentials: Credentials
    registry: Registry

    @property
    def federation(self) -> str:
        return self.authority.federation

    def invite(self, name: str, address: str, hours: float = INVITATION_HOURS) -> Ticket:
        """A single-use invitation for a client. Raises UsageError if the name is taken, or won't do."""
        check_name(name)
        key = new_key()
        certificate = issue(self.authority, key.public_key(), Identity(Role.BOOTSTRAP, name), days=hours / 24)
        self.registry.invite(name, certificate)
        return self._ticket(address, name, certificate_pem(certificate), key, time.time() + hours * 3600)

    def certify(self, key: ec.EllipticCurvePublicKey, name: str) -> x509.Certificate:
        """A client's own certificate, for a key that never leaves it."""
        return issue(self.authority, key, Identity(Role.CLIENT, name), days=CLIENT_DAYS)

    def _ticket(
        self, address: str, name: str, certificate: bytes, key: ec.EllipticCurvePrivateKey, until: float
    ) -> Ticket:
        return Ticket(
            address=address,
            name=name,
            authority=certificate_pem(self.authority.certificate).decode(),
            certificate=certificate.decode(),
            key=open_pem(key).decode(),
            expires=until,
        )


def exists(folder: Path) -> bool:
    """Whether a server has begun in this state folder."""
    return has_credentials(folder / "identity")


def create(folder: Path, address: str, hosts: Sequence[str]) -> ServerIdentity:
    """Make an authority, the server's keys and the operator's token. `hosts`: its names and addresses."""
    place = folder / "identity"
    authority = new_authority()
    write_secret(place / "authority-key.pem", key_pem(authority.key))
    write_secret(place / "authority.pem", certificate_pem(authority.certificate))
    key, operator = new_key(), new_key()
    registry = Registry(place / "registry.sqlite")
    token = issue(authority, operator.public_key(), Identity(Role.OPERATOR, "operator"), days=OPERATOR_DAYS)
    registry.enrol(token, b"")
    own = Credentials(
        authority.certificate,
        issue(authority, key.public_key(), Identity(Role.SERVER, "server"), days=SERVER_DAYS, hosts=hosts),
        key,
        Ed25519PrivateKey.generate(),
    )
    found = ServerIdentity(folder, authority, own, registry)
    ticket = found._ticket(
        address, "operator", certificate_pem(token), operator, token.not_valid_after_utc.timestamp()
    )
    write_secret(folder / "operator.token", (write_ticket(ticket, OPERATOR) + "\n").encode())
    save_credentials(place, own)  # last: it says that all the rest is there
    return found


def load(folder: Path) -> ServerIdentity:
    """The identity in a state folder; a server's certificate that is due is made anew.

    Raises UsageError if no server has begun here, or its keys can't be read.
    """
    place = folder / "identity"
    if not exists(folder):
        raise UsageError(f"{folder} is not the state of a server", hint="renga serve makes one")
    authority = Authority(
        read_tls_key(place / "authority-key.pem"), read_certificate(place / "authority.pem")
    )
    credentials = load_credentials(place)
    if credentials.authority != authority.certificate:
        raise UsageError(f"{place} mixes the keys of two federations", hint="restore it from a backup")
    if due(credentials.certificate):
        credentials = replace(credentials, certificate=_again(authority, credentials))
        save_credentials(place, credentials)
    return ServerIdentity(folder, authority, credentials, Registry(place / "registry.sqlite"))


def _again(authority: Authority, credentials: Credentials) -> x509.Certificate:
    """The server's certificate once more, for the same key and hosts."""
    names = credentials.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    key = credentials.key.public_key()
    return issue(authority, key, credentials.identity, days=SERVER_DAYS, hosts=hosts)


def rotate_operator(who: ServerIdentity) -> None:
    """A new operator's token in the state folder; the old one is refused from now on, without a restart."""
    address = read_ticket(operator_token(who.folder), OPERATOR).address
    key = new_key()
    token = issue(who.authority, key.public_key(), Identity(Role.OPERATOR, "operator"), days=OPERATOR_DAYS)
    who.registry.enrol(token, b"")
    until = token.not_valid_after_utc.timestamp()
    ticket = who._ticket(address, "operator", certificate_pem(token), key, until)
    write_secret(who.folder / "operator.token", (write_ticket(ticket, OPERATOR) + "\n").encode())
    who.registry.rotate("operator", fingerprint(token), 0.0, Role.OPERATOR)


def operator_token(folder: Path) -> str:
    """The operator's token of the server whose state this is."""
    return read_secret(folder / "operator.token").decode().strip()
