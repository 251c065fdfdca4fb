"""`--carrier superlink`, on a client: Flower's SuperNode as a child of the daemon, which keeps the model
warm.

The SuperNode starts a process per message; its ClientApp passes the message on to this daemon over a UNIX
socket (`protocol/relay.py`), where it is worked on as over the link: the policy is asked, the ledger
written.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import tempfile
import threading
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from renga.client.outbox import Outbox
from renga.client.work import Work
from renga.errors import RengaError
from renga.protocol import flower_programs
from renga.protocol.credentials import Credentials
from renga.protocol.failure import one_line
from renga.protocol.flower_internals import sign_off
from renga.protocol.flower_programs import RELEASE_HEADER, Home, Kept, Program, free_port, start
from renga.protocol.key_files import certificate_pem, write_secret
from renga.protocol.relay import Window

PROGRAMS = ("flower-supernode", "flower-superexec", "flwr-clientapp", "renga.flower_apps")
LOCKED_OUT = 8.0  # seconds between two attempts: Flower keeps one out for a minute that was not signed off
LOG, NODE, LOOKED_BACK = "supernode.log", re.compile(rb"SuperNode ID: (\d+)"), 1 << 20
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between two looks for a SuperLink that is not there


class SuperNode:
    """A supervised SuperNode of one client. `fleet`: `host:port` of the federation's SuperLink, which may
    still be away; tell: told of what keeps it from being there, once each."""

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
        self._tell = tell
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._key = folder / "supernode.key"
        (folder / "ca.pem").write_bytes(certificate_pem(credentials.authority))
        self.renew(credentials)
        self._home = Home(folder / "home", PROGRAMS)
        self._home.open()
        self._short = tempfile.TemporaryDirectory(prefix="renga-")
        self._socket = Path(self._short.name) / "window"
        self._window = Window(self._socket, lambda request: work.released(request, outbox))
        self._over = threading.Event()
        self.kept: Kept | None = None
        self._thread = threading.Thread(target=self._keep, name="supernode", daemon=True)
        self._thread.start()

    def renew(self, credentials: Credentials) -> None:
        """Go by another key from the next start on; a SuperLink that is told of the key brings it about."""
        self._credentials = credentials
        # Flower reads an open key from a file; it lies there while the daemon runs.
        write_secret(
            self._key, credentials.key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        )

    def stop(self) -> None:
        """Leave the federation's SuperLink, so that it knows, and stop."""
        self._over.set()
        self._thread.join(timeout=10.0)
        if self.kept is not None:
            self.kept.stop()
        self._home.close()
        self._window.close()
        self._key.unlink(missing_ok=True)
        self._short.cleanup()

    def _keep(self) -> None:
        """Start once the SuperLink is there. Flower's own words for one that isn't would be none."""
        pause, said = FIRST_PAUSE, ""
        while problem := unreachable(self._fleet, self._folder / "ca.pem"):
            if problem != said:
                self._tell(f"{problem}; it is looked for again and again")
                said = problem
            if self._over.wait(pause):
                return
            pause = min(2 * pause, LONGEST_PAUSE)
        if apart := releases_apart(self._fleet, self._folder / "ca.pem"):
            self._tell(apart)
        try:
            self._sign_off()
            self.kept = Kept(self._begin, self._tell, explained, longest=LOCKED_OUT, ended=self._sign_off)
        except RengaError as error:
            self._tell(f"the SuperNode can't be started: {error.message}")

    def _sign_off(self) -> None:
        """Say for a SuperNode that was killed, now or in an earlier life of this daemon, that it is gone: its
        round need not wait for it, and the next one is let in at once."""
        if (node := last_node(self._folder / LOG)) is not None:
            sign_off(self._fleet, self._folder / "ca.pem", self._credentials.key, node)

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
            self._folder / LOG,
        )


def unreachable(fleet: str, authority: Path, patience: float = 5.0) -> str:
    """Why a SuperLink of the authority in a file can't be spoken to at `host:port`; empty if it can."""
    host, _, port = fleet.rpartition(":")
    trust = ssl.create_default_context(cafile=str(authority))
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), patience) as plain,
            trust.wrap_socket(plain, server_hostname=host.strip("[]")),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        if "match" in error.verify_message or "valid for" in error.verify_message:
            return (
                f"the SuperLink at {fleet} goes by other names: put this one into the server's [listen] names"
            )
        return f"the SuperLink at {fleet} is not this federation's: {error.verify_message}"
    except ssl.SSLError:
        return f"what answers at {fleet} does not speak TLS, so it is no SuperLink of this federation"
    except (OSError, ValueError):
        return f"no SuperLink is at {fleet}: does the server run with --carrier superlink? (else --fleet)"


def releases_apart(fleet: str, authority: Path, patience: float = 5.0) -> str:
    """What to say if the SuperLink at `host:port` is of another release of Flower than is installed here;
    empty else. They are let speak: Flower refuses nobody for it, and promises nothing either."""
    trust = ssl.create_default_context(cafile=str(authority))
    try:
        with urllib.request.urlopen(f"https://{fleet}/health", timeout=patience, context=trust) as reply:
            theirs = str(reply.headers.get(RELEASE_HEADER) or "")
    except OSError:
        return ""
    ours = version("flwr")
    if not theirs or theirs.split(".")[:2] == ours.split(".")[:2]:
        return ""
    release = ".".join(one_line(theirs, 20).split(".")[:2])
    return (
        f"the SuperLink at {fleet} is of Flower {one_line(theirs, 20)}, this client's is {ours}: "
        f"should rounds fail, pip install 'flwr=={release}.*' here, or update the server"
    )


def last_node(log: Path) -> int | None:
    """The number that the SuperNode with this log was last let in under; Flower says it there alone."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOOKED_BACK))
            found = NODE.findall(file.read())
    except OSError:
        return None
    return int(found[-1]) if found else None


def explained(words: str) -> str:
    """What the last words of a SuperNode mean."""
    if "Failed to activate" in words:
        return "Flower takes it for present still, for a minute after a crash"
    if "401" in words or "Unauthorized" in words or "not recognize" in words:
        return "the SuperLink does not know its key, or not yet"
    if "runtime version mismatch" in words or ("ersion" in words and "compatib" in words):
        return "the SuperLink is of another version of Flower: update the older one"
    return flower_programs.explained(words)
