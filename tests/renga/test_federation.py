"""A server and clients as real processes on real sockets: enrol, join, train, ask, kill, resume, revoke."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.renga.processes import Here, Nursery, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def here(tmp_path: Path, nursery: Nursery) -> Iterator[Here]:
    made = Here(tmp_path, nursery)
    yield made
    made.close()


def secrets(folder: Path) -> list[str]:
    """What no log may hold: tickets, and the insides of key files."""
    found = ["PRIVATE KEY", "renga-invite:", "renga-operator:"]
    for path in [*folder.rglob("*.pem"), *folder.rglob("*.token")]:
        found += [line[:40] for line in path.read_text().splitlines() if len(line) >= 60]
    return found


def test_enrol_join_train_ask_kill_resume_revoke(here: Here) -> None:
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
    assert list(status["cohorts"].values()) == [["ada", "bo"]]
    shown = here.run("status")
    assert "cohort" in shown and "round 1 is done" in shown and "free on the disk" in shown

    said = here.run("ask", "Who is all 1?", "--public", "--state", "client-ada", "--max-tokens", "3")
    assert "tokens in" in said
    ledger = json.loads(here.run("ledger", "--state", "client-ada", "--json"))
    assert ledger.pop()["kind"] == "prompt"
    assert [entry["kind"] for entry in ledger] == [
        "query.describe", "train.learn", "query.answer", "train.exchange", "evaluate.judge",
    ]  # fmt: skip
    assert "who is" not in json.dumps(ledger).lower()
    own = json.loads(here.run("status", "--state", "client-ada", "--json"))
    assert own["name"] == "ada" and own["round"] == 1 and own["left"]["prompt"]["messages"] == 1
    assert "may leave: describe, learn, answer, exchange" in here.run("status", "--state", "client-ada")

    here.kill("bo")  # and back at once, without an invitation
    here.client("bo")
    here.attached("bo")
    here.kill("server")
    here.server("--host", "127.0.0.1")
    here.all_here()
    assert "the run is done" in here.run("train", "--rounds", "1")
    assert here.status()["round"] == 2

    here.run("keys", "revoke", "bo")
    assert here.running["bo"].wait() == 2
    assert "revoked" in here.log("bo")
    here.running["server"].send(signal.SIGTERM)
    assert here.running["server"].wait() == 0
    logs = "".join(path.read_text() for path in here.folder.glob("*.log"))
    assert not [secret for secret in secrets(here.folder) if secret in logs]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Iterator[Path]:
    here = Here(tmp_path_factory.mktemp("undisturbed"), nursery, quorum=2)
    here.server("--dev")
    for name in ("ada", "bo"):
        here.client(name, "--dev", "--name", name)
    here.attached("ada", "bo")
    here.run("train", "--rounds", "2")
    yield here.folder
    here.close()


class TestKilled:
    """At a chosen instant, as by `kill -9`; then begun again, and what comes out is what should."""

    def test_the_server_while_it_collects_commits_and_publishes(
        self, here: Here, nursery: Nursery, undisturbed: Path
    ) -> None:
        here.server("--dev", dies=("renga.protocol.link_carrier:LinkGrid.deliver", 4))  # some have answered
        for name in ("ada", "bo"):
            here.client(name, "--dev", "--name", name)
        here.attached("ada", "bo")
        for dies in (
            ("renga.server.state:os.rename", 1),  # all is written, and the round is not there yet
            ("renga.server.state:ServerState.finish<", 1),  # it is there, and no client has heard of it
            None,
        ):
            command = "--rounds=2" if here.status()["goal"] == 0 else "--resume"
            train = here.start("train", "train", command)
            assert here.running["server"].wait() == -signal.SIGKILL
            assert train.wait() == 1
            here.server("--dev", dies=dies)
            here.all_here()
        assert here.status()["round"] == 1
        assert "the run is done" in here.run("train", "--resume")
        status = here.status()
        assert status["round"] == status["goal"] == 2
        assert json.loads((here.folder / "state" / "attempts.json").read_text()) == {"1": 3, "2": 1}
        assert "no run to go on with" in here.run("train", "--resume", status=2)
        for name in adapters(undisturbed):
            assert (here.folder / "state" / name).read_bytes() == (undisturbed / "state" / name).read_bytes()

    def test_a_client_while_it_trains_uploads_and_idles(self, nursery: Nursery, tmp_path: Path) -> None:
        here = Here(tmp_path, nursery, quorum=1, grace=8)
        try:
            here.server("--dev")
            here.client("ada", "--dev", "--name", "ada")
            here.attached("ada")
            for dies in (
                ("renga.client.state:ClientState.save", 1),  # trained, nothing kept yet
                ("renga.client.link:BlobStore.parts", 2),  # the upload of what it learned has begun
            ):
                here.client("bo", "--dev", "--name", "bo", dies=dies)
                here.attached("bo")
                train = here.start("train", "train", "--rounds", "1")
                assert here.running["bo"].wait() == -signal.SIGKILL
                assert train.wait() == 0  # its own contribution, and no more
                last = here.status()["last"]["clients"]
                assert last["ada"]["status"] == "ok" and last.get("bo", {}).get("status") != "ok"
            here.client("bo")
            here.attached("bo")
            here.kill("bo")  # while idle
            here.client("bo")
            here.kill("server")
            here.environment["RENGA_SERVER__ROUND__GRACE"] = "600.0"  # nobody is left out for being slow
            here.server("--dev")
            here.all_here()
            here.run("train", "--rounds", "1")
            last = here.status()["last"]["clients"]
            assert {who["status"] for who in last.values()} == {"ok"} and set(last) == {"ada", "bo"}
        finally:
            here.close()


def adapters(folder: Path) -> list[str]:
    found = sorted(
        str(p.relative_to(folder / "state")) for p in (folder / "state").glob("rounds/*/*.adapter")
    )
    assert len(found) >= 3
    return found


class TestWhatCantBe:
    def test_commands_without_a_server(self, here: Here) -> None:
        assert "can't read state/operator.token" in here.run("status", status=2)
        assert "not the state of a server" in here.run("keys", "invite", "ada", status=2)
        assert "no client state" in here.run("ledger", status=2)
        assert "not the state of a client" in here.run("ask", "What?", "--public", status=2)
        damaged = here.run("join", "localhost:1", "--invite", "renga-invite:e30", "--model", "x", status=2)
        assert "damaged" in damaged

    def test_ports_states_and_invitations(self, here: Here, nursery: Nursery) -> None:
        here.server("--host", "127.0.0.1")
        port = here.address.rpartition(":")[2]
        taken = here.run(
            "serve", "--config", "server.toml", "--state", "other", "--port", port, "--host", "127.0.0.1",
            status=1,
        )  # fmt: skip
        assert f"can't listen on 127.0.0.1:{port}" in taken
        busy = here.run("serve", "--config", "server.toml", "--port", "0", status=2)
        assert "in use by another server" in busy
        joins = ["join", here.address, "--model", str(here.model), "--data", "bo.jsonl"]
        line = here.run("keys", "invite", "ada", "--address", here.address).strip()
        here.client("ada", "--invite", line)
        here.attached("ada")
        again = here.run(*joins, "--invite", line, "--state", "thief", status=2)
        assert "used already" in again and line not in again
        assert "used already" in here.log("server") and line not in here.log("server")
        (here.folder / "elsewhere").mkdir()
        (here.folder / "elsewhere" / "format.json").write_text('{"format": 99}')
        assert "another version" in here.run("serve", "--model", "x", "--state", "elsewhere", status=2)
        here.running["server"].send(signal.SIGTERM)
        assert here.running["server"].wait() == 0
        assert "can't be reached" in here.run("status", status=1)
        wait_for(lambda: "can't be reached" in here.log("ada"))
        assert here.running["ada"].poll() is None  # it tries again by itself
