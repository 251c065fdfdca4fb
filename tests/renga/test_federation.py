"""A server and clients as real processes on real sockets: enrol, join, train, kill, resume, revoke."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_federation import write_federation

RENGA = [sys.executable, "-m", "renga"]


def config(folder: Path, model: Path, more: str = "") -> Path:
    path = folder / "server.toml"
    path.write_text(
        f"""
edge_models = ["{model}"]
{more}
[host]
model = "{model}"
rank = 4
tokens = 300

[transfer]
data = ["public.jsonl"]
validation = ["validation.jsonl"]
answer_tokens = 4

[round]
deadline = 60
grace = 2.0
""",
        encoding="utf-8",
    )
    return path


class Here:
    """Processes of one federation, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_federation(folder)
        self.model = folder / "model"
        config(folder, self.model)
        self.environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "XDG_RUNTIME_DIR": str(folder / "runtime"),
            "RENGA_CLIENT__EDGE__RANK": "2",
            "RENGA_CLIENT__EDGE__TOKENS": "200",
            "RENGA_CLIENT__EDGE__TRANSFER_TOKENS": "100",
        }
        self.running: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        with open(self.folder / f"{name}.log", "a") as log:
            process = subprocess.Popen(
                [*RENGA, *arguments], cwd=self.folder, env=self.environment, stdout=log, stderr=log, text=True
            )
        self.running[name] = process
        return process

    def server(self, *more: str) -> None:
        port = (self.folder / "port").read_text() if (self.folder / "port").exists() else "0"
        self.start("server", "serve", "--config", "server.toml", "--state", "state", "--port", port, *more)
        self.said("server", "serving")
        (self.folder / "port").write_text(self.address.rpartition(":")[2])

    @property
    def address(self) -> str:
        port = (self.folder / "state" / "address").read_text().strip().rpartition(":")[2]
        return f"localhost:{port}"

    def client(self, name: str, *more: str) -> None:
        self.start(
            name, "join", self.address, "--model", str(self.model), "--data", f"{name}.jsonl",
            "--state", f"client-{name}", *more,
        )  # fmt: skip

    def attached(self, *names: str) -> None:
        for name in names:
            self.said(name, "attached")

    def said(self, name: str, what: str, seconds: float = 180.0) -> None:
        def there() -> bool:
            text = (self.folder / f"{name}.log").read_text()
            if self.running[name].poll() is not None and what not in text:
                raise AssertionError(f"{name} ended: {text}")
            return what in text

        wait_for(there, seconds)

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running.pop(name).wait()
        (self.folder / f"{name}.log").unlink()

    def run(self, *arguments: str, status: int = 0, seconds: float = 240.0) -> str:
        done = subprocess.run(
            [*RENGA, *arguments], cwd=self.folder, env=self.environment, text=True, timeout=seconds,
            capture_output=True,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json"))
        return found


def wait_for(true: Callable[[], bool], seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.1)


@contextmanager
def processes(folder: Path) -> Iterator[Here]:
    here = Here(folder)
    try:
        yield here
    finally:
        for process in here.running.values():
            process.kill()
            process.wait()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with processes(tmp_path) as made:
        yield made


@pytest.mark.slow
def test_enrol_join_train_kill_resume_revoke(here: Here) -> None:
    here.server("--host", "127.0.0.1")
    for name in ("ada", "bo"):
        line = here.run("keys", "invite", name, "--address", here.address).strip().splitlines()[-1]
        here.client(name, "--invite", line)
    here.attached("ada", "bo")
    told = here.run("train", "--rounds", "1")
    assert "round 1 is done" in told and "the run is done" in told
    status = here.status()
    assert [(c["name"], c["here"]) for c in status["clients"]] == [("ada", True), ("bo", True)]
    assert status["round"] == 1 and status["last"]["clients"]["ada"]["status"] == "ok"

    said = here.run("ask", "Who is all 1?", "--public", "--state", "client-ada", "--max-tokens", "3")
    assert "3 tokens" in said or "2 tokens" in said or "1 tokens" in said
    ledger = json.loads(here.run("ledger", "--state", "client-ada", "--json"))
    assert ledger.pop()["kind"] == "prompt"
    assert [entry["kind"] for entry in ledger] == [
        "query.describe", "train.learn", "train.exchange", "evaluate.judge",
    ]  # fmt: skip
    assert "who is" not in json.dumps(ledger).lower()

    here.kill("bo")  # and back at once, without an invitation
    here.client("bo")
    here.attached("bo")
    here.kill("server")
    here.server("--host", "127.0.0.1")
    wait_for(lambda: all(client["here"] for client in here.status()["clients"]))
    assert "the run is done" in here.run("train", "--rounds", "1")
    assert here.status()["round"] == 2

    here.run("keys", "revoke", "bo")
    wait_for(lambda: here.running["bo"].poll() is not None)
    assert here.running["bo"].returncode == 2
    assert "revoked" in (here.folder / "bo.log").read_text()
    for path in here.folder.glob("*.log"):
        assert "PRIVATE KEY" not in path.read_text() and "renga-invite" not in path.read_text()


@pytest.mark.slow
def test_a_server_killed_in_a_round_goes_on_with_it(here: Here) -> None:
    here.server("--dev")
    for name in ("ada", "bo"):
        here.client(name, "--dev", "--name", name)
    here.attached("ada", "bo")
    train = here.start("train", "train", "--rounds", "2")
    here.said("train", "has answered")
    here.kill("server")
    train.wait(120)
    assert train.returncode == 1
    here.server("--dev")
    wait_for(lambda: all(client["here"] for client in here.status()["clients"]))
    assert "the run is done" in here.run("train", "--resume")
    status = here.status()
    assert status["round"] == status["goal"] == 2
    assert "no run to go on with" in here.run("train", "--resume", status=2)


@pytest.mark.slow
class TestWhatCantBe:
    def test_commands_without_a_server(self, here: Here) -> None:
        assert "can't read state/operator.token" in here.run("status", status=2)
        assert "not the state of a server" in here.run("keys", "invite", "ada", status=2)
        assert "no client state" in here.run("ledger", status=2)
        assert "not the state of a client" in here.run("ask", "What?", "--public", status=2)
        unreachable = here.run(
            "join", "localhost:1", "--invite", "renga-invite:e30", "--model", "x", status=2
        )
        assert "damaged" in unreachable

    def test_ports_states_and_invitations(self, here: Here) -> None:
        here.server("--host", "127.0.0.1")
        port = here.address.rpartition(":")[2]
        taken = here.run(
            "serve", "--config", "server.toml", "--state", "other", "--port", port, "--host", "127.0.0.1",
            status=1,
        )  # fmt: skip
        assert f"can't listen on 127.0.0.1:{port}" in taken
        busy = here.run("serve", "--config", "server.toml", "--port", "0", status=2)
        assert "in use by another server" in busy
        line = here.run("keys", "invite", "ada", "--address", here.address).strip()
        here.client("ada", "--invite", line)
        here.attached("ada")
        again = here.run(
            "join", here.address, "--invite", line, "--model", str(here.model), "--data", "bo.jsonl",
            "--state", "thief", status=2,
        )  # fmt: skip
        assert "used already" in again and line not in again
        here.running["server"].send_signal(signal.SIGTERM)
        assert here.running["server"].wait(120) == 0
        assert "can't be reached" in here.run("status", status=1)
