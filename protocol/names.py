"""Clients have names, Flower's nodes have numbers."""

from __future__ import annotations

import hashlib
import re

from renga.errors import UsageError

# Names of roles and of the host's model: a client that was called so would be taken for something else.
RESERVED = frozenset({"server", "operator", "bootstrap", "host"})


def node_id(name: str) -> int:
    """The node id of a client: 63 bits of the sha256 of its name, the same in every run and process.

    Never 0 (no node) nor 1 (the server). It fits a signed 64-bit column, as Flower's database has.
    """
    number = int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big") >> 1
    return max(number, 2)


def check_name(name: str) -> None:
    """Raises UsageError unless a client may be called so: it stands in certificates, paths and tables."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
        raise UsageError(f"{name[:64]!r} won't do as a name", hint="lower-case letters, digits, _ and -")
    if name in RESERVED:
        raise UsageError(f"{name!r} is a name that Renga uses itself", hint="choose another")
