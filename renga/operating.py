"""What an operator sees and does, over the link: status, training, tables."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import grpc
from rich.console import Group
from rich.table import Table
from rich.text import Text

from renga.cli_options import tell
from renga.client.enrolment import bootstrap_credentials, refused
from renga.client.ledger import Entry
from renga.protocol import link_pb2 as wire
from renga.protocol.credentials import Credentials
from renga.protocol.invitations import OPERATOR, read_ticket
from renga.protocol.key_files import read_secret
from renga.protocol.link_pb2_grpc import OperatorStub
from renga.server.registry import Known
from renga.simulations.units import size

PATIENCE = 15.0

Result = TypeVar("Result")


@dataclass(frozen=True)
class Operator:
    """The operator of one server."""

    credentials: Credentials
    address: str

    @classmethod
    def of(cls, state: Path, server: str | None, token: Path | None) -> Operator:
        """By the token in a server's state folder, or a token carried elsewhere. Raises UsageError."""
        ticket = read_ticket(read_secret(token or state / "operator.token").decode(), OPERATOR)
        noted = state / "address"
        here = noted.read_text().strip() if token is None and noted.exists() else ticket.address
        return cls(bootstrap_credentials(ticket), server or here)

    def status(self) -> dict[str, Any]:
        """What the server says of itself. Raises RengaError if it can't be reached."""

        async def ask() -> dict[str, Any]:
            async with self.credentials.channel(self.address) as channel:
                stub = OperatorStub(channel)  # type: ignore[no-untyped-call]
                reply = await stub.Status(wire.StatusRequest(), timeout=PATIENCE)
            found: dict[str, Any] = json.loads(reply.json)
            return found

        return self._run(ask())

    def train(self, rounds: int, resume: bool, *, as_json: bool) -> int:
        """Start a run and tell what happens, until it is over; the exit status."""

        async def go() -> int:
            async with self.credentials.channel(self.address) as channel:
                stub = OperatorStub(channel)  # type: ignore[no-untyped-call]
                started = await stub.Train(wire.TrainRequest(rounds=rounds, resume=resume), timeout=PATIENCE)
                tell(f"rounds {started.run.replace('-', ' to ')}")
                status = 1
                async for event in stub.Watch(wire.WatchRequest(after=0)):
                    told = json.loads(event.json)
                    if as_json:
                        print(json.dumps(told), flush=True)
                    elif line := said(told):
                        tell(line)
                    if told["what"] == "done":
                        status = 0
                return status

        try:
            return self._run(go())
        except KeyboardInterrupt:
            tell("detached; the run goes on: renga status")
            return 0

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        try:
            return asyncio.run(work)
        except grpc.aio.AioRpcError as error:
            raise refused(error, self.address) from None


def said(event: dict[str, Any]) -> str:
    """A line for an event of a run."""
    about = event["about"]
    match event["what"]:
        case "round":
            return f"round {event['round']} begins"
        case "asked":
            total = sum(about.get("bytes", {}).values())
            return f"  {about['kind']}: {size(total)} to {len(about.get('bytes', {}))} clients"
        case "reply":
            return f"  {about['kind']}: {about['client']} has answered"
        case "finished":
            lines = [
                f"  {name} left out: {client['reason']}"
                for name, client in about["clients"].items()
                if client["status"] != "ok"
            ]
            lines += [f"  cohort {cohort[:8]}: {m['reason']}" for cohort, m in about["merges"].items()]
            return "\n".join(
                [*lines, f"  host: {about['host']['reason']}", f"round {event['round']} is done"]
            )
        case "failed":
            return f"the run failed: {about['reason']}"
        case "done":
            return "the run is done"
        case _:
            return ""


def render(found: dict[str, Any]) -> Group:
    """The status: who is here, the last round, how the server is."""
    health, cohorts = found["health"], found["cohorts"]
    up = timedelta(seconds=health["up_seconds"])
    lines = [f"cohort {base}: {', '.join(names)}" for base, names in sorted(cohorts.items())]
    if last := found["last"]:
        lines.append(said({"what": "finished", "round": found["round"], "about": last}))
    lines.append(
        f"up for {up}, at most {size(health['peak_memory_bytes'])} of memory, "
        f"{size(health['disk_free_bytes'])} free on the disk"
    )
    doing = f"training, round {found['round'] + 1} of {found['goal']}" if found["training"] else "idle"
    head = (
        f"{found['software']} · federation {found['federation'][:8]} · {doing} · {found['round']} rounds done"
    )
    return Group(Text(head), _clients(found), *(Text(line) for line in lines))


def _clients(found: dict[str, Any]) -> Table:
    table = Table(box=None)
    for column in ("client", "here", "cohort", "version", "lends", "received", "sent"):
        table.add_column(column)
    for client in found["clients"]:
        down, up = found["traffic"].get(client["name"], (0, 0))
        table.add_row(
            client["name"],
            "yes" if client["here"] else "no",
            client["cohort"] or "",
            client["software"] or "",
            ", ".join(client["lends"]),
            size(down),
            size(up),
        )
    for invitation in found["invitations"]:
        hours = (invitation["expires"] - time.time()) / 3600
        table.add_row(invitation["name"], "invited", "", f"for {hours:.0f} h", "", "", "")
    return table


def keys_table(everybody: Sequence[Known], invitations: Sequence[tuple[str, float]]) -> Table:
    """Certificates and invitations."""
    table = Table(box=None)
    for column in ("name", "role", "certificate", "until", "state"):
        table.add_column(column)
    for known in everybody:
        gone = known.revoked is not None and known.revoked <= time.time()
        table.add_row(
            known.name,
            known.role.value,
            known.certificate[:16],
            time.strftime("%Y-%m-%d", time.localtime(known.until)),
            "revoked" if gone else "in force",
        )
    for name, expires in invitations:
        table.add_row(name, "", "", time.strftime("%Y-%m-%d %H:%M", time.localtime(expires)), "invited")
    return table


def ledger_table(entries: Sequence[Entry]) -> Table:
    """What has left, newest last, and the sum."""
    table = Table(box=None, caption=f"{len(entries)} messages, {size(sum(e.bytes for e in entries))} in all")
    for column in ("when", "what", "to", "round", "bytes", "could reveal"):
        table.add_column(column)
    for entry in entries[-200:]:
        table.add_row(
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.at)),
            entry.kind,
            entry.to,
            str(entry.round),
            size(entry.bytes),
            entry.reveals,
        )
    return table
