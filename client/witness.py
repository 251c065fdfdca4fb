"""What a client has been shown by its server, held against what the server publishes for all to see.

Every adapter that comes is noted before it is used. When a round is published, what came in it must stand in
the link; until then nothing goes on from that round. A server that gives one client another adapter than the
rest, or an older one, is found out by that client.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.message import DecodeError

from renga.errors import RefusedPayload, RengaError, UsageError
from renga.protocol import link_pb2 as wire
from renga.protocol.adapter_codec import DecodedAdapter
from renga.protocol.published import Link, follow, opened, showing

Turn = tuple[int, int]


class Witness:
    """The newest published round that a client knows, and what it was shown since; durable in `path`."""

    def __init__(self, path: Path, server: Ed25519PublicKey) -> None:
        self._path = path
        self._server = server
        self._known: Link | None = None
        self._message = wire.Published()  # that link, as it came
        self._shown: dict[str, str] = {}  # of the rounds that are not published yet, by "round:name"
        self._lock = threading.Lock()  # adapters come in the thread that works, links in the loop
        if path.exists():
            self._read()

    @property
    def round(self) -> int:
        """The last published round that is known; 0 before the first."""
        return self._known.round if self._known else 0

    def note(self, kind: str, turn: Turn, adapter: DecodedAdapter) -> None:
        """Remember an adapter that the server sent in the round and attempt `turn`."""
        name, digest = showing(kind, turn[1], adapter)
        with self._lock:
            self._shown[f"{turn[0]}:{name}"] = digest
            self._write()

    def welcomed(self, last: wire.Published) -> None:
        """Raises RefusedPayload if a server's newest round is older than what it had published before."""
        newest = opened(self._server, last).round if last.round else 0
        if newest < self.round:
            raise RefusedPayload(
                f"the server offers round {newest}, and had published round {self.round} before",
                hint="was its state restored from an old backup? if its operator says so, join anew",
            )

    def follow(self, message: wire.Published) -> None:
        """Go on to a round that is published now. Raises RefusedPayload for another history, or if this
        client was shown something else than the others."""
        link = opened(self._server, message)
        with self._lock:
            self._follow(link, message)

    def _follow(self, link: Link, message: wire.Published) -> None:
        newest = follow(self._known, [link])
        mine = {name.partition(":")[2]: name for name in self._shown if name.startswith(f"{link.round}:")}
        attempts = {name.partition(":")[0] for name in link.adapters}
        for short, name in mine.items():
            # What came in an attempt that was broken off is not gone on from.
            if short.partition(":")[0] in attempts and link.adapters.get(short) != self._shown[name]:
                raise RefusedPayload(
                    f"in round {link.round} the server gave this client another adapter than it published"
                )
        if newest is link:
            self._known, self._message = link, message
        self._shown = {name: d for name, d in self._shown.items() if int(name.partition(":")[0]) > self.round}
        self._write()

    def vouch(self, turn: Turn | None) -> None:
        """Raises RefusedPayload if a round is to be gone on from that was never published."""
        if turn is not None and turn[0] > self.round:
            raise RefusedPayload(f"round {turn[0]} was not published, and nothing goes on from it")

    def _read(self) -> None:
        try:
            read = json.loads(self._path.read_text())
            self._shown = {str(name): str(digest) for name, digest in read["shown"].items()}
            if read["published"]:
                self._message = _message(bytes.fromhex(read["published"]))
                self._known = opened(self._server, self._message)
        except (OSError, ValueError, TypeError, LookupError, AttributeError, RefusedPayload) as error:
            raise UsageError(
                f"{self._path} is not what was written there", hint="restore it, or join anew elsewhere"
            ) from error

    def _write(self) -> None:
        temporary = self._path.with_suffix(".new")
        link = self._message.SerializeToString().hex()
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump({"published": link, "shown": self._shown}, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise RengaError(f"can't keep what the server published: {error.strerror}") from error


def _message(data: bytes) -> wire.Published:
    try:
        return wire.Published.FromString(data)
    except DecodeError as error:
        raise RefusedPayload("this is no published round") from error
