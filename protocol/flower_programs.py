"""Flower's own programs as children of a process of ours: SuperLink, SuperNode, and its command line.

Flower has no public way to start them from Python. So they are started as a person would start them, by the
names of their commands, with an environment that keeps them quiet and offline, a home of their own, and a
log file each; and their command line is asked in JSON. They are forked from one process that has imported
them (`flower_nursery.py`), which ends them when this process ends, however it does. `flwr run` may return 0
for a run that failed: what became of one is asked for, not believed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

import tomli_w

import renga.errors
from renga.errors import RengaError
from renga.protocol import flower_nursery
from renga.protocol.failure import one_line
from renga.protocol.flower_internals import QUIET

CONNECTION = "renga"
RELEASE_HEADER = "x-flower-release"  # of a /health reply of a front of ours: the server's release of Flower
FINISHED = "finished:"

INNER = (
    "flower-superexec",
    "flwr-clientapp",
    "flwr-serverapp",
    "flwr-simulation",
)  # what Flower starts itself
TASK_POLL = 0.5  # seconds between two looks of a SuperExec for work; each look costs some 20 ms of processor
FIRST_PAUSE, LONGEST_PAUSE = 3.0, 60.0  # seconds before a program that ended is started again
WORDS = 16  # lines of its log that are looked at then

_COLOUR = re.compile(r"\x1b?\[[0-9;]*m")
_NO_REASON = re.compile(r"\b(INFO|DEBUG)\b|Exit Code:|For more information, visit")


class Home:
    """A folder that Flower takes for the user's (connections, installed bundles, logs), and the nursery in
    which its programs are started. Close it when done: what was started in it ends with it.

    beforehand: programs and modules that will be needed, and are imported once.
    """

    def __init__(self, folder: Path, beforehand: Sequence[str] = ()) -> None:
        self.folder = folder
        self._beforehand = beforehand
        self._short = tempfile.TemporaryDirectory(prefix="renga-")  # the path of a UNIX socket must be short
        self._address = Path(self._short.name) / "nursery"
        self._nursery: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def environment(self) -> dict[str, str]:
        # Flower's programs start one another by their bare names.
        scripts = [str(self._scripts), str(Path(sys.executable).parent)]
        # What they start imports the same Renga as this process, be it installed or a checkout.
        ours = str(Path(renga.errors.__file__).absolute().parent.parent)
        return {
            **os.environ,
            **QUIET,
            "PYTHONPATH": os.pathsep.join([ours, *filter(None, [os.environ.get("PYTHONPATH")])]),
            "FLWR_HOME": str(self.folder.absolute()),
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": str(TASK_POLL),
            "PATH": os.pathsep.join([*scripts, os.environ.get("PATH", "")]),
            "PYTHONUNBUFFERED": "1",
        }

    def connect(self, address: str, authority: Path | None) -> None:
        """Write down where the SuperLink is; without `authority`, the certificate to check it by, no TLS."""
        self.folder.mkdir(parents=True, exist_ok=True)
        where: dict[str, Any] = {"address": address}
        where |= {"insecure": True} if authority is None else {"root-certificates": str(authority.absolute())}
        config = {"superlink": {"default": CONNECTION, CONNECTION: where}}
        (self.folder / "config.toml").write_text(tomli_w.dumps(config), encoding="utf-8")

    def ask(self, name: str, arguments: Sequence[str], out: int, err: int) -> BufferedReader:
        """Start the program `name`; what the nursery says of it. Raises RengaError if it can't be."""
        self.open()
        try:
            return flower_nursery.request(
                str(self._address), name, list(arguments), self.environment, out, err
            )
        except OSError as error:
            raise RengaError(f"{name} can't be started", hint=f"see {self._log}") from error

    def open(self) -> None:
        """Begin to import what will be needed, if that was not done already."""
        with self._lock:
            if self._nursery is not None:
                return
            if not entry_points(group="console_scripts", name="flower-superexec"):
                raise RengaError("Flower is not installed", hint="pip install 'flwr>=1.41,<1.43'")
            self.folder.mkdir(parents=True, exist_ok=True)
            self._scripts.mkdir()
            flower_nursery.scripts(self._scripts, self._address, list(INNER))
            with (
                socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening,
                open(self._log, "ab") as log,
            ):
                listening.bind(str(self._address))
                listening.listen(64)
                self._nursery = subprocess.Popen(
                    [sys.executable, flower_nursery.__file__, str(listening.fileno()), *self._beforehand],
                    env=self.environment,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[listening.fileno()],
                    start_new_session=True,
                )

    def close(self) -> None:
        """End the nursery, and with it everything that was started and still runs."""
        with self._lock:
            if self._nursery is not None:
                assert self._nursery.stdin is not None
                self._nursery.stdin.close()
                self._nursery.wait()
        self._short.cleanup()

    @property
    def _scripts(self) -> Path:
        return Path(self._short.name) / "bin"

    @property
    def _log(self) -> Path:
        return self.folder / "nursery.log"


