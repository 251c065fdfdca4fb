"""Secrets in files: readable by their owner alone, written whole or not at all, never shown.

A passphrase, if wanted, comes from the environment (`RENGA_PASSPHRASE`) and never from a command line.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from renga.errors import RengaError, UsageError

PASSPHRASE = "RENGA_PASSPHRASE"

PrivateKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey


def write_secret(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read. Raises RengaError if the disk won't take it."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RengaError(f"can't write {path}: {error.strerror}") from error


def read_secret(path: Path) -> bytes:
    """Raises UsageError if the file is not there or others can read it."""
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read()
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"{path} can be read by others than its owner", hint=f"chmod 600 {path}")
    return data


def key_pem(key: PrivateKey) -> bytes:
    """A key as PEM (PKCS #8), locked with the passphrase if there is one."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, _lock())


def open_pem(key: PrivateKey) -> bytes:
    """A key as PEM without a lock: for handing to the TLS library, not for files."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_key(path: Path) -> PrivateKey:
    """Raises UsageError if it can't be read or opened, without a word of what is in it."""
    data = read_secret(path)
    passphrase = os.environ.get(PASSPHRASE, "").encode() or None
    try:
        locked = b"ENCRYPTED" in data
        key = load_pem_private_key(data, passphrase if locked else None)
    except (ValueError, TypeError):
        raise UsageError(
            f"{path} can't be opened", hint=f"is {PASSPHRASE} set, and the one it was locked with?"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise UsageError(f"{path} holds another kind of key")
    return key


def read_tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = read_key(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UsageError(f"{path} holds no key for TLS")
    return key


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    key = read_key(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} holds no key for signing")
    return key


def certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def read_certificate(path: Path) -> x509.Certificate:
    """Raises UsageError if there is none."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from error
    except ValueError:
        raise UsageError(f"{path} is no certificate") from None


def _lock() -> KeySerializationEncryption:
    passphrase = os.environ.get(PASSPHRASE, "").encode()
    return BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
