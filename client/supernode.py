"""`--carrier superlink`, on a client: Flower's SuperNode as a child of the daemon, which keeps the model
warm.

The SuperNode starts a process per message; its ClientApp passes the message on to this daemon over a UNIX
socket (`protocol/relay.py`), where it is worked on as over the link: the policy is asked, the ledger
written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flwr.app import Message

from renga.client.outbox import Outbox
from renga.client.work import Work
from renga.protocol.credentials import Credentials
from renga.protocol.envelope import opened
from renga.protocol.flower_programs import Home, Kept, Program, free_port, start
from renga.protocol.key_files import certificate_pem, write_secret
from renga.protocol.relay import Window


class SuperNode:
    """A supervised SuperNode of one client. `fleet`: `host:port` of the federation's SuperLink."""

    def __init__(
        self,
        credentials: Credentials,
        fleet: str,
        folder: Path,
        work: Work,
        outbox: Outbox,
        tell: Callable[[str], None],
    ) -> None:
        self._fleet = fleet
        self._folder = folder
        self._work = work
        self._outbox = outbox
        self._home = Home(folder / "home")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._key = folder / "supernode.key"
        (folder / "ca.pem").write_bytes(certificate_pem(credentials.authority))
        # Flower reads an open key from a file; it lies there while the daemon runs.
        write_secret(
            self._key, credentials.key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        )
        self._short = tempfile.TemporaryDirectory(prefix="renga-")
        self._socket = Path(self._short.name) / "window"
        self._window = Window(self._socket, self._answer)
        self.kept = Kept(self._begin, tell)

    def stop(self) -> None:
        """Leave the federation's SuperLink, so that it knows, and stop."""
        self.kept.stop()
        self._window.close()
        self._key.unlink(missing_ok=True)
        self._short.cleanup()

    def _answer(self, request: Message) -> Message:
        reply = self._work.reply(request)
        metadata = request.metadata
        round = int(metadata.group_id) if metadata.group_id.isdecimal() else 0
        size = 0 if reply.has_error() else int(opened(reply).nbytes)
        self._outbox.release(metadata.message_type, round, size)
        return reply

    def _begin(self) -> Program:
        return start(
            "flower-supernode",
            [
                *("--superlink", self._fleet),
                *("--root-certificates", str(self._folder / "ca.pem")),
                *("--auth-supernode-private-key", str(self._key)),
                *("--host", "127.0.0.1", "--port", str(free_port())),
                *("--node-config", f'socket="{self._socket}"'),
            ],
            self._home,
            self._folder / "supernode.log",
        )