class Program:
    """A running program of Flower's, with its log."""

    def __init__(self, name: str, answers: BufferedReader, log: Path) -> None:
        self.name = name
        self.log = log
        self.status: int | None = None  # known once it has ended
        self._answers = answers
        self._ended = threading.Event()
        try:
            self.pid = int(json.loads(answers.readline())["pid"])
        except (OSError, ValueError, KeyError) as error:
            raise RengaError(f"{name} can't be started") from error
        threading.Thread(target=self._follow, name=name, daemon=True).start()

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end; whether it came."""
        return self._ended.wait(seconds)

    def kill(self) -> None:
        """End it at once, and what it started in its group."""
        if self.running:
            for end in (os.killpg, os.kill):  # one that has only just begun has no group yet
                with suppress(ProcessLookupError, PermissionError):
                    end(self.pid, signal.SIGKILL)
            self.wait(10.0)

    def stop(self, patience: float = 8.0) -> None:
        """Ask it to end; end it if it doesn't."""
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            self.wait(patience)
        self.kill()

    def last_words(self, lines: int = 3, limit: int = 300) -> str:
        """The end of its log, for a person who must find out why it ended."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return one_line(" / ".join(line for line in text.splitlines()[-lines:] if line.strip()), limit)

    def _follow(self) -> None:
        with self._answers, suppress(OSError, ValueError, KeyError):
            self.status = int(json.loads(self._answers.readline())["status"])
        self._ended.set()


def start(name: str, arguments: Sequence[str], home: Home, log: Path) -> Program:
    """Start `name` (`flower-superlink`, …) with a log at `log`. Raises RengaError if it can't be."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as file:
        return Program(name, home.ask(name, arguments, file.fileno(), file.fileno()), log)


class Kept:
    """A program that is started again whenever it ends, until `stop`; after ever longer pauses, while it does
    not live long.

    Flower's SuperNode gives up rather than tries again: after a crash it is not let back in for a minute.
    explain: what the end of its log means to a person, asked when it has ended; ended: called then, before
    it is started again.
    """

    def __init__(
        self,
        begin: Callable[[], Program],
        tell: Callable[[str], None],
        explain: Callable[[str], str] = lambda words: explained(words),
        pause: float = FIRST_PAUSE,
        longest: float = LONGEST_PAUSE,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._begin = begin
        self._tell = tell
        self._explain = explain
        self._ended = ended
        self._pause = pause
        self._longest = longest
        self._over = threading.Event()
        self.program = begin()
        self._thread = threading.Thread(target=self._keep, name="kept", daemon=True)
        self._thread.start()

    def stop(self, patience: float = 8.0) -> None:
        """End it for good."""
        self._over.set()
        self.program.stop(patience)
        self._thread.join(timeout=10.0)

    def _keep(self) -> None:
        pause, said = self._pause, None
        while True:
            begun = time.monotonic()
            self.program.wait()
            while True:
                if time.monotonic() - begun > LONGEST_PAUSE:
                    pause, said = self._pause, None
                if self._over.is_set():
                    return
                self._ended()
                why = self._explain(self.program.last_words(WORDS, 2000))
                if why != said:  # once for one reason, however often it is tried
                    self._tell(f"{self.program.name} ended and is started again: {why}")
                    said = why
                if self._over.wait(pause):
                    return
                pause = min(2 * pause, self._longest)
                with suppress(RengaError):
                    self.program = self._begin()
                    break
            if self._over.is_set():
                self.program.stop()


def explained(words: str) -> str:
    """The last of a program's last words that say what was wrong; one that was killed said nothing of it."""
    plain = _COLOUR.sub("", words)
    said = [line.strip() for line in plain.split(" / ") if not _NO_REASON.search(line)]
    said = [line for line in said if line]
    return said[-1] if said else "nothing in its log says why"


def flwr(arguments: Sequence[str], home: Home, *, patience: float = 120.0) -> dict[str, Any]:
    """What `flwr ARGUMENTS --format json` says. Raises RengaError with Flower's own words if it fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        asked = home.ask("flwr", [*arguments, "--format", "json"], out.fileno(), err.fileno())
        program = Program("flwr", asked, home.folder / "nursery.log")
        if not program.wait(patience):
            program.kill()
            raise RengaError(f"flwr {arguments[0]} did not answer within {patience:.0f} s")
        written, complained = _text(out), _text(err)
    begin = written.find("{")
    try:
        said: dict[str, Any] = json.loads(written[begin:]) if begin >= 0 else {}
    except ValueError:
        said = {}
    if program.status or said.get("success") is False:
        why = said.get("error-message") or said.get("error") or complained or written
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


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
