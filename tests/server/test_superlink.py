"""What a server says of a SuperLink that can't be had. That it works is told by the conformance test."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from renga.errors import RengaError
from renga.server import identity
from renga.server.fleet_front import FleetFront
from renga.server.superlink import SuperLink


def test_a_port_that_is_taken_is_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    who = identity.create(tmp_path / "server", "localhost:0", ["localhost"])
    superlink = SuperLink(who, tmp_path / "flower", print)
    superlink._app = FleetFront("https://127.0.0.1:1", ssl.create_default_context())
    (tmp_path / "flower").mkdir()
    superlink._write_keys([])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RengaError, match=f"port {port} is taken") as refused:
            superlink._open_front("127.0.0.1", port)
    assert "carrier_port" in refused.value.hint
    assert capfd.readouterr() == ("", "")  # nobody else says so, too
    assert (tmp_path / "flower" / "key.pem").stat().st_mode & 0o077 == 0
    superlink.stop()
