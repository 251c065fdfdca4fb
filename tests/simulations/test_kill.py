"""Killed at any instant, or out of room, a run goes on to the same bytes and the same accounts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from renga.boundary import enter
from renga.cli import run
from tests.simulations.small_federation import client, metrics, tree, write_federation, write_models

ROOT = Path(__file__).parents[2]
PARTS = 12  # how many instants of a run, spread evenly, it is killed at
FULL = 4  # and at how many of them there is no room


class Driver:
    """`kill_driver`, and the federation that it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_models(folder / "models")
        self.config = write_federation(
            folder / "federation",
            folder / "models",
            [client("ada"), client("bo", rank=3)],
            edge={"tokens": 260, "transfer_tokens": 120},
            host={"tokens": 260},
            transfer={"answer_tokens": 2},
            evaluate={"every": True, "accuracy": False},
            baselines={"alone": True},
        )
        command = [sys.executable, "-m", "tests.simulations.kill_driver"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self._send(self.arguments("warm"))
        self.whole = folder / "whole"
        self.calls = int(self.simulate("whole")["calls"])

    def arguments(self, name: str, *more: str) -> dict[str, Any]:
        return {
            "arguments": ["simulate", str(self.config), "--out", str(self.folder / name), "--json", *more]
        }

    def simulate(self, name: str, *more: str, **how: Any) -> dict[str, Any]:
        """Run in a child; what became of it."""
        self._send(self.arguments(name, *more) | how)
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said

    def _send(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.communicate(timeout=60)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    driver = Driver(tmp_path_factory.mktemp("kill"))
    yield driver
    driver.close()


def same_as_whole(driver: Driver, name: str) -> None:
    """The run `name` ended like the one that nobody killed."""
    out = driver.folder / name
    assert tree(out / "adapters") == tree(driver.whole / "adapters")
    assert metrics(out) == metrics(driver.whole)
    assert kept_rounds(out) == kept_rounds(driver.whole)
    assert [path for path in tree(out) if ".new" in path or ".old" in path] == []
    assert (out / "report.html").exists()


def kept_rounds(out: Path) -> dict[str, Any]:
    """The server's rounds, less the numbers of attempts."""
    files: dict[str, Any] = dict(tree(out / "state" / "rounds"))
    for name in files:
        if name.endswith("round.json"):
            files[name] = json.loads(files[name])["record"]
    return files


def resumed(driver: Driver, name: str) -> None:
    said = driver.simulate(name, "--resume")
    assert said["status"] == 0, said["err"]
    same_as_whole(driver, name)


def instants(driver: Driver, count: int) -> list[int]:
    """Calls from the first to the last, one out of each of `count` equal stretches, not all at its start."""
    return [1 + (driver.calls - 1) * (2 * part + part % 2) // (2 * count - 1) for part in range(count)]


@pytest.mark.slow
def test_nothing_hangs_on_the_process(driver: Driver) -> None:
    assert driver.simulate("twice")["status"] == 0
    same_as_whole(driver, "twice")
    assert driver.calls > 100


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_that_was_killed_goes_on_to_the_same_end(driver: Driver, part: int) -> None:
    at = instants(driver, PARTS)[part]
    assert driver.simulate(f"killed{part}", kill=at)["status"] == -signal.SIGKILL
    resumed(driver, f"killed{part}")


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_gets_there(driver: Driver) -> None:
    """Each process gets as many calls as half a run takes: what was not finished is done again."""
    kills = 0
    while driver.simulate("again", "--resume", kill=driver.calls // 2)["status"] != 0:
        kills += 1
        assert kills < 8
    assert kills >= 2
    same_as_whole(driver, "again")


@pytest.mark.slow
def test_a_round_that_was_begun_many_times_accounts_for_no_more(driver: Driver) -> None:
    """Attempts get two digits, and the bytes exchanged stay those of one attempt."""
    for _ in range(10):
        assert driver.simulate("often", "--resume", kill=30)["status"] == -signal.SIGKILL
    assert json.loads((driver.folder / "often" / "state" / "attempts.json").read_text())["1"] > 5
    resumed(driver, "often")


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.2, 0.7])
def test_a_kill_by_the_clock(driver: Driver, seconds: float) -> None:
    name = f"clock{seconds}"
    assert driver.simulate(name, after=seconds)["status"] in (-signal.SIGKILL, 0)
    resumed(driver, name)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(FULL))
def test_a_full_disk_is_one_clear_line_and_the_run_goes_on_later(driver: Driver, part: int) -> None:
    at = instants(driver, FULL + 1)[part]  # the last of them comes when nothing more is written
    said = driver.simulate(f"full{part}", full=at)
    assert said["status"] == 1
    first, hint = said["err"].splitlines()
    assert first.startswith("renga: ") and "no space left" in first.lower()
    assert ("free some space" if part == 0 else "--resume") in hint
    assert said["out"] == ""
    resumed(driver, f"full{part}")


@pytest.mark.slow
def test_the_command_itself_killed_from_outside(driver: Driver) -> None:
    """No fork, no patch: `python -m renga simulate`, killed when its first round is on the disk."""
    arguments = driver.arguments("outside")["arguments"]
    process = subprocess.Popen(
        [sys.executable, "-m", "renga", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    first = driver.folder / "outside" / "state" / "rounds" / "0001"
    end = time.monotonic() + 120
    while not first.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (driver.folder / "outside" / "report.html").exists()
    assert enter([*arguments, "--resume"], run) == 0
    same_as_whole(driver, "outside")


@pytest.mark.slow
def test_what_a_killed_process_had_half_written_is_removed(driver: Driver) -> None:
    """A file that would never be written again, since what it says is known by now."""
    assert driver.simulate("half")["status"] == 0
    for name in (".metrics.jsonl.new", "measured/.timing-0001.json.new", "adapters/.ada.new-1/half"):
        path = driver.folder / "half" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"kind": ')
    resumed(driver, "half")
