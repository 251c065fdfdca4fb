"""What the server published, as a chain: every client sees the same adapters, and nothing older than it saw.

A link names every adapter that clients were shown in a round (see `showing`), and the link before it by hash.
The server signs each. Whoever holds one link holds the whole past: two histories can't share a link.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from renga.errors import RefusedPayload
from renga.protocol import link_pb2 as wire
from renga.protocol.adapter_codec import DecodedAdapter
from renga.protocol.signing import PUBLISHED, canonical, check

LIMIT = 256 << 10  # bytes of what a link lists


@dataclass(frozen=True)
class Link:
    """One round of the chain. `adapters`: sha256, hex, by what each is. `hash`: what the next calls it."""

    round: int
    previous: bytes
    adapters: Mapping[str, str]
    hash: bytes


def publish(
    key: Ed25519PrivateKey, round: int, adapters: Mapping[str, str], last: Link | None
) -> wire.Published:
    """The next link, signed. Raises ValueError unless `round` is later than that of the last link."""
    if round <= (last.round if last else 0):
        raise ValueError(f"round {round} is not after the last one published")
    listed = canonical(adapters)
    link = wire.Published(
        round=round,
        previous=last.hash if last else b"",
        digest=hashlib.sha256(listed).digest(),
        adapters=listed,
    )
    link.signature = key.sign(PUBLISHED + _signed_part(link))
    return link


def opened(server: Ed25519PublicKey, message: wire.Published) -> Link:
    """What a message of the server publishes. Raises RefusedPayload unless the server signed just that."""
    if len(message.adapters) > LIMIT:
        raise RefusedPayload("a published round lists too much")
    part = _signed_part(message)
    check(server, PUBLISHED, part, message.signature)
    try:
        adapters = json.loads(message.adapters)
        fine = canonical(adapters) == message.adapters
        fine = fine and all(_is_digest(digest) for digest in adapters.values())
    except (ValueError, AttributeError, RecursionError):
        fine = False
    if not fine or hashlib.sha256(message.adapters).digest() != message.digest or message.round < 1:
        raise RefusedPayload("a published round is not written as it should be")
    return Link(message.round, message.previous, adapters, hashlib.sha256(PUBLISHED + part).digest())


def follow(known: Link | None, links: Iterable[Link]) -> Link | None:
    """The newest link, if `links`, oldest first, go on from the one that is `known`.

    Links that are known already may be among them. Without a known link the first is believed: it came with
    the server's signature. Raises RefusedPayload for a chain that is older than what is known, that has
    another past, or that leaves rounds out in between.
    """
    met = known is None
    newest = known
    for link in links:
        if newest is None or (link.previous == newest.hash and link.round > newest.round):
            newest, met = link, True
        elif link.hash == newest.hash:
            met = True
        elif met or link.round >= newest.round:
            raise RefusedPayload(f"the server tells another history of round {link.round} than before")
    if not met and known is not None:
        raise RefusedPayload(f"the server offers an older round than {known.round}, which it had published")
    return newest


def showing(kind: str, attempt: int, adapter: DecodedAdapter) -> tuple[str, str]:
    """What an adapter that a client is shown is called in a link, and its sha256.

    Clients of one base, rank, alpha and set of layers are shown the same one in the same message (`kind`), so
    that the server can't give one of them another without a link that contradicts it.
    """
    paths = sorted(adapter.factors)
    about = {"alpha": adapter.alpha, "base": adapter.base, "rank": adapter.rank, "of": paths}
    digest = hashlib.sha256(canonical(about))
    name = f"{attempt}:{kind}:{digest.hexdigest()[:16]}"
    for path in paths:
        for factor in adapter.factors[path]:
            digest.update(np.ascontiguousarray(factor, dtype="<f4").tobytes())
    return name, digest.hexdigest()


def _signed_part(message: wire.Published) -> bytes:
    """All that the signature covers, of one fixed form."""
    return canonical(
        {
            "round": message.round,
            "previous": message.previous.hex(),
            "digest": message.digest.hex(),
            "adapters": hashlib.sha256(message.adapters).hexdigest(),
        }
    )


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef")
