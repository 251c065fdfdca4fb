"""`--carrier superlink` as real processes: Renga's, and Flower's under them."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.renga.processes import Here, Nursery, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def here(tmp_path: Path, nursery: Nursery) -> Iterator[Here]:
    made = Here(tmp_path, nursery, quorum=1, grace=60)
    yield made
    made.close()


def ports() -> int:
    """A free port with a free one after it."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            try:
                other.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def of_flower(folder: Path) -> list[int]:
    """The processes of Flower's whose home lies in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"FLWR_HOME={folder}".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_moves_between_carriers_and_restarts_lose_nothing(here: Here) -> None:
    (here.folder / "port").write_text(str(ports()))
    superlink = ("--carrier", "superlink")
    here.server("--host", "127.0.0.1")
    for name in ("ada", "bo"):
        line = here.run("keys", "invite", name, "--address", here.address).strip().splitlines()[-1]
        here.client(name, "--invite", line)
    here.attached("ada", "bo")
    assert "round 1 is done" in here.run("train", "--rounds", "1")
    for name in ("ada", "bo", "server"):
        here.kill(name)

    # From the link to the SuperLink. The server is killed in a round; clients stay, and are let in again.
    here.server("--host", "127.0.0.1", *superlink)
    for name in ("ada", "bo"):
        here.client(name, *superlink)
    here.all_here()
    here.start("train", "train", "--rounds", "1")
    here.said("train", "has answered")
    here.kill("server")
    wait_for(lambda: not of_flower(here.folder / "state"), 20)
    here.server("--host", "127.0.0.1", *superlink)
    here.all_here()
    told = here.run("train", "--resume")
    assert "round 2 is done" in told and "the run is done" in told
    last = here.status()["last"]
    assert {name: client["status"] for name, client in last["clients"].items()} == {"ada": "ok", "bo": "ok"}
    ledger = json.loads(here.run("ledger", "--state", "client-ada", "--json"))
    assert [entry["kind"] for entry in ledger][-5:] == [
        "query.describe", "train.learn", "query.answer", "train.exchange", "evaluate.judge",
    ]  # fmt: skip

    # A client that is killed takes its SuperNode with it, and so does a server its SuperLink.
    for killed in ("ada", "server"):
        place = here.folder / {"ada": "client-ada", "server": "state"}[killed]
        assert of_flower(place)
        here.kill(killed)
        wait_for(lambda: not of_flower(place), 20)  # noqa: B023
    # And back to the link: nothing that was learned belongs to the carrier.
    here.server("--host", "127.0.0.1")
    here.client("ada")
    here.all_here()
    assert "round 3 is done" in here.run("train", "--rounds", "1")
    assert {client["status"] for client in here.status()["last"]["clients"].values()} == {"ok"}
    assert "does the server run with --carrier superlink?" in here.log("bo") or of_flower(here.folder)

    here.running["bo"].send(signal.SIGTERM)
    assert here.running["bo"].wait(60) == 0
    assert not of_flower(here.folder)
    assert os.listdir(here.folder / "client-bo" / "flower")  # its logs
