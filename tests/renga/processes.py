"""A federation of real processes on real sockets, in one folder, for tests."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tiny_federation import write_federation

ROOT = Path(__file__).parents[2]
PATIENCE = 240.0  # seconds; what is waited for comes, or a process ends and the test with it

Dies = tuple[str, int]


class Nursery:
    """Where commands are started (see `nursery.py`); one for all tests of a module."""

    def __init__(self) -> None:
        self._statuses: dict[int, int] = {}
        self._news = threading.Condition()
        self._started: queue.Queue[int] = queue.Queue()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.renga.nursery"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def start(
        self, arguments: list[str], folder: Path, environment: dict[str, str], out: Path, dies: Dies | None
    ) -> Started:
        command = {
            "arguments": arguments,
            "cwd": str(folder),
            "environment": environment,
            "out": str(out),
            "dies": dies,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return Started(self, self._started.get(timeout=PATIENCE))

    def status(self, process: int) -> int | None:
        with self._news:
            return self._statuses.get(process)

    def wait(self, process: int, seconds: float) -> int:
        with self._news:
            assert self._news.wait_for(lambda: process in self._statuses, seconds), "it does not end"
            return self._statuses[process]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "started" in said:
                self._started.put(said["started"])
            elif "ended" in said:
                with self._news:
                    self._statuses[said["ended"]] = said["status"]
                    self._news.notify_all()


class Started:
    """A process of `renga`."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid

    def poll(self) -> int | None:
        return self._nursery.status(self.pid)

    def wait(self, seconds: float = PATIENCE) -> int:
        return self._nursery.wait(self.pid, seconds)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        if self.poll() is None:
            self.send(signal.SIGKILL)
        self.wait()


CONFIG = """
edge_models = ["{model}"]
[host]
model = "{model}"
rank = 4
tokens = 300

[transfer]
data = ["public.jsonl"]
validation = ["validation.jsonl"]
answer_tokens = 4

[round]
quorum = {quorum}
deadline = {deadline}
grace = {grace}
"""


class Here:
    """Processes of one federation, in one folder."""

    def __init__(
        self, folder: Path, nursery: Nursery, *, quorum: int = 0, deadline: float = 600, grace: float = 60
    ) -> None:
        self.folder = folder
        self._nursery = nursery
        folder.mkdir(parents=True, exist_ok=True)
        write_federation(folder)
        self.model = folder / "model"
        text = CONFIG.format(model=self.model, quorum=quorum, deadline=deadline, grace=grace)
        (folder / "server.toml").write_text(text, encoding="utf-8")
        self.environment = {
            "XDG_RUNTIME_DIR": str(folder / "runtime"),
            "RENGA_VAULT": str(folder / "vault" / "vault.db"),
            "RENGA_CLIENT__EDGE__RANK": "2",
            "RENGA_CLIENT__EDGE__TOKENS": "200",
            "RENGA_CLIENT__EDGE__TRANSFER_TOKENS": "100",
        }
        self.running: dict[str, Started] = {}

    def start(self, name: str, *arguments: str, dies: Dies | None = None) -> Started:
        log = self.folder / f"{name}.log"
        self.running[name] = self._nursery.start(list(arguments), self.folder, self.environment, log, dies)
        return self.running[name]

    def server(self, *more: str, dies: Dies | None = None) -> None:
        port = (self.folder / "port").read_text() if (self.folder / "port").exists() else "0"
        (self.folder / "server.log").unlink(missing_ok=True)
        self.start(
            "server", "serve", "--config", "server.toml", "--state", "state", "--port", port, *more, dies=dies
        )
        self.said("server", "serving")
        (self.folder / "port").write_text(self.address.rpartition(":")[2])

    @property
    def address(self) -> str:
        port = (self.folder / "state" / "address").read_text().strip().rpartition(":")[2]
        return f"localhost:{port}"

    def client(self, name: str, *more: str, dies: Dies | None = None) -> None:
        (self.folder / f"{name}.log").unlink(missing_ok=True)
        self.start(
            name, "join", self.address, "--model", str(self.model), "--data", f"{name}.jsonl",
            "--state", f"client-{name}", *more, dies=dies,
        )  # fmt: skip

    def attached(self, *names: str) -> None:
        for name in names:
            self.said(name, "attached")

    def all_here(self) -> None:
        """Wait until every client that is enrolled is attached, whatever their logs say."""
        wait_for(lambda: all(client["here"] for client in self.status()["clients"]))

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def said(self, name: str, what: str) -> None:
        def there() -> bool:
            ended = self.running[name].poll() is not None
            text = self.log(name)
            if ended and what not in text:
                raise AssertionError(f"{name} ended: {text}")
            return what in text

        wait_for(there)

    def kill(self, name: str) -> None:
        self.running.pop(name).kill()

    def run(self, *arguments: str, status: int = 0) -> str:
        """A command, to its end; all that it says."""
        out = self.folder / "command.out"
        out.unlink(missing_ok=True)
        process = self._nursery.start(list(arguments), self.folder, self.environment, out, None)
        ended = process.wait()
        said = out.read_text()
        assert ended == status, said
        return said

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json"))
        return found

    def close(self) -> None:
        for process in self.running.values():
            process.kill()


def wait_for(true: Callable[[], bool], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)
