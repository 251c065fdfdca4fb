"""What a client's owner sees of it, without asking the server: who it is, what may leave, what has left."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from renga.client.ledger import Ledger
from renga.client.policy import read_policy
from renga.client.witness import Witness
from renga.protocol.credentials import has_credentials, identity_in
from renga.protocol.signing import public_key
from renga.simulations.units import size


def is_client(state: Path) -> bool:
    """Whether a folder is the state of a client that has enrolled."""
    return has_credentials(state / "keys")


def client_status(state: Path) -> dict[str, Any]:
    """Raises UsageError for a state that is not what was written there."""
    keys = state / "keys"
    who, until = identity_in(keys)
    saved, server_key = state / "server.json", (keys / "server-signing.key").read_bytes()
    sums: dict[str, list[int]] = {}
    for entry in Ledger(state / "ledger.jsonl").entries():
        both = sums.setdefault(entry.kind, [0, 0])
        both[0] += 1
        both[1] += entry.bytes
    return {
        "name": who.name,
        "server": json.loads(saved.read_text())["address"] if saved.exists() else None,
        "certificate_until": until,
        "round": Witness(state / "published.json", public_key(server_key)).round,
        "policy": read_policy(state / "policy.toml").model_dump(),
        "left": {kind: {"messages": n, "bytes": b} for kind, (n, b) in sorted(sums.items())},
    }


def render(found: dict[str, Any]) -> Group:
    """The client's status: who it is, what may leave, what has left."""
    until = time.strftime("%Y-%m-%d", time.localtime(found["certificate_until"]))
    may = [key for key, value in found["policy"].items() if value is True]
    withheld = [key for key, value in found["policy"].items() if value is False]
    table = Table(box=None)
    for column in ("what has left", "messages", "bytes"):
        table.add_column(column)
    for kind, left in found["left"].items():
        table.add_row(kind, str(left["messages"]), size(left["bytes"]))
    return Group(
        f"{found['name']} of {found['server']} · certificate until {until} · last round: {found['round']}",
        f"may leave: {', '.join(may) or 'nothing'}; withheld: {', '.join(withheld) or 'nothing'}",
        table,
    )
