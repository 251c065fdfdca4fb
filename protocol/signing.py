"""Signed statements: Ed25519 over a purpose and the canonical JSON of a manifest.

What is signed is small: a manifest names the content by its sha256, so that large blobs are hashed and never
signed. The purpose stands in front, so that no signature can serve another one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from renga.errors import RefusedPayload

MESSAGE, WELCOME, PUBLISHED, ENROL = (
    b"renga/message/1\0",
    b"renga/welcome/1\0",
    b"renga/published/1\0",
    b"renga/enrol/1\0",
)
LIMIT = 16 * 1024  # bytes of a manifest


@dataclass(frozen=True)
class Manifest:
    """What the sender of a message stands for.

    `session` names the attachment it was sent on (hex), so that a signature is good once and in one place;
    `message` is the id of the request that is sent or answered; `digest` the sha256 of the content, hex.
    """

    sender: str
    receiver: str
    kind: str
    round: int
    message: str
    base: str
    digest: str
    size: int
    session: str


def canonical(value: Mapping[str, Any]) -> bytes:
    """The one way to write a manifest down: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def signed(key: Ed25519PrivateKey, manifest: Manifest) -> tuple[bytes, bytes]:
    """The manifest as it travels, and its signature."""
    data = canonical(asdict(manifest))
    return data, key.sign(MESSAGE + data)


def verified(key: Ed25519PublicKey, data: bytes, signature: bytes) -> Manifest:
    """What the holder of `key` stands for. Raises RefusedPayload for anything it did not sign so."""
    if len(data) > LIMIT:
        raise RefusedPayload("the manifest is too long")
    check(key, MESSAGE, data, signature)
    try:
        read = json.loads(data)
        manifest = Manifest(**read)
    except (ValueError, TypeError) as error:
        raise RefusedPayload("the manifest has other fields than it should") from error
    kinds = {"round": int, "size": int}
    fine = all(type(value) is kinds.get(name, str) for name, value in asdict(manifest).items())
    if not fine or canonical(read) != data:
        raise RefusedPayload("the manifest is not written as it should be")
    return manifest


def check(key: Ed25519PublicKey, purpose: bytes, data: bytes, signature: bytes) -> None:
    """Raises RefusedPayload unless the holder of `key` signed `data` for this purpose."""
    try:
        key.verify(signature, purpose + data)
    except InvalidSignature:
        raise RefusedPayload("the signature is not the sender's") from None


def public_key(raw: bytes) -> Ed25519PublicKey:
    """Raises RefusedPayload unless these are the 32 bytes of a public key."""
    try:
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise RefusedPayload("this is no Ed25519 key") from error
