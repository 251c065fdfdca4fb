"""From files to a secured connection: mutual TLS between a client and the server of one federation.

A folder of credentials holds `ca.pem` (the federation's authority), `certificate.pem`, `key.pem` and
`signing.pem`. TLS below 1.2 and weak ciphers are not offered; gRPC's own defaults for the rest are documented
in docs/deploy.md.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from renga.errors import RefusedPayload, UsageError
from renga.protocol.certificates import SERVER_NAME, Identity, fingerprint, identity_of
from renga.protocol.key_files import (
    certificate_pem,
    key_pem,
    open_pem,
    read_certificate,
    read_signing_key,
    read_tls_key,
    write_secret,
)

# Read by gRPC when it makes its first TLS context: the ECDHE suites of TLS 1.2 that TLS 1.3 kept.
os.environ.setdefault(
    "GRPC_SSL_CIPHER_SUITES",
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305",
)

# Parts of blobs are 256 KiB, all else is smaller.
LARGEST_MESSAGE = 1 << 20

Options = Sequence[tuple[str, int | str]]

CHANNEL_OPTIONS: Options = (
    ("grpc.ssl_target_name_override", SERVER_NAME),
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)
SERVER_OPTIONS: Options = (
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ("grpc.max_concurrent_streams", 256),
    ("grpc.max_metadata_size", 8 << 10),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.so_reuseport", 0),  # a second server on the port is an error, not a lottery
)


@dataclass(frozen=True, repr=False)
class Credentials:
    """One side's certificate with its keys, and the authority it trusts. Never printed."""

    authority: x509.Certificate
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    signing: Ed25519PrivateKey | None = None

    @property
    def identity(self) -> Identity:
        return identity_of(self.certificate)

    def in_time(self, what: str, instead: str) -> None:
        """Raises UsageError if the certificate is not good now, by this machine's clock: TLS would fail, and
        say less. `what` it is called, and what to do `instead` of using it."""
        clock = "is this machine's clock right?"
        if self.certificate.not_valid_after_utc.timestamp() < time.time():
            raise UsageError(f"{what} has expired", hint=f"{instead}; {clock}")
        if self.certificate.not_valid_before_utc.timestamp() > time.time():
            raise UsageError(f"{what} is not good yet", hint=clock)

    @property
    def federation(self) -> str:
        return fingerprint(self.authority)[:32]

    def server(self) -> grpc.ServerCredentials:
        """For a port that nobody without a certificate of the federation gets past."""
        pair = (open_pem(self.key), certificate_pem(self.certificate))
        return grpc.ssl_server_credentials([pair], certificate_pem(self.authority), require_client_auth=True)

    def channel(self, address: str, options: Options = ()) -> grpc.aio.Channel:
        """A connection to the server at `host:port`; it opens when first used, and again when it was lost."""
        secured = grpc.ssl_channel_credentials(
            certificate_pem(self.authority), open_pem(self.key), certificate_pem(self.certificate)
        )
        return grpc.aio.secure_channel(address, secured, [*CHANNEL_OPTIONS, *options])


def save_credentials(folder: Path, credentials: Credentials) -> None:
    """Write them, keys first. Raises RengaError if the disk won't take them."""
    write_secret(folder / "key.pem", key_pem(credentials.key))
    if credentials.signing is not None:
        write_secret(folder / "signing.pem", key_pem(credentials.signing))
    write_secret(folder / "ca.pem", certificate_pem(credentials.authority))
    write_secret(folder / "certificate.pem", certificate_pem(credentials.certificate))


def load_credentials(folder: Path) -> Credentials:
    """Raises UsageError for what is missing, damaged, locked or readable by others."""
    signing = folder / "signing.pem"
    return Credentials(
        authority=read_certificate(folder / "ca.pem"),
        certificate=read_certificate(folder / "certificate.pem"),
        key=read_tls_key(folder / "key.pem"),
        signing=read_signing_key(signing) if signing.exists() else None,
    )


def identity_in(folder: Path) -> tuple[Identity, float]:
    """Whose certificate is in a folder, and until when it is good (Unix seconds); no key is opened."""
    certificate = read_certificate(folder / "certificate.pem")
    return identity_of(certificate), certificate.not_valid_after_utc.timestamp()


def has_credentials(folder: Path) -> bool:
    return (folder / "certificate.pem").exists()


def peer_certificate(auth_context: dict[str, Sequence[bytes]]) -> x509.Certificate:
    """The certificate at the other end of a call. Raises RefusedPayload if there is none."""
    found = auth_context.get("x509_pem_cert")
    if not found:
        raise RefusedPayload("the call carries no certificate")
    return x509.load_pem_x509_certificate(found[0])
