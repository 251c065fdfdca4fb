"""Flower's programs as children of ours: forked, asked, started again, and never left behind."""

from __future__ import annotations

import os
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


def test_what_is_kept_is_started_again_after_ever_longer_pauses(home: Home) -> None:
    told: list[str] = []
    kept = Kept(lambda: supernode(home, "kept"), told.append, pause=0.2)
    try:
        before = kept.program
        assert before.running
        before.kill()
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
