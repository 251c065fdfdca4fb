"""`--carrier superlink`: Flower's SuperLink as a child of this server, with rounds played here.

The SuperLink listens on loopback, with TLS, node authentication, a database, and a secret for the process
that starts apps; SuperNodes reach it through `fleet_front`. A client that attaches to the link is
registered with the key of its certificate: so a node's name is what the federation's authority says, not
what the node says. A run is a bundle without code whose ServerApp lends its grid to this process
(`protocol/relay.py`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.serverapp import Grid

from renga.errors import RengaError
from renga.protocol.certificates import SERVER_DAYS, Identity, Role, issue, new_key
from renga.protocol.flower_bundle import write_bundle
from renga.protocol.flower_programs import (
    CONNECTION,
    Home,
    Kept,
    Program,
    answers,
    flwr,
    free_port,
    start,
    wait_until,
)
from renga.protocol.flower_run import relayed
from renga.protocol.key_files import certificate_pem, open_pem, write_secret
from renga.server.fleet_front import FleetFront
from renga.server.identity import ServerIdentity
from renga.server.superlink_grid import SuperLinkGrid

log = logging.getLogger("renga.server")

START = 120.0  # seconds that the SuperLink has to come up
PATIENCE = 2.0  # seconds that each program has to end: a SuperLink may lose nothing when it is killed
PROGRAMS = ("flower-superlink", "flower-superexec", "flwr-serverapp", "flwr")


class SuperLink:
    """A supervised SuperLink with its SuperExec and its front. `folder`: where Flower keeps what it keeps."""

    def __init__(self, who: ServerIdentity, folder: Path, tell: Callable[[str], None]) -> None:
        self._who = who
        self._folder = folder
        self._tell = tell
        self._home = Home(folder / "home", PROGRAMS)
        self._nodes_file = folder / "nodes.json"
        self._lock = threading.Lock()
        self._up = threading.Event()
        self._kept: list[Kept] = []
        self._app: FleetFront
        self._front: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, host: str, port: int, names: Sequence[str]) -> int:
        """Start all of it; SuperNodes reach it at `host`, at the port that is returned (0: any free one).

        names: under which certificates must hold. Raises RengaError when a part doesn't come up.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._home.open()
        self._write_keys(names)
        inner = f"127.0.0.1:{free_port()}"
        self._home.connect(inner, self._folder / "ca.pem")
        superlink = Kept(lambda: self._superlink(inner), self._tell, pause=1.0)
        self._kept.append(superlink)
        trust = ssl.create_default_context(cafile=str(self._folder / "ca.pem"))
        wait_until(lambda: answers(f"https://{inner}/health", trust), superlink.program, "Flower's SuperLink")
        self._kept.append(Kept(lambda: self._superexec(inner), self._tell, pause=1.0))
        self._app = FleetFront(f"https://{inner}", trust)
        port = self._open_front(host, port)
        self._up.set()
        return port

    @property
    def superlink(self) -> Kept:
        """Flower's own process, once started."""
        return self._kept[0]

    def stop(self) -> None:
        """Stop all of it. SuperNodes should have gone before: Flower takes those for present that did not."""
        if self._front is not None:
            self._app.stop()
            self._front.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=5.0)
        for kept in reversed(self._kept):
            kept.stop(PATIENCE)
        self._home.close()

    def admit(self, name: str, key: ec.EllipticCurvePublicKey) -> None:
        """Let the SuperNode with this key in, as the client `name`. Does nothing for one that is known.

        Flower takes a key once: a client that was dismissed needs another. Raises RengaError with Flower's
        words when it is not taken.
        """
        if not self._up.wait(START):
            raise RengaError("the SuperLink does not come up")
        line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        with self._lock:
            nodes = self._nodes()
            if nodes.get(name, {}).get("key") == line:
                return
            if before := nodes.pop(name, None):
                self._unregister(before["node"])
            path = self._folder / f"{name}.pub"
            path.write_text(f"{line} {name}\n", encoding="utf-8")
            found = flwr(["supernode", "register", str(path), CONNECTION], self._home)
            nodes[name] = {"key": line, "node": str(found["node-id"])}
            self._write_nodes(nodes)
        log.info("%s is registered as SuperNode %s", name, nodes[name]["node"])

    def dismiss(self, name: str) -> None:
        """Let a client's SuperNode in no more."""
        with self._lock:
            nodes = self._nodes()
            if before := nodes.pop(name, None):
                self._unregister(before["node"])
                self._write_nodes(nodes)

    def traffic(self) -> tuple[int, int]:
        """Bytes to and from SuperNodes since the start."""
        down, up = self._app.traffic
        return down, up

    def admitted(self) -> list[str]:
        """The clients whose SuperNodes are let in."""
        return sorted(self._nodes())

    @contextmanager
    def grid(self, attached: Callable[[], Iterable[str]] | None = None) -> Iterator[Grid]:
        """A run on this SuperLink: its grid, by the names of the clients that were admitted.

        attached: who is here for certain, if that is known; Flower takes a node that was killed for present
        for another minute.
        """
        bundle = write_bundle(self._folder / "bundle", config={"socket": ""})
        with (
            tempfile.TemporaryDirectory(prefix="renga-") as short,
            relayed(bundle, self._home, self.superlink.program, Path(short) / "grid", {}) as grid,
        ):
            yield SuperLinkGrid(grid, self._names, self._app, lambda: self.superlink.program, attached)

    def _names(self, nodes: Sequence[int]) -> Mapping[int, str]:
        known = {int(found["node"]): name for name, found in self._nodes().items()}
        return {node: known[node] for node in nodes if node in known}

    def _superlink(self, inner: str) -> Program:
        host, port = inner.split(":")
        folder = self._folder
        return start(
            "flower-superlink",
            [
                *("--host", host, "--port", port),
                *("--ssl-ca-certfile", str(folder / "ca.pem")),
                *("--ssl-certfile", str(folder / "certificate.pem")),
                *("--ssl-keyfile", str(folder / "key.pem")),
                "--enable-supernode-auth",
                *("--database", str(folder / "superlink.sqlite")),
                *("--isolation", "process"),
                *("--superexec-auth-secret-file", str(folder / "superexec.secret")),
                "--disable-runtime-dependency-installation",
            ],
            self._home,
            folder / "superlink.log",
        )

    def _superexec(self, inner: str) -> Program:
        return start(
            "flower-superexec",
            [
                *("--runtime-api-address", inner),
                *("--root-certificates", str(self._folder / "ca.pem")),
                *("--superexec-auth-secret-file", str(self._folder / "superexec.secret")),
            ],
            self._home,
            self._folder / "superexec.log",
        )

    def _write_keys(self, names: Sequence[str]) -> None:
        """A key and certificate of its own, made anew at every start, and the secret of its SuperExec."""
        key = new_key()
        hosts = list(dict.fromkeys([*names, "localhost", "127.0.0.1", "::1"]))
        identity = Identity(Role.SERVER, "superlink")
        certificate = issue(self._who.authority, key.public_key(), identity, days=SERVER_DAYS, hosts=hosts)
        (self._folder / "ca.pem").write_bytes(certificate_pem(self._who.authority.certificate))
        (self._folder / "certificate.pem").write_bytes(certificate_pem(certificate))
        write_secret(self._folder / "key.pem", open_pem(key))
        write_secret(self._folder / "superexec.secret", secrets.token_urlsafe(48).encode())

    def _open_front(self, host: str, port: int) -> int:
        config = uvicorn.Config(
            self._app,
            host=host,
            port=port,
            lifespan="off",
            ws="none",
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            ssl_certfile=str(self._folder / "certificate.pem"),
            ssl_keyfile=str(self._folder / "key.pem"),
        )
        # Not by uvicorn, which says in a line of its own what is wrong, and ends the process.
        listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            listening.close()
            raise RengaError(
                f"port {port} is taken, or not ours: {error.strerror}",
                hint="set carrier_port in [listen] to another port",
            ) from error
        self._front = uvicorn.Server(config)
        front = self._front
        self._thread = threading.Thread(
            target=lambda: asyncio.run(front.serve([listening])), name="fleet-front", daemon=True
        )
        self._thread.start()
        return int(listening.getsockname()[1])

    def _nodes(self) -> dict[str, dict[str, str]]:
        try:
            found: dict[str, dict[str, str]] = json.loads(self._nodes_file.read_text())
            return found
        except (OSError, ValueError):
            return {}

    def _write_nodes(self, nodes: Mapping[str, Mapping[str, str]]) -> None:
        temporary = self._nodes_file.with_suffix(".new")
        temporary.write_text(json.dumps(nodes, sort_keys=True))
        temporary.replace(self._nodes_file)

    def _unregister(self, node: str) -> None:
        try:
            flwr(["supernode", "unregister", node, CONNECTION], self._home)
        except RengaError as error:
            log.warning("SuperNode %s could not be unregistered: %s", node, error.message)
