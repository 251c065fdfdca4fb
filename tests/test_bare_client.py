"""The example that has nothing of ours but the .proto decodes what the host model itself would say."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from renga.models.contract import Clearance, Prompt
from renga.models.local import LocalModel
from renga.server.host import Host
from renga.server.sessions import HostSessions
from tests.models.tiny_weights import tiny
from tests.server.link_world import world

ROOT = Path(__file__).parents[1]


def test_a_client_from_the_proto_alone_decodes(tmp_path: Path) -> None:
    weights = tiny("llama")
    session = LocalModel(weights).open(Prompt("Who counts?", Clearance.PUBLIC))
    wanted: list[int] = []
    for _ in range(16):
        row = session.feed(wanted[-1:]).logp
        assert row is not None
        wanted.append(int(row[-1].argmax()))
    script = tmp_path / "bare_client.py"
    script.write_text((ROOT / "examples" / "bare_client.py").read_text())
    made = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(ROOT / "protocol")]
    made += ["--python_out=.", "--grpc_python_out=.", "link.proto"]
    subprocess.run(made, cwd=tmp_path, check=True, timeout=60)
    host = cast(Host, SimpleNamespace(weights=weights, adapter=None, turn=threading.Lock()))
    with world(tmp_path, HostSessions(host)) as here:
        here.enrolled("ada")
        command = [
            sys.executable,
            "-I",
            "-c",
            "import sys; sys.path.insert(0, '.'); import bare_client; bare_client.main()",
        ]
        command += [here.address, str(here.folder / "ada"), "Who counts?"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [int(id) for id in done.stdout.split()] == wanted
