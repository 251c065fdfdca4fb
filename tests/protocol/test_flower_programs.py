"""Flower's programs as children of ours: forked, asked, started again, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from renga.errors import RengaError
from renga.protocol.flower_programs import Home, Kept, Program, flwr, free_port, start


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = Home(tmp_path_factory.mktemp("flower") / "home", ("flwr", "flower-supernode"))
    yield made
    made.close()


def supernode(home: Home, name: str) -> Program:
    """One that waits for a SuperLink that is not there."""
    where = ["--superlink", f"127.0.0.1:{free_port()}", "--host", "127.0.0.1", "--port", str(free_port())]
    return start("flower-supernode", ["--insecure", *where], home, home.folder / f"{name}.log")


def gone(process: int, patience: float = 10.0) -> bool:
    """Whether it ends in time; one that has ended is there until its new parent has looked."""
    end = time.monotonic() + patience
    while os.path.exists(f"/proc/{process}") and time.monotonic() < end:
        time.sleep(0.05)
    return not os.path.exists(f"/proc/{process}")


def test_a_command_that_fails_says_so_in_flowers_words(home: Home) -> None:
    home.connect(f"127.0.0.1:{free_port()}", None)
    with pytest.raises(RengaError, match="flwr run: .*pyproject.toml"):
        flwr(["run", str(home.folder)], home)


@pytest.mark.parametrize(("code", "status"), [("0", 0), ("None", 0), ("3", 3), ("'no'", 1)])
def test_a_program_ends_with_its_own_status_and_not_with_what_the_nursery_holds(
    code: str, status: int
) -> None:
    """Whoever imports torch pays a second for every end, else."""
    script = f"""
import atexit, os, sys
from renga.protocol import flower_nursery as nursery
atexit.register(print, "of the nursery")
nursery._entry = lambda name: lambda: (atexit.register(print, "its own"), sys.exit({code}))
nursery._serve = lambda listening: ("program", [])
nursery.socket.socket = lambda fileno: None
sys.argv = ["nursery", "0"]
nursery.main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (status, "its own\n")
    assert done.stderr == ("no\n" if status == 1 else "")


def test_what_is_kept_is_started_again_after_ever_longer_pauses(home: Home) -> None:
    told: list[str] = []
    kept = Kept(lambda: supernode(home, "kept"), told.append, pause=0.2)
    try:
        before = kept.program
        assert before.running
        before.kill()
        assert before.status == -signal.SIGKILL
        end = time.monotonic() + 60
        while kept.program is before and time.monotonic() < end:
            time.sleep(0.05)
        assert kept.program.running and kept.program.pid != before.pid
        assert len(told) == 1 and told[0].startswith("flower-supernode ended and is started again")
    finally:
        kept.stop(1.0)
    assert gone(kept.program.pid)


def test_nothing_outlives_its_home(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    program = supernode(home, "left")
    inner = threading.Event()
    end = time.monotonic() + 60
    while not inner.is_set() and time.monotonic() < end:  # it has started its SuperExec, by the script
        time.sleep(0.1)
        if "Starting Flower SuperExec" in program.log.read_text():
            inner.set()
    assert inner.is_set()
    home.close()
    assert gone(program.pid)
    assert program.wait(5.0)
