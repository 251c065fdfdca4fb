"""Clients have names, Flower's nodes have numbers."""

from __future__ import annotations

import hashlib


def node_id(name: str) -> int:
    """The node id of a client: 63 bits of the sha256 of its name, the same in every run and process.

    Never 0 (no node) nor 1 (the server). It fits a signed 64-bit column, as Flower's database has.
    """
    number = int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big") >> 1
    return max(number, 2)
