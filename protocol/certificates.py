"""Who is who on the link: a federation's own authority, and the certificates it issues.

Keys are EC P-256 (what every TLS library speaks). A certificate says in one URI what its holder is,
`renga:ROLE:NAME`, and what it may be used for. Nothing here touches files or sockets.
"""

from __future__ import annotations

import datetime
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from renga.errors import RefusedPayload

# The name by which clients check the server's certificate. They trust the federation's own authority and no
# other, so that an address is where the server is, not who it is, and may change.
SERVER_NAME = "renga-server"

AUTHORITY_DAYS, SERVER_DAYS, CLIENT_DAYS, OPERATOR_DAYS = 3650, 365, 90, 365
SKEW = datetime.timedelta(minutes=10)  # clocks that go wrong by less do no harm


class Role(StrEnum):
    """What the holder of a certificate is."""

    SERVER = "server"
    CLIENT = "client"
    OPERATOR = "operator"
    BOOTSTRAP = "bootstrap"


@dataclass(frozen=True)
class Identity:
    """Who is at the other end, as its certificate says."""

    role: Role
    name: str

    @property
    def uri(self) -> str:
        return f"renga:{self.role.value}:{self.name}"


@dataclass(frozen=True)
class Authority:
    """The federation's certificate authority."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def federation(self) -> str:
        """The name of the federation: the first half of its authority's fingerprint."""
        return fingerprint(self.certificate)[:32]


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key for TLS."""
    return ec.generate_private_key(ec.SECP256R1())


def fingerprint(certificate: x509.Certificate) -> str:
    """sha256 of the certificate, hex."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def new_authority() -> Authority:
    """An authority that signs itself, and can sign no other authority."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Renga federation")])
    certificate = (
        _builder(AUTHORITY_DAYS)
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


def issue(
    authority: Authority,
    public_key: ec.EllipticCurvePublicKey,
    identity: Identity,
    *,
    days: float,
    hosts: Sequence[str] = (),
) -> x509.Certificate:
    """A certificate for the holder of a key, good for `days`. `hosts`: where a server can be reached."""
    serves = identity.role is Role.SERVER
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity.uri)]
    if serves:
        names += [_host(host) for host in dict.fromkeys([SERVER_NAME, *hosts])]
    use = ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity.name[:64])])
    return (
        _builder(days)
        .subject_name(subject)
        .issuer_name(authority.certificate.subject)
        .public_key(public_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
        .sign(authority.key, hashes.SHA256())
    )


def due(certificate: x509.Certificate, now: float | None = None) -> bool:
    """Whether less than a third of a certificate's life is left: time to ask for the next one.

    `now`: Unix seconds, if another moment is meant.
    """
    begin = certificate.not_valid_before_utc.timestamp()
    end = certificate.not_valid_after_utc.timestamp()
    return (time.time() if now is None else now) > end - (end - begin) / 3


def request_for(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """A signing request (PKCS #10, DER), which proves that its sender holds the key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    return (
        x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    ).public_bytes(Encoding.DER)


def key_of_request(request: bytes) -> ec.EllipticCurvePublicKey:
    """The key that a signing request asks a certificate for; nothing else of it is used.

    Raises RefusedPayload if it is no request, proves nothing, or asks for another kind of key.
    """
    try:
        read = x509.load_der_x509_csr(request)
        key = read.public_key()
        valid = read.is_signature_valid
    except ValueError as error:
        raise RefusedPayload("this is not a certificate request") from error
    if not valid:
        raise RefusedPayload("the certificate request is not signed by its own key")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RefusedPayload("the certificate request is for another kind of key than EC P-256")
    return key


def identity_of(certificate: x509.Certificate) -> Identity:
    """Who a certificate of the federation belongs to. Raises RefusedPayload if it does not say."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise RefusedPayload("the certificate says nothing of its holder") from None
    for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
        scheme, _, rest = uri.partition(":")
        role, _, name = rest.partition(":")
        if scheme == "renga" and name and role in set(Role):
            return Identity(Role(role), name)
    raise RefusedPayload("the certificate says nothing of its holder")


def _builder(days: float) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
