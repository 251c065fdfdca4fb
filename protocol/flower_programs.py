"""Flower's own programs as children of a process of ours: SuperLink, SuperNode, and its command line.

Flower has no public way to start them from Python. So they are started as a person would start them, with
an environment that keeps them quiet and offline, a home of their own, and a log file each; and their
command line is asked in JSON. `flwr run` may return 0 for a run that failed: what became of one is asked
for, not believed.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

import renga.errors
from renga.errors import RengaError
from renga.protocol.failure import one_line
from renga.protocol.flower_internals import QUIET

CONNECTION = "renga"
FINISHED = "finished:"


@dataclass(frozen=True)
class Home:
    """A folder that Flower takes for the user's: connections, installed bundles, logs."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        # Flower's programs start one another by their bare names.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        # What they start imports the same Renga as this process, be it installed or a checkout.
        ours = str(Path(renga.errors.__file__).absolute().parent.parent)
        return {
            **os.environ,
            **QUIET,
            "PYTHONPATH": os.pathsep.join([ours, *filter(None, [os.environ.get("PYTHONPATH")])]),
            "FLWR_HOME": str(self.folder.absolute()),
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
            "PATH": path,
            "PYTHONUNBUFFERED": "1",
        }

    def connect(self, address: str, authority: Path | None) -> None:
        """Write down where the SuperLink is; without `authority`, the certificate to check it by, no TLS."""
        self.folder.mkdir(parents=True, exist_ok=True)
        where: dict[str, Any] = {"address": address}
        where |= {"insecure": True} if authority is None else {"root-certificates": str(authority.absolute())}
        config = {"superlink": {"default": CONNECTION, CONNECTION: where}}
        (self.folder / "config.toml").write_text(tomli_w.dumps(config), encoding="utf-8")


@dataclass
class Program:
    """A running program of Flower's."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self, patience: float = 8.0) -> None:
        """Ask it to end, then make it and what it started end."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def last_words(self, lines: int = 3) -> str:
        """The end of its log, for a person who must find out why it ended."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return one_line(" / ".join(line for line in text.splitlines()[-lines:] if line.strip()))


def start(
    name: str, arguments: Sequence[str], home: Home, log: Path, more: Mapping[str, str] | None = None
) -> Program:
    """Start `name` (`flower-superlink`, …) with a log at `log`. It ends when this process does.

    To be called from a thread that lives as long as the process should: Linux ends the child with it.
    Raises RengaError if the program isn't installed.
    """
    home.folder.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**home.environment, **(more or {})}
    if shutil.which(name, path=environment["PATH"]) is None:
        raise RengaError(f"{name} is not installed", hint="pip install 'flwr>=1.41,<1.43'")
    with open(log, "ab") as file:
        process = subprocess.Popen(
            [name, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
    return Program(name, process, log)


class Kept:
    """A program that is started again whenever it ends, until `stop`.

    Flower's SuperNode gives up rather than tries again: after a crash it is not let back in for a minute.
    """

    def __init__(self, begin: Callable[[], Program], tell: Callable[[str], None], pause: float = 3.0) -> None:
        self._begin = begin
        self._tell = tell
        self._pause = pause
        self._over = threading.Event()
        self._program: Program | None = None
        self._begun = threading.Event()
        # The thread lives as long as the program should: Linux ends a child with the thread that began it.
        self._thread = threading.Thread(target=self._keep, name="kept", daemon=True)
        self._thread.start()
        self._begun.wait()
        if self._program is None:
            raise RengaError("a program of Flower's can't be started")

    @property
    def program(self) -> Program:
        assert self._program is not None
        return self._program

    def stop(self) -> None:
        """End it for good."""
        self._over.set()
        if self._program is not None:
            self._program.stop()
        self._thread.join(timeout=10.0)

    def _keep(self) -> None:
        while not self._over.is_set():
            try:
                self._program = self._begin()
            finally:
                self._begun.set()
            self._program.process.wait()
            if self._over.is_set():
                return
            said = self._program.last_words(1)
            self._tell(f"{self._program.name} ended; again in {self._pause:.0f} s ({said})")
            self._program.stop()
            self._over.wait(self._pause)


def flwr(arguments: Sequence[str], home: Home, *, patience: float = 120.0) -> dict[str, Any]:
    """What `flwr ARGUMENTS --format json` says. Raises RengaError with Flower's own words if it fails."""
    try:
        done = subprocess.run(
            ["flwr", *arguments, "--format", "json"],
            env=home.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RengaError(f"flwr {arguments[0]} did not answer within {patience:.0f} s") from error
    begin = done.stdout.find("{")
    try:
        said: dict[str, Any] = json.loads(done.stdout[begin:]) if begin >= 0 else {}
    except ValueError:
        said = {}
    if done.returncode or said.get("success") is False:
        why = said.get("error-message") or said.get("error") or done.stderr or done.stdout
        raise RengaError(f"flwr {arguments[0]}: {one_line(str(why))}")
    return said


def launch(
    bundle: Path, home: Home, run_config: Mapping[str, str], federation_config: Mapping[str, object] | None
) -> str:
    """Start a run of the app in `bundle`; its id."""
    arguments = ["run", str(bundle.absolute()), CONNECTION]
    if run_config:
        arguments += ["--run-config", " ".join(f"{k}={json.dumps(v)}" for k, v in run_config.items())]
    if federation_config:
        arguments += ["--federation-config", " ".join(f"{k}={v}" for k, v in federation_config.items())]
    return str(flwr(arguments, home)["run-id"])


def status(run: str, home: Home) -> tuple[str, str]:
    """What has become of a run (`running`, `finished:completed`, …), and the details."""
    found = flwr(["list", "--run-id", run], home).get("runs") or []
    if not found:
        raise RengaError(f"Flower does not know run {run}")
    return str(found[0]["status"]), str(found[0].get("status-details") or "")


def free_port() -> int:
    """A port of loopback that nobody listens at just now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def wait_until(ready: Callable[[], bool], program: Program, what: str, patience: float = 60.0) -> None:
    """Wait for `ready`. Raises RengaError when the program ends before that, or `patience` seconds pass."""
    end = time.monotonic() + patience
    while not ready():
        if not program.running:
            raise RengaError(f"{program.name} ended: {program.last_words()}", hint=f"see {program.log}")
        if time.monotonic() > end:
            raise RengaError(
                f"{what} is not there after {patience:.0f} s", hint=f"{program.log}: {program.last_words()}"
            )
        time.sleep(0.1)


def answers(url: str, trust: ssl.SSLContext | None = None) -> bool:
    """Whether an HTTP server says 200 at `url`."""
    try:
        with urllib.request.urlopen(url, timeout=2.0, context=trust) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _end_with_parent() -> None:
    # Linux only: elsewhere a killed parent leaves its children to be stopped by hand.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
